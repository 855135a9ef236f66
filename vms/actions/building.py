"""Create an image by steps: start a machine, have it changed, and save its disk."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from marketplace.models import Entry
from registration.models import User
from vms import building, tasks
from vms.actions import asking
from vms.actions.launching import Order, launch, must_be_launchable
from vms.actions.saving import Image, check_image, plan_saving, save
from vms.building import Recipe
from vms.context import Part
from vms.lifecycle.following import nonce_of
from vms.models import Build, BuildStep
from vms.states import BuildState, VmState
from volumes.models import Volume

LONGEST_START_MINUTES, LONGEST_STEP_MINUTES = 24 * 60, 24 * 60
#: What the program is called in the guest.
_PART = "portal-build"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """What a person wants built: from which entry, by which steps, in which machine, as what.

    ``disks`` are plugged in to be read. Time-outs: from the start of the machine until its guest
    begins, and of each step.
    """

    entry: Entry
    image: Image
    recipe: Recipe
    type_name: str
    vcpus: int
    memory_mib: int
    swap_mib: int = 0
    disks: Sequence[Volume] = ()
    disk_bus: str = "virtio"
    ssh_keys: Sequence[str] = ()
    start_minutes: int = 10
    step_minutes: int = 60
    keep_running: bool = False
    create_key: uuid.UUID = field(default_factory=uuid.uuid4)


def build(*, owner: User, order: BuildOrder, cloud: str = settings.DEFAULT_CLOUD) -> Build:
    """Start the machine of a new image. The same order twice is one build.

    Raises:
        Refused: ``recipe_invalid``, ``build_minutes``, those of ``plan_saving`` and of ``launch``.
    """
    if known := _ordered(owner, order):
        return known
    order = replace(order, image=check_image(order.image))
    _must_be_sound(order)
    row = Build(owner=owner, base=order.entry, create_key=order.create_key)
    wanted = _machine(row, order)
    must_be_launchable(owner, wanted, cloud)  # a denial that is rolled back is in no audit
    with transaction.atomic():
        row.vm = launch(owner=owner, order=wanted, cloud=cloud)
        if known := _ordered(owner, order):  # sent twice at once
            return known
        plan_saving(row.vm, order.image, by=owner)
        _write(row, order)
    return row


def _ordered(owner: User, order: BuildOrder) -> Build | None:
    return Build.objects.filter(owner=owner, create_key=order.create_key).first()


def _must_be_sound(order: BuildOrder) -> None:
    for name, sentence in building.problems(order.recipe):
        raise Refused("recipe_invalid", sentence, field=name or None)
    limits = {"start_minutes": LONGEST_START_MINUTES, "step_minutes": LONGEST_STEP_MINUTES}
    for name, limit in limits.items():
        if not 1 <= getattr(order, name) <= limit:
            raise Refused("build_minutes", f"A time-out is 1 to {limit} minutes.", field=name)


def _machine(row: Build, order: BuildOrder) -> Order:
    program = building.user_data(
        building.steps(order.recipe), nonce=nonce_of(row), limit_s=order.step_minutes * 60
    )
    return Order(
        entry=order.entry,
        name=f"Build of {order.image.title}"[:80],
        type_name=order.type_name,
        vcpus=order.vcpus,
        memory_mib=order.memory_mib,
        swap_mib=order.swap_mib,
        disks=[(disk, True) for disk in order.disks],
        disk_bus=order.disk_bus,
        ssh_keys=order.ssh_keys,
        system_parts=(Part("x-shellscript", _PART, program),),
        launch_key=uuid.uuid5(order.create_key, "build"),  # a machine of theirs may have that key
    )


def _write(row: Build, order: BuildOrder) -> None:
    row.recipe = {
        **asdict(order.image),
        **order.recipe.as_json(),
        "type_name": order.type_name,
        "disks": [disk.token for disk in order.disks],
    }
    row.keep_running = order.keep_running
    row.start_minutes, row.step_minutes = order.start_minutes, order.step_minutes
    row.next_tick_at = row.state_since
    row.save(force_insert=True)
    names = [step.name for step in building.steps(order.recipe)]
    BuildStep.objects.bulk_create(
        BuildStep(build=row, number=number, name=name) for number, name in enumerate(names, 1)
    )
    row.record_event("asked", by=row.owner, now=BuildState.STARTING, image=order.entry.identifier,
                     machine=row.vm.token)  # fmt: skip
    row.announce()
    tasks.ring_row(row)


#: While it lasts, or while its machine is kept.
CANCELLABLE = frozenset({BuildState.STARTING, BuildState.WORKING, BuildState.SAVING,
                         BuildState.KEPT})  # fmt: skip
SAVABLE = frozenset({BuildState.KEPT, BuildState.FAILED})
#: The machine has a disk that could be saved.
_HAS_DISK = frozenset({VmState.RUNNING, VmState.UNKNOWN})


def may_cancel(row: Build) -> bool:
    """Whether there is something left to end."""
    if row.state == BuildState.FAILED:
        return row.has_machine and "kill" in row.vm.verbs
    return row.state in CANCELLABLE and row.has_machine


def may_save(row: Build) -> bool:
    """Whether its machine could be saved as it is."""
    return row.state in SAVABLE and row.is_machine_theirs and row.vm.state in _HAS_DISK


def cancel_build(row: Build, *, by: User) -> None:
    """Call it off: its machine is killed, and nothing is saved.

    One that has failed stays so, with its reason: only its machine is ended.

    Raises:
        Refused: ``build_state``: there is nothing to end, or its machine is somebody else's by
            now; ``not_yours``; ``vm_state``: its image is whole already.
    """
    _must_be_theirs(row, "cancel_build", by)
    if row.state == BuildState.FAILED and may_cancel(row):
        with transaction.atomic():
            asking.kill(row.vm, by=by)
            row.record_event("end_build", by=by)
            row.announce()
        return
    while may_cancel(row):
        try:
            with transaction.atomic():
                row.move(BuildState.CANCELLED, reason=f"Called off by {by.username}.", by=by,
                         verb="cancel_build", ended_at=timezone.now())  # fmt: skip
                _end_machine(row, by)
        except StaleState:
            row = Build.objects.select_related("vm", "owner").get(pk=row.pk)
        else:
            return
    raise Refused("build_state", f"{row} is {row.get_state_display().lower()}: there is nothing "
                  "to call off.")  # fmt: skip


def _end_machine(row: Build, by: User) -> None:
    """Raises: Refused: ``vm_state``: its image is whole already."""
    if row.vm.state == VmState.EPILOG and row.state != BuildState.SAVING:
        return  # it is on its way out
    asking.kill(row.vm, by=by)


def save_build(row: Build, *, by: User) -> None:
    """Shut its machine down and save it as it is: one that was kept, or that was mended by hand.

    Raises: Refused: ``build_state``, ``not_yours``, those of ``save``.
    """
    if row.owner_id != by.pk:  # an image is signed in its owner's name
        row.record_denial("save_build", by=by)
        raise Refused("not_yours", f"Only {row.owner} makes an image of {row}.")
    if not may_save(row):
        raise Refused("build_state", f"{row} is {row.get_state_display().lower()}, and its machine "
                      f"is {row.vm.get_state_display().lower()}: it cannot be saved.")  # fmt: skip
    try:
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).get(pk=by.pk)  # accounts come first
            row.move(BuildState.SAVING, by=by, verb="save_build", ended_at=None)
            save(row.vm, image_of(row), by=by)
    except StaleState:
        raise Refused("build_state", f"{row} has just been changed. Look again.") from None
    tasks.ring_row(row)


def image_of(row: Build) -> Image:
    """What its disk is to become."""
    names = ("title", "comment", "author", "email", "version")
    about: dict[str, Any] = {name: row.recipe[name] for name in names}
    return Image(**about)


def _must_be_theirs(row: Build, verb: str, by: User) -> None:
    if not (by.is_staff or row.owner_id == by.pk):
        row.record_denial(verb, by=by)
        raise Refused("not_yours", f"{row} is somebody else's.")
