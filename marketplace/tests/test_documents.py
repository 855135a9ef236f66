"""What documents say, and that it comes back when it is written."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib.compare import isomorphic

from cloud.diskfiles.identifiers import identifier_of
from marketplace.documents import Broken, Endorsement, Metadata, parse, rdf_json, write
from marketplace.tests.signing import EXAMPLE, IDENTIFIER, SIGNED_AT

TABLE = [  # stratuslab.md, chapter 5
    ("c319bbd5afc0a22ba3eaed0507c39383ec28eeff", "MMZu9WvwKIro-rtBQfDk4PsKO7_"),
    ("1104f3e30c030f8b93f220b04131032dddf51f21", "BEE8-MMAw-Lk_IgsEExAy3d9R8h"),
    ("137510490f881c7ceffb8b8f6fac7726d223e5db", "BN1EEkPiBx87_uLj2-sdybSI-Xb"),
    ("639ac4915da045efa809bd02b2609d9d3f932e85", "GOaxJFdoEXvqAm9ArJgnZ0_ky6F"),
    ("f716f46361137f9814643484f16c4ab4656bb49b", IDENTIFIER),
]


def graph(xml: bytes) -> rdflib.Graph:
    """Its statements as a library of others reads them, without the signature."""
    start, end = xml.find(b"<Signature"), xml.find(b"</Signature>")
    plain = xml if start < 0 else xml[:start] + xml[end + len(b"</Signature>") :]
    return rdflib.Graph().parse(data=plain, format="xml")


def full() -> Metadata:
    return Metadata(
        identifier=IDENTIFIER,
        size_bytes=17,
        checksums={"SHA-1": "f716f46361137f9814643484f16c4ab4656bb49b", "SHA-256": "ab" * 32},
        endorsement=Endorsement(
            created=SIGNED_AT, email="alice@example.org", subject="CN=Alice", issuers=("CN=CA",)
        ),
        type="base", kind="disk", os="none", os_version="1", os_arch="none", version="2.0",
        serial_number=7, compression="xz", format="qcow2", creator="Zoë & <Co>",
        created=datetime(2026, 1, 1, tzinfo=UTC), valid=datetime(2027, 1, 1, tzinfo=UTC),
        title="Genomes “2026”", alternative="genomes", description="Two\nlines.",
        publisher="Lab", locations=("https://a.example/b?c=d&e", "pdisk:here:1234"),
        hypervisor="kvm", disks_bus="scsi", inbound_ports=(22, 443), outbound_ports=(0,),
        icmp=(8,), deprecated="", replaces=IDENTIFIER, is_replaced_by="x", is_version_of="y",
        default_user="debian", min_memory_mib=512, virtual_size_bytes=1 << 40,
        others=('<e:by xmlns:e="http://example.org/e#">me</e:by>',),
    )  # fmt: skip


def test_the_example_of_the_format_is_accepted():
    found = parse(EXAMPLE)
    assert found.identifier == IDENTIFIER
    assert found.size_bytes == 17
    assert found.checksums["MD5"] == "f4e8350cecd29d10333d44c738ad387f"
    assert found.endorsement == Endorsement(
        created=SIGNED_AT,
        email="alice@example.org",
        subject="CN=Alice Example,O=Example Lab",
        issuers=("CN=Alice Example,O=Example Lab",),
    )
    assert (found.kind, found.os, found.os_version, found.os_arch) == (
        "machine", "debian", "12", "x86_64",
    )  # fmt: skip
    assert found.valid == datetime(2026, 7, 12, 9, 58, tzinfo=UTC)
    assert found.locations == ("https://images.example.org/debian-12.img.gz",)
    assert found.inbound_ports == (22,)
    assert found.deprecated is None


@pytest.mark.parametrize(("sha1", "identifier"), TABLE)
def test_the_identifiers_of_the_table_follow_from_their_checksums(sha1, identifier):
    xml = EXAMPLE.replace(IDENTIFIER.encode(), identifier.encode())
    xml = xml.replace(TABLE[-1][0].encode(), sha1.encode())
    assert parse(xml).identifier == identifier == identifier_of(sha1)


def test_what_is_written_is_what_is_read():
    assert parse(write(full())) == full()


def test_the_example_is_written_as_it_was():
    written = write(parse(EXAMPLE))
    assert parse(written) == parse(EXAMPLE)
    assert isomorphic(graph(written), graph(EXAMPLE))


def test_the_same_is_always_written_in_the_same_bytes():
    assert write(parse(write(full()))) == write(full())


def test_a_document_that_says_nothing_more_than_it_must_says_so_when_written():
    least = Metadata(
        identifier=IDENTIFIER, size_bytes=0, checksums={"SHA-1": TABLE[-1][0]}, kind="machine"
    )
    assert parse(write(least)) == least
    assert b'<slreq:endorsement rdf:parseType="Resource"/>' in write(least)
    assert b"slportal" not in write(least)


def test_our_own_words_are_in_a_namespace_of_our_own():
    assert b'xmlns:slportal="http://mp.stratuslab.eu/portal#"' in write(full())
    assert b"<slportal:default-user>debian</slportal:default-user>" in write(full())


def test_elements_that_we_do_not_know_are_kept():
    extra = b"""<e:more xmlns:e="http://example.org/e#" xmlns:f="http://example.org/f#"
        rdf:parseType="Resource"><e:a>1</e:a><f:b xml:lang="fr">deux</f:b></e:more>
        <e:see xmlns:e="http://example.org/e#" rdf:resource="http://example.org/there"/>
        <dcterms:rights>all</dcterms:rights>"""
    xml = EXAMPLE.replace(b"</rdf:Description>", extra + b"</rdf:Description>")
    found = parse(xml)
    assert len(found.others) == 3
    assert parse(write(found)) == found
    assert isomorphic(graph(write(found)), graph(xml))


def test_of_several_titles_the_first_counts_and_the_others_are_kept():
    xml = EXAMPLE.replace(
        b"<dcterms:title>", b"<dcterms:title>First</dcterms:title><dcterms:title>"
    )
    found = parse(xml)
    assert found.title == "First"
    assert isomorphic(graph(write(found)), graph(xml))


def test_a_blank_title_is_no_title():
    xml = EXAMPLE.replace(b"<dcterms:title>", b"<dcterms:title/><dcterms:title>")
    assert parse(xml) == parse(EXAMPLE)


def test_a_deprecated_entry_without_a_reason_is_deprecated():
    xml = EXAMPLE.replace(b"</rdf:Description>", b"<slterms:deprecated/></rdf:Description>")
    assert parse(xml).deprecated == ""
    assert parse(write(parse(xml))).deprecated == ""


def test_comments_between_elements_are_allowed():
    xml = EXAMPLE.replace(b"<slreq:bytes>", b"<!-- how large -->\n<slreq:bytes>")
    assert parse(xml) == parse(EXAMPLE)


def test_what_old_tools_leave_blank_is_not_said():
    xml = EXAMPLE.replace(b"f4e8350cecd29d10333d44c738ad387f", b"")
    xml = xml.replace(b"2026-07-12T09:58:00Z", b"").replace(b">gz<", b"><")
    found = parse(xml)
    assert "MD5" not in found.checksums
    assert found.valid is None
    assert found.compression == ""


def test_zeros_that_old_tools_put_before_a_sha1_do_not_matter():
    xml = EXAMPLE.replace(b"f716f463", b"0f716f463")
    assert parse(xml) == parse(EXAMPLE)
    sha1 = "0" * 3 + "ab" * 18 + "a"
    stripped = EXAMPLE.replace(IDENTIFIER.encode(), identifier_of(sha1).encode())
    stripped = stripped.replace(TABLE[-1][0].encode(), sha1.lstrip("0").encode())
    assert parse(stripped).checksums["SHA-1"] == sha1


def test_a_kind_that_only_the_type_says_is_understood():
    xml = EXAMPLE.replace(b"<slterms:kind>machine</slterms:kind>", b"")
    assert parse(xml).kind == "machine"
    assert parse(xml.replace(b">base<", b">disk<")).kind == "disk"


def test_a_title_is_one_line():
    xml = EXAMPLE.replace(b"Debian 12 minimal", "Debian\n\t 12\u2028minimal".encode())
    assert parse(xml).title == "Debian 12 minimal"


def test_text_that_xml_cannot_hold_is_refused_when_written():
    with pytest.raises(Broken, match="control characters"):
        write(replace(full(), title="a\x00b"))


def test_an_unknown_element_that_is_not_xml_is_refused_when_written():
    with pytest.raises(Broken, match="not well-formed"):
        write(replace(full(), others=("<a><b></a>",)))


def test_rdf_json_has_the_statements_of_the_document():
    extra = b"""<e:more xmlns:e="http://example.org/e#"><e:Thing><e:a rdf:datatype="http://example.org/int">1</e:a>
        <e:b xml:lang="fr">deux</e:b><e:c rdf:resource="#x"/></e:Thing></e:more>"""
    xml = EXAMPLE.replace(b"</rdf:Description>", extra + b"</rdf:Description>")
    ours = rdflib.Graph()
    for subject, properties in rdf_json(xml).items():
        for predicate, values in properties.items():
            for value in values:
                ours.add((_node(subject), rdflib.URIRef(predicate), _object(value)))
    assert isomorphic(ours, graph(xml))
    image = rdf_json(EXAMPLE)[f"http://mp.stratuslab.eu/#{IDENTIFIER}"]
    assert image["http://mp.stratuslab.eu/slterms#os"] == [{"type": "literal", "value": "debian"}]


def _node(name: str) -> rdflib.term.Identifier:
    return rdflib.BNode(name[2:]) if name.startswith("_:") else rdflib.URIRef(name)


def _object(value: dict[str, str]) -> rdflib.term.Identifier:
    if value["type"] != "literal":
        return _node(value["value"])
    datatype = value.get("datatype")
    return rdflib.Literal(
        value["value"], lang=value.get("lang"), datatype=datatype and rdflib.URIRef(datatype)
    )


_line = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30
)  # blanks are put together
_dates = st.none() | st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001  (the strategy adds the zone)
    datetime(8999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda when: when.replace(microsecond=0))


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, (1 << 63) - 1), title=_line, description=_line, os=_line, valid=_dates,
    sha1=st.binary(min_size=20, max_size=20).map(bytes.hex),
    ports=st.lists(st.integers(0, 65535), unique=True, max_size=5), deprecated=st.none() | _line,
    serial=st.none() | st.integers(0, 1 << 62),
)  # fmt: skip
def test_whatever_is_said_comes_back(
    size, title, description, os, valid, sha1, ports, deprecated, serial
):
    said = replace(
        full(), identifier=identifier_of(sha1), checksums={"SHA-1": sha1}, size_bytes=size,
        title=title, description=description, os=os, valid=valid, inbound_ports=tuple(ports),
        deprecated=deprecated, serial_number=serial,
    )  # fmt: skip
    assert parse(write(said)) == said
