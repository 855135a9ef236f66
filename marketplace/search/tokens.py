"""Words as the index knows them: the same rule for what is looked for and for what is found.

A word is a run of letters and digits without case and accents, so the two databases have
nothing left to disagree about. Scripts that put no spaces give each character as a word.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: The parts of an entry, the weightiest first, one line of ``Entry.words`` each.
PARTS = ("title", "system", "people", "makers", "about", "keys")
#: Characters of each part that are indexed: a description may be a megabyte.
LONGEST = (400, 400, 500, 400, 20_000, 200)
#: Words of a search that count.
MOST_TERMS = 12

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_ASKED = re.compile(r'"([^"]*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand side by side, the last one perhaps unfinished; in one part or in any."""

    words: tuple[str, ...]
    said: str = ""
    part: str = ""


def words_of(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return _WORD.findall("".join(c for c in plain if not unicodedata.combining(c)))


def terms_of(text: str, *, part: str = "") -> tuple[Term, ...]:
    """What a search says; signs between words mean nothing, quotes keep words together."""
    found = []
    for quoted, bare in _ASKED.findall(text):
        if words := words_of(quoted or bare):
            said = f'"{quoted}"' if quoted else bare
            found.append(Term(tuple(words[:MOST_TERMS]), said, part))
    return tuple(found[:MOST_TERMS])


def indexed(entry: Any) -> str:
    """What the index holds of an entry: a line for each of ``PARTS``."""
    parts: tuple[Iterable[str], ...] = (
        (entry.title, entry.alternative),
        (entry.os, entry.os_version, entry.os_arch, entry.version, entry.kind, entry.type),
        (entry.endorser_name, entry.endorser_email),
        (entry.creator, entry.publisher),
        (entry.description,),
        (entry.identifier,),
    )
    return "\n".join(
        _cut(" ".join(filter(None, part)), most) for part, most in zip(parts, LONGEST, strict=True)
    )


def _cut(text: str, most: int) -> str:
    whole = " ".join(words_of(text[:most]))
    return whole if len(whole) <= most else whole[:most].rpartition(" ")[0]
