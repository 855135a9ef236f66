"""What is counted, to the second; and the pages that say it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms import actions, usage
from vms.models import VM, Tenure
from vms.states import VmState
from vms.tests.factories import VMFactory
from vms.usage import Period

pytestmark = pytest.mark.django_db

MARCH, APRIL, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5))
GIB = 2**30


def lived(owner, begin, end=None, **fields):
    """A machine that was ordered at ``begin`` and Done at ``end``, or is still alive."""
    fields.setdefault("state", VmState.DONE if end else VmState.RUNNING)
    vm = VMFactory(owner=owner, **fields)
    VM.objects.filter(pk=vm.pk).update(created_at=begin, ended_at=end)
    return VM.objects.get(pk=vm.pk)


@pytest.fixture
def alice():
    return UserFactory(username="alice")


def test_every_kind_of_hour_is_counted(alice):
    entry = EntryFactory(virtual_size_bytes=10 * GIB)
    lived(
        alice, APRIL, APRIL + timedelta(hours=6), vcpus=4, memory_mib=2048, swap_mib=1024,
        entry=entry,
    )  # fmt: skip
    used = usage.report(Period(APRIL, MAY)).people[alice.pk]
    assert used.machines == 1
    assert used.machine_hours == 6
    assert used.vcpu_hours == 24
    assert used.memory_gib_hours == 12
    assert used.disk_gib_hours == 66


def test_of_a_life_across_a_border_each_period_has_its_part(alice):
    lived(alice, APRIL - timedelta(hours=5), APRIL + timedelta(hours=7))
    march = usage.report(Period(MARCH, APRIL)).total
    april = usage.report(Period(APRIL, MAY)).total
    assert (march.machine_hours, april.machine_hours) == (5, 7)


def test_a_life_that_only_touches_a_period_is_not_in_it(alice):
    lived(alice, MARCH, APRIL)
    assert not usage.report(Period(APRIL, MAY)).people
    assert not usage.report(Period(MARCH - timedelta(days=1), MARCH)).people


def test_a_machine_that_is_alive_counts_until_now(alice):
    lived(alice, APRIL, state=VmState.FAILED)
    with time_machine.travel(APRIL + timedelta(hours=3), tick=False):
        assert usage.report(Period(APRIL, MAY)).total.machine_hours == 3


def test_a_done_machine_without_an_end_counts_until_it_was_done(alice):
    vm = lived(alice, APRIL, state=VmState.DONE)
    VM.objects.filter(pk=vm.pk).update(state_since=APRIL + timedelta(hours=2))
    assert usage.report(Period(APRIL, MAY)).total.machine_hours == 2


def test_the_night_when_clocks_change_has_as_many_hours_as_any(alice):
    night = datetime(2026, 3, 29, tzinfo=UTC)  # Europe's clocks skip an hour
    lived(alice, night - timedelta(days=1), night + timedelta(days=2))
    assert usage.report(Period(night, night + timedelta(days=1))).total.machine_hours == 24


def test_a_machine_that_changed_hands_counts_for_each_while_it_was_theirs(alice):
    bob, admin = UserFactory(), UserFactory(admin=True)
    vm = lived(alice, APRIL)
    with time_machine.travel(APRIL + timedelta(hours=5), tick=False):
        actions.hand_over([vm], to=bob, by=admin)
    with time_machine.travel(APRIL + timedelta(hours=12), tick=False):
        people = usage.report(Period(APRIL, MAY)).people
        assert (people[alice.pk].machine_hours, people[bob.pk].machine_hours) == (5, 7)
        assert usage.of_person(alice, [Period(APRIL, MAY)])[0].machine_hours == 5
    assert Tenure.objects.get().owner == alice


instants = st.integers(0, 90 * 86_400 * 10).map(
    lambda tenths: MARCH - timedelta(days=15) + timedelta(seconds=tenths / 10)
)


@settings(max_examples=15, deadline=None)
@given(
    lives=st.lists(st.tuples(instants, instants).map(sorted), min_size=1, max_size=5),
    borders=st.lists(instants, min_size=2, max_size=5, unique=True).map(sorted),
)
def test_periods_that_touch_add_up(lives, borders):
    owner = UserFactory()
    for begin, end in lives:
        lived(owner, begin, end, vcpus=3)
    whole = Period(borders[0], borders[-1])
    parts = [Period(*pair) for pair in pairwise(borders)]
    expected = sum(
        max(0, min(int(end.timestamp()), int(whole.until.timestamp()))
            - max(int(begin.timestamp()), int(whole.since.timestamp())))
        for begin, end in lives
    )  # fmt: skip
    for counted in (
        usage.of_person(owner, parts),
        [usage.report(part).people.get(owner.pk, usage.Used()) for part in parts],
    ):
        assert sum(used.machine_s for used in counted) == expected
        assert sum(used.vcpu_s for used in counted) == 3 * expected
    VM.objects.filter(owner=owner).delete()


def test_months_follow_each_other_without_a_gap():
    months = usage.months(14, until=datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    assert months[0] == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    assert months[1].since == datetime(2025, 12, 1, tzinfo=UTC)
    assert all(later.since == earlier.until for later, earlier in pairwise(months))


# The pages -------------------------------------------------------------------------------


@pytest.fixture
def admin(client):
    admin = UserFactory(admin=True)
    client.force_login(admin)
    return admin


@time_machine.travel(APRIL + timedelta(days=9, hours=12), tick=False)
def test_one_sees_ones_own_months_and_quota(client, alice):
    lived(alice, MARCH, MARCH + timedelta(hours=10), vcpus=2)
    lived(UserFactory(), MARCH, MARCH + timedelta(hours=99))
    client.force_login(alice)
    page = client.get("/profile/usage/")
    assert [str(since.date()) for since, _ in page.context["months"]] == [
        "2026-04-01",
        "2026-03-01",
    ]
    assert page.context["months"][1][1].vcpu_hours == 20
    for words in ("Persistent disk", "of 100 GiB", "Images", "of 16384 MiB", "March 2026"):
        assert words in page.text
    assert "/profile/quota/ask/" in page.text


def test_who_used_nothing_is_told_so(client, alice):
    client.force_login(alice)
    assert "Nothing used yet" in client.get("/profile/usage/").text


@time_machine.travel(APRIL + timedelta(days=9), tick=False)
def test_the_report_is_of_this_month_unless_another_period_is_asked_for(client, admin, alice):
    lived(alice, MARCH + timedelta(days=2), MARCH + timedelta(days=3))
    assert "Nothing was used" in client.get("/usage/").text
    assert client.get("/usage/?period=last").context["total"].machine_hours == 24
    days = {"period": "days", "first": "2026-03-03", "until": "2026-03-03"}
    assert client.get("/usage/", days).context["total"].machine_hours == 24
    assert (
        client.get("/usage/", days | {"first": "2026-02-01", "until": "2026-03-02"})
        .context["total"]
        .machines
        == 0
    )
    wrong = client.get("/usage/", days | {"until": "2026-03-02"})
    assert "before the first day" in wrong.text
    for nonsense in ("9999-12-31", "0001-01-01", "x"):
        assert client.get("/usage/", days | {"until": nonsense}).status_code == 200


@time_machine.travel(APRIL + timedelta(days=9), tick=False)
def test_the_report_is_sorted_searched_and_summed_up(client, admin, alice):
    bob = UserFactory(username="bob")
    lived(alice, APRIL, APRIL + timedelta(hours=1), vcpus=8)
    lived(bob, APRIL, APRIL + timedelta(hours=5), vcpus=1)

    def names(**query):
        return [who.username for who, _ in client.get("/usage/", query).context["lines"]]

    assert names() == ["alice", "bob"]
    assert names(sort="-machine_hours") == ["bob", "alice"]
    assert names(sort="machine_hours") == ["alice", "bob"]
    assert names(sort="nonsense") == ["alice", "bob"]
    assert names(q="bob") == ["bob"]
    assert client.get("/usage/?q=bob").context["total"].machine_hours == 6


@time_machine.travel(APRIL + timedelta(days=9), tick=False)
def test_the_report_as_a_file_has_every_line(client, admin):
    for number in range(30):
        lived(UserFactory(), APRIL, APRIL + timedelta(hours=number + 1))
    answer = client.get("/usage/table.csv?period=days&first=2026-04-01&until=2026-04-30")
    lines = answer.getvalue().decode("utf-8-sig").splitlines()
    assert len(lines) == 31
    assert answer["Content-Disposition"] == (
        'attachment; filename="usage-2026-04-01-to-2026-04-30.csv"'
    )
    assert "30.000" in lines[1]
