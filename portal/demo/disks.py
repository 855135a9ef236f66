"""Made-up disks: of the people who have made-up machines, and some of them in these."""

import hashlib
import itertools
import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from core.models import Event
from marketplace.identifiers import identifier_of
from portal.demo import words
from portal.demo.making import BATCH, make
from registration.models import GIB, User
from vms.models import VM
from vms.states import VmState
from volumes.models import (
    MACHINE_IMAGES,
    Access,
    Attachment,
    DiskType,
    Origin,
    Share,
    Visibility,
    Volume,
)
from volumes.states import AttachmentState, VolumeState

S = VolumeState

#: So many of a hundred are in each state.
_STATES = ((70, S.AVAILABLE), (18, S.IN_USE), (6, S.BINNED), (4, S.FAILED), (2, S.DELETED))
_TYPES = ((80, DiskType.DATA_IMAGE_RAW_READ_WRITE), (15, DiskType.DATA_IMAGE_RAW_READONLY),
          (5, DiskType.MACHINE_IMAGE_LIVE))  # fmt: skip
_SIZES_GIB = (1, 1, 2, 5, 10, 10, 20, 50, 100, 250)


def add_disks(count: int, owners: Sequence[User], cloud: str, now: datetime) -> None:
    """Add so many disks of ``owners``, in batches; those in use are in machines that run.

    There must be such a machine.
    """
    rng = random.Random(count)  # noqa: S311  (made up, not secret)
    running = itertools.cycle(VM.objects.filter(cloud=cloud, state=VmState.RUNNING))
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        disks = make(_disk(rng, start + n, owners, cloud, now) for n in range(size))
        make(_plugged(disk, running) for disk in disks if disk.state == S.IN_USE)
        make(_share(rng, disk, owners) for disk in disks if rng.random() < 0.05)
        make(_history(disk) for disk in disks)


def remove_disks(cloud: str) -> None:
    """Remove what ``add_disks`` made."""
    made_up = Volume.objects.filter(cloud=cloud)
    Event.objects.filter(subject__in=made_up.values("uuid")).delete()
    Attachment.objects.filter(volume__in=made_up).delete()
    made_up.delete()


def _disk(
    rng: random.Random, number: int, owners: Sequence[User], cloud: str, now: datetime
) -> Volume:
    state = _one_of(rng, _STATES)
    came_in = rng.random() < 0.3
    content = f"disk {number}".encode()
    sha1 = hashlib.sha1(content).hexdigest() if came_in else ""  # noqa: S324  (the identifier's)
    size = rng.choice(_SIZES_GIB) * GIB
    visibility = rng.choice((Visibility.PRIVATE,) * 4 + (Visibility.PUBLIC,))
    type_ = _one_of(rng, _TYPES)
    since = now - timedelta(days=rng.uniform(0.1, 400))
    return Volume(
        state=state,
        state_since=since,
        reason="The file is damaged: it ends in the middle." if state == S.FAILED else "",
        owner=owners[min(int(rng.expovariate(6 / len(owners))), len(owners) - 1)],
        cloud=cloud,
        create_key=uuid.uuid4(),
        tag=f"{rng.choice(words.PURPOSES)} {rng.choice(('data', 'results', 'scratch', 'home'))}",
        size_bytes=size,
        used_bytes=int(size * rng.random()),
        # Nobody has looked into it.
        visibility=Visibility.PRIVATE if type_ in MACHINE_IMAGES else visibility,
        type=type_,
        origin=Origin.UPLOADED if came_in else Origin.CREATED,
        identifier=identifier_of(sha1) if came_in else "",
        content_bytes=size if came_in else None,
        sha1=sha1,
        sha256=hashlib.sha256(content).hexdigest() if came_in else "",
        sha512=hashlib.sha512(content).hexdigest() if came_in else "",
        cloud_ref=str(uuid.uuid4()),
        purge_at=now + timedelta(days=rng.uniform(0, 7)) if state == S.BINNED else None,
    )


def _one_of(rng: random.Random, shares: Sequence[tuple[int, str]]) -> str:
    return rng.choices([what for _, what in shares], [weight for weight, _ in shares])[0]


def _plugged(disk: Volume, running: Iterator[VM]) -> Attachment:
    """In a machine of somebody's; each gets some, in turn."""
    vm = next(running)
    return Attachment(
        state=AttachmentState.ATTACHED,
        volume=disk,
        vm=vm,
        by=disk.owner,
        read_only=disk.is_read_only,
        device="/dev/sda",
        attached_at=disk.state_since,
    )


def _share(rng: random.Random, disk: Volume, owners: Sequence[User]) -> Share:
    return Share(
        volume=disk, user=rng.choice(owners), access=rng.choice((Access.READ, Access.WRITE))
    )


def _history(disk: Volume) -> Event:
    return Event(
        kind=Volume.KIND, subject=disk.uuid, subject_name=str(disk), owner=disk.owner,
        verb="created", at=disk.state_since, by=disk.owner, now=S.CREATING, door="page",
    )  # fmt: skip
