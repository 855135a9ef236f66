"""Disks come into machines and leave them, whatever breaks on the way."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from cloud.errors import CloudRefused, CloudUnavailable
from cloud.types import VmPhase, VmSpec
from conftest import LIVES
from core.machine import tick
from core.models import Event
from registration.tests.factories import UserFactory
from vms import actions as machines
from vms import disks, reconcile, sampling
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes import actions as volumes
from volumes import plots
from volumes.models import Attachment, Volume, VolumeSample
from volumes.states import AttachmentState, VolumeState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = pytest.mark.django_db

A = AttachmentState
#: What a worker does with an attachment.
ATTACHMENT_STEPS = dict(LIVES)[Attachment]


def made(cloud, owner, *, phase=VmPhase.RUNNING, **spec):
    """A machine that runs, here and there."""
    vm = VMFactory(owner=owner, running=True)
    cloud.put_image("image")
    wanted = VmSpec(name=vm.name, vcpus=1, memory_mib=512, image="image", **spec)
    cloud.create_vm(wanted, token=vm.token)
    cloud.set_phase(vm.token, phase)
    return vm


def disk(cloud, owner, **fields):
    volume = VolumeFactory(owner=owner, **fields)
    cloud.put_volume(volume.token)
    return volume


@pytest.fixture
def bob(db):
    return UserFactory(username="bob")


@pytest.fixture
def vm(cloud, bob):
    return made(cloud, bob)


@pytest.fixture
def volume(cloud, bob):
    return disk(cloud, bob, tag="results")


def plugged(cloud, vm):
    return {one.volume for one in cloud.get_vm(vm.cloud_ref).disks}


def fresh(row):
    return type(row).objects.get(pk=row.pk)


def attached(worker, volume, vm, *, by, read_only=False):
    row = disks.attach(volume, vm, by=by, read_only=read_only)
    worker.step()
    row = fresh(row)
    assert row.state == A.ATTACHED
    return row


def test_one_look_plugs_it_in_and_says_where(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    assert row.device.startswith("/dev/")
    assert volume.token[:20] in row.stable_path
    assert row.attached_at is not None
    assert plugged(cloud, vm) == {volume.token}
    assert fresh(volume).written_at is not None


def test_a_disk_that_is_only_read_keeps_what_came_in(worker, vm, volume, bob):
    attached(worker, volume, vm, by=bob, read_only=True)
    assert fresh(volume).written_at is None


def test_detached_it_is_free_again(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    disks.detach(row, by=bob)
    worker.step()
    row = fresh(row)
    assert (row.state, row.detached_at is not None) == (A.DETACHED, True)
    assert fresh(volume).state == VolumeState.AVAILABLE
    assert plugged(cloud, vm) == set()
    verbs = list(Event.objects.of(row.uuid).values_list("verb", "now"))
    assert verbs == [
        ("attach", "attaching"), ("moved", "attached"), ("detach", "detaching"),
        ("moved", "detached"),
    ]  # fmt: skip


def test_once_detached_it_is_known_how_much_of_it_is_kept(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    cloud.write_volume(volume.token, b"results")
    disks.detach(row, by=bob)
    worker.step()
    assert fresh(volume).used_bytes == cloud.get_volume(volume.token).used_bytes > 0


def test_the_last_reader_frees_it(worker, cloud, volume, bob):
    rows = [attached(worker, volume, made(cloud, bob), by=bob, read_only=True) for _ in range(2)]
    for row, state in zip(rows, (VolumeState.IN_USE, VolumeState.AVAILABLE), strict=True):
        disks.detach(row, by=bob)
        worker.step()
        assert fresh(volume).state == state


def test_a_halted_machine_takes_disks_and_lets_go_of_them(cloud, worker, volume, bob):
    vm = made(cloud, bob, phase=VmPhase.STOPPED)
    VM.objects.filter(pk=vm.pk).update(state=VmState.UNKNOWN)
    row = attached(worker, volume, fresh(vm), by=bob)
    disks.detach(row, by=bob)
    worker.step()
    assert fresh(row).state == A.DETACHED


# What goes wrong ---------------------------------------------------------------------------


def test_a_guest_that_keeps_it_has_it_still_and_says_so(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    cloud.refuse_detach(vm.token, volume.token)
    disks.detach(row, by=bob)
    worker.run(hours=0.05)
    row = fresh(row)
    assert row.state == A.ATTACHED
    assert "within 30 seconds" in row.reason
    assert "Unmount" in row.reason
    assert fresh(volume).state == VolumeState.IN_USE
    cloud.refuse_detach(vm.token, volume.token, on=False)
    disks.detach(row, by=bob)
    worker.step()
    assert fresh(row).state == A.DETACHED


def test_force_pulls_it_out(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    cloud.refuse_detach(vm.token, volume.token)
    disks.detach(row, by=bob, force=True)
    worker.step()
    assert (fresh(row).state, plugged(cloud, vm)) == (A.DETACHED, set())


def test_force_while_the_guest_is_being_asked(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    cloud.refuse_detach(vm.token, volume.token)
    disks.detach(row, by=bob)
    worker.step()
    assert fresh(row).state == A.DETACHING
    disks.detach(fresh(row), by=bob, force=True)
    worker.step()
    assert fresh(row).state == A.DETACHED


def test_an_attach_that_the_engine_refuses_is_undone_with_its_reason(
    cloud, worker, vm, volume, bob
):
    row = disks.attach(volume, vm, by=bob, read_only=False)
    tick_with(cloud, row, None, CloudRefused("The machine has no room for it."))
    worker.step()
    row = fresh(row)
    assert (row.state, row.attached_at) == (A.DETACHED, None)
    assert row.reason == "The machine has no room for it."
    assert (fresh(volume).state, fresh(volume).written_at) == (VolumeState.AVAILABLE, None)


def tick_with(cloud, row, *errors):
    """One step in which the engine's calls raise these, one each; None: that one works."""
    cloud.get_vm(row.vm.cloud_ref)
    step, calls = dict(ATTACHMENT_STEPS), list(errors)

    def breaking(attachment, driver):
        if calls[0] is None:  # the look before works
            calls.pop(0)
            driver.get_vm(attachment.vm.cloud_ref)
        driver.fail_next(*calls)
        return ATTACHMENT_STEPS[attachment.state](attachment, driver)

    step[row.state] = breaking
    return tick(row, step)


