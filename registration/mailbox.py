"""Mails that were written to files because the site has no mail server.

A file is one mail and never changes. Its name tells when it was written, so that the newest
are found by name alone, and thousands of mails cost no more to look at than those shown.
"""

import email
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import default
from functools import lru_cache
from pathlib import Path
from typing import overload

from django.conf import settings
from django.utils import timezone

ENDING = ".eml"
#: Date, time, since lately the fraction of the second, and something random.
_KEY = re.compile(r"\d{8}-\d{6}(-\d{6})?-[0-9a-f]{16}")
#: Bytes of a file in which its headers end; ours are far shorter.
_HEADERS = 8192
#: A search looks through so many, the newest.
MOST_SEARCHED = 10_000


@dataclass(frozen=True, slots=True)
class Head:
    """What lists show of a mail. ``key`` names it in URLs."""

    key: str
    at: datetime
    subject: str
    to: str


@dataclass(frozen=True, slots=True)
class Mail:
    """A whole mail."""

    head: Head
    message: EmailMessage

    @property
    def sender(self) -> str:
        return str(self.message["From"] or "")

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    @property
    def files(self) -> list[tuple[str, str]]:
        """What is attached: names and texts."""
        found = []
        for part in self.message.iter_attachments():
            content = part.get_content()
            text = content.decode(errors="replace") if isinstance(content, bytes) else str(content)
            found.append((part.get_filename() or "file", text))
        return found

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part else ""


class Heads(Sequence[Head]):
    """Mails of which only those are read that are asked for."""

    def __init__(self, folder: Path, keys: list[str]) -> None:
        self._folder = folder
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, place: int) -> Head: ...
    @overload
    def __getitem__(self, place: slice) -> list[Head]: ...
    def __getitem__(self, place: int | slice) -> Head | list[Head]:
        if isinstance(place, int):
            return _head(self._folder, self.keys[place])
        return [_head(self._folder, key) for key in self.keys[place]]


def newest() -> Heads:
    """Every mail, newest first."""
    folder = Path(settings.EMAIL_FILE_PATH)
    try:
        names = os.listdir(folder)
    except OSError:  # none was written yet
        return Heads(folder, [])
    keys = (name.removesuffix(ENDING) for name in names if name.endswith(ENDING))
    return Heads(folder, sorted(filter(_KEY.fullmatch, keys), reverse=True))


def search(text: str) -> Sequence[Head]:
    """Those whose subject or address holds every word of ``text``, newest first."""
    words = text.casefold().split()
    if not words:
        return newest()
    return [
        head
        for head in newest()[:MOST_SEARCHED]
        if all(word in f"{head.subject} {head.to}".casefold() for word in words)
    ]


def tidy() -> int:
    """Forget the mails that are older than the settings say; how many there were."""
    folder, until = Path(settings.EMAIL_FILE_PATH), _oldest_kept()
    old = [key for key in newest().keys if key[: len(until)] < until]
    for key in old:
        (folder / f"{key}{ENDING}").unlink(missing_ok=True)
    return len(old)


def _oldest_kept() -> str:
    """As the names of files begin."""
    return f"{timezone.now() - timedelta(days=settings.PORTAL_MAIL_DAYS):%Y%m%d-%H%M%S}"


def find(key: str) -> Mail | None:
    if not _KEY.fullmatch(key):
        return None
    folder = Path(settings.EMAIL_FILE_PATH)
    try:
        data = (folder / f"{key}{ENDING}").read_bytes()
    except OSError:
        return None
    return Mail(_head(folder, key), email.message_from_bytes(data, policy=default))


@lru_cache(maxsize=2 * MOST_SEARCHED)
def _head(folder: Path, key: str) -> Head:
    """A mail that was deleted since it was listed has nothing to show."""
    try:
        with (folder / f"{key}{ENDING}").open("rb") as file:
            start = file.read(_HEADERS)
    except OSError:
        start = b""
    headers = BytesHeaderParser(policy=default).parsebytes(start)
    at = datetime.strptime(key[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    return Head(key, at, str(headers["Subject"] or ""), str(headers["To"] or ""))
