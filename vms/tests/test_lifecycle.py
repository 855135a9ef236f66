"""A machine's life against a cloud that can fail on demand."""

import socket
import threading
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from cloud.errors import CloudBusy, CloudRefused, CloudUnavailable
from cloud.types import VmPhase
from core.models import Event
from marketplace.models import ImageFile
from marketplace.states import ImageState
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from vms import actions
from vms.lifecycle.readiness import _greets
from vms.models import VM, Readiness
from vms.reconcile import compare, sweep
from vms.states import ReadinessState, VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry(cloud):
    """An image that the cloud has already."""
    entry = EntryFactory()
    cloud.put_image(entry.identifier)
    ImageFileFactory(entry=entry, ready=True)
    return entry


@pytest.fixture
def vm(entry):
    return VMFactory(entry=entry)


def states(vm):
    return [event.now for event in Event.objects.of(vm.uuid) if event.was]


def fresh(vm):
    return VM.objects.get(pk=vm.pk)


def running(vm, worker):
    worker.run(hours=0.001)
    # The worker's clock ran ahead of ours.
    VM.objects.filter(pk=vm.pk).update(state_since=timezone.now() - timedelta(minutes=1))
    vm.refresh_from_db()
    assert vm.state == VmState.RUNNING
    return vm


def test_a_machine_goes_through_every_state_to_running(vm, cloud, worker):
    running(vm, worker)
    assert states(vm) == ["prolog", "boot", "running"]
    assert vm.cloud_ref
    assert vm.ssh_command.startswith("ssh -p ")


def test_its_address_is_known_before_it_boots(vm, cloud, worker):
    worker.step()
    assert fresh(vm).ssh_address
    assert fresh(vm).state in (VmState.PENDING, VmState.PROLOG)


def test_its_address_is_known_before_its_image_is_there(cloud, worker):
    vm = VMFactory()
    worker.step()
    assert fresh(vm).state in (VmState.PENDING, VmState.PROLOG)
    assert fresh(vm).ssh_address


@pytest.mark.slow
def test_a_lost_answer_does_not_launch_twice(vm, cloud, worker):
    cloud.lose_next_answer()
    running(vm, worker)
    assert len(list(cloud.list_vms())) == 1


def test_an_image_that_cannot_be_had_fails_the_machine_with_its_reason(cloud, worker):
    vm = VMFactory()  # its image has no file on this site
    worker.run(hours=0.1)
    assert fresh(vm).state == VmState.FAILED
    assert fresh(vm).reason == ImageFile.objects.get().reason
    assert "no longer on this site" in fresh(vm).reason


def test_an_image_that_the_cloud_has_lost_is_asked_for_again(vm, cloud, worker):
    cloud.delete_image(cloud.find_image(vm.entry.identifier).ref)
    for _ in range(5):
        worker.step()
    assert ImageFile.objects.get().state != ImageState.READY


def test_a_site_without_room_keeps_it_pending_and_says_why(vm, cloud, worker):
    ref = cloud.create_vm(vm.spec(), token=vm.token).ref
    cloud.set_phase(ref, VmPhase.QUEUED, "No host has 512 MiB free now.")
    cloud.hold(ref)
    worker.step()
    assert fresh(vm).state == VmState.PENDING
    assert fresh(vm).note == "No host has 512 MiB free now."


@pytest.mark.slow
def test_an_outage_longer_than_the_deadline_fails_with_what_was_said(vm, cloud, worker):
    cloud.fail_next(*[CloudUnavailable("The cloud does not answer right now.")] * 5000)
    worker.run(hours=1)
    assert fresh(vm).state == VmState.FAILED
    assert "does not answer" in fresh(vm).reason
    assert "10 minutes" in fresh(vm).reason


def test_a_short_outage_is_not_noticed(vm, cloud, worker):
    cloud.fail_next(CloudUnavailable("down"), CloudBusy("later"))
    running(vm, worker)


def test_a_refusal_fails_at_once(vm, cloud, worker):
    cloud.fail_next(CloudRefused("It needs 9 vCPUs; the largest host has 8."))
    worker.step()
    assert fresh(vm).state == VmState.FAILED
    assert fresh(vm).reason == "It needs 9 vCPUs; the largest host has 8."


def test_a_machine_that_the_engine_gives_up_on_fails_with_its_reason(vm, cloud, worker):
    ref = cloud.create_vm(vm.spec(), token=vm.token).ref
    cloud.set_phase(ref, VmPhase.FAILED, "Its disk is damaged.")
    cloud.hold(ref)
    worker.run(hours=0.1)
    assert (fresh(vm).state, fresh(vm).reason) == (VmState.FAILED, "Its disk is damaged.")


