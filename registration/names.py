"""What may be written into an account's fields. Each rule returns the value to keep."""

import re
import unicodedata

from cryptography import x509
from cryptography.x509.oid import NameOID
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from core.errors import Refused
from registration.models import USERNAME_RULE

LONGEST_NAME = 100
LONGEST_DN = 500
LONGEST_EMAIL = 254
LONGEST_MESSAGE = 2000

#: Names that OpenSSL and grid tools write, beside those of RFC 4514.
_DN_WORDS = dict.fromkeys(("EMAILADDRESS", "EMAIL", "E"), NameOID.EMAIL_ADDRESS)
#: Unicode's explicit direction marks: they can make one name look like another.
_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DN_WORD = re.compile(r"(^|(?<!\\)\s*[,+])\s*([A-Za-z]+)\s*=\s*")


def username(text: str) -> str:
    """Raises: Refused: ``username_invalid``."""
    text = text.strip()
    if not re.match(USERNAME_RULE, text):
        raise Refused(
            "username_invalid",
            "A user name has 3 to 20 characters: letters without accents, digits and _.",
            field="username",
        )
    return text


def email(text: str) -> str:
    """An address with its domain in lower case and in ASCII, so that it compares.

    Raises: Refused: ``email_invalid``.
    """
    try:
        validate_email(address := _in_ascii(text.strip()))
        is_good = address.count("@") == 1 and len(address) <= LONGEST_EMAIL
    except (ValidationError, UnicodeError):
        is_good = False
    if not is_good:
        raise Refused(
            "email_invalid",
            "Write an e-mail address with exactly one @, such as jane.doe@example.org.",
            field="email",
        )
    return address


def _in_ascii(address: str) -> str:
    """Raises: UnicodeError: the domain has no such form."""
    mailbox, at, domain = address.rpartition("@")
    return f"{mailbox}{at}{domain.encode('idna').decode().lower()}"


def login(text: str) -> str:
    """A user name or an address as it is kept, if it is one; else as it was typed."""
    text = text.strip()
    try:
        return _in_ascii(text) if "@" in text else text
    except UnicodeError:
        return text


def given_name(text: str) -> str:
    """Raises: Refused: ``given_name_invalid``."""
    return _person("given_name", "given name", text)


def family_name(text: str) -> str:
    """Raises: Refused: ``family_name_invalid``."""
    return _person("family_name", "family name", text)


def _person(field: str, words: str, text: str) -> str:
    text = one_line(text)
    if not text or len(text) > LONGEST_NAME:
        raise Refused(
            f"{field}_invalid",
            f"Write your {words}, in any script, with at most {LONGEST_NAME} characters.",
            field=field,
        )
    return text


def x500_dn(text: str) -> str:
    """A distinguished name as RFC 4514 (once 2253) writes it; blank stays blank.

    Raises: Refused: ``x500_dn_invalid``.
    """
    text = text.strip()
    plain = _DN_WORD.sub(lambda found: f"{found[1].strip()}{found[2].upper()}=", text)
    try:
        parsed = x509.Name.from_rfc4514_string(plain, _DN_WORDS)
        name = parsed.rfc4514_string({NameOID.EMAIL_ADDRESS: "emailAddress"})
    except ValueError:
        name = ""
    if (text and not name) or len(name) > LONGEST_DN or not name.isprintable():
        raise Refused(
            "x500_dn_invalid",
            "Write the X500 DN with commas, the person first, such as "
            "CN=Jane Doe,O=Example Lab,C=FR; or leave it blank.",
            field="x500_dn",
        )
    return name


def message(text: str) -> str:
    """Raises: Refused: ``message_too_long``."""
    text = text.replace("\r\n", "\n").strip()
    if len(text) > LONGEST_MESSAGE:
        raise Refused(
            "message_too_long",
            f"A message has at most {LONGEST_MESSAGE} characters; this has {len(text)}.",
            field="message",
        )
    return text


def one_line(text: str) -> str:
    """The text without control characters, with single spaces, in one Unicode form."""
    text = unicodedata.normalize("NFC", text)
    return " ".join("".join(" " if _is_control(char) else char for char in text).split())


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Zl", "Zp"} or char in _DIRECTION_MARKS
