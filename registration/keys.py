"""SSH public keys as people paste them: read, checked, and written on one line."""

import base64
import codecs
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from core.errors import Refused
from registration.names import one_line

FEWEST_RSA_BITS = 2048
MOST_RSA_BITS = 16384
LONGEST_TEXT = 16_384
LONGEST_NAME = 80

#: Source: sshd(8), "AUTHORIZED_KEYS FILE FORMAT"; certificates and DSA are left out.
TYPES = {
    "ssh-ed25519": "Ed25519",
    "ssh-rsa": "RSA",
    "ecdsa-sha2-nistp256": "ECDSA",
    "ecdsa-sha2-nistp384": "ECDSA",
    "ecdsa-sha2-nistp521": "ECDSA",
    "sk-ssh-ed25519@openssh.com": "Ed25519 security key",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA security key",
}

_BEGIN = re.compile(r"^-{4} ?BEGIN SSH2 PUBLIC KEY ?-{4}$", re.MULTILINE)
_END = re.compile(r"^-{4} ?END SSH2 PUBLIC KEY ?-{4}$", re.MULTILINE)
_TYPE = re.compile(r"(?<!\S)(?:ssh-|ecdsa-|sk-)\S+\s+AAAA")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """``line`` is ready for authorized_keys; ``comment`` is free text without line ends."""

    algorithm: str
    blob: bytes
    comment: str

    @property
    def line(self) -> str:
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()} {self.comment}".strip()

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"


def read(text: str) -> PublicKey:
    """Read one pasted key: a line of OpenSSH, or the block that PuTTY saves (RFC 4716).

    Raises:
        Refused: ``key_empty``, ``key_too_long``, ``key_private``, ``key_several``,
            ``key_options``, ``key_type``, ``key_weak``, ``key_broken``.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    _refuse_what_is_no_key(text)
    if _BEGIN.search(text):
        algorithm, data, comment = _read_block(text)
    else:
        algorithm, data, comment = _read_line(text)
    return _checked(algorithm, data, comment)


def read_file(content: bytes) -> str:
    """The text of a key's file: UTF-8, or the UTF-16 that PowerShell's ``>`` writes.

    Raises:
        Refused: ``key_too_long``, ``key_broken``.
    """
    if len(content) > 2 * LONGEST_TEXT:
        raise _no(
            "key_too_long",
            f"This file has {len(content)} bytes; a public key has at most {LONGEST_TEXT}. "
            "Choose the file whose name ends in .pub.",
        )
    encoding = (
        "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise _no(
            "key_broken", "This file is no text. Choose the file whose name ends in .pub."
        ) from None


def describe(line: str) -> str:
    """The type of a key that is kept, for people: ``RSA, 3072 bits``."""
    algorithm, data = line.split(" ", 2)[:2]
    words = TYPES.get(algorithm, algorithm)
    if algorithm == "ssh-rsa":
        return f"{words}, {_rsa_bits(base64.b64decode(data))} bits"
    curve = algorithm.partition("nistp")[2].partition("@")[0]
    return f"{words}, {curve} bits" if curve else words


def _rsa_bits(blob: bytes) -> int:
    """Of the modulus, the last of the key's three strings. Source: RFC 4253, section 6.6."""
    for _ in range(2):
        blob = blob[4 + int.from_bytes(blob[:4]) :]
    return int.from_bytes(blob[4:]).bit_length()


def _no(code: str, sentence: str) -> Refused:
    return Refused(code, sentence, field="public_key")


def _refuse_what_is_no_key(text: str) -> None:
    if not text:
        raise _no(
            "key_empty", "Paste the text of a public key, for example of ~/.ssh/id_ed25519.pub."
        )
    if len(text) > LONGEST_TEXT:
        raise _no("key_too_long", f"A public key has at most {LONGEST_TEXT} characters.")
    if "PRIVATE KEY" in text or text.startswith("PuTTY-User-Key-File"):
        raise _no(
            "key_private",
            "This is a private key. It was not kept here, but never show it to anyone: who has "
            "seen it can enter your machines. Make a new pair if it left your computer, and "
            "paste the public half, the file whose name ends in .pub.",
        )
    if len(_TYPE.findall(text)) > 1 or len(_BEGIN.findall(text)) > 1:
        raise _no("key_several", "These are several keys. Add them one at a time.")


def _read_block(text: str) -> tuple[str, str, str]:
    """RFC 4716: headers, which a backslash continues on the next line, then base64."""
    body = _END.split(_BEGIN.split(text)[1])[0].strip()
    comment = ""
    lines = body.replace("\\\n", "").split("\n")
    while lines and ":" in lines[0]:
        name, _, value = lines.pop(0).partition(":")
        if name.strip().lower() == "comment":
            comment = value.strip().strip('"')
    data = "".join(lines)
    return _algorithm_inside(data), data, comment


def _algorithm_inside(data: str) -> str:
    try:
        blob = base64.b64decode(data)
    except ValueError:
        return ""
    size = int.from_bytes(blob[:4])
    return blob[4 : 4 + size].decode("ascii", "replace") if size < len(blob) else ""


def _read_line(text: str) -> tuple[str, str, str]:
    if "\n" in text:  # a terminal or a mail program has wrapped it
        first, *rest = text.split("\n")
        text = first + (" " if first in TYPES else "") + "".join(line.strip() for line in rest)
    algorithm, _, tail = text.partition(" ")
    data, _, comment = tail.strip().partition(" ")
    if algorithm not in TYPES and (found := _TYPE.search(text)) and found.start():
        raise _no(
            "key_options",
            "The line begins with options. Paste the key alone, from its type on: "
            f"{text[found.start() :][:20]}…",
        )
    return algorithm, data, comment


def _checked(algorithm: str, data: str, comment: str) -> PublicKey:
    if algorithm.startswith("ssh-dss"):
        raise _no(
            "key_weak",
            "This is a DSA key, of 1024 bits, which SSH servers no longer accept. "
            "Make an Ed25519 key.",
        )
    if "-cert-" in algorithm:
        raise _no("key_type", "This is a certificate. Paste the public key that it certifies.")
    if algorithm not in TYPES and algorithm.startswith(("ssh-", "ecdsa-", "sk-")):
        raise _no(
            "key_type",
            f"Keys of the type {algorithm[:40]} are not known here. Make an Ed25519 key.",
        )
    try:
        key = load_ssh_public_key(f"{algorithm} {data}".encode())
        blob = base64.b64decode(data, validate=True)
    except (ValueError, UnsupportedAlgorithm):
        raise _no(
            "key_broken",
            "This is not a whole public key. It is one line: a type such as ssh-ed25519, then "
            "text that begins with AAAA. Copy the whole line.",
        ) from None
    if isinstance(key, RSAPublicKey) and not FEWEST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
        raise _no(
            "key_weak",
            f"This RSA key has {key.key_size} bits; {FEWEST_RSA_BITS} to {MOST_RSA_BITS} are "
            "accepted. Make an Ed25519 key, or one of RSA with 3072 bits.",
        )
    return PublicKey(algorithm, blob, one_line(comment)[:LONGEST_NAME].strip())
