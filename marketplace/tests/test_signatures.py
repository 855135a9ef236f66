"""Signing and verifying, with our eyes and with those of others."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from rdflib.compare import isomorphic

from marketplace.documents import Broken, Signer, parse, sign, verify, write
from marketplace.documents.vocabulary import DS
from marketplace.tests.signing import (
    EXAMPLE,
    SIGNED_AT,
    alice,
    certificate,
    dsa_key,
    mallory,
    rsa_key,
    signed_as_of_old,
)
from marketplace.tests.test_documents import full, graph

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
constants = xmlsec.constants


def dsa_signer(bits: int = 2048) -> Signer:
    return Signer(key=dsa_key(bits), certificate=certificate(dsa_key(bits)))


def by_others(xml: bytes, signer: Signer, place: Path) -> str:
    """What Debian's xmlsec1 says."""
    document, trusted = place / "document.xml", place / "trusted.pem"
    document.write_bytes(xml)
    trusted.write_bytes(signer.certificate.public_bytes(Encoding.PEM))
    argv = ["xmlsec1", "--verify", "--verification-time", "2026-02-01 00:00:00",
            "--trusted-pem", trusted, document]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    return f"{done.returncode} {done.stdout} {done.stderr}"


def refusal(xml: bytes) -> str:
    with pytest.raises(Broken) as refused:
        verify(xml)
    return refused.value.problems[0].code


@pytest.mark.parametrize("signer", [alice(), alice("alice@example.org"), dsa_signer()])
def test_what_we_sign_others_accept(signer, tmp_path):
    signed = sign(EXAMPLE, signer, at=SIGNED_AT, email="alice@example.org")
    assert by_others(signed, signer, tmp_path).startswith("0 ")
    assert b"rsa-sha256" in signed or b"dsa-sha256" in signed
    assert verify(signed).certificate == signer.certificate
    assert isomorphic(graph(signed), graph(EXAMPLE))
    assert isomorphic(graph(write(parse(signed))), graph(EXAMPLE))


def test_others_see_that_it_was_changed_as_we_do(tmp_path):
    signed = sign(EXAMPLE, alice(), at=SIGNED_AT, email="alice@example.org")
    changed = signed.replace(b">22<", b">23<")
    assert by_others(changed, alice(), tmp_path).startswith("1 ")
    assert refusal(changed) == "signature_invalid"


