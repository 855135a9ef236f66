"""Machines that are to become images: planned, called off, and begun.

What is planned belongs to the machine: whoever shuts it down, its disk becomes the image. Only
its owner plans and begins it: the image is signed in their name, and counts in their quota.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState, hurry_after
from registration import names
from registration.actions import rules
from registration.models import User
from vms import tasks
from vms.lifecycle import disk_bytes, shut_down_to_save
from vms.models import VM, Saving
from vms.states import LOSABLE, OPEN, SavingState, VmState
from volumes import actions as volumes
from volumes import quota

__all__ = [
    "Image", "begin_again", "check_image", "drop_saving", "drop_with", "must_be_in_person",
    "plan", "plan_saving", "save", "shut_down_to_save",
]  # fmt: skip

LONGEST_TITLE, LONGEST_COMMENT = 200, 10_000
LONGEST_AUTHOR, LONGEST_VERSION = 120, 40
#: A machine in one of these may be told what is to become of its disk.
_PLANS = frozenset(
    {VmState.PENDING, VmState.PROLOG, VmState.BOOT, VmState.RUNNING, VmState.SHUTDOWN,
     VmState.UNKNOWN}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an image is called, and whose it is. All of it is required."""

    title: str
    comment: str
    author: str
    email: str
    version: str


def check_image(image: Image) -> Image:
    """The image as it is kept.

    Raises:
        Refused: ``image_title``, ``image_comment``, ``image_author``, ``email_invalid``,
            ``image_version``: missing, too long, or with characters that cannot be seen.
    """
    names.must_be_seen(image.comment, "image_comment", field="comment")
    comment = image.comment.replace("\r\n", "\n").strip()
    _must_have("comment", comment, LONGEST_COMMENT)
    return Image(
        title=_line("title", image.title, LONGEST_TITLE),
        comment=comment,
        author=_line("author", image.author, LONGEST_AUTHOR),
        email=names.email(image.email),
        version=_line("version", image.version, LONGEST_VERSION),
    )


def _line(field: str, text: str, longest: int) -> str:
    line = names.line(text, f"image_{field}", field=field)
    _must_have(field, line, longest)
    return line


def _must_have(field: str, text: str, longest: int) -> None:
    if not text:
        sentence = f"An image that is to be saved needs a {field}; also a title, a comment, an "
        sentence += "author, an e-mail address and a version."
        raise Refused(f"image_{field}", sentence, field=field)
    if len(text) > longest:
        sentence = f"The {field} has at most {longest} characters; this has {len(text)}."
        raise Refused(f"image_{field}", sentence, field=field)


def plan_saving(vm: VM, image: Image, *, by: User) -> Saving:
    """Have the machine's disk become an image once it is shut down. Again: with other words.

    Raises:
        Refused: ``not_yours``, ``acting``, ``vm_state``, ``saving_state``, ``quota_images``,
            ``quota_disk``, those of ``check_image``.
    """
    image = check_image(image)
    with _alone(vm, by, "plan_saving"):
        return plan(vm, image, by=by)


def plan(vm: VM, image: Image, *, by: User) -> Saving:
    """In a transaction that has the owner and the machine locked; ``image`` is checked.

    Raises:
        Refused: ``vm_state``, ``saving_state``, ``quota_images``, ``quota_disk``.
    """
    if vm.state not in _PLANS:
        raise Refused(
            "vm_state", f"{vm} is {vm.get_state_display()}: its disk cannot be saved any more."
        )
    saving = Saving.objects.select_for_update(no_key=True).filter(vm=vm).first()
    if saving and saving.state not in (*_REPLANNED, SavingState.PLANNED):
        raise _under_way(vm, saving)
    if saving is None or saving.state != SavingState.PLANNED:
        _must_fit(vm)
    said = asdict(image)
    if saving is None:
        saving = Saving(vm=vm, **said)
        saving.save(force_insert=True)
        saving.record_event("plan_saving", by=by, now=SavingState.PLANNED, title=image.title)
        saving.announce()
    elif saving.state == SavingState.PLANNED:
        _change(saving, said, by=by)
    else:
        _again(saving, by=by, **said)
    return saving


#: What came to nothing can be planned again.
_REPLANNED = (SavingState.FAILED, SavingState.DROPPED)


def _change(saving: Saving, said: dict[str, str], *, by: User) -> None:
    after = {name: value for name, value in said.items() if value != getattr(saving, name)}
    if not after:
        return
    before = {name: getattr(saving, name) for name in after}
    Saving.objects.filter(pk=saving.pk).update(**after)
    for name, value in after.items():
        setattr(saving, name, value)
    saving.record_event("changed", by=by, before=before, after=after)
    saving.announce()


def _again(saving: Saving, *, by: User, **said: Any) -> None:
    saving.move(
        SavingState.PLANNED, by=by, verb="plan_saving", volume=None, draft=None, entry=None, **said
    )


def _under_way(vm: VM, saving: Saving) -> Refused:
    state = saving.get_state_display().lower()
    return Refused("saving_state", f"The image {saving} of {vm} is “{state}” already.")


def _must_fit(vm: VM) -> None:
    """As far as can be told now; when its disk is copied, that is looked at again.

    Raises: Refused: ``quota_images``, ``quota_disk``.
    """
    planned = Saving.objects.filter(vm__owner=vm.owner, state=SavingState.PLANNED).exclude(vm=vm)
    quota.must_fit_image(vm.owner, planned=planned.count())
    if size_bytes := disk_bytes(vm):
        quota.must_fit(vm.owner, size_bytes)


