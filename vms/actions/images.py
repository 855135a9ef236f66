"""Which entry of an image a machine starts from, and what keeps it from doing so."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.timesince import timesince

from core.errors import Refused
from marketplace.models import Document, Entry, EntryQuerySet
from marketplace.policy import Rules, refusal
from marketplace.states import EntryStatus, Kind, Trust
from registration.models import User
from vms.models import VM, CloudStatus

#: Of the endorsers of one image, so many are looked at.
MOST_CANDIDATES = 50
#: Other names of architectures; QEMU's own are kept.
_ALIASES: Mapping[str, str] = {
    "amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64",
    "i386": "i686", "i486": "i686", "i586": "i686", "x86": "i686",
    "arm64": "aarch64", "ppc64el": "ppc64le", "powerpc64le": "ppc64le",
}  # fmt: skip
#: What a machine of an architecture runs besides its own.
_RUNS: Mapping[str, frozenset[str]] = {"x86_64": frozenset({"i686"})}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry of an image, and why no machine may start from it (None: one may)."""

    entry: Entry
    refused: Refused | None


def candidates(rows: EntryQuerySet, *, cloud: str = settings.DEFAULT_CLOUD) -> list[Candidate]:
    """The entries of ``rows``, those that may be launched first, else in their order."""
    found = list(rows[:MOST_CANDIDATES])
    rules, offered = Rules.about(found), architectures_of(cloud)
    judged = [Candidate(entry, obstacle(entry, rules, offered)) for entry in found]
    return sorted(judged, key=lambda one: one.refused is not None)


def architectures_of(cloud: str) -> Sequence[str]:
    """What the cloud's machines can be, as a worker heard it last; empty: nobody knows."""
    found = CloudStatus.objects.filter(cloud=cloud).values_list("architectures", flat=True)
    return found.first() or ()


def obstacle(entry: Entry, rules: Rules, architectures: Sequence[str] = ()) -> Refused | None:
    """Why no machine may start from this entry now, in words that name the way out."""
    for look in (_wrong_kind, _replaced, _deprecated, _out_of_date, _badly_signed):
        if refused := look(entry):
            return refused
    if sentence := rules.refusal(entry):
        return Refused("image_policy", sentence)
    return _foreign(entry, architectures)


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


def _replaced(entry: Entry) -> Refused | None:
    if entry.is_latest:
        return None
    newest = newest_word(entry)
    if newest and newest.deprecated:
        return _deprecated(newest)
    return Refused(
        "image_replaced",
        f"{entry.endorser_email} has said something newer of this image. Launch it by that entry.",
    )


def newest_word(entry: Entry) -> Entry | None:
    """What its endorser says of the image by now."""
    said = Entry.objects.newest().filter(identifier=entry.identifier)
    return said.filter(endorser_email=entry.endorser_email).first()


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
    if not offered or not entry.os_arch or can_run(entry.os_arch, offered):
        return None
    return Refused(
        "image_architecture",
        f"This image is for {entry.os_arch}; the machines of this site are {', '.join(offered)}.",
    )


def can_run(architecture: str, offered: Iterable[str]) -> bool:
    """Whether a machine of one of ``offered`` runs what is made for ``architecture``."""
    wanted = _named(architecture)
    return any(wanted == _named(own) or wanted in _RUNS.get(_named(own), ()) for own in offered)


def _named(architecture: str) -> str:
    name = architecture.strip().lower()
    return _ALIASES.get(name, name)
