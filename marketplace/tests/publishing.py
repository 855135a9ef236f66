"""People with keys of their own, who publish entries for tests."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.utils import timezone

from marketplace import documents
from marketplace.documents import Metadata, Signer
from marketplace.identifiers import identifier_of
from marketplace.models import Entry
from marketplace.publishing import EVERYBODY, Reader, publish_document


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signer_named(
    email: str, *, name: str = "Alice Example", begins: datetime | None = None,
    ends: datetime | None = None,
) -> Signer:  # fmt: skip
    """Somebody with a certificate that they issued themselves."""
    said = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Lab"),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    subject = x509.Name(said)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(ends or datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(email)]), critical=False)
        .sign(_key(), hashes.SHA256())
    )
    return Signer(key=_key(), certificate=certificate)


def metadata_about(content: bytes, **said: object) -> Metadata:
    sha1 = hashlib.sha1(content).hexdigest()  # noqa: S324
    known = {
        "identifier": identifier_of(sha1),
        "size_bytes": len(content),
        "checksums": {"SHA-1": sha1, "SHA-256": hashlib.sha256(content).hexdigest()},
        "title": "Debian 12 minimal",
        "os": "debian",
        "os_version": "12",
        "os_arch": "x86_64",
        "format": "raw",
        "valid": timezone.now().replace(microsecond=0) + timedelta(days=100),
    }
    return Metadata(**(known | said))  # type: ignore[arg-type]


def signed(
    content: bytes = b"hello stratuslab\n", *, email: str = "alice@example.org",
    at: datetime | None = None, signer: Signer | None = None, **said: object,
) -> bytes:  # fmt: skip
    """A signed document about an image that holds ``content``."""
    xml = documents.write(metadata_about(content, **said))
    at = at or timezone.now().replace(microsecond=0) - timedelta(minutes=1)
    return documents.sign(xml, signer or signer_named(email), at=at)


def published(
    content: bytes = b"hello stratuslab\n", *, readers: Reader = EVERYBODY, owner: object = None,
    **more: object,
) -> Entry:  # fmt: skip
    """An entry in the catalogue, made of a signed document."""
    return publish_document(signed(content, **more), owner=owner, readers=readers)  # type: ignore[arg-type]
