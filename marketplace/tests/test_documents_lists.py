"""Many documents in one, and each out of it again to the byte."""

import time

import pytest

from marketplace.documents import Broken, is_list, parse, sign, split_list, verify, wrap_list
from marketplace.tests.signing import EXAMPLE, SIGNED_AT, alice, mallory


def signed(signer=None) -> bytes:
    return sign(EXAMPLE, signer or alice(), at=SIGNED_AT, email="alice@example.org")


def bare(xml: bytes) -> bytes:
    return xml.partition(b"?>")[2].strip()


def test_documents_come_out_of_a_list_to_the_byte():
    documents = [signed(), EXAMPLE.replace(b"Debian", "Débian".encode()), signed(mallory())]
    found = split_list(b"".join(wrap_list(documents)))
    assert found == [bare(document) for document in documents]
    assert verify(found[0]).certificate == alice().certificate
    assert verify(found[2]).certificate == mallory().certificate


def test_what_the_list_declares_does_not_reach_the_documents():
    wrapper = (
        b'<metadata xmlns:x="http://example.org/" xml:lang="fr" xml:base="http://x/">%s</metadata>'
    )
    (found,) = split_list(wrapper % bare(signed()))
    assert verify(found).certificate == alice().certificate


def test_a_document_that_needs_the_list_is_not_whole():
    naked = bare(EXAMPLE).replace(b'xmlns:dcterms="http://purl.org/dc/terms/"', b"")
    (found,) = split_list(
        b'<metadata xmlns:dcterms="http://purl.org/dc/terms/">' + naked + b"</metadata>"
    )
    with pytest.raises(Broken, match="not well-formed"):
        parse(found)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_marks_comments_and_sections_in_a_list_are_no_documents(bom):
    comment = "<!-- <rdf:RDF> é -->".encode()
    tricky = bare(EXAMPLE).replace(b"Debian 12 minimal", b"<![CDATA[</rdf:RDF>]]>")
    xml = bom + b"<metadata>" + comment + tricky + b" and \n" + bare(EXAMPLE) + b"</metadata>"
    first, second = split_list(xml)
    assert (first, second) == (tricky, bare(EXAMPLE))
    assert parse(first).title == "</rdf:RDF>"


def test_an_empty_list_has_no_documents():
    assert split_list(b"<metadata/>") == []
    assert split_list(b"".join(wrap_list([]))) == []


def test_a_root_under_a_prefix_is_a_list_as_well():
    xml = b'<m:metadata xmlns:m="http://example.org/">' + bare(EXAMPLE) + b"</m:metadata>"
    assert split_list(xml) == [bare(EXAMPLE)]


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (EXAMPLE, "The root element of a list is metadata; it is rdf:RDF"),
        (b"<html><body/></html>", "it is html"),
        (b"<metadata><a/></metadata>", "an empty element where a document should be"),
        (b"<metadata><a b='/>' c=\">\"/></metadata>", "an empty element where a document should"),
        (b"<metadata><a>", "not well-formed"),
        (b'<?xml version="1.0" encoding="UTF-16"?><metadata/>', "UTF-8"),
        (b"<metadata>" + b"<a></a>" * 100_001 + b"</metadata>", "more than 100,000 documents"),
    ],
)
def test_what_is_no_list_is_refused(xml, words):
    with pytest.raises(Broken, match=words):
        split_list(xml)


def test_a_list_that_is_too_large_is_refused():
    with pytest.raises(Broken, match="The list has 1,000 bytes; 999 is most"):
        split_list(b" " * 1000, largest_bytes=999)


def test_the_end_of_a_document_is_its_own():
    documents = [
        b"<a></a>",
        b"<a>/></a>",
        b"<a><b/></a>",
        b"<a b='/>' \n></a >",
        b'<a b="/"><a/></a>',
    ]
    xml = b"<metadata>" + b"".join(documents) + b"</metadata>"
    assert split_list(xml) == documents


@pytest.mark.parametrize(
    ("xml", "is_one"),
    [
        (b"<metadata/>", True),
        (
            b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --><!-- b --> <m:metadata>',
            True,
        ),
        (b"<rdf:RDF><metadata/></rdf:RDF>", False),
        (b"<!DOCTYPE metadata><metadata/>", False),
        (b"no XML <metadata>", False),
        (b"", False),
    ],
)
def test_the_root_says_whether_it_is_a_list(xml, is_one):
    assert is_list(xml) is is_one


def test_comments_are_passed_over_once_each():
    began = time.process_time()
    assert not is_list(b"<!---->" * 100_000 + b"x")
    assert time.process_time() - began < 1
