"""Which certificates this site trusts: its own, those of its users' keys, those on its list."""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from marketplace import documents
from marketplace.documents import Signature
from marketplace.models import Document, Entry, SigningKey, TrustedCertificate
from marketplace.states import Trust

#: A document has a MiB at most.
WEIGHED_TOGETHER = 50


def trust_of(signature: Signature) -> Trust:
    """What a valid signature is worth here."""
    return Trust.TRUSTED if _why_trusted(signature) else Trust.UNTRUSTED


def skips_mail(signature: Signature, email: str) -> bool:
    """Whether an administrator lets what this certificate has signed be published at once.

    An authority's word counts for the addresses that its certificates name, and no others.
    """
    listed = _listed(signature)
    if listed is None or not listed.skips_mail or listed.not_after < timezone.now():
        return False
    named = {one.casefold() for one in signature.emails}
    return listed.fingerprint == signature.fingerprint or email.casefold() in named


def in_words(signature: Signature) -> str:
    """What is known of the certificate, as a sentence."""
    why = _why_trusted(signature)
    return why or (
        "The signature is valid, and nobody vouches here for who made it: the certificate is not "
        "on this site's list, nor issued by an authority that is."
    )


def _why_trusted(signature: Signature) -> str:
    key = SigningKey.objects.filter(fingerprint=signature.fingerprint).first()
    if key is not None:
        whose = "one of its users" if key.user_id else "itself"
        return f"The key is kept by this site for {whose}."
    listed = _listed(signature)
    if listed is None:
        return ""
    if listed.fingerprint == signature.fingerprint:
        return "The certificate is on this site's list of trusted ones."
    return f"The certificate was issued by {listed.subject}, which this site trusts."


def _listed(signature: Signature) -> TrustedCertificate | None:
    """The line of the list that this certificate is on, or was issued by a line's authority."""
    itself = TrustedCertificate.objects.filter(fingerprint=signature.fingerprint).first()
    if itself is not None:
        return itself
    for row in TrustedCertificate.objects.filter(is_authority=True).order_by("-skips_mail"):
        authority = x509.load_pem_x509_certificate(row.certificate.encode())
        if _leads_to(signature, authority):
            return row
    return None


def _leads_to(signature: Signature, authority: x509.Certificate) -> bool:
    """Whether ``authority`` issued the certificate, or issued the chain that issued it."""
    below, left = signature.certificate, list(signature.chain)
    for _ in range(len(left) + 1):
        if _issued(below, authority):
            return True
        above = next((one for one in left if is_authority(one) and _issued(below, one)), None)
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
    changed = 0
    for start in range(0, len(keys), WEIGHED_TOGETHER):
        rows = signed.filter(pk__in=keys[start : start + WEIGHED_TOGETHER])
        changed += sum(map(_weigh, list(rows.select_related("entry"))))
    return changed


def _weigh(document: Document) -> bool:
    xml = bytes(document.xml)
    try:
        signature = documents.verify(xml, largest_bytes=len(xml))
    except documents.Broken:
        return False
    trust, detail = trust_of(signature), in_words(signature)
    if trust == document.entry.trust and detail == document.detail:
        return False
    Document.objects.filter(pk=document.pk).update(detail=detail)
    Entry.objects.filter(pk=document.entry_id).update(trust=trust)
    return True
