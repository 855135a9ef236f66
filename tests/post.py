"""The mails that a portal without a mail server has written to its home."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from pathlib import Path


def letters(home: Path, to: str) -> list[EmailMessage]:
    """The mails to this address, the latest first."""
    files = sorted((home / "mails").glob("*.eml"), key=_written_at, reverse=True)
    mails = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    return [mail for mail in mails if mail["To"] == to]


def link(home: Path, to: str, path: str) -> str:
    """The path of the latest link below ``path`` that was mailed to this address, or ""."""
    for mail in letters(home, to):
        if found := re.search(rf"https?://[^/\s]+({path}\S+)", text(mail)):
            return found[1]
    return ""


def text(mail: EmailMessage) -> str:
    """What it says, in plain words."""
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body else ""


def _written_at(file: Path) -> int:
    return file.stat().st_mtime_ns
