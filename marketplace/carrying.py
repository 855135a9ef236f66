"""Documents on their way through the upload page: read, judged, carried from answer to question.

The page carries their bytes as they came, so a form that is refused loses nothing, and what is
published is what was previewed.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from core import sizes
from marketplace.documents import Broken, Problem
from marketplace.judging import Judged, Outcome, documents_in, judge
from marketplace.models import Entry, Pending
from registration.models import User

#: Documents that one page carries, and their bytes: a form without files has 2.5 MiB at most.
MOST_DOCUMENTS = 50
MOST_BYTES = 1_700_000
PASTED = "Pasted text"


@dataclass(slots=True, kw_only=True)
class Carried:
    """One document on the page. ``made`` of it, or why not, once it was to be published."""

    name: str
    judged: Judged
    made: Entry | Pending | None = None
    refusal: str = ""
    index: int = 0

    @property
    def text(self) -> str:
        """Its bytes, for a hidden field."""
        return base64.b64encode(self.judged.xml).decode()

    @property
    def is_bad(self) -> bool:
        return bool(self.judged.problems or self.refusal)

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
    def preview(self) -> Entry | None:
        return self.judged.preview()


@dataclass(slots=True, kw_only=True)
class Load:
    """All documents of one page, each once."""

    by: User | None
    documents: list[Carried] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    total: int = 0

    def __contains__(self, xml: bytes) -> bool:
        return any(one.judged.xml == xml for one in self.documents)

    def take(self, name: str, came: bytes) -> None:
        """Judge what came: a document, or a list of some."""
        try:
            found = documents_in(came)
        except Broken as broken:
            self._add(name, Judged(xml=came, outcome=Outcome.REFUSED, problems=broken.problems))
            return
        for number, xml in enumerate(found, start=1):
            if xml not in self:
                named = f"{name}, document {number}" if len(found) > 1 else name
                self._add(named, judge(xml, by=self.by))

    def _add(self, name: str, judged: Judged) -> None:
        if len(self.documents) >= MOST_DOCUMENTS or self.total + len(judged.xml) > MOST_BYTES:
            self.refusals.append(
                f"{name} was left out: a page takes {MOST_DOCUMENTS} documents, and "
                f"{sizes.in_words(MOST_BYTES)} of them. Publish these first."
            )
            return
        self.total += len(judged.xml)
        self.documents.append(Carried(name=name, judged=judged, index=len(self.documents)))

    def take_file(self, file: "UploadedFile[Any]") -> None:
        limit = settings.PORTAL_METADATA_KIB << 10
        name = (file.name or "A file")[:200]
        if file.size and file.size > limit:
            self._add(name, _refused("too_large", f"It has {sizes.in_words(file.size)}; a document "
                                     f"has at most {sizes.in_words(limit)}."))  # fmt: skip
            return
        self.take(name, file.read())

    def take_back(self, names: Sequence[str], texts: Sequence[str], *, but: int | None) -> None:
        """What an earlier answer of the page carried, ``but`` the one of that number."""
        for index, (name, text) in enumerate(zip(names, texts, strict=False)):
            if index == but:
                continue
            try:
                xml = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                self.refusals.append(f"{name[:200]} did not come back whole. Choose it again.")
                continue
            if xml not in self:
                self._add(name[:200], judge(xml, by=self.by))

    def ready(self) -> Iterator[Carried]:
        return (one for one in self.documents if one.can_be_published)


def _refused(code: str, sentence: str) -> Judged:
    problem = Problem(code=code, element="", sentence=sentence)
    return Judged(xml=b"", outcome=Outcome.REFUSED, problems=(problem,))


def bytes_of(pasted: str) -> bytes:
    """Pasted text as the file it was: a browser sends its lines with CR and LF."""
    text = pasted.replace("\r\n", "\n").strip()
    return f"{text}\n".encode() if text else b""
