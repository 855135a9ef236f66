"""Mails that were written to files because the site has no mail server."""

import email
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from django.conf import settings
from django.utils.html import strip_tags

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
    files = sorted(folder.glob("*.eml"), key=_written_at, reverse=True)
    return [_mail_in(file) for file in files[:MOST]]


def find(key: str) -> Mail | None:
    return next((mail for mail in newest() if mail.key == key), None)


def _written_at(file: Path) -> int:
    return file.stat().st_mtime_ns


def _mail_in(file: Path) -> Mail:
    """A file is one mail, to its end: nothing in a mail can look like the next one."""
    at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    key = hashlib.sha256(file.name.encode()).hexdigest()[:20]
    return Mail(key, at, email.message_from_bytes(file.read_bytes(), policy=default))
