"""What a mistyped word may have meant: the nearest word of the public entries.

Private entries teach nothing: a correction must not tell of them.
"""

import re
from collections import Counter
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q
from rapidfuzz.distance import OSA

from marketplace.models import Entry, Learned, Word
from marketplace.search.tokens import PARTS, Term
from marketplace.states import Visibility

SHORTEST, LONGEST = 3, 30
#: Entries that are read in one transaction.
BATCH = 1000
#: Words of one entry that are learned: a description may have a hundred thousand.
MOST_OF_ENTRY = 300
#: Words that one search is compared with, the most frequent ones first.
MOST_COMPARED = 20_000
_TAUGHT = PARTS.index("keys")
_LEARNABLE = re.compile(rf"[^\W\d_][^\W_]{{{SHORTEST - 1},{LONGEST - 1}}}")


@dataclass(frozen=True, slots=True)
class Known:
    word: str
    entries: int


def corrected(terms: tuple[Term, ...]) -> str:
    """The search with words in it that are known, or "" if there is none to offer. One query."""
    doubtful = {word for term in terms if not term.part for word in term.words if _can_err(word)}
    if not doubtful:
        return ""
    known = _near(doubtful)
    meant = {word: better for word in doubtful if (better := _nearest(word, known))}
    if not meant:
        return ""
    return " ".join(_said(term, meant) for term in terms if not term.part)


def _can_err(word: str) -> bool:
    return SHORTEST <= len(word) <= LONGEST and not word.isdecimal()


def _near(words: set[str]) -> list[Known]:
    """Words of nearly the length of these, and those that begin with one of them."""
    lengths = [len(word) for word in words]
    wanted = Q(length__range=(min(lengths) - 2, max(lengths) + 2))
    for word in words:
        wanted |= Q(word__startswith=word)
    rows = Word.objects.filter(wanted).order_by("-entries", "word")
    return [Known(*row) for row in rows.values_list("word", "entries")[:MOST_COMPARED]]


def _nearest(word: str, known: list[Known]) -> str:
    """Another word, at most two mistakes away, or "" if ``word`` is one, or the beginning of one.

    Of those equally near, one with the same first letter, then the more frequent.
    """
    most = 1 if len(word) < 6 else 2
    best: tuple[int, bool, int, str] | None = None
    for one in known:
        if one.word.startswith(word):
            return ""
        distance = OSA.distance(word, one.word, score_cutoff=most)
        if distance > most:
            continue
        found = (distance, one.word[0] != word[0], -one.entries, one.word)
        best = found if best is None else min(best, found)
    return best[3] if best else ""


def _said(term: Term, meant: dict[str, str]) -> str:
    if not any(word in meant for word in term.words):
        return term.said
    words = " ".join(meant.get(word, word) for word in term.words)
    return f'"{words}"' if len(term.words) > 1 else words


# Learning --------------------------------------------------------------------------------


def learn() -> int:
    """Take the words of entries that are new; how many entries were read.

    If others came in between or are gone, everything is learned anew.
    """
    read = 0
    while some := _learn_some():
        read += some
    return read


@transaction.atomic
def _learn_some() -> int:
    Learned.objects.get_or_create(pk=1)
    state = Learned.objects.select_for_update().get(pk=1)
    public = Entry.objects.filter(visibility=Visibility.PUBLIC)
    known = public.filter(pk__lte=state.upto).count()
    if known != state.entries:
        Word.objects.all().delete()
        state.upto = state.entries = 0
    rows = public.filter(pk__gt=state.upto).order_by("pk").values_list("pk", "words")
    found = list(rows[:BATCH])
    if found:
        _add(Counter(word for _, words in found for word in _learnable(words)))
        state.upto = found[-1][0]
    state.entries += len(found)
    state.save()
    return len(found)


def _learnable(words: str) -> list[str]:
    taught = " ".join(words.split("\n")[:_TAUGHT])
    found = dict.fromkeys(word for word in taught.split() if _LEARNABLE.fullmatch(word))
    return list(found)[:MOST_OF_ENTRY]


def _add(words: Counter[str]) -> None:
    """Two workers that add the same words add both; in one order, so none waits for the other."""
    rows = [(word, len(word), number) for word, number in sorted(words.items())]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO marketplace_word (word, length, entries) VALUES (%s, %s, %s) "
            "ON CONFLICT (word) DO UPDATE "
            "SET entries = marketplace_word.entries + excluded.entries",
            rows,
        )
