"""What others call things, and what a StratusLab catalogue calls them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from urllib.parse import urlsplit

from marketplace.feeds.model import Problem

#: Whom cloud-init makes in images of each system. Source: cloud.cfg.tmpl of cloud-init.
USERS: Mapping[str, str] = {
    "almalinux": "almalinux", "alpine": "alpine", "alpinelinux": "alpine",
    "amazonlinux": "ec2-user", "archlinux": "arch", "centos": "cloud-user", "debian": "debian",
    "fedora": "fedora", "opensuse": "opensuse", "oracle": "cloud-user", "rockylinux": "rocky",
    "ubuntu": "ubuntu",
}  # fmt: skip

_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^a-z0-9.]+")
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def order_of(version: str) -> list[int]:
    """What versions are compared by: "20240423.10" is newer than "20240423.9"."""
    return [int(digits) for digits in _DIGITS.findall(version[:100])]


def day_of(text: str) -> datetime | None:
    """The day that a word begins with, its first second; None if it is none."""
    match = _DAY.match(text)
    if match is None:
        return None
    try:
        return datetime(*map(int, match.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None


def end_of(day: datetime | None) -> datetime | None:
    return datetime.combine(day, time(23, 59, 59), UTC) if day else None


def sha256_of(text: str) -> str:
    """The digest in lower case; "" if it is none."""
    lower = text.lower()
    return lower if _SHA256.fullmatch(lower) else ""


def tag_of(*words: str) -> str:
    """A tag of small letters, digits, dots and hyphens."""
    cut = (_WORD.sub("-", word.lower()).strip("-") for word in words)
    return "-".join(filter(None, cut))[:100]


def below(base: str, path: str) -> str:
    """The address of ``path`` below ``base``, or "" if it would lead anywhere else."""
    if not path or path.startswith("/") or "\\" in path or "//" in path:
        return ""
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or parts.query or parts.fragment:
        return ""
    if any(step in ("", ".", "..") or "%2f" in step.lower() for step in path.split("/")):
        return ""
    url = base + path
    return url if len(url) <= 500 and url.isascii() and url.isprintable() and " " not in url else ""


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def problem(what: str, sentence: str) -> Problem:
    return Problem(what[:200], sentence[:300])
