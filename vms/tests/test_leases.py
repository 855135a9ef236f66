"""Leases: told of before they end, shut down and kept at the end, removed after the grace."""

from datetime import datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from cloud.types import VmPhase
from core.errors import Refused
from core.models import Event
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.models import Notification, OutgoingMail
from registration.tests.factories import UserFactory
from vms import actions
from vms.leases import Due, due, warned_at
from vms.lifecycle import look_at_leases
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as found:
        yield found


@pytest.fixture
def leased(clock, cloud, worker):
    """A machine that runs, with a lease of ten days."""
    entry = EntryFactory()
    cloud.put_image(entry.identifier)
    ImageFileFactory(entry=entry, ready=True)
    vm = VMFactory(entry=entry, name="web-1", expires_at=NOW + 10 * DAY, lease_since=NOW)
    for _ in range(60):
        worker.step()
        clock.shift(timedelta(seconds=1))
        if fresh(vm).state == VmState.RUNNING:
            break
    assert fresh(vm).state == VmState.RUNNING
    return vm


def fresh(vm):
    return VM.objects.select_related("owner", "saving").get(pk=vm.pk)


def told(vm, kind=None):
    rows = Notification.objects.filter(owner=vm.owner).order_by("pk")
    return [one.sentence for one in (rows.filter(kind=kind) if kind else rows)]


def settle(vm, worker, clock, *, to):
    """Let a worker look at it each second until it is there."""
    for _ in range(300):
        worker.step()
        if fresh(vm).state == to:
            return
        clock.shift(timedelta(seconds=1))
    pytest.fail(f"{vm} is {fresh(vm).state}, not {to}")


class TestWhatIsDue:
    def test_a_long_lease_warns_three_days_and_one_day_before(self):
        vm = VM(lease_since=NOW)
        assert list(warned_at(vm, NOW + 30 * DAY)) == [NOW + 27 * DAY, NOW + 29 * DAY]

    def test_a_short_lease_warns_a_quarter_before_its_end(self):
        assert list(warned_at(VM(lease_since=NOW), NOW + DAY)) == [NOW + 18 * HOUR]
        assert list(warned_at(VM(lease_since=NOW), NOW + 8 * DAY)) == [NOW + 6 * DAY, NOW + 7 * DAY]

    def test_a_machine_without_an_end_is_left_alone(self):
        assert due(VM(state=VmState.RUNNING), NOW) is None

    @pytest.mark.parametrize("state", [VmState.PENDING, VmState.BOOT, VmState.SHUTDOWN])
    def test_a_machine_on_its_way_is_waited_for(self, state):
        assert due(VM(state=state, expires_at=NOW, state_since=NOW), NOW + DAY) is None

    def test_a_portal_that_was_away_tells_before_it_removes(self):
        """However late it is: nothing is removed sooner than was said."""
        vm = VM(state=VmState.UNKNOWN, expires_at=NOW, state_since=NOW - DAY)
        late = NOW + 30 * DAY
        assert due(vm, late) is Due.KEEP
        vm.expiry_told_at = late
        assert due(vm, late + HOUR) is None
        assert due(vm, late + 17 * HOUR) is None
        assert due(vm, late + 18 * HOUR) is Due.OVER


def test_its_owner_is_warned_twice_and_once_for_each(leased, clock):
    assert look_at_leases() == 0
    clock.move_to(NOW + 7.5 * DAY)
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    clock.move_to(NOW + 9.5 * DAY)
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    first, second = told(leased, "lease_ending")
    assert first == second
    assert "The lease of web-1 ends on" in first
    assert "then shut down" in first
    assert OutgoingMail.objects.filter(kind="notice", to=leased.owner.email).count() == 2


def test_extending_takes_the_warning_back_and_begins_anew(leased, clock, settings):
    settings.PORTAL_LEASE_DAYS = 30
    clock.move_to(NOW + 9.5 * DAY)
    look_at_leases()
    actions.extend(leased, by=leased.owner)
    vm = fresh(leased)
    assert vm.expires_at == NOW + 39.5 * DAY
    assert vm.expiry_told_at is None
    assert look_at_leases() == 0
    clock.move_to(NOW + 37 * DAY)
    assert look_at_leases() == 1
    assert len(told(vm)) == 2
    event = Event.objects.get(verb="extend")
    assert (event.by, event.owner) == (vm.owner, vm.owner)


