"""API tokens as text: ``slp_``, 256 random bits, and a checksum that finds typing errors.

The prefix lets programs that look for leaked secrets know one when they see it; the checksum
lets them, and us, tell a real one from a look-alike without asking the database.
"""

import hashlib
import re
import secrets
import zlib

PREFIX = "slp_"
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BITS = 256
SECRET_LETTERS = 43  # 62 ** 43 > 2 ** 256
CHECK_LETTERS = 6  # 62 ** 6 > 2 ** 32
HINT_LETTERS = 8
_TOKEN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LETTERS + CHECK_LETTERS}}}")


def new_token() -> str:
    body = PREFIX + _in_letters(secrets.randbits(BITS), SECRET_LETTERS)
    return body + _check(body)


def is_token(text: str) -> bool:
    """Whether this has the form of a token, checksum and all; not whether anybody has it."""
    if not _TOKEN.fullmatch(text):
        return False
    return _check(text[:-CHECK_LETTERS]) == text[-CHECK_LETTERS:]


def digest(token: str) -> str:
    """What is kept of it. 256 random bits need no slow hash: nobody can try them all."""
    return hashlib.sha256(token.encode()).hexdigest()


def hint(token: str) -> str:
    """Its first letters, to tell one token from another."""
    return token[:HINT_LETTERS]


def _check(body: str) -> str:
    return _in_letters(zlib.crc32(body.encode()), CHECK_LETTERS)


def _in_letters(number: int, width: int) -> str:
    letters = []
    for _ in range(width):
        number, rest = divmod(number, len(LETTERS))
        letters.append(LETTERS[rest])
    return "".join(reversed(letters))
