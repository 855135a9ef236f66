"""The steps of an image that a machine's disk is to become; and the machine's own, meanwhile.

The bytes are moved by the disk's own row (``volumes``): COPYING waits for it. SIGNING writes the
draft, the entry, the mails and that it is done in one transaction, so that there is one of each
whoever is killed when. No step waits, none writes its row but through ``keep`` and ``move``, and
each may run twice.
"""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import Unsupported
from cloud.types import VmPhase
from core.errors import Refused
from core.machine import Go, Step, hurry_after
from core.sizes import in_words
from marketplace import actions as marketplace
from marketplace import documents
from marketplace.models import Entry
from registration import actions as registration
from registration import emails, names
from registration.models import User
from registration.outbox import Attached
from vms.bells import ring_row
from vms.models import VM, Saving
from vms.states import SavingState, VmState
from volumes import actions as volumes
from volumes.models import Volume
from volumes.states import USABLE, VolumeState

#: Mails to authors at addresses that are not the machine's owner's: of one person, in a day.
MOST_TO_OTHERS = 10
_RUNS = (VmPhase.BOOTING, VmPhase.RUNNING, VmPhase.STOPPING)
_GONE = "The engine no longer has the machine: there was nothing to save."


def saving_of(vm: VM) -> Saving | None:
    """The image that the machine is to become, as it is now."""
    return Saving.objects.select_related("volume").filter(vm=vm).first()


def has_disk(saving: Saving) -> bool:
    """Whether the disk is there, whatever became of its metadata."""
    return saving.volume is not None and saving.volume.state in USABLE


# The machine's part --------------------------------------------------------------------


def before_removal(vm: VM, saving: Saving, cloud: CloudDriver) -> Go | None:
    """EPILOG of a machine that is to be saved: begin once it is off, and wait for the end."""
    if saving.state != SavingState.PLANNED:
        return None
    info = cloud.find_vm(vm.token)
    if info is None:
        with transaction.atomic():
            saving.move(SavingState.DROPPED, reason=_GONE)
            _tell_failed(saving)
        return None
    if info.phase in _RUNS:  # it had been taken for halted, and was not
        with suppress(Unsupported):
            cloud.power_off_vm(info.ref)
            return None
    try:
        with transaction.atomic():
            _begin(vm, saving, info.ref)
    except Refused as refused:
        reason = str(refused)
        return not_saved(reason, alongside=lambda: _fail(saving, reason))
    return None


def _begin(vm: VM, saving: Saving, ref: str) -> None:
    volume = volumes.begin_saving(
        vm.owner,
        vm_ref=ref,
        vm_name=vm.name,
        cloud=vm.cloud,
        tag=saving.title,
        size_bytes=disk_bytes(vm),
        create_key=uuid.uuid5(saving.uuid, saving.state_since.isoformat()),
    )
    saving.move(SavingState.COPYING, volume=volume)
    ring_row(saving)


def disk_bytes(vm: VM) -> int | None:
    """How large its root disk is, where that is known without a look."""
    if vm.root_disk:
        return vm.root_disk.size_bytes
    return vm.entry.virtual_size_bytes if vm.entry else None


def not_saved(reason: str, *, alongside: Callable[[], None] | None = None) -> Go:
    """Back from EPILOG: the machine is off, and keeps its disk until somebody decides."""
    return Go(
        VmState.UNKNOWN,
        f"Its disk was not saved as an image, and the machine keeps it. {reason}",
        fields={"asked": "", "cpu_percent": None, "memory_used_bytes": None, "note": ""},
        alongside=alongside,
    )


def _fail(saving: Saving, reason: str) -> None:
    saving.move(SavingState.FAILED, reason=reason)
    _tell_failed(saving)


def _tell_failed(saving: Saving) -> None:
    vm = saving.vm
    registration.notify(
        vm.owner,
        "image_failed",
        sentence=f"The disk of {vm} was not saved as the image {saving}. {saving.reason}",
        url=vm.get_absolute_url(),
        about=vm,
    )


def shut_down_to_save(vm: VM, reason: str) -> None:
    """Have a running machine shut down, without a person; what is planned to be saved will be.

    Raises: StaleState: it is no longer in the state that it was read in.
    """
    vm.move(VmState.SHUTDOWN, reason=reason, asked="")
    ring_row(vm)


# The image's own part ------------------------------------------------------------------


def copying(saving: Saving, cloud: CloudDriver) -> Go | None:
    """COPYING: wait for the disk."""
    volume = saving.volume
    if volume is not None and volume.state == VolumeState.SAVING:
        saving.announce()  # the page shows how far it is
        return None
    if has_disk(saving):
        return Go(SavingState.SIGNING)
    reason = (volume and volume.reason) or "The disk that it was to become is gone."
    return Go(SavingState.FAILED, reason, alongside=lambda: _copying_failed(saving, reason))


def _copying_failed(saving: Saving, reason: str) -> None:
    saving.reason = reason
    _tell_failed(saving)
    _go_on(saving)