def test_at_its_end_it_is_shut_down_and_its_disk_is_kept(leased, cloud, worker, clock):
    clock.move_to(NOW + 10 * DAY)
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    assert fresh(leased).state == VmState.SHUTDOWN
    settle(leased, worker, clock, to=VmState.UNKNOWN)
    vm = fresh(leased)
    assert "when its lease ended" in vm.reason
    assert cloud.get_vm(vm.cloud_ref).phase is VmPhase.STOPPED
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    (kept,) = told(vm, "lease_ended")
    assert "Its disk is kept until" in kept
    with pytest.raises(Refused, match="Extend it first"):
        actions.start(vm, by=vm.owner)
    actions.extend(vm, by=vm.owner)
    actions.start(vm, by=vm.owner)
    settle(vm, worker, clock, to=VmState.RUNNING)
    clock.shift(5 * DAY)
    assert look_at_leases() == 0  # it has ten days anew


def test_after_the_grace_it_is_removed_and_that_was_told(leased, cloud, worker, clock, settings):
    settings.PORTAL_LEASE_GRACE_HOURS = 48
    clock.move_to(NOW + 10 * DAY)
    look_at_leases()
    settle(leased, worker, clock, to=VmState.UNKNOWN)
    halted = fresh(leased).state_since
    look_at_leases()
    clock.move_to(halted + 35 * HOUR)
    assert look_at_leases() == 0
    clock.move_to(halted + 36 * HOUR)
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    assert "web-1 is removed with its disk on" in told(leased, "lease_ended")[-1]
    clock.move_to(halted + 47.9 * HOUR)
    assert look_at_leases() == 0
    clock.move_to(halted + 48 * HOUR)
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    settle(leased, worker, clock, to=VmState.DONE)
    assert cloud.find_vm(leased.token) is None
    assert "nobody extended it" in fresh(leased).reason
    assert len(told(leased, "lease_ended")) == 3
    assert OutgoingMail.objects.filter(kind="notice").count() == 4  # with that of the shutdown


def test_a_guest_that_ignores_the_button_is_asked_again_and_switched_off_in_the_end(
    leased, cloud, worker, clock, settings
):
    settings.PORTAL_LEASE_GRACE_HOURS = 3
    cloud.ignore_power_button(fresh(leased).cloud_ref)
    clock.move_to(NOW + 10 * DAY)
    for _ in range(3):  # at once, and each hour
        assert look_at_leases() == 1
        settle(leased, worker, clock, to=VmState.RUNNING)
        assert look_at_leases() == 0
        clock.shift(HOUR)
    assert look_at_leases() == 1  # the grace is over
    assert "is switched off" in fresh(leased).reason
    settle(leased, worker, clock, to=VmState.UNKNOWN)
    assert cloud.get_vm(fresh(leased).cloud_ref).phase is VmPhase.STOPPED
    look_at_leases()
    assert "Its disk is kept until" in told(leased, "lease_ended")[-1]
    assert len(told(leased, "lease_ending")) == 1


def test_who_extends_while_it_goes_down_keeps_it(leased, worker, clock):
    clock.move_to(NOW + 10 * DAY)
    look_at_leases()
    actions.extend(fresh(leased), by=leased.owner)
    settle(leased, worker, clock, to=VmState.UNKNOWN)
    clock.shift(4 * DAY)
    assert look_at_leases() == 0
    assert fresh(leased).state == VmState.UNKNOWN


def test_a_machine_that_failed_is_kept_for_the_grace_too(clock, cloud):
    vm = VMFactory(state=VmState.FAILED, expires_at=NOW + DAY, lease_since=NOW, next_tick_at=None)
    clock.move_to(NOW + DAY)
    assert look_at_leases() == 1
    assert "has failed" in told(vm)[0]
    clock.move_to(NOW + 4 * DAY)
    look_at_leases()
    clock.shift(18 * HOUR)
    look_at_leases()
    assert fresh(vm).state == VmState.EPILOG


def test_one_look_is_bounded(clock, cloud, monkeypatch):
    monkeypatch.setattr("vms.lifecycle.leasing.MOST_ROWS", 2)
    VMFactory.create_batch(3, running=True, expires_at=NOW, lease_since=NOW - DAY)
    assert [look_at_leases(), look_at_leases(), look_at_leases()] == [2, 1, 0]


