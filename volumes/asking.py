"""What may be asked of a disk, by whom, and why not: one truth for buttons and actions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from django.db import transaction

from core.errors import Refused
from registration.models import User
from registration.states import AccountState
from volumes.models import Access, Attachment, Offer, Snapshot, Volume
from volumes.naming import listed
from volumes.states import (
    ARRIVING,
    VOLUME_VERBS,
    OfferState,
    SnapshotState,
    VolumeState,
)

V = VolumeState

#: Whoever may read a disk may ask this; all the rest is its owner's.
READERS = frozenset({"attach", "copy", "download"})
#: What an administrator may ask of everybody's disks: to remove, never to read.
ADMINISTRATORS = frozenset({"delete", "recover", "purge", "cancel", "dismiss"})
#: What would change the disk under who is asked to take it.
NOT_WHILE_OFFERED = frozenset({"offer", "grow", "restore_snapshot"})
#: What no engine does to a disk's file while running machines read from it.
NOT_WHILE_READ = frozenset({"grow", "snapshot", "delete_snapshot"})
#: What must wait until a snapshot that is being taken is there.
NOT_WHILE_TAKING = frozenset({"grow", "restore_snapshot"})
#: What nobody has looked into would be everybody's at once.
NOT_WHILE_OPEN = frozenset({"restore_snapshot"})

#: More machines than these are counted, not named.
MOST_NAMED = 3

#: What the audit calls what is asked, where it has a word of its own.
AUDITED = {"change": "changed", "delete_snapshot": "snapshot_deleted"}

#: What may be asked of a disk, by state: of its snapshots too.
STATES = {**VOLUME_VERBS, "delete_snapshot": frozenset({V.AVAILABLE, V.IN_USE, V.GROWING})}

_WAIT = {
    V.CREATING: "It is being made: wait until it is available.",
    V.CLEARING: "What had come in of it is being removed.",
    V.GROWING: "It is being made larger: wait until that is done.",
    V.RESTORING: "It goes back to a snapshot: wait until that is done.",
    V.AVAILABLE: "No machine has it, and nothing is to be undone.",
    V.BINNED: "It is in the bin: restore it from there first.",
    V.DELETING: "It is being deleted.",
    V.DELETED: "It is deleted.",
    V.FAILED: "It did not come to be.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A disk as one person meets it now. ``holders`` have their machines loaded."""

    volume: Volume
    user: User
    access: Access | None
    holders: Sequence[Attachment]
    offer: Offer | None  # that waits for an answer
    is_taking: bool  # a snapshot

    @classmethod
    def of(cls, volume: Volume, user: User) -> Self:
        offers = Offer.objects.filter(volume=volume, state=OfferState.OFFERED)
        taking = Snapshot.objects.filter(volume=volume, state=SnapshotState.TAKING)
        return cls(
            volume=volume,
            user=user,
            access=volume.access_of(user),
            holders=list(volume.attachments.holding().select_related("vm", "vm__owner")),
            offer=offers.select_related("to").first(),
            is_taking=taking.exists(),
        )

    @property
    def writers(self) -> list[Attachment]:
        return [holder for holder in self.holders if not holder.read_only]

    @property
    def machines(self) -> str:
        """The machines that have it, as this person may know them."""
        return self._named(self.holders)

    def may(self, verb: str) -> bool:
        """Whether this person may ever ask it, whatever the disk's state."""
        if verb in READERS:
            return self.access is not None
        if self.access == Access.OWN:
            return True
        if verb == "offer" and self.user.is_staff:
            return self.volume.owner.state == AccountState.CLOSED  # nobody else can
        return verb in ADMINISTRATORS and self.user.is_staff

    def why_not(self, verb: str) -> str:
        """The sentence that ``verb`` would be refused with now, or ""."""
        refusal = self.refusal(verb)
        return str(refusal) if refusal else ""

    def refusal(self, verb: str) -> Refused | None:
        """The refusal that ``verb`` would meet now, or None.

        Its codes: ``not_yours``, ``disk_state``, ``disk_in_use``, ``disk_written``,
        ``disk_offered``, ``snapshot_taking``, ``disk_open``.
        """
        if not self.may(verb):
            sentence = f"{self.volume} is somebody else's disk: only its owner may do this."
            return Refused("not_yours", sentence)
        if self.volume.state not in STATES[verb]:
            return self._wrong_state()
        if self.offer and verb in NOT_WHILE_OFFERED:
            sentence = f"It is offered to {self.offer.to}: withdraw the offer first."
            return Refused("disk_offered", sentence)
        if self.holders and not self.writers and verb in NOT_WHILE_READ:
            return Refused("disk_in_use", f"It is read by {self.machines}: detach it there first.")
        if self.is_taking and verb in NOT_WHILE_TAKING:
            return Refused("snapshot_taking", "A snapshot of it is being taken: wait for that.")
        if verb in NOT_WHILE_OPEN and self.volume.is_open_image:
            return open_to_all(self.volume)
        return None

    def being_written(self) -> Refused | None:
        """The refusal of what reads the whole disk: ``disk_written``; None: nobody writes."""
        if not self.writers:
            return None
        return Refused(
            "disk_written",
            f"{self._named(self.writers)} may write to it meanwhile: detach it first, or take a "
            "snapshot and use that.",
        )

    def _wrong_state(self) -> Refused:
        if self.volume.state == V.IN_USE:
            sentence = f"It is in use by {self.machines}: detach it first."
            return Refused("disk_in_use", sentence)
        if self.volume.state in ARRIVING:
            return Refused("disk_state", "Its bytes are on their way: wait until it is there.")
        return Refused("disk_state", _WAIT[V(self.volume.state)])

    def _named(self, holders: Sequence[Attachment]) -> str:
        names = sorted({self._name(holder) for holder in holders})
        if len(names) > MOST_NAMED:
            return f"{len(names)} machines"
        return listed(names) or "a machine"

    def _name(self, holder: Attachment) -> str:
        """Whose machines have a disk is told to its owner, and to nobody else."""
        if self.access == Access.OWN or self.user.is_staff or holder.vm.owner_id == self.user.pk:
            return holder.vm_name_for(self.user.pk)
        return "another machine"


def open_to_all(volume: Volume) -> Refused:
    """The refusal of what would change a machine image that everybody has as it is."""
    return Refused(
        "disk_open",
        f"Everybody here can copy {volume} as it is, to boot machines: make it private before it "
        "changes, or use a copy.",
    )


def must(volume: Volume, verb: str, *, by: User) -> Situation:
    """Call it outside of a transaction: a denial outlives it. Raises: Refused: see refusal."""
    situation = Situation.of(volume, by)
    if refusal := situation.refusal(verb):
        if refusal.code == "not_yours":
            volume.record_denial(AUDITED.get(verb, verb), by=by, reason=str(refusal))
        raise refusal
    return situation


@contextmanager
def alone_with(volume: Volume, verb: str, *, by: User) -> Iterator[Situation]:
    """A transaction that has the disk to itself, for somebody who may ask ``verb`` of it now.

    Who asks is locked too: two tabs, one quota; an account that was just closed asks nothing.

    Raises:
        Refused: ``not_active``, and those of ``Situation.refusal``.
    """
    must(volume, verb, by=by)
    with transaction.atomic():
        if not User.objects.select_for_update(no_key=True).get(pk=by.pk).is_active:
            raise Refused("not_active", "Your account is not active; ask an administrator.")
        volume.refresh_from_db(from_queryset=Volume.objects.select_for_update(no_key=True))
        situation = Situation.of(volume, by)
        if refusal := situation.refusal(verb):
            raise refusal
        yield situation
