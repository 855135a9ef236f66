"""The steps of a machine's life: look, then ask, then say where to go.

No step waits, none writes its row, and each may run twice.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import CloudError, NotFound
from cloud.types import VmInfo, VmPhase
from core.machine import Go, Step
from core.models import Event
from marketplace import actions as marketplace
from marketplace import policy
from marketplace.actions import Standing
from marketplace.models import ImageFile
from marketplace.states import ImageState
from vms import leases
from vms.lifecycle.networks import held_up, nics_are_in, release_nics
from vms.lifecycle.readiness import boots_seen, watch_readiness
from vms.lifecycle.saving import before_removal, has_disk, not_saved, saving_of
from vms.models import VM, Readiness, Saving
from vms.states import SavingState, VmState
from volumes import actions as volumes

_AHEAD = "Another fetch of the same image is ahead; if it is slow, this one takes its place."
#: From when its image is here.
STAGED_WITHIN = timedelta(hours=1)
#: From when nothing of it is to be saved any more.
REMOVED_WITHIN = timedelta(minutes=5)
_NOT_REMOVED = "It was not removed within 5 minutes. Kill it again."
_STAYS_ON = "The engine did not switch it off within 2 minutes. It goes on running."
_IGNORED = (
    "The guest ignored the power button for 2 minutes and goes on running. Nothing is lost: shut "
    "it down from inside, try again, or switch it off and save what its disk holds then."
)
_LEASE_ENDED = (
    "It was shut down when its lease ended. Its disk is kept for a while: extend the lease to "
    "start it again, save it as an image, or kill it."
)


def submit(vm: VM, cloud: CloudDriver) -> Go | None:
    """PENDING: find the machine we may already have asked for, or ask."""
    if refusal := _not_allowed(vm):
        return Go(VmState.FAILED, refusal)
    if waits := held_up(vm):
        if isinstance(waits, Go):
            return waits
        _say(vm, waits)
        return None
    standing = _standing(vm)
    if standing and not standing.is_ready and not _may_reserve(standing, cloud):
        return Go(VmState.PROLOG)
    info = _find_or_create(vm, cloud)
    if info.phase is VmPhase.FAILED:
        return Go(VmState.FAILED, info.message, seen(info))
    if info.phase is VmPhase.QUEUED:
        _note(vm, info)
        return None
    return Go(VmState.PROLOG, fields=seen(info) | {"note": ""})


def _say(vm: VM, note: str) -> None:
    if vm.note != note:
        vm.keep(note=note)


def _not_allowed(vm: VM) -> str:
    """Why the site does not let it start, by its lists as they are now; or ""."""
    return policy.refusal(vm.entry) if vm.entry else ""


def _standing(vm: VM) -> Standing | None:
    """How its image stands on this site, asked for if need be; None: it boots from a disk."""
    if vm.entry is None:
        return None
    return marketplace.image_for(vm.entry, vm.cloud, by=vm.owner, asked_at=vm.created_at)


def _may_reserve(standing: Standing, cloud: CloudDriver) -> bool:
    """Whether the cloud may know of the machine now: once its image is there, it starts it.

    Who has brought the image then? A machine that has yet to prove that its entry leads to these
    bytes would get them from another.
    """
    return standing.is_open and cloud.capabilities().reserves_before_image


def _find_or_create(vm: VM, cloud: CloudDriver) -> VmInfo:
    if vm.cloud_ref:
        with suppress(NotFound):
            return cloud.get_vm(vm.cloud_ref)
    return cloud.find_vm(vm.token) or cloud.create_vm(vm.spec(), token=vm.token)


def prepare(vm: VM, cloud: CloudDriver) -> Go | None:
    """PROLOG: wait for the image, then for the engine to have made the disks."""
    if refusal := _not_allowed(vm):
        return Go(VmState.FAILED, refusal)
    standing = _standing(vm)
    if standing and standing.refusal:
        return Go(VmState.FAILED, standing.refusal)
    if standing and not standing.is_ready and not vm.cloud_ref:
        _note_image(vm, standing.image)
        return None
    info = _find_or_create(vm, cloud)
    match info.phase:
        case VmPhase.FAILED:
            return Go(VmState.FAILED, info.message, seen(info))
        case VmPhase.QUEUED | VmPhase.STAGING:
            if standing:
                _ask_for_lost_image(standing.image, cloud)
            _note(vm, info)
            return _staged_too_long(vm, standing)
        case _:
            return Go(VmState.BOOT, fields=seen(info) | {"note": ""})


def _note_image(vm: VM, image: ImageFile) -> None:
    """While it waits: what keeps its image from coming. Of another's entry it says nothing."""
    note = image.reason[:300]
    if image.entry_id != vm.entry_id:
        note = _AHEAD if image.state == ImageState.FETCHING else ""
    if note != vm.note:
        vm.keep(note=note)


