"""Documents made to harm: refused, at once, in little memory, with nothing fetched."""

import json
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from marketplace.documents import Broken, parse, rdf_json, sign, split_list, verify
from marketplace.documents.reading import LARGEST_BYTES
from marketplace.tests.signing import EXAMPLE, SIGNED_AT, alice

ROOT = (
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    b'xml:base="http://mp.stratuslab.eu/">'
)
LAUGHS = b"".join(
    b'<!ENTITY a%d "%s">' % (number, b"&a%d;" % (number - 1) * 10) for number in range(1, 10)
)


def in_example(content: bytes) -> bytes:
    return EXAMPLE.replace(b"</rdf:Description>", content + b"</rdf:Description>")


def many_namespaces() -> bytes:
    declared = b" ".join(b'xmlns:n%d="u:%d"' % (number, number) for number in range(39))
    return ROOT + (b"<n0:a %s>" % declared) * 20 + b"<n0:b/>" * 1000


HARMFUL = {
    "a file from this host": (
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + ROOT + b"&x;</rdf:RDF>",
        "doctype",
    ),
    "a document type from elsewhere": (
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">' + ROOT + b"</rdf:RDF>", "doctype",
    ),
    "a parameter entity": (
        b'<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]>' + ROOT, "doctype",
    ),
    "a billion laughs": (
        b'<!DOCTYPE r [<!ENTITY a0 "ha">' + LAUGHS + b"]>" + ROOT + b"&a9;</rdf:RDF>", "doctype",
    ),
    "a long entity, often": (
        b'<!DOCTYPE r [<!ENTITY a "' + b"x" * 500_000 + b'">]>' + ROOT + b"&a;" * 1000, "doctype",
    ),
    "an empty document type": (b"<!DOCTYPE r>" + ROOT + b"</rdf:RDF>", "doctype"),
    "an entity that nobody declared": (in_example(b"&x;"), "not_xml"),
    "a hundred thousand elements": (in_example(b"<a/>" * 100_000), "too_many"),
    "a hundred thousand comments": (in_example(b"<!---->" * 100_000), "too_many"),
    "a hundred thousand attributes": (
        in_example(b"<a " + b" ".join(b'a%d=""' % number for number in range(80_000)) + b"/>"),
        "too_many",
    ),
    "a hundred thousand names": (
        in_example(b"".join(b"<a%d/>" % number for number in range(4_000))), "too_many",
    ),
    "namespaces over namespaces": (many_namespaces(), "too_many"),
    "deep nesting": (in_example(b"<a>" * 100_000), "too_deep"),
    "a namespace without a scheme": (EXAMPLE.replace(b"http://purl", b"http//purl"), "namespace"),
    "a namespace that is a path": (in_example(b'<a xmlns="//a/b"/>'), "namespace"),
    "deep nesting that ends": (in_example(b"<a>" * 25 + b"</a>" * 25), "too_deep"),
    "a document that is too large": (in_example(b" " * LARGEST_BYTES), "too_large"),
    "nothing": (b"", "empty"),
    "blanks": (b" \n\t", "empty"),
    "no XML": (b"hello", "not_xml"),
    "an image": (b"QFI\xfb\x00\x00\x00\x03" + bytes(1000), "encoding"),
    "zeros": (bytes(1000), "not_xml"),
    "half a document": (EXAMPLE[:1000], "not_xml"),
    "two documents": (EXAMPLE + EXAMPLE.partition(b"?>")[2], "not_xml"),
    "UTF-16": (EXAMPLE.decode().encode("utf-16"), "encoding"),
    "another encoding": (EXAMPLE.replace(b"UTF-8", b"ISO-8859-1"), "encoding"),
    "an encoding of mischief": (EXAMPLE.replace(b"UTF-8", b"UTF-7"), "encoding"),
    "bytes that are no UTF-8": (EXAMPLE.replace(b"Debian", b"Debi\xe9n"), "encoding"),
    "XML 1.1": (EXAMPLE.replace(b'"1.0"', b'"1.1"'), "not_xml"),
    "a control character": (EXAMPLE.replace(b"Debian", b"Debi&#1;n"), "not_xml"),
    "a prefix that nobody declared": (in_example(b"<x:y/>"), "not_xml"),
    "the same attribute twice": (in_example(b'<a x="1" x="2"/>'), "not_xml"),
    "the same attribute by two prefixes": (
        in_example(b'<a xmlns:p="u:" xmlns:q="u:" p:x="1" q:x="2"/>'), "not_xml",
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMFUL)
@pytest.mark.parametrize("door", [parse, verify, rdf_json])
def test_a_harmful_document_is_refused(harm, door):
    xml, code = HARMFUL[harm]
    with pytest.raises(Broken) as refused:
        door(xml)
    assert [problem.code for problem in refused.value.problems] == [code]


def test_a_harmful_document_is_not_signed():
    for xml, code in HARMFUL.values():
        with pytest.raises(Broken) as refused:
            sign(xml, alice(), at=SIGNED_AT, email="alice@example.org")
        assert [problem.code for problem in refused.value.problems] == [code]


def test_nobody_is_asked_for_anything():
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/".encode()

        def listen() -> None:
            try:
                asked.append(server.accept())
            except TimeoutError:
                return

        listener = threading.Thread(target=listen)
        listener.start()
        for xml in (
            b'<!DOCTYPE r SYSTEM "' + address + b'">' + ROOT + b"</rdf:RDF>",
            b'<!DOCTYPE r [<!ENTITY x SYSTEM "' + address + b'">]>' + ROOT + b"&x;</rdf:RDF>",
            in_example(
                b'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="' + address + b'"/>'
            ),
            EXAMPLE.replace(
                b"<rdf:RDF ",
                b'<rdf:RDF xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
                b'xsi:schemaLocation="x ' + address + b'" ',
            ),
        ):
            with pytest.raises(Broken):
                parse(xml)
        listener.join()
    assert not asked


#: Under the limits, and as much work as can be had for it.
HEAVY = {
    "long text": in_example(b"<dcterms:rights>" + b"x" * 1_000_000 + b"</dcterms:rights>"),
    "many elements": in_example(b"<dcterms:rights>a&amp;b</dcterms:rights>" * 4_900),
    "many locations": in_example(b"<slterms:location>x</slterms:location>" * 4_900),
    "many broken": in_example(b'<dcterms:rights rdf:ID="x"/>' * 4_900),
    "as deep as it may be": in_example(
        (b'<dcterms:a rdf:parseType="Resource">' * 22 + b"</dcterms:a>" * 22) * 200
    ),
    "as many namespaces as there may be": in_example(
        b"".join(b'<e:a xmlns:e="u:%d">%s</e:a>' % (one, b"x" * 5_000) for one in range(190))
    ),
    "a long comment": in_example(b"<!--" + b"x" * 1_000_000 + b"-->"),
    "long attributes": in_example(b'<dcterms:rights xml:lang="' + b"x" * 1_000_000 + b'"/>'),
    "a long name": in_example(b"<dcterms:" + b"x" * 40_000 + b"/>"),
    "many signatures": in_example(
        b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>' * 150
    ),
}  # fmt: skip

_CHILD = """
import json, resource, sys, time
from marketplace.documents import Broken, parse, rdf_json, verify
xml, example = sys.stdin.buffer.read().split(b"\\0")
for door in (parse, verify, rdf_json):  # what the first document costs is not this one's
    try: door(example)
    except Broken: pass
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
for door in (parse, verify, rdf_json):
    try: door(xml)
    except Broken: pass
took = time.process_time() - began
print(json.dumps([took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HEAVY, *HARMFUL])
def test_no_document_takes_a_second_or_fifty_mebibytes(name):
    """Read, verified and told in RDF/JSON, one after the other, in a process of its own."""
    xml = HEAVY[name] if name in HEAVY else HARMFUL[name][0]
    if b"\0" in xml:
        pytest.skip("the test divides by it")
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], input=xml + b"\0" + EXAMPLE, capture_output=True,
        check=True, timeout=60, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    took_s, grown_kib = json.loads(done.stdout)
    assert took_s < 1
    assert grown_kib < 50 * 1024


@pytest.mark.slow
def test_reading_many_documents_does_not_let_the_process_grow():
    """Names stay in the library's memory for good: there are few in one document."""
    for number in range(20):
        _read_names(number)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(20, 120):
        _read_names(number)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 * 1024


def _read_names(number: int) -> None:
    names = b"".join(b"<dcterms:a%d-%d/>" % (number, one) for one in range(300))
    parse(in_example(names))


def test_a_list_is_refused_like_a_document():
    for xml in (b"<!DOCTYPE r [<!ENTITY a 'b'>]><metadata>&a;</metadata>", b"", b"<metadata>"):
        with pytest.raises(Broken):
            split_list(xml)
