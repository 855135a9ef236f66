"""What somebody signs with: a key that the portal keeps for them, a file of theirs, the site's own.

A pen exists for one request: what is in it is never stored and never logged.
"""

from dataclasses import dataclass, field

from cryptography import x509
from django.views.decorators.debug import sensitive_variables

from core.errors import Refused
from marketplace import documents
from marketplace.actions import keys
from marketplace.documents import Signer
from registration.actions import rules
from registration.models import User

#: A certificate with its key and a long chain has some 20 KiB.
LARGEST_FILE = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """``email`` is the address that an entry signed with it bears. ``is_site``: the site's own."""

    signer: Signer = field(repr=False)
    email: str
    is_site: bool = False


@sensitive_variables()
def pen_of_key(user: User) -> Pen:
    """The key that the portal keeps for this person.

    Raises:
        Refused: ``acting``, ``key_missing``, ``key_address``, and those of ``keys.signer_of``.
    """
    _must_be_the_person(user)
    key = keys.key_of(user)
    if key is None:
        raise Refused(
            "key_missing",
            "The portal keeps no key for you that signs now. Have one made on the page "
            "“Signing keys”, or sign with a certificate of your own.",
        )
    if key.email.lower() != user.email.lower() or user.email_confirmed_at is None:
        raise Refused(
            "key_address",
            f"Your key speaks for {key.email}, and your confirmed address is another one now. "
            "Replace the key on the page “Signing keys”.",
        )
    return Pen(signer=keys.signer_of(key), email=key.email)


@sensitive_variables()
def pen_of_file(data: bytes, password: str, *, user: User) -> Pen:
    """A certificate with its key, from a PKCS#12 file: used now, and then forgotten.

    Raises:
        Refused: ``acting``, ``file_missing``, ``file_large``, ``file_unreadable``,
            ``address_unconfirmed``.
    """
    _must_be_the_person(user)
    if not data:
        sentence = "Choose the file with your certificate (.p12 or .pfx)."
        raise Refused("file_missing", sentence, field="file")
    if len(data) > LARGEST_FILE:
        sentence = (
            f"A certificate's file has less than {LARGEST_FILE >> 10} KiB; this one has more."
        )
        raise Refused("file_large", sentence, field="file")
    try:
        signer = documents.read_pkcs12(data, password)
    except documents.Broken as broken:
        field = "password" if broken.problems[0].code == "password" else "file"
        raise Refused("file_unreadable", str(broken), field=field) from None
    named = addresses_of(signer.certificate)
    if not named and user.email_confirmed_at is None:
        raise Refused(
            "address_unconfirmed",
            "The certificate names no e-mail address, and yours is not confirmed yet: confirm it "
            "on your profile first.",
        )
    return Pen(signer=signer, email=named[0] if named else user.email)


@sensitive_variables()
def pen_of_site(by: User) -> Pen:
    """The site's own key, in an administrator's hand: what it signs is official.

    Raises:
        Refused: ``not_administrator``, and those of ``keys.signer_of``.
    """
    rules.must_be_administrator(by)
    signer = keys.signer_of(keys.site_key())
    return Pen(signer=signer, email=keys.site_address(), is_site=True)


def _must_be_the_person(user: User) -> None:
    sentence = "Only the person signs: what is signed is their word, not an administrator's."
    rules.must_be_the_person(user, keys.KIND, "endorsed", Refused("acting", sentence))


def addresses_of(certificate: x509.Certificate) -> list[str]:
    """The e-mail addresses that a certificate names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.value.get_values_for_type(x509.RFC822Name)
