"""What the text of an element may be, and what it means. A ``ValueError`` says what is wrong."""

import re
from datetime import UTC, datetime

DATE_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
EMAIL_PATTERN = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+"

LONGEST_EMAIL = 254
LONGEST_URI = 2_000
#: What a database's whole numbers hold.
LARGEST_NUMBER = (1 << 63) - 1
CHECKSUM_DIGITS = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-512": 128}

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NUMBER = re.compile(r"[0-9]{1,19}")
_EMAIL = re.compile(EMAIL_PATTERN)
_URI = re.compile(r"(?:(?:https?|ftp)://|pdisk:)[^\s<>\"\\^`{|}]+", re.IGNORECASE)
#: What nobody sees, and what has text read otherwise than it is written: controls, marks of
#: direction, blanks without width, tags.
HIDDEN = (
    r"\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f"
)
_HIDDEN = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f{HIDDEN}]")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")


def date(text: str) -> datetime:
    if not _DATE.fullmatch(text):
        raise ValueError("is not a valid date: it is written YYYY-MM-DDTHH:MM:SSZ, in UTC")
    try:
        when = datetime.strptime(text, DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("is not a valid date: there is no such day or time") from None
    # Beyond, other time zones have no such moment.
    if not 1970 <= when.year <= 9000:
        raise ValueError("is not a valid date: years go from 1970 to 9000")
    return when


def number(text: str, most: int = LARGEST_NUMBER) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise ValueError(f"is not a whole number from 0 to {most:,}")
    return int(text)


def port(text: str) -> int:
    return number(text, 65_535)


def icmp(text: str) -> int:
    return number(text, 255)


def mebibytes(text: str) -> int:
    return number(text, 1 << 20)


def uri(text: str) -> str:
    if not _URI.fullmatch(text) or len(text) > LONGEST_URI or not _is_printed(text):
        raise ValueError(
            "is not an address that begins with http://, https://, ftp:// or pdisk:, without "
            f"blanks, of at most {LONGEST_URI:,} characters"
        )
    return text


def email(text: str) -> str:
    if not is_email(text):
        raise ValueError("is an invalid email address")
    return text


def is_email(text: str) -> bool:
    return len(text) <= LONGEST_EMAIL and _EMAIL.fullmatch(text) is not None


def user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError("is not the name of a user: 32 letters, digits, _, . or - at most")
    return text


def hexadecimal(text: str, digits: int) -> str:
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", text):
        raise ValueError(f"is not {digits} hexadecimal digits")
    return text.lower()


def line(text: str, longest: int) -> str:
    """One line: every run of blanks and line ends is a blank."""
    return _printed(" ".join(text.split()), longest)


def lines(text: str, longest: int) -> str:
    """As it is, but for line ends: those of forms are two characters."""
    return _printed(text.strip().replace("\r\n", "\n"), longest)


def _printed(text: str, longest: int) -> str:
    if len(text) > longest:
        raise ValueError(f"has {len(text):,} characters; {longest:,} is most")
    if not _is_printed(text):
        raise ValueError(
            "has characters that nobody can see: controls, marks of direction, or blanks without "
            "width"
        )
    return text


def _is_printed(text: str) -> bool:
    return _HIDDEN.search(text) is None


def printable(text: str) -> str:
    """One line, with a blank for all that nobody would see, or would see wrongly."""
    return " ".join(_HIDDEN.sub(" ", text).split())
