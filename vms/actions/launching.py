"""Order a machine: what it is to be, and what keeps it from being."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from core.errors import Refused
from core.models import deny
from marketplace import actions as marketplace
from marketplace.models import Entry
from registration.actions import note_use_of_keys
from registration.models import User
from vms import tasks
from vms.actions import images, telling
from vms.actions.leases import first_lease
from vms.actions.networks import must_be_joinable, plan_nics
from vms.actions.saving import Image, check_image, must_be_in_person, plan
from vms.context import Context, Part
from vms.models import VM, Batch, CloudStatus, Network, Readiness
from vms.quota import machine_use, over_quota
from vms.states import VmState
from volumes import actions as volumes
from volumes.models import Volume

#: Swap is disk that no quota counts: at the most so many times the memory.
MOST_SWAP = 2
#: Volatile disks of one machine; together they have at most ``PORTAL_VOLATILE_GIB``.
MOST_VOLATILE = 4
#: Refusals of a disk that are about rights, not about the moment: the audit keeps them.
_DENIALS = frozenset({"disk_access", "disk_read_only_share"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person wants to launch. ``ssh_keys`` are public keys, one line each.

    It boots from ``entry`` or from ``root_disk``; the other one is None. ``disks`` are plugged
    in from the start, each with whether it is read-only; ``volatile_gib`` are the sizes of empty
    disks that end with the machine. ``user_data`` is short for a context of literal ones;
    ``system_parts`` are the portal's own, which the guest gets before those of the person.
    """

    entry: Entry | None = None
    root_disk: Volume | None = None
    name: str
    type_name: str
    vcpus: int
    memory_mib: int
    swap_mib: int = 0
    cpu_share: float = 1.0
    disks: Sequence[tuple[Volume, bool]] = ()
    volatile_gib: Sequence[int] = ()
    disk_bus: str = "virtio"
    default_user: str = ""  # whom its SSH lets in; blank: as the image says
    ssh_keys: Sequence[str] = ()
    user_data: str = ""
    context: Context = field(default_factory=Context)
    system_parts: tuple[Part, ...] = ()
    until: datetime | None = None  # when it is shut down; None: as the site says
    networks: tuple[Network, ...] = ()  # private ones that it has cards on
    image: Image | None = None  # that its disk becomes when it is shut down
    launch_key: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def told(self) -> Context:
        """What the person has the guest told."""
        return replace(self.context, literal=self.user_data) if self.user_data else self.context


def launch(*, owner: User, order: Order, cloud: str = settings.DEFAULT_CLOUD) -> VM:
    """Order a machine. It is PENDING when this returns. The same order twice is one machine.

    Raises:
        Refused: ``not_active``, ``image_unknown``, those of ``images.obstacle``, ``too_small``,
            ``too_large``, ``quota_machines``, ``quota_vcpus``, ``quota_memory``,
            ``volatile_size``, ``context_invalid``, ``context_method``, those of
            ``networks.must_be_joinable``, and for its disks those of ``volumes.actions.attach``.
    """
    if ordered := _ordered(owner, order):
        return ordered
    must_be_launchable(owner, order, cloud)
    with transaction.atomic():
        owner = the_only_one(owner)
        if ordered := _ordered(owner, order):  # sent twice at once: it is not counted twice
            return ordered
        _must_fit_quota(owner, order)
        lock_disks([order])
        return place(owner, order, cloud)


def the_only_one(owner: User) -> User:
    """The owner, locked: two tabs, one quota; an account that has just been closed orders nothing.

    Raises: Refused: ``not_active``.
    """
    owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    _must_be_active(owner)
    return owner


def place(owner: User, order: Order, cloud: str, batch: Batch | None = None) -> VM:
    """Write the rows of an order that is judged and fits; owner and disks are locked.

    Raises: Refused: for its disks those of ``volumes.actions.attach``; of its image, those of
    ``plan_saving``.
    """
    vm = _create(owner, order, cloud, batch)
    _plan_disks(vm, order)
    plan_nics(vm, order.networks)
    if order.image:
        plan(vm, check_image(order.image), by=owner)
    return vm


def _ordered(owner: User, order: Order) -> VM | None:
    return VM.objects.filter(owner=owner, launch_key=order.launch_key).first()


def _create(owner: User, order: Order, cloud: str, batch: Batch | None) -> VM:
    vm = VM(
        owner=owner,
        cloud=cloud,
        batch=batch,
        launch_key=order.launch_key,
        name=order.name,
        entry=order.entry,
        root_disk=order.root_disk,
        type_name=order.type_name,
        vcpus=order.vcpus,
        cpu_share=order.cpu_share,
        memory_mib=order.memory_mib,
        swap_mib=order.swap_mib,
        volatile_gib=list(order.volatile_gib),
        disk_bus=order.disk_bus,
        default_user=order.default_user,
        ssh_keys="\n".join(order.ssh_keys),
        **first_lease(owner, order.until),
        **telling.columns(order.told, order.system_parts),
    )
    vm.next_tick_at = vm.state_since
    vm.save(force_insert=True)
    Readiness.objects.create(vm=vm)
    source = {"disk": str(order.root_disk)}
    if order.entry:
        source = {"image": order.entry.identifier, "endorser": order.entry.endorser_email}
    vm.record_event("asked", by=owner, now=VmState.PENDING, **source)
    if order.entry:
        marketplace.note_launch(order.entry, owner)
    note_use_of_keys(owner=owner, lines=order.ssh_keys, machine=vm.name)
    vm.announce()
    tasks.ring_vm(vm)
    return vm


