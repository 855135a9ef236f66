"""Keys that the portal keeps to sign entries: its own, and those that people ask it to keep.

A private key exists in the database sealed, and in memory while something is signed; it is
never shown, to nobody.
"""

from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from core.errors import Refused
from core.models import record
from marketplace import certificates
from marketplace.documents import Signer
from marketplace.models import SigningKey
from marketplace.trusting import pem_of
from registration import sealing
from registration.actions import rules
from registration.models import User

KIND = "signing_key"
SITE_SLOT = "site"
SITE_KEY_FOR = timedelta(days=3652)
USERS_KEY_FOR = timedelta(days=1096)


def site_address() -> str:
    """The address that the site endorses with, as the mails that it sends are from."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1]


def site_key() -> SigningKey:
    """The site's own key, made at its first use; one, whoever asks at the same time."""
    return _in_slot(SITE_SLOT) or _new_site_key()


def site_keys() -> QuerySet[SigningKey]:
    """The site's own key and those that it had before, the newest first."""
    return SigningKey.objects.filter(user=None).order_by("-created_at", "-pk")


def _in_slot(slot: str) -> SigningKey | None:
    return SigningKey.objects.filter(slot=slot, not_after__gt=timezone.now()).first()


@sensitive_variables("private")
def _new_site_key() -> SigningKey:
    until = (timezone.now() + SITE_KEY_FOR).replace(microsecond=0)
    private = certificates.new_private_key()
    made = certificates.site_certificate(private, site=settings.PORTAL_SITE_NAME, until=until)
    try:
        with transaction.atomic():
            _leave(SITE_SLOT, not_after__lte=timezone.now())
            return _keep(made, private, slot=SITE_SLOT, user=None, email=site_address(), by=None)
    except IntegrityError:
        return SigningKey.objects.get(slot=SITE_SLOT)  # somebody was faster


def key_of(user: User) -> SigningKey | None:
    """The key that the portal keeps for this person and that signs now; None: there is none."""
    return _in_slot(_slot_of(user))


def _slot_of(user: User) -> str:
    return f"user:{user.pk}"


@sensitive_variables("private")
def new_key(user: User, by: User) -> SigningKey:
    """Make a key for this person, in place of the one that they had.

    Raises:
        Refused: ``acting``, ``not_yours``, ``address_unconfirmed``, ``address_unfit``, and those
            of ``signer_of`` about the site's own key.
    """
    _must_be_theirs(user, by)
    if user.email_confirmed_at is None:
        raise Refused(
            "address_unconfirmed",
            f"The certificate of the key names your address, and nobody has confirmed {user.email} "
            "yet. Change your address on your profile: the mail that follows confirms it.",
        )
    site = site_key()
    private = certificates.new_private_key()
    made = _certificate_for(user, private, site)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two tabs, one key
        _leave(_slot_of(user), by=by)
        return _keep(made, private, slot=_slot_of(user), user=user, email=user.email, by=by)


def _must_be_theirs(user: User, by: User) -> None:
    if user.pk != by.pk:
        raise Refused("not_yours", f"Only {user} may have a key of theirs made.")
    sentence = "Only the person may have a key made or ended: it speaks in their name."
    rules.must_be_the_person(user, KIND, "signing_key_made", Refused("acting", sentence))


@sensitive_variables("private", "signer")
def _certificate_for(user: User, private: rsa.RSAPrivateKey, site: SigningKey) -> x509.Certificate:
    signer = signer_of(site)
    until = (timezone.now() + USERS_KEY_FOR).replace(microsecond=0)
    assert isinstance(signer.key, rsa.RSAPrivateKey)  # noqa: S101  (we made it)
    try:
        return certificates.person_certificate(
            private,
            person=user.get_full_name() or user.username,
            email=user.email,
            until=min(until, site.not_after),
            issuer=signer.certificate,
            issuer_key=signer.key,
            site=settings.PORTAL_SITE_NAME,
        )
    except ValueError:
        raise Refused(
            "address_unfit",
            f"Certificates take plain Latin letters in addresses alone, and yours is {user.email}.",
        ) from None


def end_key(key: SigningKey, *, by: User) -> None:
    """Have a key sign nothing any more, and forget its private half. Its entries stay.

    The site's own key is ended by an administrator; the next use makes another.

    Raises:
        Refused: ``acting``, ``not_yours``, ``not_administrator``.
    """
    if key.user is not None:
        _must_be_theirs(key.user, by)
    else:
        rules.must_be_administrator(by)
    if key.slot:
        with transaction.atomic():
            _leave(key.slot, by=by)
        key.refresh_from_db()


@sensitive_variables("key")
def signer_of(key: SigningKey) -> Signer:
    """What signs with this key: unsealed, so never kept and never shown.

    Raises:
        Refused: ``key_ended``, ``key_expired``, ``key_unreadable``.
    """
    if key.ended_at is not None:
        raise Refused("key_ended", f"This key was ended on {_day(key.ended_at)}: it signs nothing.")
    if key.not_after <= timezone.now():
        raise Refused(
            "key_expired",
            f"The certificate of this key ended on {_day(key.not_after)}. Have a new key made.",
        )
    try:
        private = load_pem_private_key(sealing.unseal(key.sealed).encode(), password=None)
    except sealing.Unreadable:
        raise Refused(
            "key_unreadable",
            "This key cannot be opened: it was sealed with a secret that this site no longer has. "
            "Have a new key made, or have an administrator bring the old secret back "
            "(PORTAL_SECRET_KEY_BEFORE).",
        ) from None
    certificate = x509.load_pem_x509_certificate(key.certificate.encode())
    assert isinstance(private, rsa.RSAPrivateKey)  # noqa: S101  (we made it)
    return Signer(key=private, certificate=certificate)


def _day(at: datetime) -> str:
    return f"{at:%-d %B %Y}"


@sensitive_variables("private")
def _keep(
    certificate: x509.Certificate, private: rsa.RSAPrivateKey, *, by: User | None, **whose: Any
) -> SigningKey:
    key = SigningKey.objects.create(
        certificate=pem_of(certificate),
        sealed=sealing.seal(certificates.pem_of_key(private)),
        subject=certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_after=certificate.not_valid_after_utc,
        **whose,
    )
    _note("signing_key_made", key, by=by)
    return key


def _leave(slot: str, *, by: User | None = None, **which: Any) -> None:
    """End whatever key signs in ``slot``."""
    for key in SigningKey.objects.filter(slot=slot, **which):
        changes = {"slot": None, "ended_at": timezone.now(), "sealed": ""}
        SigningKey.objects.filter(pk=key.pk).update(**changes)
        _note("signing_key_ended", key, by=by)


def _note(verb: str, key: SigningKey, *, by: User | None) -> None:
    record(
        KIND, key.uuid, verb, by=by, owner=key.user_id, label=key.subject,
        fingerprint=key.fingerprint,
    )  # fmt: skip