class TestGiving:
    def test_new_machines_have_the_sites_lease_or_none(self, settings, clock):
        user = UserFactory()
        assert actions.first_lease(user, None) == {}
        settings.PORTAL_LEASE_DAYS = 30
        assert actions.first_lease(user, None)["expires_at"] == NOW + 30 * DAY
        settings.PORTAL_LEASE_MOST_DAYS = 20
        assert actions.first_lease(user, None)["expires_at"] == NOW + 20 * DAY

    def test_an_end_is_ten_years_ahead_at_most_whoever_asks(self):
        admin = UserFactory(admin=True)
        vm = VMFactory(running=True)
        for until in (
            NOW + 4000 * DAY,
            datetime.max.replace(tzinfo=timezone.get_fixed_timezone(-14 * 60)),
        ):
            with pytest.raises(Refused, match="10 years ahead at most") as refused:
                actions.set_lease(vm, until=until, by=admin)
            assert refused.value.code == "lease_long"

    def test_a_person_chooses_an_end_within_the_sites_step(self, settings, clock):
        settings.PORTAL_LEASE_DAYS = 30
        vm = VMFactory(running=True)
        actions.set_lease(vm, until=NOW + 20 * DAY, by=vm.owner)
        assert vm.expires_at == NOW + 20 * DAY
        for until, code in (
            (NOW + 40 * DAY, "lease_long"), (NOW - DAY, "lease_past"), (None, "lease_needed"),
        ):  # fmt: skip
            with pytest.raises(Refused) as refused:
                actions.set_lease(vm, until=until, by=vm.owner)
            assert refused.value.code == code
        boss = UserFactory(admin=True)
        actions.set_lease(vm, until=NOW + 400 * DAY, by=boss)
        actions.set_lease(vm, until=None, by=boss)
        assert fresh(vm).expires_at is None

    def test_a_machine_lasts_no_longer_than_the_site_says(self, settings, clock):
        settings.PORTAL_LEASE_DAYS, settings.PORTAL_LEASE_MOST_DAYS = 30, 50
        vm = VMFactory(running=True, expires_at=NOW + 30 * DAY, lease_since=NOW)
        clock.move_to(NOW + 29 * DAY)
        actions.extend(vm, by=vm.owner)
        assert vm.expires_at == NOW + 50 * DAY
        with pytest.raises(Refused, match="50 days at most"):
            actions.extend(vm, by=vm.owner)
        actions.extend(vm, by=UserFactory(admin=True))
        assert vm.expires_at == NOW + 59 * DAY

    def test_an_end_of_ones_own_is_extended_by_as_long_as_it_was(self, clock):
        vm = VMFactory(running=True, expires_at=NOW + 2 * DAY, lease_since=NOW)
        clock.move_to(NOW + DAY)
        actions.extend(vm, by=vm.owner)
        assert vm.expires_at == NOW + 3 * DAY

    def test_what_has_no_end_is_not_extended_and_what_is_over_neither(self):
        vm = VMFactory(running=True)
        with pytest.raises(Refused, match="nothing to extend"):
            actions.extend(vm, by=vm.owner)
        over = VMFactory(state=VmState.DONE, expires_at=timezone.now())
        with pytest.raises(Refused, match="cannot be changed"):
            actions.extend(over, by=over.owner)

    def test_strangers_extend_nothing(self):
        vm = VMFactory(running=True, expires_at=timezone.now() + DAY)
        with pytest.raises(Refused, match="somebody else"):
            actions.extend(vm, by=UserFactory())
        with pytest.raises(Refused, match="somebody else"):
            actions.set_lease(vm, until=None, by=UserFactory())


class TestPages:
    def test_the_page_warns_extends_and_sets(self, client, settings):
        vm = VMFactory(
            running=True, expires_at=timezone.now() + HOUR, lease_since=timezone.now() - 9 * DAY
        )
        client.force_login(vm.owner)
        page = client.get(vm.get_absolute_url()).text
        assert "Its lease ends soon" in page
        assert "lease ends" in client.get("/vms/").text
        client.post(f"/vms/{vm.uuid}/extend/", {"in": "page"})
        assert fresh(vm).expires_at > timezone.now() + 9 * DAY
        assert "Its lease ends soon" not in client.get(vm.get_absolute_url()).text
        day = timezone.now().date() + 2 * DAY
        client.post(f"/vms/{vm.uuid}/lease/", {"until": day.isoformat()})
        assert fresh(vm).expires_at.date() == day + DAY
        client.post(f"/vms/{vm.uuid}/lease/", {"until": ""})
        assert fresh(vm).expires_at is None
        answer = client.post(f"/vms/{vm.uuid}/lease/", {"until": "soon"}, follow=True)
        assert "Write the day as" in answer.text

    def test_of_a_machine_that_is_kept_the_page_says_until_when(self, client):
        vm = VMFactory(
            state=VmState.UNKNOWN,
            expires_at=timezone.now() - HOUR,
            lease_since=timezone.now() - DAY,
            next_tick_at=None,
        )
        client.force_login(vm.owner)
        page = client.get(vm.get_absolute_url()).text
        assert "Its lease has ended" in page
        assert "Its disk is kept until at least" in page
        assert "lease ended; kept until" in client.get("/vms/").text

    def test_strangers_find_nothing(self, client):
        vm = VMFactory(running=True, expires_at=timezone.now() + DAY)
        client.force_login(UserFactory())
        assert client.post(f"/vms/{vm.uuid}/extend/").status_code == 404
        assert client.post(f"/vms/{vm.uuid}/lease/", {"until": ""}).status_code == 404
