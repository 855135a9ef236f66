"""What the address of the catalogue asks for, and addresses that ask for something else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.http import QueryDict

from marketplace.search.tokens import Term, terms_of
from marketplace.states import EntryStatus, Kind

LONGEST_TEXT = 200
#: Values of one filter that count.
MOST_VALUES = 20
ANY = "all"
STATUSES = {
    EntryStatus.VALID.value: "Valid now",
    EntryStatus.EXPIRED.value: "Expired",
    EntryStatus.DEPRECATED.value: "Deprecated",
    ANY: "Any status",
}
LOCATIONS = {"web": "On the web", "pdisk": "On a disk of a site"}
KINDS = {Kind.MACHINE.value: "Machine images", Kind.DISK.value: "Data disks"}
VIEWS = ("cards", "table")
RELEVANCE, NEWEST = "relevance", "-date"
#: Sort words, each with its columns; a minus before the word turns the first of them round.
SORTS: Mapping[str, tuple[str, ...]] = {
    "date": ("created_at",),
    "os": ("os", "os_version"),
    "version": ("os_version", "os"),
    "arch": ("os_arch",),
    "kind": ("kind",),
    "endorser": ("endorser_email",),
    "valid": ("valid_until",),
}
SORT_LABELS = {
    NEWEST: "Newest first",
    "date": "Oldest first",
    "os": "Operating system",
    "version": "Version of the system",
    "arch": "Architecture",
    "kind": "Kind",
    "endorser": "Endorser",
    "-valid": "Valid longest first",
    "valid": "Ends soonest first",
}
#: Filters that are lists, each with its column.
LISTS: Mapping[str, str] = {
    "os": "os", "version": "os_version", "arch": "os_arch", "kind": "kind",
    "endorser": "endorser_email", "tag": "alternative",
}  # fmt: skip
#: Those of which "Debian" and "debian" are one value.
FOLDED = ("os", "version", "arch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Each list: any of these values. What makes no sense in an address is left out."""

    q: str = ""
    exact: bool = False  # the words as they are, though nothing has them
    os: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    endorser: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    official: bool = False
    status: str = EntryStatus.VALID.value
    location: str = ANY
    creator: str = ""
    email: str = ""
    description: str = ""
    sort: str = ""
    view: str = VIEWS[0]

    @classmethod
    def of(cls, query: QueryDict) -> "Asked":
        said: dict[str, Any] = {
            name: _text(query.get(name)) for name in ("q", "creator", "email", "description")
        }
        said |= {name: _values(query.getlist(name), name in FOLDED) for name in LISTS}
        said["endorser"] = tuple(address.lower() for address in said["endorser"])
        status, location = query.get("status", ""), query.get("location", "")
        sort, view = query.get("sort", ""), query.get("view", "")
        return cls(
            **said,
            exact=query.get("exact") == "1",
            official=query.get("official") == "1",
            status=status if status in STATUSES else EntryStatus.VALID.value,
            location=location if location in LOCATIONS else ANY,
            sort=sort if sort == RELEVANCE or sort.removeprefix("-") in SORTS else "",
            view=view if view in VIEWS else VIEWS[0],
        )

    @property
    def terms(self) -> tuple[Term, ...]:
        """What the index is asked; empty too if the search has signs only."""
        return (
            *terms_of(self.q),
            *terms_of(self.creator, part="makers"),
            *terms_of(self.description, part="about"),
        )

    @property
    def has_words(self) -> bool:
        return bool(self.q or self.creator or self.description)

    @property
    def order(self) -> str:
        """The sort word that counts: by relevance if words are looked for, else the newest."""
        if self.sort == RELEVANCE and not self.has_words:
            return NEWEST
        return self.sort or (RELEVANCE if self.has_words else NEWEST)

    @property
    def is_filtered(self) -> bool:
        return replace(self, sort="", view=VIEWS[0]) != Asked()

    @property
    def has_more(self) -> bool:
        """Whether one of the fields is used that few need."""
        return bool(self.creator or self.email or self.description)

    def with_(self, **changes: Any) -> str:
        """The address that asks for the same, but for ``changes``; its first page."""
        return f"?{replace(self, **changes).query}"

    def toggled(self, name: str, values: Iterable[str]) -> dict[str, str]:
        """The addresses that ask for the same with each of ``values`` added, or left out."""
        said = self._said()
        now = getattr(self, name)
        found = {}
        for value in values:
            kept = tuple(one for one in now if one != value)
            said[name] = _said(name, kept if len(kept) < len(now) else (*now, value))
            found[value] = f"?{_joined(said)}"
        return found

    @property
    def query(self) -> str:
        """As short as it can be: what is as by default is left out."""
        return _joined(self._said())

    def _said(self) -> dict[str, str]:
        """What the address says of each field, "" for what is as by default."""
        return {
            field.name: "" if value == field.default else _said(field.name, value)
            for field in fields(self)
            for value in [getattr(self, field.name)]
        }

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What a form of words has to carry along; pairs of name and value."""
        others = replace(self, q="", exact=False, creator="", email="", description="")
        return parse_qsl(others.query)


def _said(name: str, value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return urlencode([(name, "1" if one is True else one) for one in values])


def _joined(said: Mapping[str, str]) -> str:
    return "&".join(filter(None, said.values()))


def _text(value: str | None) -> str:
    return " ".join((value or "").replace("\0", " ").split())[:LONGEST_TEXT]


def _values(values: list[str], is_folded: bool) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for value in values[:MOST_VALUES]:
        plain = value.replace("\0", "")[:LONGEST_TEXT]
        found.setdefault(plain.casefold() if is_folded else plain, plain)
    return tuple(filter(None, found.values()))