def test_what_others_sign_we_accept(tmp_path):
    """Made by xmlsec1 from a template, with the base that the root element passes on."""
    template = f"""<Signature xmlns="{DS}"><SignedInfo>
        <CanonicalizationMethod
            Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"/>
        <SignatureMethod Algorithm="{DS}rsa-sha1"/><Reference URI=""><Transforms>
        <Transform Algorithm="{DS}enveloped-signature"/></Transforms>
        <DigestMethod Algorithm="{DS}sha1"/><DigestValue/></Reference></SignedInfo>
        <SignatureValue/><KeyInfo><X509Data><X509Certificate/></X509Data></KeyInfo></Signature>"""
    source, key, pem = tmp_path / "source.xml", tmp_path / "key.pem", tmp_path / "cert.pem"
    source.write_bytes(EXAMPLE.replace(b"</rdf:RDF>", template.encode() + b"</rdf:RDF>"))
    key.write_bytes(alice().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    pem.write_bytes(alice().certificate.public_bytes(Encoding.PEM))
    argv = ["xmlsec1", "--sign", "--privkey-pem", f"{key},{pem}", source]
    signed = subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout
    assert verify(signed).algorithm == "rsa-sha1"


@pytest.mark.parametrize(
    ("signer", "method", "digest"),
    [
        (alice(), f"{DS}rsa-sha1", constants.TransformSha1),
        (alice(), f"{MORE}rsa-sha256", constants.TransformSha256),
        (alice(), f"{MORE}rsa-sha384", constants.TransformSha384),
        (alice(), f"{MORE}rsa-sha512", constants.TransformSha512),
        (dsa_signer(1024), f"{DS}dsa-sha1", constants.TransformSha1),
        (dsa_signer(), "http://www.w3.org/2009/xmldsig11#dsa-sha256", constants.TransformSha256),
    ],
)
def test_signatures_of_the_past_are_accepted(signer, method, digest):
    signed = signed_as_of_old(EXAMPLE, signer, method=method, digest=digest)
    found = verify(signed)
    assert found.algorithm == method.partition("#")[2]
    assert found.subject == "CN=Alice Example,O=Example Lab"
    assert refusal(signed.replace(b">gz<", b">xz<")) == "signature_invalid"


@pytest.mark.parametrize(
    "canonicalization",
    [constants.TransformInclC14N, constants.TransformExclC14N, constants.TransformInclC14N11],
)
def test_every_canonical_form_of_what_is_signed_is_accepted(canonicalization):
    verify(signed_as_of_old(EXAMPLE, alice(), canonicalization=canonicalization))


def test_a_small_key_of_the_past_is_accepted_and_a_smaller_one_not():
    signer = Signer(key=rsa_key(1024), certificate=certificate(rsa_key(1024)))
    assert verify(signed_as_of_old(EXAMPLE, signer)).algorithm == "rsa-sha1"
    with pytest.raises(Broken, match="has 1,024 bits; from 2,048 on it may sign"):
        sign(EXAMPLE, signer, at=SIGNED_AT, email="alice@example.org")


def test_who_signed_is_told():
    signed = sign(EXAMPLE, alice("alice@example.org", "a@example.org"), at=SIGNED_AT)
    found = verify(signed)
    assert found.emails == ("alice@example.org", "a@example.org")
    assert found.issuer == "CN=Alice Example,O=Example Lab"
    assert len(found.fingerprint) == 64
    endorsement = parse(signed).endorsement
    assert endorsement
    assert (endorsement.email, endorsement.created) == ("alice@example.org", SIGNED_AT)


def test_signing_again_replaces_the_endorsement_and_the_signature():
    first = sign(EXAMPLE, mallory(), at=SIGNED_AT, email="m@example.org")
    later = SIGNED_AT + timedelta(days=1, microseconds=5)
    second = sign(first, alice(), at=later, email="alice@example.org")
    assert second.count(b"<Signature ") == second.count(b"<slreq:endorsement ") == 1
    assert verify(second).certificate == alice().certificate
    said = parse(second)
    assert said.endorsement
    assert said.endorsement.created == later.replace(microsecond=0)
    assert replace(said, endorsement=None) == replace(parse(EXAMPLE), endorsement=None)


def test_signing_again_does_not_let_the_document_grow():
    once = sign(write(full()), alice(), at=SIGNED_AT, email="alice@example.org")
    assert sign(once, alice(), at=SIGNED_AT, email="alice@example.org") == once


def test_certificates_of_authorities_come_along():
    authority = mallory()
    issuer = authority.certificate.subject
    issued = certificate(rsa_key(), issuer=issuer, issuer_key=authority.key)
    signer = Signer(key=rsa_key(), certificate=issued, chain=(authority.certificate,))
    signed = sign(EXAMPLE, signer, at=SIGNED_AT, email="alice@example.org")
    found = verify(signed)
    assert (found.certificate, found.chain) == (issued, (authority.certificate,))
    assert found.issuer == "CN=Mallory,O=Example Lab"


def test_names_with_signs_in_them_are_the_same_however_they_are_written():
    odd = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "EU"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ' Lab, "Inc"; a+b=c <#1> \\ '),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "zoe@example.org"),
            x509.NameAttribute(NameOID.COMMON_NAME, "#Zoë"),
        ]
    )
    signer = Signer(key=rsa_key(), certificate=certificate(rsa_key(), subject=odd))
    signed = sign(EXAMPLE, signer, at=SIGNED_AT, email="zoe@example.org")
    assert verify(signed).subject.startswith("CN=\\#Zoë,1.2.840.113549.1.9.1=#16")
    for spelling in (
        'CN=\\#Zoë,EMAILADDRESS=zoe@example.org,O=" Lab, \\"Inc\\"; a+b=c <#1> \\\\ ",C=EU',
        'cn=\\#Zo\\C3\\AB, E=zoe@example.org, O=\\ Lab\\, \\"Inc\\"\\; a\\+b=c \\<#1\\> '
        "\\\\\\ ,C=EU",
        odd.rfc4514_string(),
    ):
        xml = EXAMPLE.replace(b"CN=Alice Example,O=Example Lab", _escaped(spelling))
        verify(signed_as_of_old(xml, signer))
    for spelling in ("CN=\\#Zoë,C=EU", "Zoë", "CN=", "CN=\\", 'CN="', "1.2=#zz", "CN=#1601"):
        xml = EXAMPLE.replace(b"CN=Alice Example,O=Example Lab", _escaped(spelling))
        assert refusal(signed_as_of_old(xml, signer)) == "inconsistent"


def _escaped(text: str) -> bytes:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode()


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("slreq:subject>CN=Alice", "slreq:subject>CN=Bob", "slreq:subject (CN=Bob Example"),
        ("slreq:issuer>CN=Alice", "slreq:issuer>CN=Bob", "slreq:issuer (CN=Bob Example"),
        ("alice@example.org", "bob@example.org", "slreq:email (bob@example.org) and the email"),
        ("</slreq:issuer>", "</slreq:issuer><slreq:issuer>CN=CA</slreq:issuer>",
         "slreq:issuer (CN=CA) has issued none"),
    ],
)  # fmt: skip
def test_what_the_document_says_of_the_signer_is_what_the_certificate_says(was, now, words):
    signer = alice("alice@example.org")
    with pytest.raises(Broken) as refused:
        verify(signed_as_of_old(EXAMPLE.replace(was.encode(), now.encode()), signer))
    assert words in str(refused.value)


