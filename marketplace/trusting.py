"""Which certificates this site trusts: its own, those of its users' keys, those on its list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import Q
from django.utils import timezone

from marketplace import documents
from marketplace.documents import Signature
from marketplace.models import Document, Entry, SigningKey, TrustedCertificate
from marketplace.states import Trust

#: When a certificate has to have been valid.
Moments = tuple[datetime, datetime]

#: A document has a MiB at most.
WEIGHED_TOGETHER = 50


@dataclass(frozen=True, slots=True)
class Anchors:
    """What trust rests on, at one moment; rows by the fingerprints of their certificates.

    ``keys`` has of each key kept here whether it is one of a user's. Authorities that skip the
    mail come first.
    """

    keys: Mapping[str, bool]
    listed: Mapping[str, TrustedCertificate]
    authorities: Sequence[tuple[TrustedCertificate, x509.Certificate]]

    @classmethod
    def now(cls, signature: Signature | None = None) -> Self:
        """Those that may matter to ``signature``, or to any."""
        keys = SigningKey.objects.order_by()
        listed = TrustedCertificate.objects.order_by("-skips_mail", "pk")
        if signature is not None:
            keys = keys.filter(fingerprint=signature.fingerprint)
            listed = listed.filter(Q(fingerprint=signature.fingerprint) | Q(is_authority=True))
        rows = list(listed)
        return cls(
            keys={key: user is not None for key, user in keys.values_list("fingerprint", "user")},
            listed={row.fingerprint: row for row in rows},
            authorities=[
                (row, x509.load_pem_x509_certificate(row.certificate.encode()))
                for row in rows
                if row.is_authority
            ],
        )


def trust_of(signature: Signature, at: datetime, *, came: datetime | None = None) -> Trust:
    """What a valid signature is worth here that says that it was made ``at``, and ``came`` then.

    Its certificates have to have been valid both times: whoever signs can write any date. Once
    trusted, it stays so when they end. Without ``came`` it comes now.
    """
    why = _why_trusted(signature, _moments(at, came), Anchors.now(signature))
    return Trust.TRUSTED if why else Trust.UNTRUSTED


def skips_mail(signature: Signature, email: str, at: datetime) -> bool:
    """Whether an administrator lets what this certificate has signed be published at once.

    An authority's word counts for the addresses that its certificates name, and no others. All
    certificates have to be valid now, and when the signature says that it was made.
    """
    listed = _listed(signature, _moments(at, None), Anchors.now(signature))
    if listed is None or not listed.skips_mail:
        return False
    named = {one.casefold() for one in signature.emails}
    return listed.fingerprint == signature.fingerprint or email.casefold() in named


def in_words(signature: Signature, at: datetime, *, came: datetime | None = None) -> str:
    """What is known of the certificate, as a sentence. See ``trust_of``."""
    moments = _moments(at, came)
    why = _why_trusted(signature, moments, Anchors.now(signature))
    return why or _why_not(signature, moments)


def _why_not(signature: Signature, moments: Moments) -> str:
    if not _was_valid(signature.certificate, moments):
        return (
            "The signature is valid, but its certificate was not when it signed, or when the "
            "document came here. So it is not trusted, whoever has issued it."
        )
    return (
        "The signature is valid, and nobody vouches here for who made it: the certificate is not "
        "on this site's list, nor issued by an authority that is."
    )


def _moments(at: datetime, came: datetime | None) -> Moments:
    return (at, came or timezone.now())


def _was_valid(certificate: x509.Certificate, moments: Moments) -> bool:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return all(begins <= moment <= ends for moment in moments)


def _why_trusted(signature: Signature, moments: Moments, anchors: Anchors) -> str:
    if not _was_valid(signature.certificate, moments):
        return ""
    is_users = anchors.keys.get(signature.fingerprint)
    if is_users is not None:
        return f"The key is kept by this site for {'one of its users' if is_users else 'itself'}."
    listed = _listed(signature, moments, anchors)
    if listed is None:
        return ""
    if listed.fingerprint == signature.fingerprint:
        return "The certificate is on this site's list of trusted ones."
    return f"The certificate was issued by {listed.subject}, which this site trusts."


def _listed(signature: Signature, moments: Moments, anchors: Anchors) -> TrustedCertificate | None:
    """The line of the list that this certificate is on, or was issued by a line's authority."""
    if not _was_valid(signature.certificate, moments):
        return None
    if itself := anchors.listed.get(signature.fingerprint):
        return itself
    for row, authority in anchors.authorities:
        if _was_valid(authority, moments) and _leads_to(signature, authority, moments):
            return row
    return None


def _leads_to(signature: Signature, authority: x509.Certificate, moments: Moments) -> bool:
    """Whether ``authority`` issued the certificate, or issued the chain that issued it."""
    below = signature.certificate
    left = [one for one in signature.chain if is_authority(one) and _was_valid(one, moments)]
    for _ in range(len(left) + 1):
        if _issued(below, authority):
            return True
        above = next((one for one in left if _issued(below, one)), None)
        if above is None:
            return False
        left.remove(above)
        below = above
    return False


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it says that it may issue others."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def weigh() -> int:
    """Say anew what the signatures of all entries are worth; how many changed.

    Those that were found not to be valid stay so.
    """
    signed = Document.objects.filter(entry__trust__in=(Trust.TRUSTED, Trust.UNTRUSTED))
    keys = list(signed.values_list("pk", flat=True))
    anchors, changed = Anchors.now(), 0
    for start in range(0, len(keys), WEIGHED_TOGETHER):
        rows = signed.filter(pk__in=keys[start : start + WEIGHED_TOGETHER])
        changed += sum(_weigh(row, anchors) for row in list(rows.select_related("entry")))
    return changed


def _weigh(document: Document, anchors: Anchors) -> bool:
    xml = bytes(document.xml)
    try:
        signature = documents.verify(xml, largest_bytes=len(xml))
    except documents.Broken:
        return False
    moments = _moments(document.entry.created_at, document.verified_at)
    why = _why_trusted(signature, moments, anchors)
    trust = Trust.TRUSTED if why else Trust.UNTRUSTED
    detail = why or _why_not(signature, moments)
    if trust == document.entry.trust and detail == document.detail:
        return False
    Document.objects.filter(pk=document.pk).update(detail=detail)
    Entry.objects.filter(pk=document.entry_id).update(trust=trust)
    return True