def sign(saving: Saving, cloud: CloudDriver) -> Go | None:
    """SIGNING: draft, entry, mails and the end of it, all of them or none."""
    volume = saving.volume
    if volume is None or volume.state not in USABLE:
        return _not_signed(saving, "Its disk is gone.")
    pen, why = marketplace.pen_to_save(volume.owner)
    try:
        with transaction.atomic():
            saving.keep()  # whoever lost the lease on the way here writes nothing
            about = _about(saving, volume.owner)
            key = uuid.uuid5(saving.uuid, volume.token)
            saved = marketplace.publish_saved(
                volume, owner=volume.owner, about=about, create_key=key, pen=pen, why_unsigned=why
            )
            saving.move(
                SavingState.DONE, reason=saved.reason[:500], draft=saved.draft, entry=saved.entry
            )
            _tell_saved(saving, volume, saved)
            _go_on(saving)
    except (documents.Broken, Refused) as broken:
        return _not_signed(saving, str(broken))
    return None


def _not_signed(saving: Saving, reason: str) -> Go:
    def tell() -> None:
        vm = saving.vm
        sentence = f"The disk of {vm} is saved, but no entry of the image {saving} was written."
        registration.notify(
            vm.owner, "image_failed", sentence=f"{sentence} {reason}", url=vm.get_absolute_url(),
            about=vm,
        )  # fmt: skip
        _go_on(saving)

    return Go(SavingState.FAILED, reason, alongside=tell)


def _about(saving: Saving, owner: User) -> marketplace.About:
    vm = saving.vm
    return marketplace.About(
        title=saving.title,
        comment=saving.comment,
        author=saving.author,
        version=saving.version,
        based_on=vm.entry or marketplace.base_of(vm.root_disk, owner),
    )


def _go_on(saving: Saving) -> None:
    """Have the machine looked at: it waits for this. Its row is not ours to lock."""
    hurry_after(saving.vm)
    ring_row(saving.vm)


# What is told --------------------------------------------------------------------------


def _tell_saved(saving: Saving, volume: Volume, saved: marketplace.Saved) -> None:
    owner, vm = volume.owner, saving.vm
    file = Attached(
        name=f"{volume.identifier}-draft.xml", type="application/rdf+xml", text=saved.xml.decode()
    )
    page = saved.entry.permalink if saved.entry else saved.draft.get_absolute_url()
    size = in_words(volume.size_bytes)
    emails.image_saved(
        owner,
        identifier=volume.identifier,
        image=str(saving),
        machine=str(vm),
        size=size,
        until=_day(saved.entry),
        unsigned=saved.reason,
        steps=_steps(saved, volume),
        disk_link=_link(volume.get_absolute_url()),
        launch_link=_link(launch_path(saved.entry)) if saved.entry else "",
        link=_link(page),
        draft=file,
    )
    if _may_be_mailed(saving, owner):
        title = str(saving)
        emails.image_saved_author(
            saving.email,
            owner,
            identifier=volume.identifier,
            image="" if names.has_link(title) else title,
            size=size,
            link=_link(page),
            draft=file,
        )
    registration.notify(
        owner,
        "image_created",
        sentence=f"The disk of {vm} is the image {saving} now.",
        url=page,
        about=vm,
        identifier=volume.identifier,
    )


def launch_path(entry: Entry) -> str:
    return f"{reverse('vms:launch')}?image={entry.identifier}&entry={entry.uuid}"


def _steps(saved: marketplace.Saved, volume: Volume) -> list[str]:
    draft = _link(saved.draft.get_absolute_url())
    if saved.entry is None:
        return [
            f"Sign it, with a key of yours or of the portal's, and publish it: {draft}",
            "Then launch a machine from it, and see that it is as you wanted it.",
            f"Share its disk with people or a group: {_link(volume.get_absolute_url())}",
        ]
    entry = _link(saved.entry.permalink)
    return [
        f"Test it: launch a machine from it. {_link(launch_path(saved.entry))}",
        f"Extend it by six months, which signs it anew: {entry}",
        "Share it with a group, or publish it, by “Share or publish” on the same page: who may "
        f"read the entry can launch the image, while its disk stays yours alone. {entry}",
    ]


def _may_be_mailed(saving: Saving, owner: User) -> bool:
    """An address that is not the owner's own: some a day, so that nobody is flooded by us."""
    if saving.email.lower() == owner.email.lower():
        return False
    since = timezone.now() - timedelta(days=1)
    others = Saving.objects.filter(
        volume__owner=owner, state=SavingState.DONE, state_since__gt=since
    ).exclude(email__iexact=owner.email)
    return others.exclude(pk=saving.pk).count() < MOST_TO_OTHERS


def _day(entry: Entry | None) -> str:
    if entry is None or entry.valid_until is None:
        return ""
    return f"{entry.valid_until:%-d %B %Y, %H:%M} UTC"


def _link(path: str) -> str:
    return f"{settings.PORTAL_URL}{path}"


SAVING_STEPS: Mapping[str, Step[Saving]] = {
    SavingState.COPYING: copying,
    SavingState.SIGNING: sign,
}