def test_without_an_address_in_the_certificate_the_document_may_say_any():
    xml = EXAMPLE.replace(b"alice@example.org", b"other@example.org")
    assert verify(signed_as_of_old(xml, alice())).emails == ()


def test_an_expired_certificate_verifies_but_does_not_sign():
    until = SIGNED_AT - timedelta(days=1)
    signer = Signer(key=rsa_key(), certificate=certificate(rsa_key(), until=until))
    assert verify(signed_as_of_old(EXAMPLE, signer)).certificate.not_valid_after_utc == until
    with pytest.raises(Broken, match="The certificate is valid from"):
        sign(EXAMPLE, signer, at=SIGNED_AT, email="alice@example.org")


@pytest.mark.parametrize(
    ("xml", "signer", "email", "words"),
    [
        (EXAMPLE, alice(), "", "Cannot generate slreq:endorsement; email address not in cert"),
        (EXAMPLE, alice(), "nobody", "Invalid email address: nobody"),
        (EXAMPLE, alice("alice@example.org"), "b@example.org", "cannot sign for b@example.org"),
        (EXAMPLE.replace(b"slreq:endorsement", b"slreq:other"), alice(), "a@example.org",
         "document must contain exactly 1 slreq:endorsement element; it has 0"),
        (EXAMPLE.replace(b"</rdf:Description>", b"<slreq:endorsement/></rdf:Description>"),
         alice(), "a@example.org", "exactly 1 slreq:endorsement element; it has 2"),
        (EXAMPLE.replace(b">17<", b">x<"), alice(), "a@example.org", "slreq:bytes value (x)"),
        (EXAMPLE, Signer(key=rsa_key(), certificate=mallory().certificate), "a@example.org",
         "do not belong together"),
    ],
)  # fmt: skip
def test_what_cannot_be_signed_says_why(xml, signer, email, words):
    with pytest.raises(Broken) as refused:
        sign(xml, signer, at=SIGNED_AT, email=email)
    assert words in str(refused.value)


def test_a_key_of_another_kind_is_refused():
    key = ec.generate_private_key(ec.SECP256R1())
    signed = signed_as_of_old(EXAMPLE, alice())
    other = "".join(certificate(key).public_bytes(Encoding.PEM).decode().splitlines()[1:-1])
    start, end = signed.index(b"<X509Certificate>") + 17, signed.index(b"</X509Certificate>")
    changed = signed[:start] + other.encode() + signed[end:]
    assert refusal(changed.replace(b"<ds:", b"<")) == "key"


def test_a_certificate_with_an_endless_name_is_refused():
    parts = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 60) for _ in range(9)]
    signer = Signer(key=rsa_key(), certificate=certificate(rsa_key(), subject=x509.Name(parts)))
    assert refusal(signed_as_of_old(EXAMPLE, signer)) == "certificate"


def test_an_unsigned_document_has_no_signature():
    assert refusal(EXAMPLE) == "no_signature"


def test_a_signed_document_without_an_endorsement_is_refused():
    start = EXAMPLE.index(b"<slreq:endorsement")
    end = EXAMPLE.index(b"</slreq:endorsement>") + len(b"</slreq:endorsement>")
    assert refusal(signed_as_of_old(EXAMPLE[:start] + EXAMPLE[end:], alice())) == "not_endorsed"


def test_many_at_the_same_time_do_not_disturb_each_other():
    signers = (alice(), mallory(), dsa_signer())

    def once(number: int) -> bool:
        signer = signers[number % 3]
        at = SIGNED_AT + timedelta(seconds=number)
        signed = sign(EXAMPLE, signer, at=at, email="alice@example.org")
        said = parse(signed).endorsement
        is_right = verify(signed).certificate == signer.certificate and said is not None
        return is_right and said.created == at and _is_refused(signed)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(once, range(24)))


def _is_refused(signed: bytes) -> bool:
    try:
        verify(signed.replace(b">gz<", b">xz<"))
    except Broken as broken:
        return broken.problems[0].code == "signature_invalid"
    return False


def test_whole_seconds_are_what_is_endorsed():
    at = datetime.fromisoformat("2026-03-01T12:00:00.999999+02:00")
    said = parse(sign(EXAMPLE, alice(), at=at, email="alice@example.org")).endorsement
    assert said
    assert said.created.isoformat() == "2026-03-01T10:00:00+00:00"
