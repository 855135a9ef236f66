"""The steps of an image that is created by itself: follow what its machine says of them.

No step waits, and each may run twice: what a look has found is written in one transaction, with
how far the log was read. A guest that says nothing is given up by the clock of the portal.
"""

from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone

from cloud.driver import CloudDriver
from core.machine import Go, StaleState, Step
from registration import actions as registration
from vms.lifecycle.following import Look, in_minutes, named
from vms.lifecycle.saving import shut_down_to_save
from vms.models import Build, Saving
from vms.states import BuildState, SavingState, StepState, VmState

_ON_ITS_WAY = (VmState.PENDING, VmState.PROLOG, VmState.BOOT)
SUCCEEDED = "Every step of the new image has succeeded."


def start(build: Build, cloud: CloudDriver) -> Go | None:
    """STARTING: wait for the machine, and for the first word of its guest."""
    if build.vm.state in _ON_ITS_WAY:
        return None
    look = Look.at(build, cloud)
    if trouble := look.restarted():
        return _fail(look, trouble)
    if look.has_begun:
        return look.go(BuildState.WORKING)
    if trouble := _trouble(build):
        return _fail(look, trouble)
    limit = timedelta(minutes=build.start_minutes)
    if timezone.now() - build.vm.state_since > limit:
        return _fail(
            look,
            f"The guest did not begin its steps within {in_minutes(build.start_minutes)} of its "
            "start. Does this image run scripts of cloud-init? The log says more.",
        )
    look.keep()
    return None


def work(build: Build, cloud: CloudDriver) -> Go | None:
    """WORKING: note what the guest says of its steps, until one fails or all have succeeded."""
    look = Look.at(build, cloud)
    if look.failed:
        return _fail(look, look.why_failed())
    if look.is_done:
        return _succeed(look)
    if trouble := look.restarted() or _trouble(build) or look.out_of_time():
        return _fail(look, trouble)
    look.keep()
    return None


def save(build: Build, cloud: CloudDriver) -> Go | None:
    """SAVING: wait for the machine to be off and for its disk to be an image."""
    vm = build.vm
    saving = Saving.objects.filter(vm=vm).first()
    if saving is None:
        return _failed("The image was not to be saved any more.")
    match saving.state:
        case SavingState.DONE:
            return Go(BuildState.DONE, saving.reason, {"ended_at": timezone.now()})
        case SavingState.FAILED:
            return _failed(f"The image was not saved: {saving.reason}")
        case SavingState.DROPPED:
            return _failed(saving.reason or "The image was not to be saved any more.")
        case SavingState.PLANNED if vm.state in (VmState.RUNNING, VmState.UNKNOWN, VmState.FAILED):
            return _failed(vm.reason or "The machine was not shut down.")
        case _:
            return None


BUILD_STEPS: Mapping[str, Step[Build]] = {
    BuildState.STARTING: start,
    BuildState.WORKING: work,
    BuildState.SAVING: save,
}


def settle_kept() -> None:
    """Builds whose machine was kept, and was then saved or ended by hand."""
    kept = Build.objects.filter(state=BuildState.KEPT).select_related("vm")
    for build in kept.filter(vm__saving__state=SavingState.DONE):
        _settle(build, BuildState.DONE, "")
    for build in kept.filter(vm__state=VmState.DONE):
        _settle(build, BuildState.CANCELLED, "Its machine was ended, and nothing was saved.")


def _settle(build: Build, to: str, reason: str) -> None:
    try:
        build.move(to, reason=reason, ended_at=timezone.now())
    except StaleState:
        return  # somebody else has just done it


def _failed(reason: str) -> Go:
    return Go(BuildState.FAILED, reason, {"ended_at": timezone.now()})


def _trouble(build: Build) -> str:
    """Why the machine cannot take its steps, or ""."""
    vm = build.vm
    match vm.state:
        case VmState.RUNNING:
            return ""
        case VmState.BOOT:
            return f"The machine was restarted{_during(build)}."
        case VmState.SHUTDOWN:
            return f"The machine was shut down{_during(build)}."
        case VmState.UNKNOWN:
            return f"The machine halted{_during(build)}. {vm.reason}".strip()
        case VmState.FAILED:
            return f"Its machine has failed: {vm.reason}"
        case _:
            return f"Its machine was killed{_during(build)}."


def _during(build: Build) -> str:
    step = build.steps.filter(state=StepState.RUNNING).first()
    return f" during {named(step)}" if step else ""


def _let_go(build: Build, reason: str) -> None:
    """What failed is not saved when somebody shuts its machine down; and its owner is told."""
    saving = Saving.objects.filter(vm=build.vm, state=SavingState.PLANNED).first()
    if saving:
        saving.move(SavingState.DROPPED, reason=reason)
    registration.notify(
        build.owner,
        "build_failed",
        sentence=f"The image {build} was not created. {reason}",
        url=build.get_absolute_url(),
        about=build,
    )


def _fail(look: Look, reason: str) -> Go:
    return look.fail(reason, lambda: _let_go(look.build, reason))


def _succeed(look: Look) -> Go:
    build = look.build
    if build.keep_running:
        return look.go(BuildState.KEPT, ended_at=timezone.now())
    return look.go(BuildState.SAVING, also=lambda: shut_down_to_save(build.vm, SUCCEEDED))
