"""One look at the machine of a build: what it has said since the last one, and what follows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from cloud.driver import CloudDriver
from core.machine import Go, StaleState
from vms import building
from vms.building import Said
from vms.lifecycle.listening import Heard, keep_log, kept_log, listen
from vms.models import Build, BuildStep
from vms.states import BuildState, StepState

#: For a guest that ends its step itself, and for its word to arrive.
GRACE = timedelta(seconds=30)
#: Between two steps, and after the last.
LONGEST_PAUSE = timedelta(minutes=5)
#: What ``timeout`` says of a program that it has ended.
TIMED_OUT = 124

_OPEN = (StepState.WAITING, StepState.RUNNING)


@dataclass(slots=True)
class Look:
    """What one look has found, and how it is written: all of it, or nothing."""

    build: Build
    heard: Heard
    steps: list[BuildStep]
    was: dict[int, tuple[str, str]]
    has_restarted: bool

    @classmethod
    def at(cls, build: Build, cloud: CloudDriver) -> "Look":
        heard = listen(build, cloud)
        steps = list(build.steps.all())
        was = {step.pk: (str(step.state), step.tail) for step in steps}
        shown = building.read(
            heard.new,
            end=heard.end,
            nonce=nonce_of(build),
            has_begun=any(step.state != StepState.WAITING for step in steps),
            before=lambda: kept_log(build),
        )
        for said in shown.marks[: shown.restarted_after]:
            _apply(said, steps)
        return cls(build, heard, steps, was, shown.restarted_after is not None)

    @property
    def has_begun(self) -> bool:
        return any(step.state != StepState.WAITING for step in self.steps)

    @property
    def is_done(self) -> bool:
        return all(step.state == StepState.DONE for step in self.steps)

    @property
    def failed(self) -> BuildStep | None:
        return next((step for step in self.steps if step.state == StepState.FAILED), None)

    @property
    def running(self) -> BuildStep | None:
        return next((step for step in self.steps if step.state == StepState.RUNNING), None)

    def why_failed(self) -> str:
        step = self.failed
        if step is None:
            return ""
        limit = timedelta(minutes=self.build.step_minutes)
        lasted = step.ended_at - step.began_at if step.ended_at and step.began_at else timedelta(0)
        if step.status == TIMED_OUT and lasted > limit - GRACE:
            return f"{_capital(step)} did not end within " \
                f"{in_minutes(self.build.step_minutes)}, and was stopped."  # fmt: skip
        return f"{_capital(step)} ended with exit status {step.status}."

    def restarted(self) -> str:
        """Why it cannot go on, if its machine started anew before the end."""
        if not self.has_restarted or self.failed or self.is_done:
            return ""
        step = self.running
        when = f" during {named(step)}" if step else ""
        return f"The machine started anew{when}; the steps that are left cannot be taken."

    def out_of_time(self) -> str:
        """Why it has taken too long by the portal's clock, or ""."""
        now, step = timezone.now(), self.running
        limit = timedelta(minutes=self.build.step_minutes)
        if step and step.began_at and now - step.began_at > limit + GRACE:
            return f"{_capital(step)} did not end within " \
                f"{in_minutes(self.build.step_minutes)}, and its guest says nothing."  # fmt: skip
        if step:
            return ""
        ended = [one.ended_at for one in self.steps if one.ended_at]
        if now - max(ended, default=self.build.state_since) > LONGEST_PAUSE:
            silent = in_minutes(int(LONGEST_PAUSE.total_seconds()) // 60)
            return f"The guest has said nothing for {silent} between two steps."
        return ""

    # What comes of it ---------------------------------------------------------------------

    def keep(self) -> None:
        """Nothing to decide yet: write what was found, if anything was."""
        if not self.heard.new and not self._changed():
            return
        with transaction.atomic():
            self.build.keep(log_read_bytes=self.heard.read_bytes)
            self._write()

    def go(self, to: str, reason: str = "", also: Callable[[], None] | None = None, **fields: Any
           ) -> Go:  # fmt: skip
        def write() -> None:
            self._write()
            if also:
                also()

        return Go(to, reason, {"log_read_bytes": self.heard.read_bytes, **fields}, write)

    def fail(self, reason: str, also: Callable[[], None]) -> Go:
        now = timezone.now()
        step = self.running
        if step:
            step.state, step.ended_at = StepState.FAILED, now
        for one in self.steps:
            if one.state == StepState.WAITING:
                one.state = StepState.SKIPPED
        if step := self.failed:
            step.tail = building.last_lines(self._said_in(step))
        return self.go(BuildState.FAILED, reason, also, ended_at=now)

    def _said_in(self, step: BuildStep) -> bytes:
        """What the log has from the beginning of a step to its end."""
        log = kept_log(self.build) + self.heard.new
        mark = f"portal-build: {nonce_of(self.build)} step {step.number} ".encode()
        _, _, rest = log.rpartition(mark + b"begin")
        return rest.partition(mark + b"end")[0]

    def _changed(self) -> Sequence[BuildStep]:
        return [step for step in self.steps if (step.state, step.tail) != self.was[step.pk]]

    def _write(self) -> None:
        """Raises: StaleState: another worker has been faster."""
        keep_log(self.build, self.heard)
        for step in self._changed():
            rows = BuildStep.objects.filter(pk=step.pk, state=self.was[step.pk][0])
            fields = ("state", "began_at", "ended_at", "status", "tail")
            if not rows.update(**{name: getattr(step, name) for name in fields}):
                raise StaleState(f"{step} has been changed")


def nonce_of(build: Build) -> str:
    """By which the marks of this build are known on the serial line."""
    return build.uuid.hex[:16]


def _apply(said: Said, steps: Sequence[BuildStep]) -> None:
    """Steps are taken one after another: what comes later ends what was before."""
    now = timezone.now()
    for step in steps:
        if step.state in _OPEN and (said.is_done or step.number < said.number):
            step.state, step.status = StepState.DONE, 0
            step.began_at, step.ended_at = step.began_at or now, now
        elif step.number == said.number and step.state in _OPEN:
            step.began_at = step.began_at or now
            step.state = StepState.RUNNING
            if said.status is not None:
                step.state = StepState.FAILED if said.status else StepState.DONE
                step.status, step.ended_at = said.status, now


def named(step: BuildStep) -> str:
    return f"step {step.number} ({step.name})"


def _capital(step: BuildStep) -> str:
    return named(step)[0].upper() + named(step)[1:]


def in_minutes(count: int) -> str:
    return f"{count} minute{'s' if count != 1 else ''}"
