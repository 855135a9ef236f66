"""The steps of a disk into a machine, and out of it.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import CloudError, NotFound
from cloud.types import Disk, VmInfo
from core.machine import Go, Step
from volumes.models import Attachment, Volume
from volumes.states import AttachmentState

A = AttachmentState


def wait_for_machine(row: Attachment, cloud: CloudDriver) -> Go | None:
    """PLANNED: the engine was told with the machine itself; wait until it shows the disk."""
    disk = _plugged(row, cloud)
    return attached(row, disk) if disk else None


def plug_in(row: Attachment, cloud: CloudDriver) -> Go | None:
    """ATTACHING: look, ask, and look again, so that whoever waits need not wait for a bell."""
    disk = _plugged(row, cloud)
    if disk is None:
        cloud.attach_volume(row.vm.cloud_ref, row.volume.cloud_ref, read_only=row.read_only)
        disk = _plugged(row, cloud)
    return attached(row, disk) if disk else None


def unplug(row: Attachment, cloud: CloudDriver) -> Go | None:
    """DETACHING: ask the guest until the disk is out of its machine.

    A row that was never attached is here because its attach came to nothing: the reason says
    why, and is kept. One that ended half-way is not shown, and holds the disk all the same.
    """
    if _plugged(row, cloud):
        row.note_writing()
    if row.vm.cloud_ref:
        cloud.detach_volume(row.vm.cloud_ref, row.volume.cloud_ref, force=row.is_forced)
        if _plugged(row, cloud):
            return None
    return Go(A.DETACHED, row.reason, alongside=_measured(row, cloud))


def _measured(row: Attachment, cloud: CloudDriver) -> Callable[[], None]:
    """What the site keeps of it has changed while a machine wrote to it."""
    info = None
    with suppress(CloudError):  # it is looked at again in some minutes
        info = cloud.find_volume(row.volume.token)

    def write_down() -> None:
        if info and info.used_bytes is not None:
            Volume.objects.filter(pk=row.volume_id).update(used_bytes=info.used_bytes)

    return write_down


STEPS: Mapping[str, Step[Attachment]] = {
    A.PLANNED: wait_for_machine,
    A.ATTACHING: plug_in,
    A.DETACHING: unplug,
}


def attached(row: Attachment, disk: Disk) -> Go:
    fields: dict[str, Any] = {"device": disk.device, "stable_path": disk.stable_path}
    if row.attached_at is None:
        fields["attached_at"] = timezone.now()
    return Go(A.ATTACHED, fields=fields)


def _plugged(row: Attachment, cloud: CloudDriver) -> Disk | None:
    """The disk as the engine has it in this row's machine; None: it is not in it."""
    info: VmInfo | None = None
    if row.vm.cloud_ref:
        with suppress(NotFound):
            info = cloud.get_vm(row.vm.cloud_ref)
    return disk_in(row, info) if info else None


def disk_in(row: Attachment, info: VmInfo) -> Disk | None:
    return next((disk for disk in info.disks if disk.volume == row.volume.cloud_ref), None)
