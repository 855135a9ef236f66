"""What is taken over from another catalogue, and what is not, each with its reason.

Nothing is deleted and nothing changed in substance: an index that says something new of an image
makes a new entry, and what it lists no more is valid no longer. Taking the same in again, from
the beginning or from the middle, changes nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from marketplace import documents, opening, trusting
from marketplace.architectures import architecture_named
from marketplace.documents import Broken, Metadata, Signature
from marketplace.feeds import Found, Item, Problem, SignedDocument
from marketplace.feeds.naming import host_of
from marketplace.identifiers import provisional_identifier_of
from marketplace.models import Document, Entry, SigningKey, Source
from marketplace.outcomes import Figure, Outcome
from marketplace.policy import Rules
from marketplace.publishing import columns_of, note, publish_document
from marketplace.states import EntryStatus, Trust
from registration.models import User

#: How long an entry of an index is good that does not say until when its image is supported.
VALID_FOR = timedelta(days=183)
#: The end of validity is written anew when it moves by more than this.
MOVED_BY = timedelta(days=7)

_DECLARATION = re.compile(rb"^\s*(?:\xef\xbb\xbf)?<\?xml[^>]{0,200}\?>")


@dataclass(slots=True)
class Import:
    """One pass over a source, and what came of it so far."""

    source: Source
    now: datetime = field(default_factory=timezone.now)
    rules: Rules = field(default_factory=Rules.now)
    outcome: Outcome = field(default_factory=Outcome)
    has_images: bool = False
    taken: set[int] = field(default_factory=set)  # entries that it lists
    files: set[str] = field(default_factory=set)  # identifiers of an index that were met

    def take(self, batch: Sequence[Found]) -> None:
        """Take over what is wanted of a few finds; each once, however often it is done."""
        for problem in batch:
            if isinstance(problem, Problem):
                self.outcome.refuse(problem.what, problem.sentence)
            else:
                self.has_images = True
        items = [one for one in batch if isinstance(one, Item)]
        if items:
            self._take_items(items)
        for one in batch:
            if isinstance(one, SignedDocument):
                self._take_document(one.xml)

    def _take_items(self, items: Iterable[Item]) -> None:
        wanted = {columns["identifier"]: columns for columns in self._wanted(items)}
        email = endorser_of(self.source).lower()
        with transaction.atomic():
            said = Entry.objects.filter(
                endorser_email=email, identifier__in=list(wanted), is_latest=True
            )
            known = {entry.identifier: entry for entry in said.select_for_update(no_key=True)}
            for identifier, columns in wanted.items():
                self._take_item(columns, known.get(identifier))

    def _wanted(self, items: Iterable[Item]) -> Iterator[dict[str, Any]]:
        """The columns of those that are good and wanted; of products of one file, the first."""
        for item in items:
            columns = columns_of_item(item, self.source, self.now)
            if not _is_good(item, self.now):
                self.outcome.count("over")
            elif not is_wanted(Entry(**columns), self.source.wanted):
                self.outcome.count("unwanted")
            elif columns["identifier"] in self.files:
                self.outcome.count("twice")
            else:
                self.files.add(columns["identifier"])
                yield columns

    def _take_item(self, columns: dict[str, Any], last: Entry | None) -> None:
        why = self.rules.refusal(Entry(**columns))
        if why:
            self.outcome.refuse(columns["title"], why)
        elif last is None:
            self._add(columns)
        elif _says_the_same(last, columns) or self._is_anothers(last):
            self.outcome.count("known")
            self.taken.add(last.pk)
            if last.source_id == self.source.pk:
                _renew(last, columns["valid_until"])
        else:
            later = max(columns["created_at"], last.created_at + timedelta(seconds=1))
            self._add({**columns, "created_at": later}, last)

    def _is_anothers(self, last: Entry) -> bool:
        """Two sources of one server may list the same file; whoever was first has it."""
        return last.source_id != self.source.pk and last.status is EntryStatus.VALID

    def _add(self, columns: dict[str, Any], last: Entry | None = None) -> None:
        if last is not None:
            Entry.objects.filter(pk=last.pk).update(is_latest=False)
        entry = Entry.objects.create(**columns, source=self.source, trust=Trust.UNSIGNED)
        if last is not None:
            opening.withdraw_older(entry)
        note(entry, "imported", identifier=entry.identifier, source=self.source.name)
        self.taken.add(entry.pk)
        self.outcome.count("new")

    def _take_document(self, xml: bytes) -> None:
        metadata: Metadata | None = None
        try:
            metadata = documents.parse(xml)
            figure, entry = self._judged(metadata, xml)
        except Broken as broken:
            self.outcome.refuse(_called(metadata, xml), str(broken))
        except Refused as refused:
            # What has been said of it here since is newer: nothing to tell anybody.
            if refused.code == "older":
                self.outcome.count("known")
            else:
                self.outcome.refuse(_called(metadata, xml), str(refused))
        else:
            self.outcome.count(figure)
            if entry is not None:
                self.taken.add(entry.pk)

    def _judged(self, metadata: Metadata, xml: bytes) -> tuple[Figure, Entry | None]:
        """What becomes of it, and the entry that it is here.

        Raises: Broken, Refused.
        """
        if metadata.endorsement is None:
            raise Refused("not_endorsed", "The document has no slreq:endorsement.")
        proposed = Entry(**columns_of(metadata))
        said = Entry.objects.filter(
            identifier=proposed.identifier, endorser_email=proposed.endorser_email
        )
        same = said.filter(created_at=proposed.created_at).select_related("document").first()
        if same and hasattr(same, "document") and _core(same.document.xml) == _core(xml):
            return "known", same
        last = said.filter(is_latest=True).first()
        is_news = last is not None and last.status is EntryStatus.VALID
        if not is_wanted(proposed, self.source.wanted):
            return "unwanted", None
        if not is_news and proposed.status is not EntryStatus.VALID:
            return "over", None
        why = _why_not_theirs(documents.verify(xml), proposed, last, self.source)
        if why := why or self.rules.refusal(proposed):
            raise Refused("not_taken", why)
        return "new", publish_document(xml, owner=None, source=self.source, verb="imported")

    def expire_the_rest(self) -> int:
        """What this source's index listed once and lists no more is valid no longer.

        Signed documents say themselves until when they are good.
        """
        listed = Entry.objects.filter(source=self.source, trust=Trust.UNSIGNED, is_latest=True)
        gone = [entry for entry in listed.with_status(EntryStatus.VALID)
                if entry.pk not in self.taken]  # fmt: skip
        for entry in gone:
            with transaction.atomic():
                Entry.objects.filter(pk=entry.pk).update(valid_until=self.now)
                note(entry, "expired", reason=f"{self.source.name} lists it no more, or not as "
                     "what is wanted of it.")  # fmt: skip
        return len(gone)


def endorser_of(source: Source) -> str:
    """Whom entries of an index are attributed to, as nobody has signed them."""
    return f"images@{host_of(source.url) or 'unknown'}"[:254]


def columns_of_item(item: Item, source: Source, now: datetime) -> dict[str, Any]:
    return {
        "identifier": provisional_identifier_of(item.sha256 or item.sha512),
        "endorser_email": endorser_of(source),
        "endorser_name": source.name,
        "created_at": min(item.created, now).replace(microsecond=0),
        "image_created_at": item.created,
        "valid_until": item.supported_until or (now + VALID_FOR).replace(microsecond=0),
        "title": item.title,
        "alternative": item.tag,
        "description": item.description,
        "publisher": host_of(source.url)[:120],
        "os": item.os,
        "os_version": item.os_version,
        "os_arch": item.os_arch,
        "version": item.version,
        "format": item.format,
        "size_bytes": item.size_bytes,
        "sha256": item.sha256,
        "sha512": item.sha512,
        "locations": [item.location],
        "default_user": item.default_user,
    }


def _is_good(item: Item, now: datetime) -> bool:
    return item.is_supported and (item.supported_until is None or item.supported_until > now)


def _says_the_same(last: Entry, columns: Mapping[str, Any]) -> bool:
    """But for when, and until when: the index is read anew every day."""
    passing = ("created_at", "valid_until")
    return not last.deprecated and all(
        getattr(last, name) == value for name, value in columns.items() if name not in passing
    )


def _renew(last: Entry, until: datetime) -> None:
    if last.valid_until is None or abs(until - last.valid_until) > MOVED_BY:
        Entry.objects.filter(pk=last.pk).update(valid_until=until)


def is_wanted(entry: Entry, wanted: Mapping[str, Any]) -> bool:
    """Whether an administrator's filters let it in; a filter that is empty lets in everything."""
    said = {
        "os": entry.os.casefold(),
        "arch": architecture_named(entry.os_arch),
        "endorser": entry.endorser_email.casefold(),
    }
    for name, value in said.items():
        read = architecture_named if name == "arch" else str.casefold
        allowed = {read(str(one)) for one in wanted.get(name) or ()}
        if allowed and value not in allowed:
            return False
    words = str(wanted.get("words") or "").casefold().split()
    text = " ".join(
        (entry.title, entry.alternative, entry.description, entry.os, entry.os_version,
         entry.version, entry.publisher, entry.endorser_email)
    ).casefold()  # fmt: skip
    return all(word in text for word in words)