@pytest.mark.parametrize("breaks_at", [0, 1, 2])
def test_a_lost_answer_is_found_again(cloud, worker, vm, volume, bob, breaks_at):
    row = disks.attach(volume, vm, by=bob, read_only=False)
    _lose_after(cloud, row, breaks_at)
    worker.run(hours=0.1)
    assert fresh(row).state == A.ATTACHED
    assert cloud.world.calls.count("attach_volume") <= 2
    disks.detach(fresh(row), by=bob)
    _lose_after(cloud, fresh(row), breaks_at)
    worker.run(hours=0.1)
    assert (fresh(row).state, plugged(cloud, vm)) == (A.DETACHED, set())


def _lose_after(cloud, row, calls):
    """The engine does what is asked, and the worker dies after so many of its calls."""
    with pytest.raises(Killed):
        ATTACHMENT_STEPS[row.state](row, Dying(cloud, calls))


class Killed(BaseException):
    pass


class Dying:
    """The engine, for a worker that is killed after some calls have done their work."""

    def __init__(self, cloud, calls):
        self.cloud, self.left = cloud, calls

    def __getattr__(self, name):
        def call(*args, **kwargs):
            answer = getattr(self.cloud, name)(*args, **kwargs)
            if not self.left:
                raise Killed
            self.left -= 1
            return answer

        return call


@pytest.mark.slow
def test_an_engine_that_never_answers_leaves_no_disk_held(cloud, worker, vm, volume, bob):
    row = disks.attach(volume, vm, by=bob, read_only=False)
    cloud.fail_next(*[CloudUnavailable("No answer.")] * 60)
    worker.run(hours=0.1)
    row = fresh(row)
    # It goes the way back too, and that ends where the engine answers again.
    cloud.world.failures.clear()
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        settle(cloud)
        row = fresh(row)
    assert row.state in (A.DETACHED, A.ATTACHED)
    assert (row.state == A.ATTACHED) == (volume.token in plugged(cloud, vm))


def settle(cloud):
    reconcile.sweep("local")


def test_a_machine_killed_while_it_attaches_frees_the_disk(cloud, worker, vm, volume, bob):
    row = disks.attach(volume, vm, by=bob, read_only=False)
    machines.kill(vm, by=bob)
    worker.run(hours=0.1)
    assert (fresh(vm).state, fresh(row).state) == (VmState.DONE, A.DETACHED)
    assert fresh(volume).state == VolumeState.AVAILABLE
    assert cloud.world.volumes[volume.token].holders == {}


