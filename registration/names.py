"""What may be written into an account's fields. Each rule returns the value to keep."""

import re
import unicodedata

from cryptography import x509
from cryptography.x509.oid import NameOID
from django.conf import settings
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
#: Characters that show nothing and that Unicode counts among letters, marks and symbols.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_JOINERS = frozenset("\u200c\u200d")
#: Scripts of letters that a joiner shapes (Arabic, Indic, …) and emoji begin here; before it,
#: in Latin, Greek and Cyrillic, it would only make two names that look the same.
_FIRST_JOINED = 0x600

#: User names that speak for the site or the computer, whoever has them.
RESERVED = frozenset(
    {
        "abuse", "admin", "administrator", "administrators", "admins", "anonymous", "api",
        "backup", "billing", "bin", "cloud", "contact", "daemon", "everybody", "everyone", "ftp",
        "guest", "help", "helpdesk", "host", "hostmaster", "info", "libvirt", "localhost", "mail",
        "mailer_daemon", "moderator", "news", "no_reply", "nobody", "nogroup", "none", "noreply",
        "null", "oneadmin", "operator", "operators", "portal", "postgres", "postmaster", "proxy",
        "qemu", "redis", "register", "root", "security", "service", "staff", "stratuslab", "sudo",
        "superuser", "support", "sync", "sys", "sysadmin", "syslog", "system", "systemd",
        "undefined", "unknown", "usenet", "uucp", "webmaster", "www", "www_data",
    }
)  # fmt: skip
_LINK = re.compile(r"://|\bwww\.|\w\.[a-z]{2,}/|@\w+\.\w", re.IGNORECASE)
_DN_WORD = re.compile(r"(^|(?<!\\)\s*[,+])\s*([A-Za-z]+)\s*=\s*")


def username(text: str, *, may_be_reserved: bool = False) -> str:
    """Raises: Refused: ``username_invalid``, ``username_reserved``."""
    text = text.strip()
    if not re.match(USERNAME_RULE, text):
        raise Refused(
            "username_invalid",
            "A user name has 3 to 20 characters: letters without accents, digits and _.",
            field="username",
        )
    if is_reserved(text) and not may_be_reserved:
        raise Refused(
            "username_reserved",
            f"The user name {text} is reserved for the site. Choose another one.",
            field="username",
        )
    return text


def is_reserved(username: str) -> bool:
    """Whether nobody may register with this name; letter case does not matter."""
    own = {name.lower() for name in settings.PORTAL_RESERVED_NAMES}
    return username.lower() in RESERVED | own


def email(text: str) -> str:
    """An address with its domain in lower case and in ASCII, so that it compares.

    Raises: Refused: ``email_invalid``.
    """
    try:
        validate_email(address := _in_ascii(text.strip()))
        is_good = address.count("@") == 1 and len(address) <= LONGEST_EMAIL and '"' not in address
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
    text = line(text, f"{field}_invalid", field=field)
    if not has_letter(text) or len(text) > LONGEST_NAME:
        raise Refused(
            f"{field}_invalid",
            f"Write your {words}, in any script, with at most {LONGEST_NAME} characters.",
            field=field,
        )
    if has_link(text):
        sentence = f"Write your {words} without a link: it stands in mails."
        raise Refused(f"{field}_invalid", sentence, field=field)
    return text


def has_link(text: str) -> bool:
    """Whether a mail program may make a link of a part of ``text``."""
    return bool(_LINK.search(text))


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
    """Raises: Refused: ``message_too_long``, ``message_invalid``."""
    text = text.replace("\r\n", "\n").strip()
    must_be_seen(text, "message_invalid", field="message")
    if len(text) > LONGEST_MESSAGE:
        raise Refused(
            "message_too_long",
            f"A message has at most {LONGEST_MESSAGE} characters; this has {len(text)}.",
            field="message",
        )
    return text


def has_letter(text: str) -> bool:
    return any(unicodedata.category(char)[0] == "L" for char in text)


def has_letter_or_digit(text: str) -> bool:
    return any(unicodedata.category(char)[0] in "LN" for char in text)


def line(text: str, code: str, *, field: str) -> str:
    """One line that people will read, as it is kept. Raises: Refused: ``code``."""
    must_be_seen(text, code, field=field)
    return one_line(text)


def must_be_seen(text: str, code: str, *, field: str) -> None:
    """Raises: Refused: ``code``, for what can disguise a text and cannot be seen in it."""
    if hidden := _hidden(text):
        words = f"U+{ord(hidden):04X} {unicodedata.name(hidden, '').lower()}".strip()
        raise Refused(
            code,
            f"There is a character in it that cannot be seen ({words}). Type the text anew "
            "instead of pasting it.",
            field=field,
        )


def one_line(text: str) -> str:
    """The text without what cannot be seen, with single spaces, in one Unicode form."""
    text = unicodedata.normalize("NFC", text)
    pairs = zip(text, _hides(text), strict=True)
    return " ".join("".join(" " if hides else char for char, hides in pairs).split())


def _hidden(text: str) -> str:
    """The first character that cannot be seen; spaces and line ends of any kind can."""
    pairs = zip(text, _hides(text), strict=True)
    return next((char for char, hides in pairs if hides and not char.isspace()), "")


def _hides(text: str) -> list[bool]:
    return [
        not _joins(text[place - 1 : place], text[place + 1 : place + 2])
        if char in _JOINERS
        else char in _FILLERS or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for place, char in enumerate(text)
    ]


def _joins(before: str, after: str) -> bool:
    """Whether a joiner between these is how their script is written."""
    return all(
        char and ord(char) >= _FIRST_JOINED and unicodedata.category(char)[0] in "LMS"
        for char in (before, after)
    )
