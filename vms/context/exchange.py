"""``cloud-init.txt``, the file in which StratusLab's commands hand a contextualization on.

Source: StratusLab (stratuslab.md 3.2). The time in the head of the packed data is 0, so the same
context gives the same file; who compares two files compares what is unpacked from them.
"""

import base64
import binascii
import gzip
import io
import zlib
from collections.abc import Sequence

from vms.context import multipart
from vms.context.parts import Context, Part, tidy

#: StratusLab's limit on user data, after gzip.
LARGEST_PACKED_BYTES = 16_384
#: And ours before it: what is parsed must be small, however well it compresses.
LARGEST_PLAIN_BYTES = 262_144

_METHOD = "CONTEXT_METHOD"
_KEYS = "CLOUD_INIT_AUTHORIZED_KEYS"
_DATA = "CLOUD_INIT_USER_DATA"


class Unreadable(ValueError):
    """This is no such file; ``str()`` is a sentence that says why."""


def user_data(context: Context) -> str:
    """The exact text that the guest gets, "" if there is none."""
    if context.literal:
        return context.literal
    return multipart.write(context.parts) if context.parts else ""


def with_system(text: str, parts: Sequence[Part]) -> str:
    """User data in which ``parts`` of the portal's own come before those of the person.

    Raises:
        Unreadable: the person's text is nothing that parts can be added to.
    """
    if not parts:
        return text
    if not text:
        return multipart.write(parts)
    own = multipart.read(text)
    if own is None:
        subtype = multipart.guess_subtype(text)
        if not subtype:
            raise Unreadable(
                "This user data is neither a script, nor a #cloud-config, nor a MIME multipart "
                "text: nothing can be added to it."
            )
        own = (Part(subtype, "user-data", text),)
    return multipart.write([*parts, *own])


def packed_bytes(text: str) -> int:
    """How many bytes user data has after gzip."""
    return len(_pack(text)) if text else 0


def _pack(text: str) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text.encode())
    return packed.getvalue()


def cloud_init_txt(context: Context, keys: Sequence[str]) -> str:
    """The file for this context and these public keys."""
    lines = [f"{_METHOD}=cloud-init\n"]
    if keys:
        text = "".join(f"{key.strip()}\n" for key in keys)
        lines.append(f"{_KEYS}={_encoded(text.encode())}\n")
    if text := user_data(context):
        lines.append(f"{_DATA}={_encoded(_pack(text))}\n\n")
    return "".join(lines)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def read_cloud_init_txt(text: str) -> tuple[tuple[str, ...], str]:
    """The public keys and the user data in such a file.

    Raises:
        Unreadable: it is none, it is damaged, or it holds more than the limits allow.
    """
    found = _assignments(tidy(text))
    method = found.get(_METHOD, "")
    if method != "cloud-init":
        raise Unreadable(
            f"This is no cloud-init.txt: it has no line “{_METHOD}=cloud-init”."
            if not method
            else f"This file is for the method “{method[:40]}”, not for cloud-init."
        )
    keys = _text(_decoded(_KEYS, found.get(_KEYS, "")), "Its keys are").splitlines()
    packed = _decoded(_DATA, found.get(_DATA, ""))
    if len(packed) > LARGEST_PACKED_BYTES:
        raise Unreadable(
            f"Its user data has {len(packed)} bytes after gzip; the limit is "
            f"{LARGEST_PACKED_BYTES}."
        )
    data = _text(_unpacked(packed), "Its user data is") if packed else ""
    return tuple(key.strip() for key in keys if key.strip()), data


def _assignments(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise Unreadable(f"Line {number} of the file has no “=”: “{line[:40]}”.")
        found[name.strip().upper()] = value.strip()
    return found


def _decoded(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value.encode("ascii", "replace"), validate=True)
    except binascii.Error:
        raise Unreadable(f"{name} is no base64: the file is damaged.") from None


def _unpacked(packed: bytes) -> bytes:
    """Never more than the limit: a small file can unpack to a thousand times its size."""
    stream = zlib.decompressobj(wbits=31)
    try:
        data = stream.decompress(packed, LARGEST_PLAIN_BYTES + 1)
    except zlib.error:
        raise Unreadable(f"{_DATA} is not packed by gzip, or damaged.") from None
    if len(data) > LARGEST_PLAIN_BYTES:
        raise Unreadable(
            f"Its user data unpacks to more than {LARGEST_PLAIN_BYTES} bytes, which is the limit."
        )
    if not stream.eof:
        raise Unreadable(f"{_DATA} ends in the middle: the file is damaged.")
    return data


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Unreadable(f"{what} not text in UTF-8.") from None
