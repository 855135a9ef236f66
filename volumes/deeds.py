"""The buttons of a disk's page: what its reader may ever ask, and why not now."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.urls import reverse

from volumes.asking import Situation, open_to_all
from volumes.models import BOOTABLE, PLUGGABLE, Access
from volumes.states import GONE, VolumeState

_IN_BIN = frozenset({"recover", "purge"})
#: Only there while it can be asked; nobody looks for it otherwise.
_FLEETING = _IN_BIN | {"cancel", "dismiss"}
#: Posts that ask no question first: these undo, or end what is not there yet.
_AT_ONCE = frozenset({"recover", "cancel", "dismiss"})


@dataclass(frozen=True, slots=True)
class Deed:
    verb: str
    label: str
    icon: str
    url: str
    why_not: str  # "" while it can be asked
    style: str = "outline-secondary"

    @property
    def is_post(self) -> bool:
        return self.verb in _AT_ONCE


_LABELS: tuple[tuple[str, str, str, str], ...] = (
    ("recover", "Restore from the bin", "refresh", "primary"),
    ("dismiss", "Dismiss", "x", "primary"),
    ("copy", "Copy", "copy", "outline-secondary"),
    ("change", "Change", "edit", "outline-secondary"),
    ("grow", "Make larger", "plus", "outline-secondary"),
    ("offer", "Hand over", "users", "outline-secondary"),
    ("cancel", "Cancel", "stop", "outline-danger"),
    ("delete", "Delete", "trash", "outline-danger"),
    ("purge", "Delete for good", "trash", "outline-danger"),
)


def of(situation: Situation) -> list[Deed]:
    """The page's buttons, in their order; none of what this reader may never ask."""
    return [*_launch(situation), *_asked(situation)]


def reasons(deeds: Sequence[Deed]) -> list[tuple[str, str]]:
    """Why some cannot be asked now: for each sentence the labels that it is about."""
    found: dict[str, list[str]] = {}
    for deed in deeds:
        if deed.why_not:
            found.setdefault(deed.why_not, []).append(deed.label)
    return [(", ".join(labels), sentence) for sentence, labels in found.items()]


def _launch(situation: Situation) -> Iterator[Deed]:
    volume = situation.volume
    writes = situation.access in (Access.OWN, Access.WRITE)
    if volume.type in BOOTABLE and writes and volume.state == VolumeState.AVAILABLE:
        url = f"{reverse('vms:launch')}?disk={volume.uuid}"
        why_not = str(open_to_all(volume)) if volume.is_open_image else ""
        yield Deed("launch", "Launch a machine from it", "launch", url, why_not, "primary")
    if volume.type in PLUGGABLE and situation.access and volume.state == VolumeState.AVAILABLE:
        url = f"{reverse('vms:launch')}?disks={volume.uuid}"
        yield Deed("launch", "Launch a machine with it", "launch", url, "")


def _asked(situation: Situation) -> Iterator[Deed]:
    volume = situation.volume
    is_over = volume.state in GONE | {VolumeState.BINNED, VolumeState.DELETING}
    for verb, label, icon, style in _LABELS:
        if not situation.may(verb) or (verb in _FLEETING and verb not in volume.verbs):
            continue
        if is_over and verb not in _FLEETING:
            continue
        url = reverse(f"volumes:{verb}", args=[volume.uuid])
        yield Deed(verb, label, icon, url, situation.why_not(verb), style)