def _core(xml: bytes | memoryview) -> bytes:
    """A document without what a list of documents has no room for: its XML declaration."""
    return _DECLARATION.sub(b"", bytes(xml)).strip()


def _why_not_theirs(
    signature: Signature, proposed: Entry, last: Entry | None, source: Source
) -> str:
    """Why this signature does not speak for the address in the document, or "".

    Anybody can make a certificate with any name. So a catalogue elsewhere says nothing in the
    name of people of this site, nor anything new of an image whose endorser has spoken here with
    another key; unless an administrator trusts the certificate.
    """
    email = proposed.endorser_email
    if SigningKey.objects.filter(fingerprint=signature.fingerprint, email__iexact=email).exists():
        return ""
    trusts = trusting.trust_of(signature, proposed.created_at) is Trust.TRUSTED
    if trusts and email.casefold() in {one.casefold() for one in signature.emails}:
        return ""
    if is_of_this_site(email):
        return f"{email} is an address of this site, and the signature is not of its key here."
    if last is None or last.source_id == source.pk:
        return ""  # certificates are renewed; the source knows its endorsers
    known = Document.objects.filter(entry=last, fingerprint=signature.fingerprint)
    return "" if known.exists() else _OTHER_KEY.format(email=email)


_OTHER_KEY = (
    "{email} has endorsed this image here with another key before. Put the certificate on the list "
    "of trusted ones if this one is theirs too."
)


def is_of_this_site(email: str) -> bool:
    """Whether it is the site's own address, or that of somebody with an account."""
    if email.casefold() == parseaddr(settings.DEFAULT_FROM_EMAIL)[1].casefold():
        return True
    official = Entry.objects.filter(is_official=True, endorser_email__iexact=email)
    return User.objects.filter(email__iexact=email).exists() or official.exists()


def _called(metadata: Metadata | None, xml: bytes) -> str:
    """What a refused document is called in the list of them."""
    if metadata is None:
        return f"A document of {len(xml):,} bytes"
    by = f" by {metadata.endorsement.email}" if metadata.endorsement else ""
    return f"{metadata.title or metadata.identifier}{by}"
