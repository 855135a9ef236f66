"""Signatures of others put to work for what they never signed: each is refused."""

import re
from base64 import b64encode

import pytest
from lxml import etree

from marketplace.documents import Broken, Problem, parse, sign, verify
from marketplace.documents.vocabulary import DS
from marketplace.tests.signing import EXAMPLE, IDENTIFIER, SIGNED_AT, alice, mallory

SIGNED = sign(EXAMPLE, alice(), at=SIGNED_AT, email="alice@example.org")
_SIGNATURE = re.search(rb"<Signature .*</Signature>", SIGNED, re.DOTALL)
assert _SIGNATURE
SIGNATURE = _SIGNATURE[0]
_DESCRIPTION = re.search(rb"<rdf:Description .*</rdf:Description>", SIGNED, re.DOTALL)
assert _DESCRIPTION
DESCRIPTION = _DESCRIPTION[0]
EVIL = DESCRIPTION.replace(b"images.example.org", b"evil.example.net")
CERTIFICATE = re.search(rb"<X509Data>.*</X509Data>", SIGNATURE, re.DOTALL)
assert CERTIFICATE
TRANSFORM = f'<Transform Algorithm="{DS}enveloped-signature"/>'.encode()
C14N = b"http://www.w3.org/TR/2001/REC-xml-c14n-20010315"


def problems_of(xml: bytes) -> tuple[Problem, ...]:
    with pytest.raises(Broken) as refused:
        verify(xml)
    return refused.value.problems


def swapped(was: bytes, now: bytes) -> bytes:
    assert was in SIGNED
    return SIGNED.replace(was, now, 1)


def in_signature(was: bytes, now: bytes) -> bytes:
    assert was in SIGNATURE
    return SIGNED.replace(SIGNATURE, SIGNATURE.replace(was, now, 1))


