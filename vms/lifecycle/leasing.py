"""Leases that end: told of, then the machine is shut down, then, after a grace, removed.

Each row is locked and judged anew before anything is done about it, so however many workers
look, and wherever one is killed, everything is done and told once for each lease.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from registration.actions import notify
from vms.bells import ring_row
from vms.leases import ASKED, CUT, ENDING, WARN, Due, due, grace, kept_until, removed_at
from vms.lifecycle.saving import shut_down_to_save
from vms.models import VM
from vms.states import VmState

#: Of one look; the next one is a minute away.
MOST_ROWS = 200
_COLUMNS = (
    "state", "state_since", "created_at", "expires_at", "lease_since", "expiry_told_at",
    "saving__state",
)  # fmt: skip


def look_at_leases() -> int:
    """Do what is due about leases; about how many machines something was done."""
    now = timezone.now()
    soon = VM.objects.exclude(state__in=ENDING).filter(expires_at__lt=now + max(WARN))
    rows = soon.select_related("saving").only(*_COLUMNS).order_by("expires_at", "pk")
    wanted = [vm.pk for vm in rows.iterator(chunk_size=500) if due(vm, now)]
    return sum(_settle(pk) for pk in wanted[:MOST_ROWS])


def _settle(pk: int) -> bool:
    with transaction.atomic():
        rows = VM.objects.select_for_update(no_key=True, of=("self",))
        vm = rows.select_related("owner", "saving").filter(pk=pk).first()
        what = due(vm, timezone.now()) if vm else None
        if vm is None or what is None:
            return False
        _ACTS[what](vm)
    return True


def _warn(vm: VM) -> None:
    ends = in_words(vm.expires_at)
    image = vm.saved_as
    then = "it is then shut down"
    if image and image.is_open:
        then += f" and saved as the image {image.title[:60]}"
    elif vm.state in (VmState.UNKNOWN, VmState.FAILED):
        then = f"it is removed with its disk {span(grace())} later"
    _tell(vm, "lease_ending", f"The lease of {vm} ends on {ends}: {then}. Extend it if you still "
          "need the machine.", ends_at=_iso(vm.expires_at))  # fmt: skip


def _is_end_untold(vm: VM) -> bool:
    return vm.expiry_told_at is None or (
        vm.expires_at is not None and vm.expiry_told_at < vm.expires_at
    )


def _halt(vm: VM) -> None:
    reason = f"Its lease ended on {in_words(vm.expires_at)}."
    image = vm.saved_as
    if _is_end_untold(vm):
        then = f"its disk is kept for {span(grace())}"
        if image and image.is_open:
            then = f"it is saved as the image {image.title[:60]}"
        sentence = f"The lease of {vm} has ended: it is being shut down, and {then}."
        _tell(vm, "lease_ending", sentence, ends_at=_iso(vm.expires_at))
    if image and image.is_open:
        shut_down_to_save(vm, reason)
        return
    vm.move(VmState.SHUTDOWN, reason=f"{reason} Its disk is kept.", asked=ASKED)
    ring_row(vm)


def _cut(vm: VM) -> None:
    reason = (
        f"Its lease ended on {in_words(vm.expires_at)}, and the guest has ignored the power "
        f"button for {span(grace())}: it is switched off."
    )
    image = vm.saved_as
    is_saved = bool(image and image.is_open)
    vm.move(VmState.SHUTDOWN, reason=reason, asked="power_off" if is_saved else CUT)
    ring_row(vm)


def _save(vm: VM) -> None:
    if _is_end_untold(vm):
        sentence = f"The lease of {vm} has ended: it is saved as the image {vm.saved_as}."
        _tell(vm, "lease_ending", sentence, ends_at=_iso(vm.expires_at))
    vm.move(VmState.EPILOG, reason=f"Its lease ended on {in_words(vm.expires_at)}: it is saved.",
            asked="")  # fmt: skip
    ring_row(vm)


def _keep(vm: VM) -> None:
    what = "has failed" if vm.state == VmState.FAILED else "is halted"
    ways = "" if vm.state == VmState.FAILED else " and start it again, save it as an image"
    _tell_end(vm, f"The lease of {vm} has ended, and it {what}. Its disk is kept until {{until}}: "
              f"before that you can extend the lease{ways}, or kill it.")  # fmt: skip


def _last(vm: VM) -> None:
    _tell_end(vm, f"{vm} is removed with its disk on {{until}}, since its lease has ended. Extend "
              "its lease before that if you still need it.")  # fmt: skip


def _tell_end(vm: VM, words: str) -> None:
    until = removed_at(vm, kept_until(vm) or timezone.now(), timezone.now())
    _tell(vm, "lease_ended", words.replace("{until}", in_words(until)), kept_until=_iso(until))


def _over(vm: VM) -> None:
    """The engine gives its disk back in the Epilog, as after a kill."""
    ended = in_words(vm.expires_at)
    notify(
        vm.owner,
        "lease_ended",
        sentence=f"{vm} is removed with its disk: its lease ended on {ended}, and nobody extended "
        "it.",
        url=vm.get_absolute_url(),
        about=vm,
    )
    reason = f"Removed: its lease ended on {ended}, and nobody extended it for {span(grace())}."
    vm.move(VmState.EPILOG, reason=reason, asked="")
    ring_row(vm)


_ACTS: Mapping[Due, Callable[[VM], None]] = {
    Due.WARN: _warn,
    Due.HALT: _halt,
    Due.CUT: _cut,
    Due.SAVE: _save,
    Due.KEEP: _keep,
    Due.LAST: _last,
    Due.OVER: _over,
}


def _tell(vm: VM, kind: str, sentence: str, **data: str) -> None:
    """In the transaction that has the row locked: the mark and what is told go together."""
    now = timezone.now()
    VM.objects.filter(pk=vm.pk).update(expiry_told_at=now)
    vm.expiry_told_at = now
    notify(vm.owner, kind, sentence=sentence, url=vm.get_absolute_url(), about=vm, **data)
    vm.announce()


def in_words(at: datetime | None) -> str:
    return f"{at:%-d %B %Y at %H:%M} UTC" if at else ""


def span(time: timedelta) -> str:
    """A time in whole days or hours, for people."""
    hours = round(time.total_seconds() / 3600)
    if hours and hours % 24 == 0:
        return f"{hours // 24} day{'s' if hours != 24 else ''}"
    return f"{hours} hour{'s' if hours != 1 else ''}"


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
