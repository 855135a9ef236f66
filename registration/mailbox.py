"""Mails that were written to files because the site has no mail server."""

import email
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from django.conf import settings
from django.utils.html import strip_tags

#: What Django's file backend writes after each mail.
_LINE = b"\n" + b"-" * 79 + b"\n"
MOST = 200


@dataclass(frozen=True, slots=True)
class Mail:
    """``key`` names it in URLs: a digest, never a part of a path."""

    key: str
    at: datetime
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")

    @property
    def to(self) -> str:
        return str(self.message["To"] or "")

    @property
    def sender(self) -> str:
        return str(self.message["From"] or "")

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html_text(self) -> str:
        """The words of the HTML part, without its tags."""
        lines = (" ".join(line.split()) for line in strip_tags(self._part("html")).splitlines())
        return "\n".join(line for line in lines if line)

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part else ""


def newest() -> list[Mail]:
    """The latest mails, newest first."""
    folder = Path(settings.EMAIL_FILE_PATH)
    files = sorted(folder.glob("*.log"), key=_written_at, reverse=True) if folder.is_dir() else []
    mails: list[Mail] = []
    for file in files:
        mails.extend(reversed(list(_mails_in(file))))
        if len(mails) >= MOST:
            break
    return mails[:MOST]


def find(key: str) -> Mail | None:
    return next((mail for mail in newest() if mail.key == key), None)


def _written_at(file: Path) -> int:
    return file.stat().st_mtime_ns


def _mails_in(file: Path) -> Iterator[Mail]:
    at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    for number, text in enumerate(file.read_bytes().split(_LINE)):
        if not text.strip():
            continue
        key = hashlib.sha256(f"{file.name}:{number}".encode()).hexdigest()[:20]
        message = email.message_from_bytes(text, policy=default)
        if isinstance(message, EmailMessage):
            yield Mail(key, at, message)
