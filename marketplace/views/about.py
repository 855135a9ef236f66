"""Everything that the page of an entry shows, in a number of queries that nothing makes larger."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db.models import Count, Max, Q, Sum
from django.http import HttpRequest
from django.urls import reverse

from marketplace import identifiers, policy, reach, traces
from marketplace.actions.endorsing import may_speak_for
from marketplace.actions.readers import may_set_readers
from marketplace.models import (
    Document,
    Entry,
    EntryQuerySet,
    ImageFile,
    Inspection,
    LocationCheck,
    Publication,
    TestedSize,
    Use,
)
from marketplace.states import Compression, EntryStatus, Trust, Visibility

#: Endorsements of one image, and versions of it, that its page lists; lists show the others.
MOST_LISTED = 50
MOST_VERSIONS = 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,120}")
#: Programs that write what is inside to their output.
_UNPACKERS = {
    Compression.GZIP: "gunzip --stdout", Compression.BZIP2: "bunzip2 --stdout",
    Compression.XZ: "xz --decompress --stdout", Compression.ZSTD: "zstd --decompress --stdout",
}  # fmt: skip
_ENDINGS = {ending: f".{ending}" for ending in _UNPACKERS}


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes are, and what was found there last."""

    url: str
    check: LocationCheck | None

    @property
    def is_web(self) -> bool:
        return self.url.lower().startswith(("https://", "http://"))

    @property
    def is_here(self) -> bool:
        return self.url.startswith(f"{settings.PORTAL_URL}/")

    @property
    def is_disk(self) -> bool:
        return self.url.lower().startswith("pdisk:")


@dataclass(frozen=True, slots=True)
class Kin:
    label: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Word:
    """What an entry is worth now: by its own status, or by what its endorser has said since."""

    label: str
    deprecated: str = ""  # the reason, a sentence
    newest: Entry | None = None  # the endorser's last word, if it is another one

    @classmethod
    def of(cls, shown: Entry, newest: Entry | None) -> Self:
        if shown.is_latest:
            return cls(shown.status.label, _sentence(shown.deprecated))
        if newest is not None and newest.deprecated:
            return cls("Replaced, and deprecated since", _sentence(newest.deprecated), newest)
        return cls("Replaced", newest=newest)


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."


def about(request: HttpRequest, shown: Entry) -> dict[str, Any]:
    visible = Entry.objects.visible_to(request.user)
    said = visible.filter(identifier=shown.identifier)
    candidates = list(said.launchable().exclude(trust=Trust.INVALID)[:MOST_LISTED])
    looked_at = {one.pk: one for one in (shown, *candidates)}.values()
    refusals = dict(reach.refusals(looked_at))
    refusals |= {key: why for key, why in policy.verdicts(looked_at).items() if why}
    allowed = [one for one in candidates if one.pk not in refusals]
    history = list(said.history()[: MOST_LISTED + 1])
    document = Document.objects.filter(entry=shown).defer("xml").first()
    locations = _locations(shown)
    acts = _acts(request, shown)
    return {
        "entry": shown,
        "document": document,
        "certificate": _certificate(shown, document),
        "history": history[:MOST_LISTED],
        "has_more_history": len(history) > MOST_LISTED,
        "word": Word.of(shown, None if shown.is_latest else _newest(said, shown)),
        "can_launch": shown in allowed,
        "instead": allowed[0] if allowed and shown not in allowed else None,
        "refusal": refusals.get(shown.pk, ""),
        "locations": locations,
        "file_url": _file_url(shown, locations),
        "file_page": _file_page(shown),
        "verify_command": verify_command(shown),
        "tested": _tested(said),
        "used": _used(said),
        "versions": _versions(visible, shown),
        "copies": list(_copies(request, shown)),
        "acts": acts,
        "publication": _publication(request, shown),
        "reports": _reports(shown) if acts.get("readers") else [],
        "kin": _kin(shown),
        "is_tag_in_use": bool(shown.alternative) and _is_tag_in_use(visible, shown),
        "permalink": f"{settings.PORTAL_URL}{shown.permalink}",
        "crumbs": [{"label": "Marketplace", "url": reverse("marketplace:catalogue")}],
    }


def _publication(request: HttpRequest, shown: Entry) -> Publication | None:
    """The latest wish to open it, for who asked and for administrators."""
    if shown.visibility == Visibility.PUBLIC or not request.user.is_authenticated:
        return None
    rows = Publication.objects.visible_to(request.user).filter(entry=shown)
    return rows.order_by("-pk").first()


def _reports(shown: Entry) -> list[Inspection]:
    return list(traces.reports(traces.disks_to_look_into(shown)).values())


def _newest(said: EntryQuerySet, shown: Entry) -> Entry | None:
    return said.newest().filter(endorser_email=shown.endorser_email).first()


