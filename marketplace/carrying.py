"""Documents on their way through the upload page: read, judged, carried from answer to question.

The page carries their bytes as they came, so a form that is refused loses nothing, and what is
published is what was previewed.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from core import sizes
from core.errors import Refused
from marketplace import opening
from marketplace.documents import Broken, Problem
from marketplace.judging import Judged, Outcome, documents_in, judge
from marketplace.models import Entry, Pending
from registration.models import User

#: Documents that one page carries, and their bytes: a form without files has 2.5 MiB at most.
MOST_DOCUMENTS = 50
MOST_BYTES = 1_700_000
PASTED = "Pasted text"
_UNREAD = frozenset({"empty", "too_large", "too_many_documents"})


@dataclass(slots=True, kw_only=True)
class Carried:
    """One document on the page. ``made`` of it, or why not, once it was to be published."""

    name: str
    judged: Judged
    made: Entry | Pending | None = None
    refusal: str = ""

    @property
    def text(self) -> str:
        """Its bytes, for a hidden field; "" if they were too many to be carried."""
        return base64.b64encode(self.judged.xml).decode()

    @property
    def key(self) -> str:
        """What the page calls it."""
        return _key(self.judged.xml)

    @property
    def is_bad(self) -> bool:
        return bool(self.judged.problems or self.refusal)

    @property
    def was_looked_at(self) -> bool:
        """Else what is said of it is nothing that another signature would mend."""
        return not any(problem.code in _UNREAD for problem in self.judged.problems)

    @property
    def can_be_published(self) -> bool:
        return self.made is None and self.judged.outcome in (Outcome.PUBLISHED, Outcome.MAILED)

    @property
    def entry(self) -> Entry | None:
        """The entry that it is, if there is one that can be opened."""
        return self.made if isinstance(self.made, Entry) else self.judged.entry

    @property
    def asked(self) -> str:
        """Whom a mail has gone to."""
        return self.made.email if isinstance(self.made, Pending) else ""

    @property
    def awaits_approval(self) -> bool:
        """Whether it is an entry of its owner's alone until an administrator has answered."""
        return isinstance(self.made, Entry) and self.made.publications.waiting().exists()

    @property
    def preview(self) -> Entry | None:
        return self.judged.preview()


#: Counts documents before they are judged; the second is whether they were judged before.
Brake = Callable[[int, bool], None]


def _no_brake(many: int, are_known: bool) -> None:
    """For a page that carries none."""


@dataclass(slots=True, kw_only=True)
class Load:
    """All documents of one page, each once."""

    by: User | None
    brake: Brake = _no_brake
    documents: list[Carried] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    total: int = 0
    seen: set[bytes] = field(default_factory=set)

    @property
    def asks_first(self) -> bool:
        """Whether an administrator is asked before everybody reads what is published."""
        return opening.asks_first(self.by)

    def take(self, name: str, came: bytes) -> None:
        """Judge what came: a document, or a list of some.

        Raises: Refused: by the brake.
        """
        if came in self.seen:
            return
        self.brake(1, False)
        try:
            found = documents_in(came)
        except Broken as broken:
            self._keep(name, Judged(xml=came, outcome=Outcome.REFUSED, problems=broken.problems))
            return
        many = range(1, len(found) + 1)
        named = [f"{name}, document {number}" for number in many] if len(found) > 1 else [name]
        fresh = self._fitting(name, list(zip(named, found, strict=True)))
        if len(fresh) > 1:
            self.brake(len(fresh) - 1, False)
        for each, xml in fresh:
            self._add(each, judge(xml, by=self.by))

    def _fitting(self, name: str, found: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """The first of those that are new, as many as there is room for; none is judged yet."""
        fresh = list({xml: (named, xml) for named, xml in found if xml not in self.seen}.values())
        room, left = MOST_DOCUMENTS - len(self.documents), MOST_BYTES - self.total
        for count, (_, xml) in enumerate(fresh):
            left -= len(xml)
            if count == room or left < 0:
                self._leave_out(name, len(fresh) - count, is_all=len(found) == 1)
                return fresh[:count]
        return fresh

    def _leave_out(self, name: str, count: int, *, is_all: bool) -> None:
        what = f"{name} was" if is_all else f"{count:,} of {name} were"
        self.refusals.append(
            f"{what} left out: a page takes {MOST_DOCUMENTS} documents, and "
            f"{sizes.in_words(MOST_BYTES)} of them. Publish these first."
        )

    def _keep(self, name: str, judged: Judged) -> None:
        """One that was not judged, if there is room."""
        if self._fitting(name, [(name, judged.xml)]):
            self._add(name, judged)

    def _add(self, name: str, judged: Judged) -> None:
        self.total += len(judged.xml)
        if judged.xml:  # of those that are too large nothing is kept, so two look the same
            self.seen.add(judged.xml)
        self.documents.append(Carried(name=name, judged=judged))

    def take_file(self, file: "UploadedFile[Any]") -> None:
        """Raises: Refused: by the brake."""
        limit = settings.PORTAL_METADATA_KIB << 10
        name = (file.name or "A file")[:200]
        if file.size and file.size > limit:
            self._keep(name, _refused("too_large", f"It has {sizes.in_words(file.size)}; a document"
                                      f" has at most {sizes.in_words(limit)}."))  # fmt: skip
        elif not file.size:
            self._keep(name, _refused("empty", "It is empty."))
        else:
            self.take(name, file.read())

    def take_back(self, names: Sequence[str], texts: Sequence[str], *, but: str = "") -> None:
        """What an earlier answer of the page carried, ``but`` the one that it called so."""
        came = list(self._unpacked(names, texts))
        fitting = self._fitting("this page", [one for one in came if _key(one[1]) != but])
        why = self._braked(len(fitting))
        for name, xml in fitting:
            if why:  # nothing is lost: it is judged when it comes back once more
                self._add(name, _refused("too_many_documents", why, xml))
            else:
                self._add(name, judge(xml, by=self.by))

    def _braked(self, many: int) -> str:
        try:
            if many:
                self.brake(many, True)
        except Refused as refused:
            return f"It was not looked at. {refused}"
        return ""

    def _unpacked(self, names: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for name, text in zip(names, texts, strict=False):
            try:
                xml = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                self.refusals.append(f"{name[:200]} did not come back whole. Choose it again.")
                continue
            if xml:
                yield name[:200], xml

    def ready(self) -> Iterator[Carried]:
        return (one for one in self.documents if one.can_be_published)


def _refused(code: str, sentence: str, xml: bytes = b"") -> Judged:
    problem = Problem(code=code, element="", sentence=sentence)
    return Judged(xml=xml, outcome=Outcome.REFUSED, problems=(problem,))


def _key(xml: bytes) -> str:
    return hashlib.sha256(xml).hexdigest()[:16]


def bytes_of(pasted: str) -> bytes:
    """Pasted text as the file it was: a browser sends its lines with CR and LF."""
    text = pasted.replace("\r\n", "\n").strip()
    return f"{text}\n".encode() if text else b""
