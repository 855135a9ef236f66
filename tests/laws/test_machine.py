"""The four laws of a state machine whose state is a row (``core.machine``)."""

import threading
import time
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from cloud.errors import CloudRefused, CloudUnavailable
from conftest import wait_for
from core import machine
from core.bells import NOW
from core.machine import (
    LEASE,
    SHORTEST_WAIT,
    Go,
    IllegalMove,
    StaleState,
    due,
    hurry,
    progress,
    tick,
)
from core.models import Event
from marketplace.models import ImageFile
from marketplace.tests.factories import ImageFileFactory
from vms.models import VM
from vms.states import VM_DEADLINES, VM_MOVES, VM_VERBS, VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


def steps(answer):
    return {state: lambda vm, cloud: answer for state in VM_DEADLINES}


def fresh(vm):
    return VM.objects.get(pk=vm.pk)


# 1. One UPDATE, guarded by the state it was read in, with its line of history.


def test_a_move_is_written_with_its_history():
    vm = VMFactory()
    vm.move(VmState.PROLOG, reason="There is room.", cloud_ref="x", by=vm.owner)
    event = Event.objects.get(subject=vm.uuid)
    assert (fresh(vm).state, fresh(vm).cloud_ref, fresh(vm).reason) == (
        "prolog", "x", "There is room.",
    )  # fmt: skip
    assert (event.was, event.now, event.reason, event.by) == (
        "pending", "prolog", "There is room.", vm.owner,
    )  # fmt: skip


def test_an_arrow_that_the_table_lacks_is_a_bug():
    with pytest.raises(IllegalMove):
        VMFactory().move(VmState.RUNNING)


def test_whoever_comes_second_changes_nothing():
    first, second = VMFactory(), None
    second = fresh(first)
    first.move(VmState.EPILOG)
    with pytest.raises(StaleState):
        second.move(VmState.PROLOG, cloud_ref="late")
    assert fresh(first).state == VmState.EPILOG
    assert fresh(first).cloud_ref == ""
    assert Event.objects.filter(subject=first.uuid).count() == 1


def test_what_runs_alongside_shares_the_transaction():
    vm = VMFactory()

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        vm.move(VmState.PROLOG, alongside=fail)
    assert fresh(vm).state == VmState.PENDING
    assert not Event.objects.filter(subject=vm.uuid).exists()


@pytest.mark.parametrize("state", VmState.values)
def test_every_arrow_and_deadline_leads_to_a_known_state(state):
    assert VM_MOVES.get(state, frozenset()) <= set(VmState.values)
    if deadline := VM_DEADLINES.get(state):
        assert deadline.then in VM_MOVES[state]


def test_every_verb_starts_in_known_states_and_kill_in_all_but_the_last_two():
    assert set().union(*VM_VERBS.values()) <= set(VmState.values)
    assert VM_VERBS["kill"] == set(VmState.values) - {"epilog", "done"}
    for state in VM_VERBS["kill"]:
        assert VmState.EPILOG in VM_MOVES[state]


# 2. A lease and a booked next look, before anything is done.


def test_a_step_runs_under_a_lease_with_the_next_look_booked():
    vm = VMFactory()
    seen = []

    def look(row, cloud):
        seen.append(fresh(row))

    now = timezone.now()
    assert tick(vm, {VmState.PENDING: look}) == SHORTEST_WAIT
    [during] = seen
    assert now + LEASE <= during.lease_until
    assert during.next_tick_at >= now + SHORTEST_WAIT
    assert fresh(vm).lease_until is None


def test_ten_bells_are_answered_once():
    vm = VMFactory()
    answers = [tick(fresh(vm), steps(None)) for _ in range(10)]
    assert answers == [SHORTEST_WAIT, *[None] * 9]


def test_a_row_at_rest_is_left_alone():
    assert tick(VMFactory(running=True), steps(Go(VmState.EPILOG))) is None