def _staged_too_long(vm: VM, standing: Standing | None) -> Go | None:
    """An image may be a day on its way; what the engine makes of it is there within an hour."""
    if standing and not standing.is_ready:
        return None
    since = max(vm.state_since, standing.image.state_since) if standing else vm.state_since
    if timezone.now() - since < STAGED_WITHIN:
        return None
    return Go(VmState.FAILED, "The engine did not make its disks within 1 hour.")


def _ask_for_lost_image(image: ImageFile, cloud: CloudDriver) -> None:
    if image.state == ImageState.READY and cloud.find_image(image.identifier) is None:
        marketplace.image_lost(image.identifier, image.cloud)


def boot(vm: VM, cloud: CloudDriver) -> Go | None:
    """BOOT: go on when the engine runs it; start or reboot it if that is why it is here."""
    info = cloud.get_vm(vm.cloud_ref)
    match info.phase:
        case VmPhase.RUNNING | VmPhase.STOPPING if vm.asked == "reboot":
            boots = boots_seen(vm, cloud)
            vm.keep(asked="rebooting")  # asked twice, the engine would reset it
            cloud.reboot_vm(vm.cloud_ref)
            return _running(vm, info, boots_before=boots)
        case VmPhase.RUNNING if vm.asked == "rebooting":
            return _running(vm, info, "Reboot it again if it has not restarted.")
        case VmPhase.RUNNING:
            return _running(vm, info)
        case VmPhase.FAILED:
            return Go(VmState.FAILED, info.message, seen(info))
        case VmPhase.STOPPED | VmPhase.UNKNOWN if vm.asked == "start":
            Readiness.objects.filter(vm=vm).update(boots_before=boots_seen(vm, cloud))
            cloud.start_vm(vm.cloud_ref)
            return None
        case VmPhase.STOPPED | VmPhase.UNKNOWN:
            return Go(VmState.UNKNOWN, info.message, seen(info))
        case _:
            _note(vm, info)
            return None


def _running(vm: VM, info: VmInfo, reason: str = "", *, boots_before: int | None = None) -> Go:
    return Go(
        VmState.RUNNING,
        reason,
        fields=seen(info) | {"asked": "", "note": ""},
        alongside=lambda: _runs(vm, boots_before),
    )


def _runs(vm: VM, boots_before: int | None) -> None:
    nics_are_in(vm)
    watch_readiness(vm, boots_before=boots_before)


def shut_down(vm: VM, cloud: CloudDriver) -> Go | None:
    """SHUTDOWN: press the power button until the machine is off; or pull its plug."""
    try:
        info = cloud.get_vm(vm.cloud_ref)
    except NotFound:
        return Go(VmState.EPILOG)
    if info.phase is VmPhase.STOPPED:
        return _off(vm, info)
    if vm.asked in ("power_off", leases.CUT):
        cloud.power_off_vm(vm.cloud_ref)
    else:
        cloud.stop_vm(vm.cloud_ref)  # one that is lost for good is stopped from now on
    return _ignored(vm)


def _off(vm: VM, info: VmInfo) -> Go:
    """It ends; but for one whose lease has ended: that keeps its disk for a while."""
    saving = saving_of(vm) if vm.asked in (leases.ASKED, leases.CUT) else None
    if vm.asked in (leases.ASKED, leases.CUT) and not (saving and saving.is_open):
        return Go(VmState.UNKNOWN, _LEASE_ENDED, seen(info) | {"asked": ""})
    return Go(VmState.EPILOG, info.message or "The guest has powered off.")