#: A forged document, the code that refuses it, and what is said.
ATTACKS: dict[str, tuple[bytes, str, str]] = {
    # Moved and wrapped
    "moved to the front": (
        swapped(SIGNATURE, b"").replace(b"<rdf:Description ", SIGNATURE + b"<rdf:Description ", 1),
        "misplaced_signature", "last child of the root",
    ),
    "moved into the description": (
        swapped(SIGNATURE, b"").replace(b"</rdf:Descr", SIGNATURE + b"</rdf:Descr"),
        "misplaced_signature", "last child of the root",
    ),
    "wrapped: the signed description inside the signature": (
        swapped(DESCRIPTION, EVIL).replace(
            b"</Signature>", b"<Object>" + DESCRIPTION + b"</Object></Signature>"
        ),
        "signature_structure", "must have exactly ds:SignedInfo",
    ),
    "wrapped: the whole document inside another": (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        b'xml:base="http://mp.stratuslab.eu/">' + SIGNED.partition(b"?>")[2] + b"</rdf:RDF>",
        "xml_base", "has an xml:base of its own",
    ),
    "a second description beside the signed one": (
        swapped(DESCRIPTION, EVIL + DESCRIPTION), "description", "exactly 1 rdf:Description",
    ),
    "a second description after the signature": (
        swapped(b"</rdf:RDF>", EVIL + b"</rdf:RDF>"), "misplaced_signature", "last child",
    ),
    "a signature in a signature": (
        in_signature(b"</KeyInfo>", b"</KeyInfo><Object>" + SIGNATURE + b"</Object>"),
        "several_signatures", "it has 2",
    ),
    "two signatures": (
        swapped(SIGNATURE, SIGNATURE * 2), "several_signatures", "at most 1 ds:Signature",
    ),
    # Partial
    "a reference to a part": (
        in_signature(b'URI=""', f'URI="#{IDENTIFIER}"'.encode()), "signature_structure",
        'must have URI="", the whole document',
    ),
    "a reference to the root by XPointer": (
        in_signature(b'URI=""', b'URI="#xpointer(/)"'), "signature_structure", 'must have URI=""',
    ),
    "a reference to elsewhere": (
        in_signature(b'URI=""', b'URI="http://evil.example.net/x"'), "signature_structure",
        'must have URI=""',
    ),
    "a reference to a file": (
        in_signature(b'URI=""', b'URI="file:///etc/passwd"'), "signature_structure", "must have",
    ),
    "no reference to anything": (
        in_signature(b' URI=""', b""), "signature_structure", 'must have URI=""',
    ),
    "a reference with a type": (
        in_signature(b'URI=""', f'URI="" Type="{DS}Manifest"'.encode()), "signature_structure",
        "cannot have the attribute Type",
    ),
    "two references": (
        in_signature(b"</SignedInfo>", b'<Reference URI=""/></SignedInfo>'),
        "signature_structure", "ds:SignedInfo must have exactly",
    ),
    "no transform": (
        in_signature(TRANSFORM, b""), "signature_structure", "must have exactly ds:Transform",
    ),
    "the same transform twice": (
        in_signature(TRANSFORM, TRANSFORM * 2), "signature_structure", "exactly ds:Transform",
    ),
    "a canonical form as a second transform": (
        in_signature(TRANSFORM, TRANSFORM + b'<Transform Algorithm="' + C14N + b'"/>'),
        "signature_structure", "exactly ds:Transform",
    ),
    "a transform that selects": (
        in_signature(
            TRANSFORM, b'<Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
            b"<XPath>false()</XPath></Transform>",
        ),
        "signature_algorithm", "which is not accepted",
    ),
    "a transform that runs": (
        in_signature(
            TRANSFORM, b'<Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>'
        ),
        "signature_algorithm", "which is not accepted",
    ),
    "a transform with more inside": (
        in_signature(TRANSFORM, TRANSFORM[:-2] + b"><XPath>false()</XPath></Transform>"),
        "signature_structure", "cannot have anything inside",
    ),
    # Algorithms
    "a secret in place of a key": (
        in_signature(b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                     f"{DS}hmac-sha1".encode()),
        "signature_algorithm", "hmac-sha1",
    ),
    "MD5": (
        in_signature(b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-md5"),
        "signature_algorithm", "rsa-md5",
    ),
    "a digest of MD5": (
        in_signature(b"http://www.w3.org/2001/04/xmlenc#sha256",
                     b"http://www.w3.org/2001/04/xmldsig-more#md5"),
        "signature_algorithm", "md5",
    ),
    "another algorithm of the same key": (
        in_signature(b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-sha512"),
        "signature_invalid", "is not valid",
    ),
    "RSA said to be DSA": (
        in_signature(b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                     f"{DS}dsa-sha1".encode()),
        "signature_invalid", "is not valid",
    ),
    "a canonical form of no standard": (
        in_signature(C14N + b"#WithComments", b"http://example.org/c14n"), "signature_algorithm",
        "ds:CanonicalizationMethod",
    ),
    "a canonical form with settings": (
        in_signature(
            b'#WithComments"/>', b'#WithComments"><InclusiveNamespaces '
            b'xmlns="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="x"/>'
            b"</CanonicalizationMethod>",
        ),
        "signature_structure", "cannot have anything inside",
    ),
    "a shortened value": (
        in_signature(
            b'rsa-sha256"/>', b'rsa-sha256"><HMACOutputLength>0</HMACOutputLength>'
            b"</SignatureMethod>",
        ),
        "signature_structure", "cannot have anything inside",
    ),
    # Keys
    "no certificate": (
        in_signature(CERTIFICATE[0], b""), "certificate", "has no ds:X509Certificate",
    ),
    "a key that is fetched": (
        in_signature(b"<KeyInfo>", b'<KeyInfo><RetrievalMethod URI="http://evil.example.net/"/>'),
        "signature_structure", "ds:KeyInfo cannot have ds:RetrievalMethod",
    ),
    "a certificate of somebody else before the signer's": (
        in_signature(b"<X509Certificate>", b"<X509Certificate>" + b"".join(
            etree.fromstring(sign(EXAMPLE, mallory(), at=SIGNED_AT, email="alice@example.org"))
            .findtext(f".//{{{DS}}}X509Certificate").encode().split()
        ) + b"</X509Certificate><X509Certificate>"),
        "signature_invalid", "is not valid",
    ),
    "something that is no certificate": (
        in_signature(b"<X509Certificate>", b"<X509Certificate>AAAA"), "certificate",
        "is not a certificate",
    ),
    "a certificate that is no base64": (
        in_signature(b"<X509Certificate>", b"<X509Certificate>?"), "certificate",
        "is not a certificate",
    ),
    "a list of revoked certificates": (
        in_signature(b"<X509Data>", b"<X509Data><X509CRL>AAAA</X509CRL>"), "signature_structure",
        "ds:X509Data cannot have ds:X509CRL",
    ),
    "too many certificates": (
        in_signature(CERTIFICATE[0], CERTIFICATE[0] * 11), "signature_structure",
        "has 11 certificates; 10 is most",
    ),
    # Comments and instructions, which a digest leaves out or a reader stumbles over
    "a comment in the signer's address": (
        swapped(b"alice@example.org", b"alice@example.org<!-- -->"), "comment_in_text",
        "slreq:email has a comment inside its text",
    ),
    "a comment in the signature": (
        in_signature(b"<KeyInfo>", b"<!-- --><KeyInfo>"), "signature_structure", "a comment inside",
    ),
    "a comment in the value": (
        in_signature(b"<SignatureValue>", b"<SignatureValue><!-- -->"), "signature_structure",
        "a comment inside",
    ),
    "a comment in the certificate": (
        in_signature(b"<X509Certificate>", b"<X509Certificate>AA<!-- -->"), "signature_structure",
        "a comment inside",
    ),
    "an instruction": (
        swapped(b"<rdf:Description ", b"<?x y?><rdf:Description "), "instruction",
        "processing instruction (<?x",
    ),
    "a style sheet": (
        swapped(b"<rdf:RDF ", b'<?xml-stylesheet href="x.xsl"?><rdf:RDF '), "instruction",
        "xml-stylesheet",
    ),
    "an attribute by default": (
        swapped(b"<rdf:RDF ", b'<!DOCTYPE r [<!ATTLIST slreq:bytes x CDATA "y">]><rdf:RDF '),
        "doctype", "document type",
    ),
    # Changed
    "a changed text": (swapped(b">17<", b">18<"), "signature_invalid", "changed after"),
    "an element more": (
        swapped(b"</rdf:Descr", b"<slterms:deprecated>x</slterms:deprecated></rdf:Descr"),
        "signature_invalid", "changed after",
    ),
    "an element less": (
        swapped(b"<dcterms:valid>2026-07-12T09:58:00Z</dcterms:valid>", b""),
        "signature_invalid", "changed after",
    ),
    "a blank": (
        swapped(b"<rdf:Description ", b" <rdf:Description "), "signature_invalid", "changed",
    ),
    "a namespace that nobody uses": (
        swapped(b"<rdf:RDF ", b'<rdf:RDF xmlns:x="http://example.org/" '), "signature_invalid",
        "changed after",
    ),
    "a namespace under another prefix": (
        SIGNED.replace(b"slterms:", b"st:").replace(b"xmlns:slterms", b"xmlns:st"),
        "signature_invalid", "changed after",
    ),
    "a base that is another": (
        swapped(b"http://mp.stratuslab.eu/\"", b"http://mp.stratuslab.eu./\""), "xml_base",
        "must have xml:base attribute with value http://mp.stratuslab.eu/",
    ),
    "a changed digest": (
        in_signature(b"<DigestValue>", b"<DigestValue>A"), "signature_invalid", "is not valid",
    ),
    "an empty value": (
        re.sub(rb"<SignatureValue>[^<]*<", b"<SignatureValue><", SIGNED), "signature_invalid",
        "is not valid",
    ),
    "no value": (
        re.sub(rb"<SignatureValue>[^<]*</SignatureValue>", b"", SIGNED), "signature_structure",
        "must have exactly",
    ),
    "nothing in the signature": (
        swapped(SIGNATURE, f'<Signature xmlns="{DS}"/>'.encode()), "signature_structure",
        "must have exactly",
    ),
    "text in the signature": (
        in_signature(b"<KeyInfo>", b"x<KeyInfo>"), "signature_structure", "text beside",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_signature_is_refused(attack):
    xml, code, words = ATTACKS[attack]
    problems = problems_of(xml)
    assert any(one.code == code and words in one.sentence for one in problems), problems


def test_what_was_signed_is_accepted():
    assert verify(SIGNED).certificate == alice().certificate


def test_a_comment_between_elements_changes_nothing_that_is_said():
    """A signature does not cover comments: they may come and go, and say nothing."""
    commented = SIGNED.replace(b"<rdf:Description ", b"<!-- x --><rdf:Description ")
    assert verify(commented).certificate == alice().certificate
    assert parse(commented) == parse(SIGNED)


@pytest.mark.parametrize(
    "extra",
    [b"<KeyName>Mallory</KeyName>", b"<KeyValue><RSAKeyValue><Modulus>AQAB</Modulus><Exponent>Aw=="
     b"</Exponent></RSAKeyValue></KeyValue>"],
)  # fmt: skip
def test_keys_beside_the_certificate_are_not_asked(extra):
    xml = SIGNED.replace(b"<KeyInfo>", b"<KeyInfo>" + extra)
    assert verify(xml).certificate == alice().certificate


def test_a_key_of_mallory_beside_the_certificate_of_alice_does_not_verify():
    """The digest is right and the value is by a key that the document brings along."""
    forged = sign(EXAMPLE, mallory(), at=SIGNED_AT, email="alice@example.org")
    data = re.compile(rb"<X509Data>.*</X509Data>", re.DOTALL)
    numbers = mallory().certificate.public_key().public_numbers()
    key = b"<KeyValue><RSAKeyValue><Modulus>%s</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>"
    mine = key % _base64(numbers.n) + b"</KeyValue>" + CERTIFICATE[0]
    assert problems_of(data.sub(lambda _: mine, forged))[0].code == "signature_invalid"


def _base64(number: int) -> bytes:
    return b64encode(number.to_bytes(256, "big"))


def test_no_byte_of_a_signed_document_can_be_changed():
    """Every letter of every text, and every attribute, of the description."""
    start, end = SIGNED.index(b"<rdf:Description"), SIGNED.index(b"</rdf:Description>")
    for position in range(start, end, 7):
        now = b"z" if SIGNED[position : position + 1] != b"z" else b"y"
        assert _is_refused(SIGNED[:position] + now + SIGNED[position + 1 :]), position


def _is_refused(xml: bytes) -> bool:
    try:
        verify(xml)
    except Broken:
        return True
    return False
