"""What a machine's page tells of its life: steps with their times, then milestones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils import timezone

from core.models import Event
from marketplace.models import ImageFile
from marketplace.states import ImageState
from vms.models import VM, Readiness
from vms.states import VM_MEANINGS, VmState

#: States of an image in which bytes move, in words for who waits for its machine.
_DOING: Mapping[str, str] = {
    ImageState.FETCHING: "Fetching the image",
    ImageState.UNPACKING: "Unpacking and checking the image",
    ImageState.COPYING: "Copying the image",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One step. ``took`` is so far while ``is_now``."""

    state: str
    label: str
    meaning: str
    began_at: datetime
    took: timedelta
    reason: str
    is_now: bool
    image: ImageFile | None = None  # what it waits for
    doing: str = ""  # what is done with the image now, where bytes move
    is_saving: bool = False  # in it, the disk became an image, or was to


@dataclass(frozen=True, slots=True)
class Milestone:
    label: str
    at: datetime | None
    after: timedelta | None  # since the machine was last Running
    note: str = ""
    parts: Sequence["Milestone"] = ()  # what was seen on the way to it
    log: str = ""  # the last lines before it went wrong


def steps(vm: VM, events: Sequence[Event], image: ImageFile | None) -> list[Line]:
    """Each state the machine has been in, oldest first; how long, and why."""
    visits = [(VmState.PENDING.value, vm.created_at, "")]
    visits += [(event.now, event.at, event.reason) for event in events if event.was]
    ends = [at for _, at, _ in visits[1:]] + [None]
    last = max((n for n, visit in enumerate(visits) if visit[0] == VmState.EPILOG), default=-1)
    return [
        _line(vm, visit, end, image, is_saving=number == last)
        for number, (visit, end) in enumerate(zip(visits, ends, strict=True))
    ]


def _line(
    vm: VM,
    visit: tuple[str, datetime, str],
    end: datetime | None,
    image: ImageFile | None,
    *,
    is_saving: bool,
) -> Line:
    state, began_at, reason = visit
    is_now = end is None
    if not (is_now and image and state == VmState.PROLOG and image.is_moving):
        image = None
    is_in_line = image is not None and image.is_in_line
    return Line(
        state=state,
        label=VmState(state).label,
        meaning=VM_MEANINGS[state],
        began_at=began_at,
        took=(end or timezone.now()) - began_at,
        reason=(vm.note or reason) if is_now and not is_in_line else reason,
        is_now=is_now,
        image=image,
        doing=_DOING.get(image.state, "") if image and not is_in_line else "",
        is_saving=is_saving,
    )


def milestones(readiness: Readiness, running_since: datetime | None) -> list[Milestone]:
    """What the guest has been seen to do since it was last started."""

    def told(label: str, at: datetime | None, note: str = "") -> Milestone:
        return Milestone(label, at, at - running_since if at and running_since else None, note)

    ways = [
        told(step["what"], datetime.fromisoformat(step["at"])) for step in readiness.context_steps
    ]
    done = told("Contextualization done", readiness.context_at, readiness.context_note)
    return [
        told("Port open", readiness.port_open_at),
        told("SSH answers", readiness.ssh_at),
        replace(done, parts=ways, log=readiness.context_log),
    ]


def running_since(events: Sequence[Event]) -> datetime | None:
    """When the machine was last started, by its history."""
    starts = [event.at for event in events if event.now == VmState.RUNNING and event.was == "boot"]
    return starts[-1] if starts else None
