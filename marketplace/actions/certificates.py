"""Which certificates this site trusts: its administrators' list. Source: stratuslab.md 6.9."""

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Refused
from core.models import record
from marketplace import tasks
from marketplace.documents.names import name_in_words
from marketplace.models import TrustedCertificate
from marketplace.trusting import is_authority as may_issue
from marketplace.trusting import pem_of
from registration.actions.rules import must_be_administrator
from registration.models import User

KIND = "trusted_certificate"
LONGEST_NAME = 500
#: A certificate has some KiB; a chain of them some dozens.
LARGEST_BYTES = 64 << 10


def trust_certificate(
    file: bytes, *, by: User, is_authority: bool = False, skips_mail: bool = False, note: str = ""
) -> TrustedCertificate:
    """Put a certificate on the list, from PEM or DER. Entries here are weighed again by a worker.

    Raises:
        Refused: ``not_administrator``, ``certificate_invalid``, ``certificate_private``,
            ``certificate_known``, ``certificate_over``, ``no_authority``.
    """
    must_be_administrator(by)
    read = _read(file)
    _must_be_usable(read, is_authority=is_authority)
    row = TrustedCertificate(
        certificate=pem_of(read),
        subject=name_in_words(read.subject)[:LONGEST_NAME],
        fingerprint=read.fingerprint(SHA256()).hex(),
        not_after=read.not_valid_after_utc,
        is_authority=is_authority,
        skips_mail=skips_mail,
        note=note[:200],
        created_by=by,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _note(row, "added", by=by, is_authority=is_authority, skips_mail=skips_mail)
            tasks.ring_weighing(row)
    except IntegrityError:
        raise Refused(
            "certificate_known", "This certificate is on the list already.", field="pem"
        ) from None
    return row


def change_certificate(
    row: TrustedCertificate, *, by: User, is_authority: bool, skips_mail: bool, note: str
) -> None:
    """Raises: Refused: ``not_administrator``, ``no_authority``."""
    must_be_administrator(by)
    if is_authority:
        _must_be_authority(x509.load_pem_x509_certificate(row.certificate.encode()))
    with transaction.atomic():
        known = TrustedCertificate.objects.select_for_update(no_key=True).filter(pk=row.pk).first()
        if known is None:
            raise Refused("certificate_gone", "It has just been removed from the list.")
        before = {"is_authority": known.is_authority, "skips_mail": known.skips_mail}
        after = {"is_authority": is_authority, "skips_mail": skips_mail}
        known.is_authority, known.skips_mail, known.note = is_authority, skips_mail, note[:200]
        known.save(update_fields=["is_authority", "skips_mail", "note"])
        _note(known, "changed", by=by, before=before, after=after)
        tasks.ring_weighing(known)


def distrust_certificate(row: TrustedCertificate, *, by: User) -> None:
    """Take it off the list: what it signed stays, and is shown as what it is then.

    Raises: Refused: ``not_administrator``.
    """
    must_be_administrator(by)
    with transaction.atomic():
        gone, _ = TrustedCertificate.objects.filter(pk=row.pk).delete()
        if gone:
            _note(row, "removed", by=by)
            tasks.ring_weighing(row)


def _note(row: TrustedCertificate, verb: str, *, by: User, **detail: Any) -> None:
    record(KIND, row.uuid, verb, by=by, label=row.subject, fingerprint=row.fingerprint, **detail)


def _read(file: bytes) -> x509.Certificate:
    """Raises: Refused: ``certificate_invalid``, ``certificate_private``."""
    if b"PRIVATE KEY" in file:
        raise Refused(
            "certificate_private",
            "There is a private key in it. Give the certificate alone, and keep the key to "
            "yourself: whoever has it can sign as you.",
            field="pem",
        )
    found = _certificates(file) if len(file) <= LARGEST_BYTES else []
    if len(found) == 1:
        return found[0]
    sentence = (
        f"There are {len(found)} certificates in it. Give one at a time."
        if found
        else "This is no certificate. Give one as PEM: from -----BEGIN CERTIFICATE----- to "
        "-----END CERTIFICATE-----, or as a DER file."
    )
    raise Refused("certificate_invalid", sentence, field="pem")


def _certificates(file: bytes) -> Sequence[x509.Certificate]:
    try:
        if b"-----BEGIN" in file:
            return x509.load_pem_x509_certificates(file)
        return [x509.load_der_x509_certificate(file)]
    except ValueError:
        return []


def _must_be_usable(read: x509.Certificate, *, is_authority: bool) -> None:
    """Raises: Refused: ``certificate_invalid``, ``certificate_over``, ``no_authority``."""
    try:
        key = read.public_key()
    except ValueError:
        key = None
    if not is_authority and not isinstance(key, RSAPublicKey | DSAPublicKey):
        sentence = "Its key is neither RSA nor DSA, so no metadata can be signed with it."
        raise Refused("certificate_invalid", sentence, field="pem")
    if read.not_valid_after_utc < timezone.now():
        over = f"{read.not_valid_after_utc:%Y-%m-%d}"
        raise Refused("certificate_over", f"It is not valid since {over}.", field="pem")
    if is_authority:
        _must_be_authority(read)


def _must_be_authority(read: x509.Certificate) -> None:
    if not may_issue(read):
        raise Refused(
            "no_authority",
            "It does not say that it is an authority's (basicConstraints CA), so what it has "
            "issued cannot be trusted by it.",
            field="is_authority",
        )
