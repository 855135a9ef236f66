"""A page of the catalogue: entries, counts of every facet, and the search that was meant.

However many entries there are it costs the same queries. All of them but the last read the
narrow index alone; whole rows are fetched for the entries of the page.
"""

from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Q

from marketplace import policy, reach
from marketplace.models import Entry, EntryQuerySet
from marketplace.search import facets, spelling
from marketplace.search.asked import RELEVANCE, SORTS, Asked
from marketplace.search.facets import Counts
from marketplace.search.index import Matches, keep, ranked, title_first
from marketplace.search.tallying import filtered

#: Hits that are ranked one by one.
MOST_RANKED = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """``asked`` has the corrected words if there were no hits for ``instead_of``.

    ``meant`` are words that would have hits, were it not for the filters.
    """

    asked: Asked
    page: "Page[int]"
    entries: list[Entry]
    counts: Counts
    instead_of: str = ""
    meant: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """An entry, and why no machine may start from it here ("": one may)."""

    entry: Entry
    refusal: str

    @property
    def can_launch(self) -> bool:
        return self.entry.is_launchable and not self.refusal


def cards(entries: list[Entry]) -> list[Card]:
    """What lists show of them, in a number of queries that nothing makes larger."""
    verdicts = policy.verdicts(entries) if entries else {}
    unreached = reach.refusals(entries)
    return [
        Card(entry, verdicts.get(entry.pk, "") or unreached.get(entry.pk, "")) for entry in entries
    ]


class _Counted(Paginator):  # type: ignore[type-arg]
    """Of which it is known already how many there are."""

    def __init__(self, rows: Any, size: int, total: int) -> None:
        super().__init__(rows, size)
        self.count = total


def find(asked: Asked, user: Any, *, page: Any = 1, size: int) -> Found:
    """What ``user`` may see of it. ``page`` is a number, or what stood in the address for one."""
    listed = Entry.objects.visible_to(user).listed().newest()
    found = _find(listed, asked, page, size)
    if found.counts.total or not asked.q or asked.exact:
        return found
    if _matching(listed, asked).exists():
        return found  # the filters hide it, not the spelling
    better = spelling.corrected(asked.terms)
    if not better:
        return found
    corrected = _find(listed, replace(asked, q=better), page, size)
    if corrected.counts.total:
        return replace(corrected, instead_of=asked.q)
    if _matching(listed, Asked(q=better)).exists():
        return replace(found, meant=better)
    return found


def _find(listed: EntryQuerySet, asked: Asked, page: Any, size: int) -> Found:
    rows, words = _of_email(listed, asked), _words(asked, is_kept=True)
    counts = facets.count(rows, asked, words)
    keys = _ordered(rows, words, asked, counts.total).values_list("pk", flat=True)
    at: Page[int] = _Counted(keys, size, counts.total).get_page(page)
    return Found(asked=asked, page=at, entries=loaded(list(at)), counts=counts)


def _matching(rows: EntryQuerySet, asked: Asked) -> EntryQuerySet:
    """Those that have the words that are looked for, whatever the facets say."""
    return _of_email(rows, asked).filter(_words(asked))


def _words(asked: Asked, *, is_kept: bool = False) -> Q:
    """Whether an entry has the words that are looked for.

    ``is_kept``: for several questions, to be asked before the next search.
    """
    if not asked.has_words:
        return Q()
    if not asked.terms:
        return Q(pk__in=[])
    if is_kept:
        keep(asked.terms)
    return Q(Matches(asked.terms, is_kept=is_kept))


def _of_email(rows: EntryQuerySet, asked: Asked) -> EntryQuerySet:
    return rows.filter(endorser_email__icontains=asked.email) if asked.email else rows


def _ordered(rows: EntryQuerySet, words: Q, asked: Asked, total: int) -> EntryQuerySet:
    hits = filtered(rows, asked)
    if asked.order == RELEVANCE and asked.terms:
        by = ranked if total <= MOST_RANKED else title_first
        return by(hits, asked.terms, "-is_official", "-created_at", "-pk")
    hits = hits.filter(words)
    if asked.order == RELEVANCE or not asked.sort:
        return hits.best_first()
    first, *then = SORTS[asked.order.removeprefix("-")]
    first = f"-{first}" if asked.order.startswith("-") else first
    return hits.order_by(first, *then, "-created_at", "-pk")


def loaded(keys: list[int]) -> list[Entry]:
    """The entries with these keys, in their order."""
    rows = Entry.objects.defer("words").in_bulk(keys)
    return [rows[key] for key in keys if key in rows]
