"""Tables of machines as people write them, CSV or YAML: a row for each machine, cells of text."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from core import yamls

MOST_ROWS = 200
LARGEST_BYTES = 256 * 1024
LONGEST_CELL = 4_000  # characters; several public keys fit
COLUMNS = ("name", "image", "type", "disks", "keys", "recipe")
#: What a column may be called besides.
_ALSO = {"size": "type", "disk": "disks", "key": "keys", "ssh_keys": "keys"}
_EMPTY = "The table is empty: paste one, or choose a file."


class Unreadable(Exception):
    """The text is no table; ``str`` says why, and where."""


@dataclass(frozen=True, slots=True)
class Row:
    """One machine of a table. ``number`` counts from 1; every column has a cell, maybe blank."""

    number: int
    cells: Mapping[str, str] = field(default_factory=dict)

    def cell(self, column: str) -> str:
        return self.cells.get(column, "")

    def words(self, column: str) -> list[str]:
        """What a cell lists, between semicolons or on lines of their own."""
        parts = self.cell(column).replace("\n", ";").split(";")
        return [part.strip() for part in parts if part.strip()]


def decoded(data: bytes) -> str:
    """An uploaded file as text. Raises: Unreadable."""
    if len(data) > LARGEST_BYTES:
        raise Unreadable(_too_large(len(data)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"The file is not UTF-8 text: its byte {error.start + 1} is none. Save it as “CSV "
            "UTF-8”."
        ) from None


def read(text: str) -> list[Row]:
    """The machines of a table. Blank rows count for nothing. Raises: Unreadable."""
    if (size := len(text.encode())) > LARGEST_BYTES:
        raise Unreadable(_too_large(size))
    if "\0" in text:
        raise Unreadable("There is a NUL character in it: this is no text.")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Unreadable(_EMPTY)
    cells = _from_yaml(text) if _is_yaml(text) else _from_csv(text)
    return numbered(cells)


def numbered(rows: Sequence[Mapping[str, str]]) -> list[Row]:
    """Rows that say something, from 1. Raises: Unreadable."""
    kept = [row for row in rows if any(value.strip() for value in row.values())]
    if not kept:
        raise Unreadable("There is no machine in it: a row below the heads for each.")
    if len(kept) > MOST_ROWS:
        raise Unreadable(f"These are {len(kept)} machines; a table has {MOST_ROWS} at most.")
    return [Row(number, _trimmed(row, number)) for number, row in enumerate(kept, 1)]


def _trimmed(row: Mapping[str, str], number: int) -> dict[str, str]:
    for column, value in row.items():
        if len(value) > LONGEST_CELL:
            raise Unreadable(
                f"Row {number}, {column}: {len(value)} characters; a cell has {LONGEST_CELL} at "
                "most."
            )
    cells = {column: row.get(column, "").strip() for column in COLUMNS}
    # A list has its words on one line: a field of a page has no other.
    listed = {column: "; ".join(cells[column].split("\n")) for column in ("disks", "keys")}
    return cells | listed


def _too_large(size: int) -> str:
    return f"The table has {size} bytes; {LARGEST_BYTES} is the most."


def _is_yaml(text: str) -> bool:
    lines = (line for line in text.split("\n") if line.strip() and not line.startswith("#"))
    first = next(lines, "")
    return first.startswith(("-", "[", "{", "%YAML", "machines:"))


def _from_csv(text: str) -> list[dict[str, str]]:
    first = text.lstrip("\n").split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Unreadable(f"Line {lines.line_num} is no CSV: {error}.") from None
    if not rows:
        raise Unreadable(_EMPTY)
    heads = _heads(rows[0][1])
    found = []
    for line, row in rows[1:]:
        if len(row) > len(heads) and any(cell.strip() for cell in row[len(heads) :]):
            raise Unreadable(
                f"Line {line} has {len(row)} cells, and there are {len(heads)} heads. Put a cell "
                f"with “{separator}” in it between double quotes."
            )
        found.append(dict(zip(heads, (_plain(cell) for cell in row), strict=False)))
    return found


def _plain(cell: str) -> str:
    """Without the apostrophe that our own exports put before what looks like a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@"} else cell


def _heads(row: Sequence[str]) -> list[str]:
    heads = [_column(cell) for cell in row]
    if "name" not in heads or "image" not in heads:
        raise Unreadable(
            f"The first line names the columns: “name” and “image”, and those that you need of "
            f"{', '.join(COLUMNS[2:])}. This one says “{', '.join(row)[:200]}”."
        )
    if twice := next((head for head in heads if heads.count(head) > 1), ""):
        raise Unreadable(f"The column “{twice}” is there twice.")
    return heads


def _column(word: str) -> str:
    name = word.strip().lower().replace(" ", "_")
    name = _ALSO.get(name, name)
    if name not in COLUMNS:
        raise Unreadable(f"“{word.strip()[:60]}” is no column: these are {', '.join(COLUMNS)}.")
    return name


def _from_yaml(text: str) -> list[dict[str, str]]:
    try:
        # Every scalar is text: "no" stays a name, and 1.10 a version.
        said = yamls.load(text, yamls.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise Unreadable(f"This is no valid YAML{where}.") from None
    if isinstance(said, dict) and set(said) == {"machines"}:
        said = said["machines"]
    if not isinstance(said, list):
        raise Unreadable("In YAML a table is a list of machines: “- name: web” and so on.")
    if len(said) > MOST_ROWS:
        raise Unreadable(f"These are {len(said)} machines; a table has {MOST_ROWS} at most.")
    return [dict(_pairs(number, one)) for number, one in enumerate(said, 1)]


def _pairs(number: int, one: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(one, dict):
        raise Unreadable(f"Machine {number} is no mapping of columns to values.")
    for word, value in one.items():
        if not isinstance(word, str):
            raise Unreadable(f"Machine {number}: a column is a word.")
        yield _column(word), _text(number, word, value)


def _text(number: int, word: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    raise Unreadable(f"Machine {number}, {word}: a text, or a list of texts.")


TEMPLATES: Mapping[str, str] = {
    "csv": (
        "name,image,type,disks,keys,recipe\n"
        "db-1,IMAGE,,,,\n"
        "web-1,IMAGE,m1.small,TAG-OR-UUID:read,laptop,\n"
        "web-2,IMAGE,m1.small,TAG-OR-UUID:read; OTHER-DISK:write,laptop; work,\n"
    ),
    "yaml": (
        "# image: identifier, address, tag or title. The rest can be left out.\n"
        "- name: db-1\n"
        "  image: IMAGE\n"
        "- name: web-1\n"
        "  image: IMAGE\n"
        "  type: m1.small\n"
        "  disks: [TAG-OR-UUID:read, OTHER-DISK:write]\n"
        "  keys: [laptop]\n"
    ),
}
