"""Documents that nobody would write: whatever the bytes, a refusal is a refusal."""

import resource
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from marketplace.documents import Broken, parse, rdf_json, sign, split_list, verify, wrap_list
from marketplace.documents.model import Metadata, Signature
from marketplace.documents.writing import write
from marketplace.tests.signing import EXAMPLE, SIGNED_AT, alice
from marketplace.tests.test_documents import full

#: Certificates that are changed make cryptography warn.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SIGNED = sign(EXAMPLE, alice(), at=SIGNED_AT, email="alice@example.org")
FULL = sign(write(full()), alice("alice@example.org"), at=SIGNED_AT)
LIST = b"".join(wrap_list([SIGNED, FULL]))
SEEDS = (EXAMPLE, SIGNED, FULL, write(full()), LIST)
#: What parsers stumble over, and pieces of the format in the wrong place.
WORDS = (
    b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?x ", b"?>", b"<!DOCTYPE x", b"<!ENTITY x 'y'>",
    b"&amp;", b"&x;", b"&#0;", b"&#x10FFFF;", b"&#55296;", b"\xef\xbb\xbf", b"\xff\xfe", b"\0",
    b"\r\n", b"\xc2\x85", "\u202e".encode(), "\ufffe".encode(), b"xmlns=\"\"", b"xmlns:rdf=\"u:\"",
    b"xml:base=\"\"", b"xml:lang=\"en\"", b" rdf:about=\"\"", b" rdf:ID=\"a\"",
    b" rdf:nodeID=\"a\"",
    b" rdf:parseType=\"Literal\"", b" rdf:parseType=\"Resource\"", b" rdf:resource=\"http://[x\"",
    b" rdf:datatype=\"//[\"", b"<rdf:Description>", b"</rdf:Description>", b"<slreq:endorsement/>",
    b"<Signature/>", b"<x/>", b"</x>", b"URI=\"#x\"", b"=", b"\"", b"'", b"<", b">", b"/",
    b"99999999999999999999", b"-1", b"1e9", b"A" * 300, b"=" * 4, b"CN=\\", b"#16", b"\\,",
)  # fmt: skip
DOORS = (parse, verify, rdf_json, split_list)


@dataclass(frozen=True)
class Change:
    """At a place, given in parts of the whole, so many bytes go and others come."""

    where: float
    length: int
    what: bytes | None  # None: a piece of the document itself
    source: float

    def made(self, xml: bytes) -> bytes:
        at = int(self.where * len(xml))
        start = int(self.source * len(xml))
        what = xml[start : start + self.length] if self.what is None else self.what
        return xml[:at] + what + xml[at + (0 if self.what is None else self.length) :]


part = st.floats(0, 1, allow_nan=False)
changes = st.lists(
    st.builds(
        Change,
        where=part,
        length=st.sampled_from([0, 0, 1, 2, 5, 30, 400]),
        what=st.none() | st.sampled_from(WORDS) | st.binary(max_size=4),
        source=part,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.sampled_from(SEEDS), changes=changes)
def test_whatever_is_changed_a_document_is_read_or_refused(seed, changes):
    xml = seed
    for change in changes:
        xml = change.made(xml)
    _try(xml)


@settings(max_examples=200, deadline=None)
@given(xml=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_sent_is_refused(xml):
    for door in DOORS:
        with pytest.raises(Broken):
            door(xml)


#: Elements and attributes shuffled: what is well-formed goes deeper than what is not.
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from([SIGNED, FULL]),
    moves=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.sampled_from("mcrtad")),
                   min_size=1, max_size=5),
)  # fmt: skip
def test_however_elements_are_shuffled_a_document_is_read_or_refused(seed, moves):
    root = etree.fromstring(seed)
    for one, other, how in moves:
        _shuffle(list(root.iter(etree.Element)), one, other, how)
    _try(etree.tostring(root))


@settings(max_examples=300, deadline=None)
@given(changes=changes)
def test_whatever_certificate_comes_it_is_read_or_refused(changes):
    der = alice().certificate.public_bytes(Encoding.DER)
    for change in changes:
        der = change.made(der)
    start, end = SIGNED.index(b"<X509Certificate>") + 17, SIGNED.index(b"</X509Certificate>")
    with suppress(Broken):
        found = verify(SIGNED[:start] + b64encode(der) + SIGNED[end:])
        assert found.certificate.public_key() == alice().certificate.public_key()


def _shuffle(elements: list[etree._Element], one: int, other: int, how: str) -> None:
    first, second = elements[one % len(elements)], elements[other % len(elements)]
    match how:
        case "m" if first is not second and first not in second.iterancestors():
            second.append(first)
        case "c":
            second.append(etree.fromstring(etree.tostring(first, with_tail=False)))
        case "r":
            first.tag = second.tag
        case "t":
            first.text = second.text
        case "a":
            for name, value in second.attrib.items():
                first.set(name, value)
        case "d" if first.getparent() is not None:
            first.getparent().remove(first)


def _try(xml: bytes) -> None:
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said: Metadata | None = None
    is_signed = False
    for door in DOORS:
        with suppress(Broken):
            found = door(xml)
            said = found if isinstance(found, Metadata) else said
            is_signed = is_signed or isinstance(found, Signature)
    if is_signed:  # and then it says what was signed, and nothing else
        assert said in (parse(SIGNED), parse(FULL))
    if said is not None:
        # What was read can be written, and says the same when it is read again.
        assert parse(write(said)) == said
        with suppress(Broken):
            assert verify(sign(xml, alice(), at=SIGNED_AT, email="alice@example.org"))
    assert time.process_time() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024