def test_a_machine_that_dies_before_it_is_rebooted_is_unknown_at_once(vm, cloud, worker):
    running(vm, worker)
    actions.reboot(vm, by=vm.owner)
    cloud.set_phase(vm.cloud_ref, VmPhase.UNKNOWN, "Its emulator was killed.")
    worker.step()
    assert (fresh(vm).state, fresh(vm).reason) == (VmState.UNKNOWN, "Its emulator was killed.")


def test_shut_down_ends_in_done_and_leaves_nothing(vm, cloud, worker):
    running(vm, worker)
    actions.shut_down(vm, by=vm.owner)
    worker.run(hours=0.1)
    assert states(vm)[-3:] == ["shutdown", "epilog", "done"]
    assert list(cloud.list_vms()) == []
    assert fresh(vm).ended_at


@pytest.mark.slow
def test_a_done_machine_says_why_it_ended(vm, cloud, worker):
    actions.kill(vm, by=vm.owner)
    worker.run(hours=0.1)
    assert (fresh(vm).state, fresh(vm).reason) == (VmState.DONE, "Kill, asked by its owner.")


@pytest.mark.slow
def test_a_guest_that_ignores_the_power_button_goes_back_to_running(vm, cloud, worker):
    running(vm, worker)
    cloud.ignore_power_button(vm.cloud_ref)
    actions.shut_down(vm, by=vm.owner)
    worker.run(hours=0.1)
    assert fresh(vm).state == VmState.RUNNING
    assert "ignored the power button for 2 minutes" in fresh(vm).reason


@pytest.mark.parametrize("looks", range(5))
def test_kill_works_whatever_it_is_doing(vm, cloud, worker, looks):
    for _ in range(looks):
        worker.step()
    vm.refresh_from_db()
    actions.kill(vm, by=vm.owner)
    worker.run(hours=0.1)
    assert fresh(vm).state == VmState.DONE
    assert list(cloud.list_vms()) == []


def test_a_reboot_returns_to_running_and_watches_anew(vm, cloud, worker):
    running(vm, worker)
    actions.reboot(vm, by=vm.owner)
    worker.step()
    assert fresh(vm).state == VmState.RUNNING
    assert fresh(vm).readiness.state == ReadinessState.WATCHING
    assert fresh(vm).asked == ""


def test_an_emulator_that_does_not_answer_is_not_taken_for_a_guest_that_is_off(vm, cloud, worker):
    running(vm, worker)
    actions.shut_down(vm, by=vm.owner)
    cloud.set_phase(vm.cloud_ref, VmPhase.UNKNOWN, "Its emulator runs but does not answer.")
    worker.step()
    assert fresh(vm).state == VmState.SHUTDOWN  # asked once more: only the lost are off by that
    worker.run(hours=0.1)
    assert states(vm)[-2:] == ["epilog", "done"]


def test_a_guest_that_halts_itself_is_unknown_and_can_be_started_again(vm, cloud, worker):
    running(vm, worker)
    cloud.set_phase(vm.cloud_ref, VmPhase.STOPPED, "The guest has powered off.")
    sweep("local")
    vm.refresh_from_db()
    assert (vm.state, vm.reason) == (VmState.UNKNOWN, "The guest has powered off.")
    actions.start(vm, by=vm.owner)
    running(vm, worker)


def test_a_clean_up_that_was_lost_is_made_up_for(vm, cloud, worker):
    running(vm, worker)
    VM.objects.filter(pk=vm.pk).update(state=VmState.DONE)
    sweep("local")
    assert list(cloud.list_vms()) == []


def test_a_stranger_on_the_cloud_is_reported_and_never_deleted(vm, cloud):
    cloud.create_vm(vm.spec(), token="11111111-1111-4111-8111-111111111111")
    assert [finding.rule for finding in sweep("local")] == ["stranger"]
    assert len(list(cloud.list_vms())) == 1


@pytest.mark.slow
def test_milestones_are_noted_when_first_seen(vm, cloud, worker):
    running(vm, worker)
    cloud.print_on_console(
        vm.cloud_ref, b"Linux version 6.1\nportal-context: script part-001 exit 3\n"
        b"portal-context: finished\n",
    )  # fmt: skip
    worker.run(hours=0.1)
    readiness = fresh(vm).readiness
    assert readiness.context_at
    assert "part-001 ended with status 3" in readiness.context_note