def _certificate(shown: Entry, document: Document | None) -> str:
    """How its certificate's dates and the endorsement stand to each other, as one word."""
    if document is None or document.not_after is None or document.not_before is None:
        return ""
    if document.not_after < shown.created_at:
        return "over_before"
    if document.not_before > shown.created_at:
        return "not_yet"
    return "over_since" if document.has_expired_certificate else "good"


def _locations(shown: Entry) -> list[Location]:
    known = {check.url: check for check in LocationCheck.objects.filter(url__in=shown.locations)}
    return [Location(url, known.get(url)) for url in shown.locations]


def _file_url(shown: Entry, locations: Sequence[Location]) -> str:
    """Where a browser gets the file; "" if it cannot."""
    return next((one.url for one in locations if one.is_web), "")


def _file_page(shown: Entry) -> str:
    """Where this site serves the file itself; "" if it does not keep it."""
    return reverse("marketplace:file", args=[shown.identifier]) if shown.is_kept_here else ""


def verify_command(shown: Entry) -> str:
    """A line for a shell that checks a copy of the file against its best checksum.

    Checksums are of what is inside: a packed file is unpacked on the way, and stays packed.
    """
    for program, digest in (
        ("sha256sum", shown.sha256), ("sha512sum", shown.sha512), ("sha1sum", shown.sha1),
    ):  # fmt: skip
        if not digest:
            continue
        if unpack := _UNPACKERS.get(Compression(shown.compression)):
            return f"{unpack} {_file_name(shown)} | {program} --check <(echo '{digest}  -')"
        return f"echo '{digest}  {_file_name(shown)}' | {program} --check"
    return ""


def _file_name(shown: Entry) -> str:
    """As its first location calls it, if that is safe in a shell."""
    if shown.is_kept_here:
        return shown.file_name
    for url in shown.locations:
        name = unquote(urlsplit(url).path.rpartition("/")[2]) if "://" in url else ""
        if _PLAIN_NAME.fullmatch(name):
            return name
    return f"{shown.file_name}{_ENDINGS.get(Compression(shown.compression), '')}"


def _used(said: EntryQuerySet) -> Mapping[str, Any]:
    """How often it was launched by what the reader may see, and by how many: nobody is named."""
    uses = Use.objects.filter(entry__in=said)
    return uses.aggregate(
        launches=Sum("launches"), people=Count("user", distinct=True), last_at=Max("last_at")
    )


def _tested(said: EntryQuerySet) -> list[Mapping[str, Any]]:
    """Sizes that machines of these entries came up with, the smallest first."""
    sizes = TestedSize.objects.filter(entry__in=said).order_by("memory_mib", "vcpus", "size")
    by_size = sizes.values("size", "vcpus", "memory_mib")
    return list(by_size.annotate(times=Sum("times"), last_at=Max("last_at"))[:MOST_VERSIONS])


def _is_tag_in_use(visible: EntryQuerySet, shown: Entry) -> bool:
    """Whether the tag leads to an image now."""
    own = visible.newest().filter(endorser_email=shown.endorser_email, deprecated="")
    return own.filter(alternative=shown.alternative).exists()


def _versions(visible: EntryQuerySet, shown: Entry) -> list[Entry]:
    """Other images that its endorser says are versions of this one, newest first."""
    related = Q(is_version_of=shown.identifier)
    if shown.alternative:
        related |= Q(alternative=shown.alternative)
    if shown.is_version_of:
        related |= Q(is_version_of=shown.is_version_of) | Q(identifier=shown.is_version_of)
    rows = visible.newest().filter(related, endorser_email=shown.endorser_email)
    return list(rows.exclude(identifier=shown.identifier).history()[:MOST_VERSIONS])


def _copies(request: HttpRequest, shown: Entry) -> Any:
    seen = ImageFile.objects.visible_to(request.user).filter(identifier=shown.identifier)
    return seen.order_by("cloud")


def _kin(shown: Entry) -> list[Kin]:
    """The images that it names, with an address where they are named by identifier."""
    said = (
        ("Replaces", shown.replaces),
        ("Replaced by", shown.is_replaced_by),
        ("Version of", shown.is_version_of),
    )
    return [Kin(label, name, _url_of(name)) for label, name in said if name]


def _url_of(name: str) -> str:
    return reverse("marketplace:entry", args=[name]) if identifiers.is_identifier(name) else ""


def _acts(request: HttpRequest, shown: Entry) -> Mapping[str, bool]:
    """What this person may ask for: the endorser's own word is theirs to change."""
    user = request.user
    if not user.is_authenticated or not shown.is_latest:
        return {}
    is_theirs = may_speak_for(shown, user)
    is_in_use = shown.status is not EntryStatus.DEPRECATED
    return {
        "extend": is_theirs and is_in_use,
        "deprecate": is_theirs and is_in_use,
        "remove": is_theirs and is_in_use and shown.is_on_pdisk,
        "endorse": not is_theirs and is_in_use and shown.trust != Trust.INVALID,
        "again": is_theirs,
        "readers": may_set_readers(shown, user),
    }
