"""Documents and signers for tests. Keys are made once: that is slow."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree

from marketplace.documents import Signer
from marketplace.documents.vocabulary import DS
from marketplace.tests.dsa_parameters import new_dsa_key

SIGNED_AT = datetime(2026, 1, 15, 10, tzinfo=UTC)
#: The identifier of ``hello stratuslab`` and a line end, 17 bytes.
IDENTIFIER = "PcW9GNhE3-YFGQ0hPFsSrRla7Sb"

#: The complete entry of stratuslab.md 6.8.
EXAMPLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
         xmlns:dcterms="http://purl.org/dc/terms/"
         xmlns:slreq="http://mp.stratuslab.eu/slreq#"
         xmlns:slterms="http://mp.stratuslab.eu/slterms#"
         xml:base="http://mp.stratuslab.eu/">
  <rdf:Description rdf:about="#PcW9GNhE3-YFGQ0hPFsSrRla7Sb">
    <dcterms:identifier>PcW9GNhE3-YFGQ0hPFsSrRla7Sb</dcterms:identifier>
    <slreq:bytes>17</slreq:bytes>
    <slreq:checksum rdf:parseType="Resource">
      <slreq:algorithm>MD5</slreq:algorithm>
      <slreq:value>f4e8350cecd29d10333d44c738ad387f</slreq:value>
    </slreq:checksum>
    <slreq:checksum rdf:parseType="Resource">
      <slreq:algorithm>SHA-1</slreq:algorithm>
      <slreq:value>f716f46361137f9814643484f16c4ab4656bb49b</slreq:value>
    </slreq:checksum>
    <slreq:endorsement rdf:parseType="Resource">
      <dcterms:created>2026-01-15T10:00:00Z</dcterms:created>
      <slreq:endorser rdf:parseType="Resource">
        <slreq:email>alice@example.org</slreq:email>
        <slreq:subject>CN=Alice Example,O=Example Lab</slreq:subject>
        <slreq:issuer>CN=Alice Example,O=Example Lab</slreq:issuer>
      </slreq:endorser>
    </slreq:endorsement>
    <dcterms:type>base</dcterms:type>
    <slterms:kind>machine</slterms:kind>
    <slterms:os>debian</slterms:os>
    <slterms:os-version>12</slterms:os-version>
    <slterms:os-arch>x86_64</slterms:os-arch>
    <slterms:version>1.0</slterms:version>
    <dcterms:compression>gz</dcterms:compression>
    <dcterms:format>raw</dcterms:format>
    <dcterms:creator>Alice Example</dcterms:creator>
    <dcterms:created>2026-01-15T09:58:00Z</dcterms:created>
    <dcterms:valid>2026-07-12T09:58:00Z</dcterms:valid>
    <dcterms:title>Debian 12 minimal</dcterms:title>
    <dcterms:alternative>debian-12-minimal</dcterms:alternative>
    <dcterms:description>Minimal Debian for demonstration.</dcterms:description>
    <slterms:location>https://images.example.org/debian-12.img.gz</slterms:location>
    <slterms:hypervisor>kvm</slterms:hypervisor>
    <slterms:disks-bus>virtio</slterms:disks-bus>
    <slterms:inbound-port>22</slterms:inbound-port>
    <dcterms:publisher>Example Lab</dcterms:publisher>
  </rdf:Description>
</rdf:RDF>
"""


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def dsa_key(bits: int = 2048) -> Any:
    return new_dsa_key(bits)


def name(common: str = "Alice Example", *, organisation: str = "Example Lab") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def certificate(
    key: Any,
    *,
    subject: x509.Name | None = None,
    issuer: x509.Name | None = None,
    issuer_key: Any = None,
    emails: tuple[str, ...] = (),
    since: datetime = SIGNED_AT - timedelta(days=365),
    until: datetime = SIGNED_AT + timedelta(days=3650),
) -> x509.Certificate:
    """Signed by itself unless ``issuer_key`` is given."""
    subject = subject or name()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(since)
        .not_valid_after(until)
    )
    if emails:
        names = x509.SubjectAlternativeName([x509.RFC822Name(email) for email in emails])
        made = made.add_extension(names, critical=False)
    return made.sign(issuer_key or key, hashes.SHA256())


@cache
def alice(*emails: str) -> Signer:
    key = rsa_key()
    return Signer(key=key, certificate=certificate(key, emails=emails))


@cache
def mallory() -> Signer:
    """Somebody else, with a key of their own."""
    key = rsa.generate_private_key(65537, 2048)
    return Signer(key=key, certificate=certificate(key, subject=name("Mallory")))


def signed_as_of_old(
    xml: bytes,
    signer: Signer,
    *,
    method: str = f"{DS}rsa-sha1",
    digest: Any = xmlsec.constants.TransformSha1,
    canonicalization: Any = xmlsec.constants.TransformInclC14NWithComments,
) -> bytes:
    """Signed like the tools of the past do it, and by the library alone; nothing is filled in."""
    root = etree.fromstring(xml)
    signature = xmlsec.template.create(root, canonicalization, xmlsec.constants.TransformRsaSha1)
    next(signature.iter(f"{{{DS}}}SignatureMethod")).set("Algorithm", method)
    root.append(signature)
    reference = xmlsec.template.add_reference(signature, digest, uri="")
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    data = xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    xmlsec.template.x509_data_add_certificate(data)
    pem = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
    context.key.load_cert_from_memory(
        signer.certificate.public_bytes(Encoding.PEM), xmlsec.constants.KeyDataFormatPem
    )
    context.sign(signature)
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)