def drop_saving(vm: VM, *, by: User) -> None:
    """Have the machine end without an image, when it ends.

    Raises: Refused: ``not_yours``, ``saving_state``: none is planned, or it is under way.
    """
    with _alone(vm, by, "drop_saving"):
        saving = Saving.objects.filter(vm=vm).first()
        if saving is None or saving.state not in (SavingState.PLANNED, SavingState.FAILED):
            state = saving.get_state_display().lower() if saving else "none is planned"
            raise Refused("saving_state", f"The image of {vm} cannot be called off: {state}.")
        saving.move(SavingState.DROPPED, by=by, verb="drop_saving")


def save(vm: VM, image: Image | None, *, by: User, power_off: bool = False) -> None:
    """Shut a machine down and make its disk an image: ``image``, or the one that is planned.

    ``power_off``: its plug is pulled, whatever the guest says; what it has not written is lost.
    One that is halted already is saved at once.

    Raises:
        Refused: ``saving_none``: none is planned and none given; those of ``plan_saving``.
    """
    image = check_image(image) if image else None
    with _alone(vm, by, "save"):
        if image:
            plan(vm, image, by=by)
        else:
            _must_be_planned(vm, by=by)
        _begin(vm, by=by, power_off=power_off)
    tasks.ring_vm(vm)


def _must_be_planned(vm: VM, *, by: User) -> None:
    saving = Saving.objects.filter(vm=vm).first()
    if saving and saving.state == SavingState.FAILED:
        _must_fit(vm)
        _again(saving, by=by)
    elif saving is None or saving.state == SavingState.DROPPED:
        raise Refused(
            "saving_none",
            f"Nobody has said yet what image {vm} is to become: give it a title, a comment, an "
            "author, an e-mail address and a version.",
        )
    elif saving.state != SavingState.PLANNED:
        raise _under_way(vm, saving)


def _begin(vm: VM, *, by: User, power_off: bool) -> None:
    """Raises: Refused: ``vm_state``."""
    verb = "power_off" if power_off else "save"
    asked = "power_off" if power_off else ""
    if vm.state == VmState.SHUTDOWN and power_off:
        VM.objects.filter(pk=vm.pk).update(asked=asked, next_tick_at=timezone.now())
        vm.record_event(verb, by=by)
        vm.announce()
    elif vm.state == VmState.RUNNING:
        words = "Switched off to be saved" if power_off else "Shut down and save"
        vm.move(
            VmState.SHUTDOWN, by=by, verb=verb, reason=f"{words}, asked by its owner.", asked=asked
        )
    elif vm.state == VmState.UNKNOWN and vm.cloud_ref:
        vm.move(VmState.EPILOG, by=by, verb=verb, reason="Save, asked by its owner.", asked="")
    else:
        raise Refused(
            "vm_state",
            f"{vm} is {vm.get_state_display()}: it can be shut down and saved while it runs, and "
            "saved once it is halted.",
        )


def must_be_in_person(by: User, verb: str = "plan_saving") -> None:
    """Outside of a transaction. Raises: Refused: ``acting``."""
    sentence = f"Only {by} makes images of their machines: they are signed in their name."
    rules.must_be_the_person(by, Saving.KIND, verb, Refused("acting", sentence, field="save_image"))


@contextmanager
def _alone(vm: VM, by: User, verb: str) -> Iterator[None]:
    """A transaction that has the owner and the machine to itself; ``vm`` is as it is now.

    Raises: Refused: ``not_yours``, ``acting``, ``not_active``.
    """
    if vm.owner_id != by.pk:
        vm.record_denial(verb, by=by)
        raise Refused(
            "not_yours", f"Only {vm.owner} makes an image of {vm}: it is signed in their name."
        )
    must_be_in_person(by, verb)
    try:
        with transaction.atomic():
            owner = User.objects.select_for_update(no_key=True).get(pk=by.pk)
            if not owner.is_active:
                raise Refused("not_active", "Your account is not active; ask an administrator.")
            now = VM.objects.select_for_update(no_key=True, of=("self",)).get(pk=vm.pk)
            for name in ("state", "state_since", "owner_id", "cloud_ref", "asked", "reason"):
                setattr(vm, name, getattr(now, name))
            if vm.owner_id != by.pk:
                raise Refused("not_yours", f"{vm} is somebody else's machine by now.")
            yield
    except StaleState:  # a worker was faster
        raise Refused("vm_state", f"{vm} has just changed: look again.") from None


def begin_again(vm: VM, *, by: User) -> None:
    """A machine whose disk could not be saved goes on: it is saved when it is shut down."""
    failed = Saving.objects.filter(vm=vm, state=SavingState.FAILED).first()
    if failed:
        _again(failed, by=by)


def drop_with(vm: VM, *, by: User) -> bool:
    """In a transaction in which the machine is killed: its image is lost. Whether there was one.

    One that is being signed is whole already, and stays.

    Raises: StaleState: a worker was faster.
    """
    saving = Saving.objects.select_related("volume").filter(vm=vm).first()
    if saving is None or saving.state not in (*LOSABLE, SavingState.FAILED):
        return False
    was_open = saving.state in OPEN
    saving.move(SavingState.DROPPED, by=by, verb="drop_saving", reason="Its machine was killed.")
    _cancel(saving, by=by)
    return was_open


def _cancel(saving: Saving, *, by: User) -> None:
    volume: Any = saving.volume
    if volume is not None and "cancel" in volume.verbs:
        volumes.abandon(volume, by=by)
    hurry_after(saving.vm)