def test_a_killed_machine_frees_all_its_disks_at_once(cloud, worker, vm, bob):
    held = [disk(cloud, bob) for _ in range(3)]
    for one in held:
        attached(worker, one, vm, by=bob)
    machines.kill(vm, by=bob)
    worker.run(hours=0.1)
    assert not Attachment.objects.holding().exists()
    assert set(Volume.objects.values_list("state", flat=True)) == {VolumeState.AVAILABLE}
    ends = Attachment.objects.values_list("reason", flat=True)
    assert set(ends) == {f"{vm} has ended."}


def test_a_machine_that_is_gone_from_the_engine_lets_go(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    disks.detach(row, by=bob)
    cloud.delete_vm(vm.token)
    worker.step()
    assert fresh(row).state == A.DETACHED


def test_what_an_attach_that_ended_half_way_holds_is_let_go_too(cloud, worker, vm, volume, bob):
    """The engine wrote its claim down, and was killed before the machine had the disk."""
    row = AttachmentFactory(volume=volume, vm=vm, state=A.DETACHING, reason="It took too long.")
    Volume.objects.filter(pk=volume.pk).update(state=VolumeState.IN_USE)
    cloud.world.volumes[volume.token].holders[vm.cloud_ref] = False
    worker.step()
    assert (fresh(row).state, fresh(row).reason) == (A.DETACHED, "It took too long.")
    attached(worker, fresh(volume), made(cloud, bob), by=bob)


# At launch ---------------------------------------------------------------------------------


def test_a_planned_disk_is_attached_when_the_engine_shows_it(cloud, worker, bob):
    vm, volume = VMFactory(owner=bob), disk(cloud, bob)
    cloud.put_image(vm.entry.identifier)
    row = volumes.plan(volume, vm, by=bob, read_only=False)
    worker.run(hours=0.01)
    row = fresh(row)
    assert (row.state, row.device != "", row.at_launch) == (A.ATTACHED, True, True)
    assert fresh(volume).written_at is not None
    disks.detach(row, by=bob)
    worker.step()
    assert fresh(row).state == A.DETACHED


def test_a_machine_killed_before_it_starts_frees_what_it_was_to_have(cloud, worker, bob):
    vm, volume = VMFactory(owner=bob), disk(cloud, bob)
    row = volumes.plan(volume, vm, by=bob, read_only=False)
    machines.kill(vm, by=bob)
    worker.run(hours=0.1)
    assert (fresh(row).state, fresh(volume).state) == (A.DETACHED, VolumeState.AVAILABLE)
    assert fresh(volume).written_at is None


def test_a_machine_that_never_starts_gives_its_disk_back(cloud, bob):
    vm, volume = VMFactory(owner=bob), disk(cloud, bob)
    row = volumes.plan(volume, vm, by=bob, read_only=False)
    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        tick(fresh(row), ATTACHMENT_STEPS)
    row = fresh(row)
    assert (row.state, row.detached_at is not None) == (A.DETACHED, True)
    assert (fresh(volume).state, fresh(volume).written_at) == (VolumeState.AVAILABLE, None)


@pytest.mark.parametrize(("is_there", "state"), [(False, A.DETACHED), (True, A.PLANNED)])
def test_a_machine_that_failed_and_was_never_made_gives_its_disks_back(cloud, bob, is_there, state):
    vm, volume = VMFactory(owner=bob), disk(cloud, bob)
    row = volumes.plan(volume, vm, by=bob, read_only=False)
    vm.move(VmState.FAILED, reason="It needs 9 vCPUs.")
    if is_there:
        cloud.put_image("image")
        cloud.create_vm(
            VmSpec(name=vm.name, vcpus=1, memory_mib=512, image="image"), token=vm.token
        )
    settle(cloud)
    assert fresh(row).state == A.PLANNED  # the listing may have been too early
    with later(90):
        settle(cloud)
    assert fresh(row).state == state
    assert (fresh(volume).state == VolumeState.AVAILABLE) == (not is_there)


# Where the rows and the engine disagree ----------------------------------------------------


def later(seconds=5):
    return time_machine.travel(timezone.now() + timedelta(seconds=seconds))


def test_what_the_guest_let_go_of_late_is_detached(cloud, worker, vm, volume, bob):
    row = attached(worker, volume, vm, by=bob)
    cloud.detach_volume(vm.token, volume.token)
    with later():
        reconcile.sweep("local")
    row = fresh(row)
    assert (row.state, row.reason) == (A.DETACHED, "The engine no longer has it in the machine.")
    assert fresh(volume).state == VolumeState.AVAILABLE


def test_an_old_listing_says_nothing_of_what_came_after(cloud, worker, vm, volume, bob):
    before = timezone.now() - timedelta(minutes=1)
    listing = list(cloud.list_vms())
    row = attached(worker, volume, vm, by=bob)
    reconcile.plugs.settle("local", listing, asked_at=before)
    assert fresh(row).state == A.ATTACHED


def test_what_nobody_holds_is_unplugged(cloud, vm, volume):
    cloud.attach_volume(vm.token, volume.token, read_only=False)
    reconcile.sweep("local")
    assert plugged(cloud, vm) == set()


def test_what_somebody_waits_for_and_what_is_not_ours_stay(cloud, vm, volume, bob):
    disks.attach(volume, vm, by=bob, read_only=False)
    cloud.attach_volume(vm.token, volume.token, read_only=False)
    cloud.put_volume("stranger")
    cloud.attach_volume(vm.token, "stranger", read_only=False)
    reconcile.sweep("local")
    assert plugged(cloud, vm) == {volume.token, "stranger"}


def test_a_row_without_its_device_gets_it_from_the_listing(cloud, vm, volume, bob):
    cloud.attach_volume(vm.token, volume.token, read_only=False)
    row = AttachmentFactory(volume=volume, vm=vm, device="", attached_at=None)
    with later():
        reconcile.sweep("local")
    row = fresh(row)
    assert (row.device != "", row.stable_path != "", row.attached_at is not None) == (
        True, True, True,
    )  # fmt: skip


def test_a_disk_in_use_by_nobody_is_available_again(cloud, bob):
    lost = VolumeFactory(owner=bob, state=VolumeState.IN_USE)
    held = AttachmentFactory(volume__owner=bob, volume__state=VolumeState.AVAILABLE).volume
    volumes.settle_uses("local")
    assert fresh(lost).state == VolumeState.AVAILABLE
    assert fresh(held).state == VolumeState.IN_USE


# What machines do with them ----------------------------------------------------------------


def test_reads_and_writes_are_sampled_in_one_call(
    cloud, worker, vm, bob, django_assert_max_num_queries
):
    for _ in range(3):
        attached(worker, disk(cloud, bob), vm, by=bob)
    calls = cloud.world.calls.count("usage")
    with django_assert_max_num_queries(5):
        sampling.sample("local")
    assert cloud.world.calls.count("usage") == calls + 1
    assert VolumeSample.objects.count() == 3


def sample(row, seconds, read, write):
    base = timezone.now().replace(microsecond=0) - timedelta(hours=1)
    VolumeSample.objects.create(
        attachment=row, at=base + timedelta(seconds=seconds), read_bytes=read, write_bytes=write
    )


def test_the_plot_adds_up_machines_and_leaves_gaps(bob):
    first = AttachmentFactory(volume__owner=bob)
    second = AttachmentFactory(volume=first.volume, read_only=True, vm__owner=bob)
    sample(first, 0, 0, 0)
    sample(first, 60, 6000, 60)
    sample(second, 0, 0, 0)
    sample(second, 60, 3000, 0)
    sample(second, 120, 0, 0)  # the machine was restarted
    lines = plots.series(first.volume, bob)
    assert lines["disk_read_bps"] == [None, 150.0, None]
    assert lines["disk_write_bps"] == [None, 1.0, None]


def test_who_reads_a_public_disk_sees_the_plot_of_their_own_machines_only(bob):
    theirs = AttachmentFactory(volume__public=True)
    mine = AttachmentFactory(volume=theirs.volume, vm__owner=bob, read_only=True)
    for row in (theirs, mine):
        sample(row, 0, 0, 0)
        sample(row, 60, 6000, 0)
    assert plots.series(theirs.volume, bob)["disk_read_bps"] == [None, 100.0]
    assert plots.series(theirs.volume, theirs.volume.owner)["disk_read_bps"] == [None, 200.0]


def test_samples_of_disks_are_thinned_as_those_of_machines():
    row, now = AttachmentFactory(), timezone.now().replace(minute=30, second=0, microsecond=0)
    for ago in (timedelta(days=8), timedelta(hours=7, minutes=3), timedelta(hours=7)):
        VolumeSample.objects.create(attachment=row, at=now - ago, read_bytes=0, write_bytes=0)
    assert sampling.thin(now) == 2