def lock_disks(orders: Sequence[Order]) -> None:
    """Before a machine's row names one: two that share it so, and both want it alone next,
    would wait for each other."""
    keys = {disk.pk for order in orders for disk, _ in _wanted_disks(order)}
    if keys:
        list(Volume.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk"))


def _plan_disks(vm: VM, order: Order) -> None:
    """Hold its disks for it, in the same transaction as its row: both are there, or neither."""
    for disk, how in _wanted_disks(order):
        try:
            volumes.plan(disk, vm, by=vm.owner, **how)
        except Refused as refused:
            raise _beside_disks(refused, how) from None


def _must_have_disks(owner: User, order: Order) -> None:
    """Before anything is written: a denial that is rolled back is in no audit."""
    wanted = _wanted_disks(order)
    standing = volumes.standings([disk for disk, _ in wanted], owner)
    for disk, how in wanted:
        refused = volumes.obstacle(disk, standing[disk.pk], by=owner, **how)
        if refused is None:
            continue
        if refused.code in _DENIALS:
            disk.record_denial("attach", by=owner, reason=str(refused))
        raise _beside_disks(refused, how)


def _wanted_disks(order: Order) -> list[tuple[Volume, dict[str, bool]]]:
    """In the order of their keys: two launches that wait for each other's disks never end."""
    wanted = [(disk, {"read_only": read_only}) for disk, read_only in order.disks]
    if order.root_disk:
        wanted.append((order.root_disk, {"read_only": False, "is_root": True}))
    return sorted(wanted, key=lambda one: one[0].pk)


def _beside_disks(refused: Refused, how: dict[str, bool]) -> Refused:
    """A disk that the machine boots from was not chosen in a field."""
    field = None if how.get("is_root") else "disks"
    return Refused(refused.code, str(refused), field=field)


def _must_be_active(owner: User) -> None:
    if not owner.is_active:
        raise Refused("not_active", "Your account is not active; ask an administrator.")


def must_be_launchable(owner: User, order: Order, cloud: str) -> None:
    """All that can be told before anything is written. Raises: Refused: as ``launch``."""
    _must_be_active(owner)
    if order.entry:
        _must_boot(owner, order.entry, cloud)
    if reason := too_small(order.entry, order):
        raise Refused("too_small", reason, field="memory_mib")
    telling.must_be_understood(order.told, order.system_parts)
    if reason := too_volatile(order.volatile_gib):
        raise Refused("volatile_size", reason, field="volatile")
    must_be_joinable(owner, order.networks, cloud)
    if order.image:
        must_be_in_person(owner)
        check_image(order.image)
    _must_have_disks(owner, order)
    if reason := too_large(CloudStatus.objects.filter(cloud=cloud).first(), order):
        raise Refused("too_large", reason, field="type_name")


def _must_boot(owner: User, entry: Entry, cloud: str) -> None:
    now = Entry.objects.visible_to(owner).filter(pk=entry.pk).first()
    if now is None:
        raise Refused("image_unknown", "There is no such image in the Marketplace.")
    if refused := images.obstacle(now, images.House.about([now], by=owner, cloud=cloud)):
        if refused.code == "image_policy":
            deny("entry", entry.uuid, "launch", by=owner, owner=entry.owner_id, label=str(entry),
                 reason=str(refused))  # fmt: skip
        raise refused


def too_volatile(sizes_gib: Sequence[int]) -> str:
    """Why a machine can't have volatile disks of these sizes, or ""."""
    limit = settings.PORTAL_VOLATILE_GIB
    if any(size < 1 for size in sizes_gib):
        return "A volatile disk has 1 GiB or more."
    if len(sizes_gib) > MOST_VOLATILE:
        return f"These are {len(sizes_gib)} volatile disks; a machine has {MOST_VOLATILE} at most."
    if sum(sizes_gib) > limit:
        return (
            f"The volatile disks of a machine have {limit} GiB at most, together; these have "
            f"{sum(sizes_gib)} GiB. For more, create a disk and attach it."
        )
    return ""


def too_small(entry: Entry | None, size: Any) -> str:
    """Why an image cannot run in a machine of this size, or ""."""
    if entry is None or size.memory_mib >= entry.min_memory_mib:
        return ""
    return f"This image needs {entry.min_memory_mib} MiB of memory; this has {size.memory_mib} MiB."


def too_large(status: CloudStatus | None, size: Any) -> str:
    """Why the site can never run a machine of this size, or ""."""
    if size.swap_mib > MOST_SWAP * size.memory_mib:
        return (
            f"Its swap of {size.swap_mib} MiB is more than {MOST_SWAP} times its memory of "
            f"{size.memory_mib} MiB."
        )
    if status is None or status.largest_memory_mib is None or status.largest_vcpus is None:
        return ""
    if size.memory_mib > status.largest_memory_mib:
        return (
            f"It needs {size.memory_mib} MiB of memory; the largest machine of this site has "
            f"{status.largest_memory_mib} MiB."
        )
    if size.vcpus > status.largest_vcpus:
        return (
            f"It needs {size.vcpus} vCPUs; the largest machine of this site has "
            f"{status.largest_vcpus}."
        )
    return ""


def _must_fit_quota(owner: User, order: Order) -> None:
    refusal = over_quota(machine_use(owner), order)
    if refusal:
        raise refusal