def test_a_crashed_step_leaves_the_next_look_booked():
    vm = VMFactory()
    with pytest.raises(ZeroDivisionError):
        tick(vm, {VmState.PENDING: lambda *_: 1 / 0})
    row = fresh(vm)
    assert row.lease_until is None
    assert timezone.now() < row.next_tick_at < timezone.now() + timedelta(seconds=3)


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing after this line runs."""


WRITES_OF_A_TICK = 4  # lease, move, its event, release


@pytest.mark.parametrize("line", range(WRITES_OF_A_TICK))
def test_killed_between_any_two_writes_the_row_is_found_again(line):
    vm = VMFactory()
    count = 0

    def die_at(execute, sql, params, many, context):
        nonlocal count
        if sql.lstrip().upper().startswith(("UPDATE", "INSERT")):
            if count >= line:
                raise Killed
            count += 1
        return execute(sql, params, many, context)

    with pytest.raises(Killed), connection.execute_wrapper(die_at):
        tick(vm, steps(Go(VmState.PROLOG)))
    with time_machine.travel(timezone.now() + LEASE + timedelta(seconds=1), tick=False):
        assert list(due(VM.objects.all())) == [vm]
        tick(fresh(vm), steps(Go(VmState.PROLOG) if fresh(vm).state == "pending" else None))
    assert fresh(vm).state == VmState.PROLOG
    assert Event.objects.filter(subject=vm.uuid, now="prolog").count() == 1


def test_an_expired_lease_is_taken_over_and_not_freed_by_its_late_owner():
    vm = VMFactory()

    def slow(row, cloud):
        with time_machine.travel(timezone.now() + 2 * LEASE, tick=False):
            tick(fresh(row), {VmState.PENDING: hold})

    def hold(row, cloud):
        owner.append(fresh(row).lease_until)
        raise Killed

    owner = []
    with pytest.raises(Killed):
        tick(vm, {VmState.PENDING: slow})
    assert owner[0] is not None


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_long_step_has_its_lease_for_as_long_as_it_waits(monkeypatch):
    monkeypatch.setattr(machine, "LEASE", timedelta(seconds=0.6))
    vm, others = VMFactory(), []

    def silent(row, cloud):
        """A server that says nothing for longer than a lease, and no occasion to renew it."""
        ended = time.monotonic() + 1.5
        wait_for(lambda: others.append(rival()) or time.monotonic() > ended, every_s=0.1)
        return Go(VmState.PROLOG)

    def rival():
        VM.objects.update(next_tick_at=timezone.now())
        return tick(fresh(vm), steps(Go(VmState.FAILED)))

    assert tick(vm, {VmState.PENDING: silent}, is_long=True) == NOW
    assert set(others) == {None}
    assert fresh(vm).state == VmState.PROLOG
    assert fresh(vm).lease_until is None


def test_who_lost_the_lease_keeps_and_moves_nothing():
    vm = VMFactory()

    def frozen(row, cloud):
        """The worker stood still; meanwhile another has taken the row."""
        VM.objects.update(lease_until=timezone.now() + LEASE * 2)
        with pytest.raises(StaleState):
            row.keep(note="late")
        return Go(VmState.PROLOG)

    tick(vm, {VmState.PENDING: frozen}, is_long=True)
    assert (fresh(vm).state, fresh(vm).note) == (VmState.PENDING, "")


@pytest.mark.django_db(transaction=True)
def test_a_renewal_that_waits_for_the_database_holds_up_no_transaction():
    """A step that keeps something in a transaction, and the beat of another one."""
    busy, beating = VMFactory(), VMFactory()
    renewed = []

    def renew():
        renewed.append(beating.renew())
        connection.close()

    beat = threading.Thread(target=renew)
    with transaction.atomic():
        busy.keep(note="has the database to itself")
        began = time.monotonic()
        beat.start()
        beat.join(0.3)
        busy.keep(note="twice")
        assert time.monotonic() - began < 2
    beat.join()
    assert renewed == [True]


def test_what_was_kept_in_a_transaction_that_failed_costs_no_lease():
    vm = VMFactory()

    def shaken(row, cloud):
        for _ in range(3):
            with transaction.atomic():
                row.keep(note="not so")
                transaction.set_rollback(True)
        row.keep(note="so")
        return Go(VmState.PROLOG)

    tick(vm, {VmState.PENDING: shaken})
    assert (fresh(vm).state, fresh(vm).note) == (VmState.PROLOG, "so")
    assert fresh(vm).lease_until is None


# 3. A moving state has a deadline, and the table says where it ends.


@pytest.mark.parametrize("state", list(VM_DEADLINES))
def test_a_state_that_never_succeeds_ends_where_the_table_says(state):
    deadline = VM_DEADLINES[state]
    began = timezone.now()
    vm = VMFactory(state=state, state_since=began)
    with time_machine.travel(began + deadline.after + timedelta(seconds=1), tick=False):
        VM.objects.update(next_tick_at=timezone.now())
        tick(fresh(vm), steps(None))
    assert fresh(vm).state == deadline.then
    assert fresh(vm).reason


def test_an_outage_longer_than_the_deadline_says_what_the_cloud_said(cloud):
    began = timezone.now()
    vm = VMFactory(state_since=began)

    def down(row, cloud):
        raise CloudUnavailable("The cloud does not answer.", detail="10.0.0.1:2633 refused")

    with time_machine.travel(began + timedelta(minutes=11), tick=False):
        VM.objects.update(next_tick_at=timezone.now())
        tick(fresh(vm), {VmState.PENDING: down})
    assert fresh(vm).state == VmState.FAILED
    assert "does not answer" in fresh(vm).reason
    assert "10.0.0.1" not in fresh(vm).reason


def test_a_refusal_of_the_cloud_ends_the_state_at_once(cloud):
    vm = VMFactory()

    def no(row, cloud):
        raise CloudRefused("Too large.")

    tick(vm, {VmState.PENDING: no})
    assert (fresh(vm).state, fresh(vm).reason) == ("failed", "Too large.")


def test_a_step_that_always_crashes_still_ends_with_a_reference():
    began = timezone.now()
    vm = VMFactory(state_since=began)
    with time_machine.travel(began + timedelta(minutes=11), tick=False):
        VM.objects.update(next_tick_at=timezone.now())
        with pytest.raises(ZeroDivisionError):
            tick(fresh(vm), {VmState.PENDING: lambda *_: 1 / 0})
    assert fresh(vm).state == VmState.FAILED
    assert "Reference: vm-" in fresh(vm).reason


def test_a_step_that_goes_on_crashing_says_so_long_before_its_deadline_and_takes_it_back():
    began = timezone.now()
    vm = VMFactory(state_since=began)

    def look(after_s, step):
        with time_machine.travel(began + timedelta(seconds=after_s), tick=False):
            VM.objects.update(next_tick_at=timezone.now())
            tick(fresh(vm), {VmState.PENDING: step})
        return fresh(vm).state, fresh(vm).reason

    def crash(after_s):
        with pytest.raises(ZeroDivisionError):
            look(after_s, lambda *_: 1 / 0)
        return fresh(vm).reason

    assert crash(1) == ""
    said = crash(8)
    assert said.startswith("Something went wrong inside the portal; it is being tried again.")
    assert "Reference: vm-" in said
    assert crash(20) == said
    assert look(30, lambda *_: None) == (VmState.PENDING, "")
    assert not Event.objects.filter(subject=vm.uuid).exists()


def test_the_pause_grows_with_the_time_spent_up_to_the_states_own_cap():
    began = timezone.now()
    waits = []
    for after_s in (0, 2, 100):
        vm = VMFactory(state=VmState.SHUTDOWN, state_since=began)
        with time_machine.travel(began + timedelta(seconds=after_s), tick=False):
            waits.append(tick(fresh(vm), steps(None)).total_seconds())
    assert waits == [0.25, 0.5, 2.0]


# 4. A person wins against a worker.


def test_a_person_beats_the_worker():
    vm = VMFactory()

    def while_on_the_phone(row, cloud):
        fresh(row).move(VmState.EPILOG, by=row.owner)
        return Go(VmState.PROLOG)

    assert tick(vm, {VmState.PENDING: while_on_the_phone}) == NOW
    assert fresh(vm).state == VmState.EPILOG
    assert fresh(vm).lease_until is None


def test_a_persons_change_waits_for_the_worker_that_is_at_it():
    vm = VMFactory()

    def while_on_the_phone(row, cloud):
        fresh(row).move(VmState.EPILOG, by=row.owner)
        assert tick(fresh(row), steps(None)) is None  # a second worker leaves it alone

    assert tick(vm, {VmState.PENDING: while_on_the_phone}) == NOW


def test_a_long_step_stops_when_the_row_has_left_its_state():
    image = ImageFileFactory(state="copying")

    def copy(row, cloud):
        write = progress(row)
        write(10, 100)
        assert ImageFile.objects.get(pk=row.pk).bytes_done == 10
        ImageFile.objects.filter(pk=row.pk).update(state="failed")
        write(100, 100)

    assert tick(image, {"copying": copy}) == NOW
    assert ImageFile.objects.get(pk=image.pk).bytes_done == 10


def test_a_long_step_renews_its_lease():
    image = ImageFileFactory(state="copying")

    def copy(row, cloud):
        began = row.lease_until
        with time_machine.travel(timezone.now() + LEASE, tick=False):
            progress(row)(1, 2)
        assert ImageFile.objects.get(pk=row.pk).lease_until > began

    tick(image, {"copying": copy})


def test_hurry_brings_a_moving_row_forward_and_leaves_one_at_rest():
    vm = VMFactory()
    tick(vm, steps(None))
    assert not due(VM.objects.all()).exists()
    assert hurry(vm)
    assert due(VM.objects.all()).exists()
    assert not hurry(VMFactory(running=True))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_eight_threads_on_one_row_take_each_step_once(cloud):
    vm = VMFactory()
    taken = []
    start = threading.Barrier(8)

    def take(to):
        def step(row, cloud):
            taken.append(row.state)
            return Go(to)

        return step

    table = {VmState.PENDING: take(VmState.PROLOG), VmState.PROLOG: take(VmState.FAILED)}

    def work():
        try:
            start.wait()
            give_up = time.monotonic() + 20
            while (row := fresh(vm)).state != VmState.FAILED and time.monotonic() < give_up:
                tick(row, table)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert taken == ["pending", "prolog"]
    assert [event.now for event in Event.objects.of(vm.uuid)] == ["prolog", "failed"]
