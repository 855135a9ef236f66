"""Whom the portal tells what becomes of machines, in the transaction in which it does.

Machines that were launched together are told of together, once; programs hear of each as it comes.
"""

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from core.machine import Move
from core.models import Event
from registration.actions import notify, notify_programs
from vms import progress
from vms.models import VM, Batch, Cluster, Readiness
from vms.progress import Progress
from vms.states import ClusterState, ReadinessState, VmState

#: Batches of one look; the next one is two seconds away.
MOST_BATCHES = 50
_SETTING_UP = (ClusterState.STARTING, ClusterState.WIRING)
#: Machines of which nobody can say yet what they come to.
_COMING = (
    Q(state__in=(VmState.PENDING, VmState.PROLOG, VmState.BOOT))
    | Q(state=VmState.RUNNING, readiness__state=ReadinessState.WATCHING)
    | Q(state=VmState.RUNNING, readiness__state=ReadinessState.SLOW, readiness__ssh_at=None)
)


def machine_moved(vm: VM, move: Move) -> None:
    """Its owner is told of what nobody asked for: it failed, or no longer runs."""
    if move.to == VmState.FAILED:
        sentence = f"{vm} has failed: {move.reason}"
    elif move.to == VmState.UNKNOWN and move.was in (VmState.RUNNING, VmState.BOOT):
        sentence = f"{vm} no longer runs{f': {move.reason}' if move.reason else '.'}"
    else:
        return
    _tell(vm, "machine_failed", sentence, move.reason, is_one_of_many=_is_told_with_others(vm))


def readiness_moved(readiness: Readiness, move: Move) -> None:
    """Once for each start; the first of a machine of a batch or a cluster is told with theirs."""
    vm = readiness.vm
    if move.to != ReadinessState.READY:
        return
    note = readiness.context_note
    note = f" Of its contextualization: {note}" if note else ""
    is_one_of_many = vm.cluster_id is not None or (vm.batch_id is not None and _is_first_start(vm))
    _tell(vm, "machine_ready", f"{vm} is ready.{note}", note.strip(), is_one_of_many=is_one_of_many)


def cluster_moved(cluster: Cluster, move: Move) -> None:
    """Its owner is told that it did not come to be; that it is ready, its own step tells."""
    is_over = move.to in (ClusterState.FAILED, ClusterState.ENDING)
    if is_over and move.was in _SETTING_UP and move.by is None:
        notify(
            cluster.owner,
            "cluster_failed",
            sentence=f"The cluster {cluster} was not set up. {move.reason}",
            url=cluster.get_absolute_url(),
            about=cluster,
            reason=move.reason,
        )


def _is_told_with_others(vm: VM) -> bool:
    """Whether its batch or its cluster has yet to be told of, with all that became of it.

    The batch stays locked, so that one that is told of in this moment says what is true, or this
    machine is told of by itself.
    """
    if vm.cluster_id is not None:
        return Cluster.objects.filter(pk=vm.cluster_id, state__in=_SETTING_UP).exists()
    if vm.batch_id is None:
        return False
    batch = Batch.objects.select_for_update(no_key=True).get(pk=vm.batch_id)
    return batch.told_at is None


def _is_first_start(vm: VM) -> bool:
    starts = Event.objects.of(vm.uuid).filter(was=VmState.BOOT, now=VmState.RUNNING)
    return starts.count() <= 1


def _tell(vm: VM, kind: str, sentence: str, reason: str, *, is_one_of_many: bool) -> None:
    tell = notify_programs if is_one_of_many else notify
    tell(
        vm.owner, kind, sentence=sentence, url=vm.get_absolute_url(), about=vm,
        address=vm.ssh_address, reason=reason,
    )  # fmt: skip


# Batches ---------------------------------------------------------------------------------


def tell_of_batches() -> None:
    """Each batch of which no machine is on its way any more is told of, once.

    Its mark and what is told are of one transaction: whoever is killed, it is both or neither.
    """
    coming = VM.objects.filter(_COMING, batch=OuterRef("pk"))
    untold = Batch.objects.filter(~Exists(coming), told_at=None).order_by("pk")
    for pk in untold.values_list("pk", flat=True)[:MOST_BATCHES]:
        _tell_of(pk)


@transaction.atomic
def _tell_of(pk: int) -> None:
    """Judged anew with its row locked: another worker may have told, or a machine starts again."""
    rows = Batch.objects.select_for_update(no_key=True, of=("self",)).select_related("owner")
    batch = rows.filter(pk=pk, told_at=None).first()
    if batch is None or VM.objects.filter(_COMING, batch=batch).exists():
        return
    Batch.objects.filter(pk=pk).update(told_at=timezone.now())
    machines = list(VM.objects.filter(batch=batch, cluster=None).select_related("readiness"))
    came = progress.together(batch.created_at, machines)
    if sentence := _said(batch, came, sum(bool(vm.readiness.context_note) for vm in machines)):
        notify(
            batch.owner, "batch_ready", sentence=sentence, url=batch.get_absolute_url(),
            about=batch, machines=came.total, ready=came.ready, failed=came.failed,
            silent=came.silent,
        )  # fmt: skip


def _said(batch: Batch, came: Progress, troubled: int) -> str:
    """What became of its machines; "" if that is only what its owner has asked for."""
    if not (came.ready or came.failed or came.silent):
        return ""
    note = f" Of {troubled} the contextualization went wrong." if troubled else ""
    if came.ready == came.total:
        which = "The machine" if came.total == 1 else f"All {came.total} machines"
        return f"{which} of {batch} {'is' if came.total == 1 else 'are'} ready.{note}"
    silent = f"{came.silent} do{'es' if came.silent == 1 else ''} not answer"
    ended = came.ending + came.over
    lost = [
        f"{came.failed} failed" if came.failed else "",
        silent if came.silent else "",
        f"{ended} ended before" if ended else "",
    ]
    ready = f"{came.ready} of the {came.total} machines of {batch} {_are(came.ready)} ready"
    return f"{ready}; {', '.join(filter(None, lost))}.{note}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