def _ignored(vm: VM) -> Go | None:
    """The table has a sentence for a guest that ignores the power button; not for its image."""
    if timezone.now() - vm.state_since <= vm.DEADLINES[VmState.SHUTDOWN].after:
        return None
    if vm.asked in ("power_off", leases.CUT):
        return Go(VmState.RUNNING, _STAYS_ON, fields={"asked": ""})
    saving = saving_of(vm)
    return Go(VmState.RUNNING, _IGNORED) if saving and saving.is_open else None


def clean_up(vm: VM, cloud: CloudDriver) -> Go | None:
    """EPILOG: save its disk if that is planned, remove it, look again, then call it done."""
    saving = saving_of(vm)
    if saving and saving.is_open:
        return before_removal(vm, saving, cloud)
    if saving and _has_just_failed(vm, saving):
        return not_saved(saving.reason)
    since = max(vm.state_since, saving.state_since) if saving else vm.state_since
    is_late = timezone.now() - since >= REMOVED_WITHIN
    try:
        is_gone = _removed(vm, cloud)
    except CloudError as error:
        if not (error.retryable and is_late):
            raise
        return Go(VmState.FAILED, f"{_NOT_REMOVED} {error}")
    if not is_gone:
        return Go(VmState.FAILED, _NOT_REMOVED) if is_late else None
    return _done(vm, _ended_how(vm, saving))


def _ended_how(vm: VM, saving: Saving | None) -> str:
    """An image that was lost at the very end is told of."""
    is_dropped = saving is not None and saving.state == SavingState.DROPPED
    if saving and is_dropped and saving.state_since >= vm.state_since and saving.volume_id:
        return f"The image {saving} was not saved. {saving.reason}"
    return vm.reason


def _has_just_failed(vm: VM, saving: Saving) -> bool:
    """Its disk was to be saved in this very EPILOG, and is nowhere else.

    By the order of its history: a clock that is set back would cost the only copy of the disk.
    """
    if saving.state != SavingState.FAILED or has_disk(saving):
        return False
    history = Event.objects.filter(subject__in=(vm.uuid, saving.uuid)).order_by("-pk")
    last = history.filter(
        Q(subject=vm.uuid, now=VmState.EPILOG) | Q(subject=saving.uuid, now=SavingState.FAILED)
    )
    return last.values_list("subject", flat=True).first() == saving.uuid


def _removed(vm: VM, cloud: CloudDriver) -> bool:
    info = cloud.find_vm(vm.token)
    if info is None:
        return True
    cloud.delete_vm(info.ref)
    return cloud.find_vm(vm.token) is None


def _done(vm: VM, reason: str) -> Go:
    return Go(
        VmState.DONE,
        reason,
        fields={
            "ended_at": timezone.now(),
            "cpu_percent": None,
            "memory_used_bytes": None,
            "note": "",
        },
        alongside=lambda: _let_go(vm),
    )


def _let_go(vm: VM) -> None:
    release_nics(vm)
    volumes.release(vm)


VM_STEPS: Mapping[str, Step[VM]] = {
    VmState.PENDING: submit,
    VmState.PROLOG: prepare,
    VmState.BOOT: boot,
    VmState.SHUTDOWN: shut_down,
    VmState.EPILOG: clean_up,
}


def seen(info: VmInfo) -> dict[str, Any]:
    """The columns that repeat what the engine said."""
    endpoints = [
        {"guest_port": end.guest_port, "host": end.host, "port": end.port} for end in info.endpoints
    ]
    return {
        "cloud_ref": info.ref,
        "endpoints": endpoints,
        "address": " ".join(f"{end['host']}:{end['port']}" for end in endpoints)[:120],
        "attributes": json.loads(json.dumps(dict(info.attributes), default=str)),
    }


def _note(vm: VM, info: VmInfo) -> None:
    """While it waits: keep what the engine said, if that is new."""
    fields = seen(info) | {"note": info.message[:300]}
    if any(getattr(vm, name) != value for name, value in fields.items()):
        vm.keep(**fields)