@pytest.mark.slow
def test_a_silent_guest_is_given_up_on_without_harm(vm, cloud, worker):
    running(vm, worker)
    worker.run(hours=0.5)
    readiness = fresh(vm).readiness
    assert readiness.state == ReadinessState.SLOW
    assert "within 10 minutes: it is looked for twice a minute" in readiness.reason
    worker.run(hours=1.5)
    readiness = fresh(vm).readiness
    assert (readiness.state, readiness.next_tick_at) == (ReadinessState.SILENT, None)
    assert "within an hour, and it is looked for no more" in readiness.reason
    assert fresh(vm).state == VmState.RUNNING


@pytest.mark.slow
def test_a_guest_that_takes_a_quarter_of_an_hour_is_ready_then(vm, cloud, worker, client):
    running(vm, worker)
    client.force_login(vm.owner)
    start = timezone.now()
    Readiness.objects.filter(vm=vm).update(ssh_at=start)
    with time_machine.travel(start, tick=False) as clock:
        for _ in range(15):
            clock.shift(timedelta(minutes=1))
            worker.step()
        readiness = fresh(vm).readiness
        assert (readiness.state, readiness.context_at) == (ReadinessState.SLOW, None)
        assert (readiness.next_tick_at - timezone.now()).total_seconds() <= 30
        page = client.get(vm.get_absolute_url()).content.decode()
        assert "not yet: Not everything was seen within 10 minutes" in page
        cloud.print_on_console(vm.cloud_ref, b"Linux version 6.1\nportal-context: finished\n")
        clock.shift(timedelta(seconds=31))
        worker.step()
        readiness = fresh(vm).readiness
        assert readiness.state == ReadinessState.READY
        assert readiness.context_at == timezone.now()


@pytest.mark.slow
def test_a_guest_that_is_slow_to_greet_is_listened_to_for_longer():
    ours, theirs = socket.socketpair()
    greeter = threading.Timer(0.6, theirs.send, [b"SSH-2.0-slow\r\n"])
    greeter.start()
    with pytest.raises(TimeoutError):
        _greets(ours, timedelta(seconds=1))
    greeter.join()
    assert ours.recv(100).startswith(b"SSH-")
    threading.Timer(0.6, theirs.send, [b"SSH-2.0-slow\r\n"]).start()
    assert _greets(ours, timedelta(seconds=10))
    ours.close()
    theirs.close()


def test_a_failed_machine_does_not_run_on_unseen(vm, cloud, worker):
    running(vm, worker)
    VM.objects.filter(pk=vm.pk).update(state=VmState.FAILED)
    assert [finding.rule for finding in sweep("local")] == ["runaway"]
    assert "stop_vm" in cloud.world.calls


def test_a_listing_says_nothing_of_a_row_that_moved_after_it_was_asked_for(vm, cloud, worker):
    running(vm, worker)
    asked_at = vm.state_since - timedelta(seconds=1)
    assert compare("local", [], asked_at=asked_at) == []
    assert [f.rule for f in compare("local", [], asked_at=asked_at + timedelta(seconds=2))] == [
        "lost"
    ]


def test_a_reboot_that_was_cut_short_is_not_asked_for_twice(vm, cloud, worker):
    running(vm, worker)
    vm.move(VmState.BOOT, asked="rebooting")
    worker.step()
    assert fresh(vm).state == VmState.RUNNING
    assert "reboot_vm" not in cloud.world.calls
    assert "Reboot it again" in fresh(vm).reason


@pytest.mark.slow
def test_what_a_guest_prints_cannot_break_its_row(vm, cloud, worker):
    running(vm, worker)
    name = b"x" * 400
    cloud.print_on_console(
        vm.cloud_ref,
        b"portal-context: started\nportal-context: script a\0b exit 1\nportal-context: script "
        + name + b" exit 99999999\nportal-context: finished\n",
    )  # fmt: skip
    worker.run(hours=0.02)
    assert fresh(vm).readiness.context_at
    assert len(fresh(vm).readiness.context_note) < 200


@pytest.mark.slow
def test_after_a_reboot_the_guest_on_its_way_out_counts_for_nothing(vm, cloud, worker):
    running(vm, worker)
    first = b"portal-context: started\nportal-context: finished\n"
    cloud.print_on_console(vm.cloud_ref, first)
    actions.reboot(vm, by=vm.owner)
    worker.run(hours=0.001)
    assert fresh(vm).state == VmState.RUNNING
    assert fresh(vm).readiness.context_at is None
    cloud.print_on_console(vm.cloud_ref, first)
    worker.run(hours=0.02)
    assert fresh(vm).readiness.context_at
