"""Certificates as they come in signatures: read whole, or refused."""

import binascii
from base64 import b64decode
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from marketplace.documents.names import name_in_words
from marketplace.documents.reading import refuse

#: Smaller keys can be broken; larger ones only keep this site busy.
SMALLEST_KEY, LARGEST_KEY = 1024, 8192
LARGEST_DSA_KEY = 4096
#: What signs from now on.
SMALLEST_NEW_KEY = 2048
LONGEST_NAME = 500

#: What cryptography raises for a certificate that is not one, sooner or later.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Holder:
    """What a certificate says, read to the end."""

    certificate: x509.Certificate
    key: RSAPublicKey | DSAPublicKey
    subject: str
    issuer: str
    fingerprint: str
    emails: tuple[str, ...]


def certificate_of(text: str) -> x509.Certificate:
    """From base64.

    Raises:
        Broken: ``certificate``.
    """
    try:
        certificate = x509.load_der_x509_certificate(b64decode(text, validate=True))
        # cryptography reads these when they are asked for: whoever does, later, need not care.
        _ = (
            certificate.extensions,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )
        _ = name_in_words(certificate.subject), name_in_words(certificate.issuer)
        _ = certificate.public_key(), certificate.signature_algorithm_oid
    except (*UNREADABLE, binascii.Error):
        refuse("certificate", "ds:X509Certificate", "ds:X509Certificate is not a certificate.")
    return certificate


def holder_of(certificate: x509.Certificate) -> Holder:
    """Whose it is, by a key that we can use.

    Raises:
        Broken: ``key``, ``certificate``.
    """
    for name in (certificate.subject, certificate.issuer):
        if len(name_in_words(name)) > LONGEST_NAME:
            refuse(
                "certificate", "ds:X509Certificate", "A name in the certificate has more than "
                f"{LONGEST_NAME} characters.",
            )  # fmt: skip
    return Holder(
        certificate=certificate,
        key=_key(certificate),
        subject=name_in_words(certificate.subject),
        issuer=name_in_words(certificate.issuer),
        fingerprint=certificate.fingerprint(SHA256()).hex(),
        emails=emails_of(certificate),
    )


def emails_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.RFC822Name))


def _key(certificate: x509.Certificate) -> RSAPublicKey | DSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey | DSAPublicKey):
        refuse("key", "ds:X509Certificate", "The key of the certificate is neither RSA nor DSA.")
    largest = LARGEST_KEY if isinstance(key, RSAPublicKey) else LARGEST_DSA_KEY
    if not SMALLEST_KEY <= key.key_size <= largest:
        refuse(
            "key", "ds:X509Certificate",
            f"The key of the certificate has {key.key_size:,} bits; from {SMALLEST_KEY:,} to "
            f"{largest:,} are accepted.",
        )  # fmt: skip
    return key
