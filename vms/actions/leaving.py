"""What a machine does not take along when it is given to somebody else."""

from django.utils import timezone

from core.errors import Refused
from registration.models import User
from vms.models import VM, Backup, Build, Saving
from vms.states import BuildState, SavingState, VmState
from volumes.states import VolumeState

_ENDING = (VmState.SHUTDOWN, VmState.EPILOG)
#: These still look at the machine, or wait for it.
_FOLLOWING = (BuildState.STARTING, BuildState.WORKING, BuildState.KEPT)


def leave_plans(vm: VM, *, to: User, by: User, is_heir: bool) -> None:
    """The image that it was to become, the build that it was made for, and its batch.

    An image is signed in its owner's name: ``to`` has to wish for it. One whose disk is being
    copied stays with who planned it. With an account that ends, what is on its way goes on, and
    its build goes along. One that has failed or ended stays with who ordered it.

    Raises: Refused: ``saving_state``: it is being shut down to be saved, or copied for a backup.
    """
    if not is_heir:
        _must_not_be_copied(vm, to)
    saving = Saving.objects.filter(vm=vm, state=SavingState.PLANNED).first()
    if saving and vm.state not in _ENDING:
        reason = f"{vm} was given to {to}, who has not asked for it."
        saving.move(SavingState.DROPPED, by=by, verb="drop_saving", reason=reason)
    elif saving and not is_heir:
        raise Refused(
            "saving_state",
            f"{vm} is being shut down to be saved as the image {saving} of {vm.owner}: give it "
            "away when its disk is copied, or have them call the image off.",
        )
    for build in Build.objects.filter(vm=vm, state__in=_FOLLOWING).exclude(owner=to):
        reason = f"Its machine was given to {to}."
        build.move(BuildState.CANCELLED, by=by, reason=reason, ended_at=timezone.now())
    if is_heir and vm.state in _ENDING:
        _take_along(vm, to=to, by=by)
    if vm.batch and vm.batch.owner_id != to.pk:
        vm.announce()  # its page has one machine less
        VM.objects.filter(pk=vm.pk).update(batch=None)
        vm.batch = None


def _take_along(vm: VM, *, to: User, by: User) -> None:
    """Who gets the image sees the build of it."""
    for build in Build.objects.filter(vm=vm, state=BuildState.SAVING).exclude(owner=to):
        change = {"before": build.owner.username, "after": to.username}
        build.record_event("handed_over", by=by, **change)
        build.announce()
        Build.objects.filter(pk=build.pk).update(owner=to)
        build.owner = to
        build.record_event("taken_over", by=by, **change)
        build.announce()


def _must_not_be_copied(vm: VM, to: User) -> None:
    """Else who gives it away gets what ``to`` writes to it until the copy begins."""
    backups = Backup.objects.filter(vm=vm, root__state=VolumeState.SAVING).exclude(owner=to)
    if backup := backups.select_related("owner").first():
        raise Refused(
            "saving_state",
            f"The disk of {vm} is being copied for a backup of {backup.owner}: give it away when "
            "that is done.",
        )
