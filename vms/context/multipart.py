"""User data of several parts, as one MIME text: written by hand, to the byte, and read back.

Source: StratusLab (stratuslab.md 3.2), with two faults mended: a line that begins with "From "
stays as it is, and what is no plain ASCII is sent as base64, because cloud-init's mail reader
garbles everything else. The boundary follows from the parts, so the same parts give the same
text wherever it is shown, measured or sent.
"""

import base64
import email
import hashlib
import re
from collections.abc import Sequence
from email.errors import MessageError
from email.message import Message

from vms.context.parts import Part

#: What travels as it is ("7bit"); everything else is packed.
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")
_NAME = re.compile(r"[A-Za-z0-9._+@ -]{1,100}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+@-]+")

#: First lines by which a text is known, the longest first; of two that begin alike, too.
BEGINNINGS = (
    ("#cloud-config-archive", "cloud-config-archive"),
    ("#cloud-config-jsonp", "cloud-config-jsonp"),
    ("## template: jinja", "jinja2"),
    ("#cloud-boothook", "cloud-boothook"),
    ("#cloud-config", "cloud-config"),
    ("#part-handler", "part-handler"),
    ("#include-once", "x-include-once-url"),
    ("#upstart-job", "upstart-job"),
    ("#include", "x-include-url"),
    ("#!", "x-shellscript"),
)


def is_name(name: str) -> bool:
    """Whether a part can have this name: that of a file, without its folder."""
    return bool(_NAME.fullmatch(name)) and name.strip() == name and name not in (".", "..")


def guess_subtype(text: str) -> str:
    """What cloud-init would take this text for, by its first line; "" if for nothing."""
    return next((subtype for start, subtype in BEGINNINGS if text.startswith(start)), "")


def is_multipart(text: str) -> bool:
    """Whether cloud-init would read this text as a MIME message."""
    return "mime-version:" in text[:4096].lower()


def write(parts: Sequence[Part]) -> str:
    """The parts, in this order, as one text. A single one becomes a message, too."""
    boundary = _boundary(parts)
    head = f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n'
    pieces = [f"--{boundary}\n{_one(part)}\n" for part in parts]
    return f"{head}\n{''.join(pieces)}--{boundary}--\n"


def _one(part: Part) -> str:
    charset, encoding, body = "us-ascii", "7bit", part.text
    if not _PLAIN.fullmatch(part.text):
        charset, encoding = "utf-8", "base64"
        body = base64.encodebytes(part.text.encode()).decode("ascii")
    name = part.name if is_name(part.name) else _NOT_IN_NAMES.sub("-", part.name)[:100] or "part"
    subtype = _NOT_IN_NAMES.sub("-", part.subtype) or "plain"
    return (
        f'Content-Type: text/{subtype}; charset="{charset}"\n'
        "MIME-Version: 1.0\n"
        f"Content-Transfer-Encoding: {encoding}\n"
        f'Content-Disposition: attachment; filename="{name}"\n'
        f"\n{body}"
    )


def _boundary(parts: Sequence[Part]) -> str:
    """One that no part has in it; it looks like those of Python's own writer."""
    digest = hashlib.sha256()
    for part in parts:
        for word in (part.subtype, part.name, part.text):
            data = word.encode()
            digest.update(b"%d:" % len(data) + data)
    while True:
        number = int.from_bytes(digest.digest()[:8], "big") % 10**19
        boundary = f"{'=' * 15}{number:019d}=="
        if not any(boundary in part.text for part in parts):
            return boundary
        digest.update(b"again")


def read(text: str) -> tuple[Part, ...] | None:
    """The parts of a MIME text, or None if it is none whose parts are all text.

    What :func:`write` has written comes back as it was.
    """
    if not is_multipart(text):
        return None
    try:
        message = email.message_from_string(text)
        leaves = [one for one in message.walk() if not one.is_multipart()]
    except RecursionError:  # multiparts within multiparts, without an end
        return None
    if not message.is_multipart() or message.defects:
        return None
    try:
        parts = [_read_one(one, number) for number, one in enumerate(leaves, start=1)]
    except (MessageError, UnicodeError, ValueError):
        return None
    return tuple(parts)


def _read_one(leaf: Message, number: int) -> Part:
    if leaf.get_content_maintype() != "text" or leaf.defects:
        raise ValueError("not text")
    encoding = str(leaf.get("Content-Transfer-Encoding", "7bit")).strip().lower()
    if encoding in ("base64", "quoted-printable"):
        payload = leaf.get_payload(decode=True)
        if not isinstance(payload, bytes):
            raise ValueError("not text")
        body = payload.decode("utf-8")
    else:
        body = str(leaf.get_payload())
    name = (leaf.get_filename() or f"part-{number:03d}").rpartition("/")[2]
    return Part(leaf.get_content_subtype(), name, body)
