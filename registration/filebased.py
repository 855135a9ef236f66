"""Mail on a site without a mail server: each mail becomes a file of its own.

Django's backend of this name puts several mails into one file, with a line between them that
anybody can write into a mail, so that a part of a mail could pass for another one.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone


class EmailBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """How many were written.

        Raises: OSError, unless the caller asked for silence.
        """
        written = 0
        try:
            for message in email_messages:
                _write(message.message().as_bytes())
                written += 1
        except OSError:
            if not self.fail_silently:
                raise
        return written


def _write(text: bytes) -> None:
    """All of it or nothing, for the portal's own eyes: mails carry links to new passwords."""
    folder = Path(settings.EMAIL_FILE_PATH)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In the order of the names, mails are in the order they were written.
    name = f"{timezone.now():%Y%m%d-%H%M%S-%f}-{secrets.token_hex(8)}"
    draft = folder / f"{name}.part"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    draft.rename(folder / f"{name}.eml")
