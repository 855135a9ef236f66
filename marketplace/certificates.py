"""Certificates that this site makes for the keys that it keeps. Nothing here knows tables."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.utils import timezone

from marketplace.documents.values import printable

KEY_BITS = 3072
#: A clock that is a little behind must not find a certificate that is not valid yet.
SLACK = timedelta(minutes=5)
#: The longest CN, O or OU. Source: RFC 5280, appendix A.1, ub-common-name and its neighbours.
LONGEST_NAME = 64
KEPT = "Key kept by the portal"


def new_private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def pem_of_key(key: rsa.RSAPrivateKey) -> str:
    """The private key as PEM, not encrypted: for ``registration.sealing`` alone."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def site_certificate(key: rsa.RSAPrivateKey, *, site: str, until: datetime) -> x509.Certificate:
    """The site's own: an authority that has issued itself."""
    name = _name([(NameOID.COMMON_NAME, site)])
    made = _begun(name, name, key, until)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(_usage(is_authority=True), critical=True)
    return made.sign(key, hashes.SHA256())


def person_certificate(
    key: rsa.RSAPrivateKey,
    *,
    person: str,
    email: str,
    until: datetime,
    issuer: x509.Certificate,
    issuer_key: rsa.RSAPrivateKey,
    site: str,
) -> x509.Certificate:
    """A person's, issued by the site. It says that the portal keeps the key.

    Raises:
        ValueError: the address has letters that certificates cannot have.
    """
    parts = [
        (NameOID.ORGANIZATION_NAME, site),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, KEPT),
        (NameOID.COMMON_NAME, person),
    ]
    made = _begun(_name(parts), issuer.subject, key, until)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    made = made.add_extension(_usage(is_authority=False), critical=True)
    addresses = x509.SubjectAlternativeName([x509.RFC822Name(email)])
    made = made.add_extension(addresses, critical=False)
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return made.add_extension(above, critical=False).sign(issuer_key, hashes.SHA256())


def _name(parts: Sequence[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
    """From the largest to the smallest, as certificates have it; RFC 2253 writes it backwards."""
    return x509.Name(
        [x509.NameAttribute(kind, printable(value)[:LONGEST_NAME].strip()) for kind, value in parts]
    )


def _begun(
    name: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, until: datetime
) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder(
        subject_name=name,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=timezone.now() - SLACK,
        not_valid_after=until,
    )
    itself = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return made.add_extension(itself, critical=False)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
