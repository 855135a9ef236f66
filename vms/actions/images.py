"""Which entry of an image a machine starts from, and what keeps it from doing so."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.timesince import timesince

from core.errors import Refused
from marketplace import reach
from marketplace.architectures import why_foreign
from marketplace.models import Document, Entry, EntryQuerySet
from marketplace.policy import Rules, refusal
from marketplace.states import EntryStatus, Kind, Trust
from registration.models import User
from vms.models import VM, CloudStatus

#: Of the endorsers of one image, so many are looked at.
MOST_CANDIDATES = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry of an image, and why no machine may start from it (None: one may)."""

    entry: Entry
    refused: Refused | None


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a site's answer to a launch depends on, besides the entry: its lists, where it gets
    bytes from, what its machines are, and what who asks may know.
    """

    rules: Rules
    unreached: Mapping[int, str]
    architectures: Sequence[str]
    by: User

    @classmethod
    def about(
        cls, entries: Sequence[Entry], *, by: User, cloud: str = settings.DEFAULT_CLOUD
    ) -> Self:
        return cls(
            rules=Rules.about(entries),
            unreached=reach.refusals(entries, cloud),
            architectures=architectures_of(cloud),
            by=by,
        )


def candidates(
    rows: EntryQuerySet, *, by: User, cloud: str = settings.DEFAULT_CLOUD
) -> list[Candidate]:
    """The entries of ``rows``, those that may be launched first, else in their order."""
    found = list(rows[:MOST_CANDIDATES])
    house = House.about(found, by=by, cloud=cloud)
    judged = [Candidate(entry, obstacle(entry, house)) for entry in found]
    return sorted(judged, key=lambda one: one.refused is not None)


def architectures_of(cloud: str) -> Sequence[str]:
    """What the cloud's machines can be, as a worker heard it last; empty: nobody knows."""
    found = CloudStatus.objects.filter(cloud=cloud).values_list("architectures", flat=True)
    return found.first() or ()


def obstacle(entry: Entry, house: House) -> Refused | None:
    """Why no machine may start from this entry now, in words that name the way out."""
    if refused := _wrong_kind(entry) or _replaced(entry, house.by):
        return refused
    for look in (_deprecated, _out_of_date, _badly_signed):
        if refused := look(entry):
            return refused
    if sentence := house.rules.refusal(entry):
        return Refused("image_policy", sentence)
    if sentence := house.unreached.get(entry.pk, ""):
        return Refused("image_nowhere", sentence)
    return _foreign(entry, house.architectures)


@dataclass(frozen=True, slots=True)
class ImageNews:
    """What is said of a machine's image by now; ``is_seen``: to whoever looks at the machine."""

    is_seen: bool
    sentences: Sequence[str]


def image_news(vm: VM, user: User) -> ImageNews | None:
    """What has changed about the image of a machine since it was launched. None: it has none."""
    entry = vm.entry
    if entry is None:
        return None
    visible = Entry.objects.visible_to(user)
    said = visible.filter(identifier=entry.identifier, endorser_email=entry.endorser_email)
    known = list(said.filter(Q(is_latest=True) | Q(pk=entry.pk)).history())
    is_seen = any(row.pk == entry.pk for row in known)
    return ImageNews(is_seen, list(_news(known[0] if known else entry, vm)))


def _news(newest: Entry, vm: VM) -> Iterator[str]:
    if newest.deprecated:
        since = "since you launched it" if newest.created_at > vm.created_at else "by now"
        yield f"Deprecated {since}: {newest.deprecated}"
    elif newest.valid_until and newest.valid_until <= timezone.now():
        yield f"Expired on {newest.valid_until:%Y-%m-%d}: new machines do not start from it."
    if verdict := refusal(newest):
        yield f"{verdict} This machine is not touched."


def _wrong_kind(entry: Entry) -> Refused | None:
    if entry.kind == Kind.MACHINE:
        return None
    return Refused("image_kind", "This image is a data disk: no machine can boot from it.")


def _replaced(entry: Entry, by: User) -> Refused | None:
    """What is said now is told to nobody who may not read it."""
    if entry.is_latest:
        return None
    said = Entry.objects.visible_to(by).newest().filter(identifier=entry.identifier)
    newest = said.filter(endorser_email=entry.endorser_email).first()
    if newest is None:
        return Refused(
            "image_replaced",
            f"{entry.endorser_email} no longer stands by this entry. Choose another one in the "
            "Marketplace.",
        )
    if newest.deprecated:
        return _deprecated(newest)
    return Refused(
        "image_replaced",
        f"{entry.endorser_email} has said something newer of this image. Launch it by that entry.",
    )


def _deprecated(entry: Entry) -> Refused | None:
    if not entry.deprecated:
        return None
    reason = entry.deprecated.strip().rstrip(".")
    return Refused(
        "image_deprecated",
        f"This image is deprecated: {reason}. So says its endorser, {entry.endorser_email}. "
        "Choose another one in the Marketplace.",
    )


def _out_of_date(entry: Entry) -> Refused | None:
    who = entry.endorser_email
    if entry.status == EntryStatus.UNDATED:
        return Refused(
            "image_undated",
            f"This entry states no end of its validity. Ask its endorser, {who}, to say until "
            "when the image is good.",
        )
    if entry.status != EntryStatus.EXPIRED or entry.valid_until is None:
        return None
    ago = timesince(entry.valid_until, timezone.now(), depth=1)
    return Refused(
        "image_expired",
        f"This image expired on {entry.valid_until:%Y-%m-%d}, {ago} ago. Ask its endorser, {who}, "
        "to extend it, or choose another one in the Marketplace.",
    )


def _badly_signed(entry: Entry) -> Refused | None:
    if entry.trust != Trust.INVALID:
        return None
    document = Document.objects.filter(entry=entry).only("detail").first()
    detail = f": {document.detail.rstrip('.')}" if document and document.detail else ""
    return Refused(
        "image_signature",
        f"The signature of this entry is not valid{detail}. Nobody vouches for the image by it.",
    )


def _foreign(entry: Entry, offered: Sequence[str]) -> Refused | None:
    sentence = why_foreign(entry.os_arch, offered)
    return Refused("image_architecture", sentence) if sentence else None
