"""Names of people and authorities in certificates, as RFC 2253 strings ("CN=Alice,O=Lab").

Two spellings of a name are one: backslashes, quotes, keywords in any case, ``#`` and the bytes.
"""

import re

from cryptography import x509

_KEYWORDS = {
    "CN": "2.5.4.3",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "C": "2.5.4.6",
    "STREET": "2.5.4.9",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
}
#: What tools write that know more keywords than RFC 2253 has.
_MORE_KEYWORDS = {
    "E": "1.2.840.113549.1.9.1",
    "EMAIL": "1.2.840.113549.1.9.1",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
    "SERIALNUMBER": "2.5.4.5",
    "S": "2.5.4.8",
    "T": "2.5.4.12",
    "SN": "2.5.4.4",
    "SURNAME": "2.5.4.4",
    "GN": "2.5.4.42",
    "GIVENNAME": "2.5.4.42",
}
_KEYWORD_OF = {oid: keyword for keyword, oid in _KEYWORDS.items()}
_ENCODINGS = {12: "utf-8", 19: "ascii", 20: "latin-1", 22: "ascii", 26: "ascii", 28: "utf-32-be",
              30: "utf-16-be"}  # fmt: skip
_ESCAPED = re.compile(r'([,+"\\<>;])')
_HEX = re.compile(r"[0-9A-Fa-f]{2}")

Part = frozenset[tuple[str, str]]


def name_in_words(name: x509.Name) -> str:
    """As an RFC 2253 string, the most specific part first."""
    return ",".join("+".join(_attribute(one) for one in part) for part in reversed(name.rdns))


def is_same(text: str, name: x509.Name) -> bool:
    """Whether ``text`` spells ``name``."""
    parts = [
        frozenset((one.oid.dotted_string, _collapsed(_value(one))) for one in part)
        for part in reversed(name.rdns)
    ]
    try:
        return _parsed(text) == parts
    except ValueError:
        return False


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> str:
    keyword = _KEYWORD_OF.get(attribute.oid.dotted_string)
    if keyword is None:
        return f"{attribute.oid.dotted_string}=#{_encoded(attribute).hex()}"
    text = _ESCAPED.sub(r"\\\1", _value(attribute))
    if text.startswith((" ", "#")):
        text = f"\\{text}"
    if text.endswith(" "):
        text = f"{text[:-1]}\\ "
    return f"{keyword}={text}"


def _value(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return value if isinstance(value, str) else f"#{_encoded(attribute).hex()}"


def _encoded(attribute: x509.NameAttribute[str | bytes]) -> bytes:
    """The value as in the certificate, with its type and length (DER)."""
    whole = x509.Name([attribute]).public_bytes()
    for _ in range(3):  # a sequence of a set of a sequence
        whole = whole[_header(whole)[0] :]
    start, length = _header(whole)
    return whole[start + length :]


def _header(der: bytes) -> tuple[int, int]:
    """Where the content begins, and how long it is."""
    if len(der) < 2:
        raise ValueError("cut off")
    if der[1] < 0x80:
        return 2, der[1]
    digits = der[1] & 0x7F
    return 2 + digits, int.from_bytes(der[2 : 2 + digits], "big")


def _parsed(text: str) -> list[Part]:
    """
    Raises:
        ValueError: it is no RFC 2253 name.
    """
    parts, part, rest = list[Part](), set[tuple[str, str]](), text
    while True:
        keyword, _, rest = rest.partition("=")
        value, rest = _read_value(rest.lstrip())
        part.add((_oid(keyword.strip()), _collapsed(value)))
        if rest[:1] != "+":
            parts.append(frozenset(part))
            part = set()
        if not rest:
            return parts
        rest = rest[1:]


def _oid(keyword: str) -> str:
    known = {**_MORE_KEYWORDS, **_KEYWORDS}.get(keyword.upper())
    if known:
        return known
    oid = keyword[4:] if keyword.upper().startswith("OID.") else keyword
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", oid):
        raise ValueError("no such keyword")
    return oid


def _read_value(text: str) -> tuple[str, str]:
    """The value at the beginning, and what is left."""
    if text.startswith("#"):
        digits, rest = _until_separator(text[1:])
        return _decoded(bytes.fromhex(digits.decode())), rest
    if text.startswith('"'):
        value, rest = _until_quote(text[1:])
        return value.decode(), rest.lstrip()
    value, rest = _until_separator(text)
    return value.decode(), rest


def _until_separator(text: str) -> tuple[bytes, str]:
    value, kept, position = bytearray(), 0, 0
    while position < len(text) and text[position] not in ",+;":
        one, position = _character(text, position)
        value += one
        if one != b" " or text[position - 2 : position] == "\\ ":
            kept = len(value)  # blanks at the end are not part of it, unless escaped
    return bytes(value[:kept]), text[position:]


def _until_quote(text: str) -> tuple[bytes, str]:
    value, position = bytearray(), 0
    while position < len(text) and text[position] != '"':
        one, position = _character(text, position)
        value += one
    if position == len(text):
        raise ValueError("no quote at the end")
    return bytes(value), text[position + 1 :]


def _character(text: str, position: int) -> tuple[bytes, int]:
    if text[position] != "\\":
        return text[position].encode(), position + 1
    digits = text[position + 1 : position + 3]
    if _HEX.fullmatch(digits):
        return bytes.fromhex(digits), position + 3
    if len(digits) < 1:
        raise ValueError("a backslash at the end")
    return digits[0].encode(), position + 2


def _decoded(der: bytes) -> str:
    start, length = _header(der)
    encoding = _ENCODINGS.get(der[0])
    if encoding is None or start + length != len(der):
        return f"#{der.hex()}"
    return der[start:].decode(encoding)


def _collapsed(text: str) -> str:
    return " ".join(text.split())
