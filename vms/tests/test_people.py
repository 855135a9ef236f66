"""The list of users, a user's page, and what becomes of machines with their owner's account."""

import csv
import io
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cloud.types import VmPhase
from core.errors import Refused
from core.models import Event
from registration import actions as accounts
from registration import holdings
from registration.models import GIB, Group, Membership, User
from registration.states import AccountState
from registration.tests.factories import PASSWORD, SshKeyFactory, UserFactory
from vms import actions, people
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes.states import VolumeState
from volumes.tests.factories import SnapshotFactory, VolumeFactory

pytestmark = pytest.mark.django_db

WHY = "The project has ended."


@pytest.fixture
def admin():
    return UserFactory(admin=True, username="boss")


@pytest.fixture
def alice():
    return UserFactory(username="alice", given_name="Alice", family_name="Liddell")


@pytest.fixture
def browser(client, admin) -> Client:
    """The administrator's, who has just proved who they are."""
    client.post("/login/", {"login": admin.username, "password": PASSWORD})
    return client


def listed(browser, **query) -> list[str]:
    return [row.person.username for row in browser.get("/users/", query).context["rows"]]


# The list --------------------------------------------------------------------------------


def test_the_list_says_what_each_holds_of_how_much(browser, alice):
    VMFactory(owner=alice, vcpus=2, memory_mib=1024)
    VMFactory(owner=alice, vcpus=4, memory_mib=512)
    VMFactory(owner=alice, state=VmState.DONE)
    Membership.objects.create(user=alice, group=Group.objects.create(name="galaxies"))
    SnapshotFactory(volume=VolumeFactory(owner=alice, size_bytes=GIB // 4))
    VolumeFactory(owner=alice, binned=True)
    VolumeFactory(owner=alice, failed=True)
    page = browser.get("/users/?q=alice")
    (row,) = page.context["rows"]
    assert (row.held.machines, row.held.vcpus, row.held.memory_mib) == (2, 6, 1536)
    assert (row.disk_gib, row.disk_limit_gib) == (1.5, 100)
    assert "<strong>1.5</strong>" in page.text
    assert row.groups == 1
    assert "alice@example.org" in page.text


def test_the_list_is_narrowed_by_state_mark_quota_and_sight(browser, admin, alice):
    never = UserFactory(username="never", last_seen_at=None)
    UserFactory(username="shut", suspended=True)
    VMFactory.create_batch(4, owner=alice)
    VMFactory(owner=never)
    assert listed(browser, state="suspended") == ["shut"]
    assert listed(browser, only="administrators") == ["boss"]
    assert listed(browser, only="near_quota") == ["alice"]
    assert listed(browser, only="never_seen") == ["never"]
    accounts.suspend(alice, by=admin, reason=WHY)
    assert listed(browser, only="closed_holding") == ["alice"]
    assert listed(browser, q="liddell") == ["alice"]
    assert "No users match" in browser.get("/users/?q=nobody").text


@pytest.mark.parametrize(("machines", "is_near"), [(3, False), (4, False), (5, True), (6, True)])
def test_over_four_fifths_means_more_than_that(alice, machines, is_near):
    User.objects.filter(pk=alice.pk).update(quota_machines=5, quota_vcpus=100)
    VMFactory.create_batch(machines, owner=alice, memory_mib=96)
    found = people.chosen(User.objects.all(), state="", only=people.NEAR_QUOTA, text="")
    assert list(found) == ([alice] if is_near else [])


@pytest.mark.parametrize(("eighths", "is_near"), [(32, False), (33, True)])
def test_disks_and_snapshots_together_come_near_a_quota(alice, eighths, is_near):
    User.objects.filter(pk=alice.pk).update(quota_disk_bytes=5 * GIB)
    disk = VolumeFactory(owner=alice, size_bytes=(eighths - 8) * GIB // 8)
    SnapshotFactory(volume=disk, size_bytes=GIB)
    VolumeFactory(failed=True, owner=alice)
    found = people.chosen(User.objects.all(), state="", only=people.NEAR_QUOTA, text="")
    assert list(found) == ([alice] if is_near else [])


def test_who_is_shut_out_and_holds_disks_is_found(alice, admin):
    disk = VolumeFactory(owner=alice)
    accounts.close(alice, by=admin, reason=WHY)
    holding = {"state": "", "only": people.HOLDING, "text": ""}
    assert list(people.chosen(User.objects.all(), **holding)) == [alice]
    disk.refresh_from_db()
    disk.move(VolumeState.DELETING)
    disk.move(VolumeState.DELETED)
    assert list(people.chosen(User.objects.all(), **holding)) == []


@pytest.mark.parametrize("number", [1, 20])
def test_however_many_are_listed_their_disks_cost_the_same(number, django_assert_num_queries):
    holders = [VolumeFactory().owner for _ in range(number)]
    with django_assert_num_queries(4):
        assert [row.disk_gib for row in people.rows(holders)] == [1] * number


@pytest.mark.parametrize("sort", [*people.SORTS, *(f"-{word}" for word in people.SORTS)])
def test_every_order_has_everybody_once_and_its_reverse_too(browser, sort, alice):
    VMFactory(owner=alice)
    UserFactory(last_seen_at=None)
    assert sorted(listed(browser, sort=sort)) == sorted(
        User.objects.values_list("username", flat=True)
    )


def test_the_orders_are_what_they_say(browser, admin, alice):
    VMFactory(owner=alice)
    User.objects.filter(pk=admin.pk).update(
        created_at=timezone.now() - timedelta(days=3), last_seen_at=None, family_name="Zuse"
    )
    assert listed(browser, sort="-registered") == ["alice", "boss"]
    assert listed(browser, sort="name") == ["alice", "boss"]
    assert listed(browser, sort="-username") == ["boss", "alice"]
    assert listed(browser, sort="-machines") == ["alice", "boss"]
    assert listed(browser, sort="nonsense") == ["alice", "boss"]


def test_pages_have_twenty_five(browser):
    UserFactory.create_batch(30)
    page = browser.get("/users/?page=2")
    assert len(page.context["rows"]) == 6
    assert "of 31 users" in page.text


def test_the_list_as_a_file_is_what_the_filters_leave(browser, alice):
    User.objects.filter(pk=alice.pk).update(given_name="=HYPERLINK(1)")
    UserFactory.create_batch(3, suspended=True)
    VMFactory(owner=alice)
    answer = browser.get("/users/table.csv?state=active&sort=username")
    lines = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [line["user name"] for line in lines] == ["alice", "boss"]
    assert lines[0]["machines"] == "1"
    assert lines[0]["given name"] == "'=HYPERLINK(1)"
    assert "attachment" in answer["Content-Disposition"]


async def test_a_running_portal_sends_the_file_while_it_is_made(async_client, transactional_db):
    admin = await User.objects.acreate(
        username="boss", email="boss@example.org", state="active", is_staff=True, policy_version=1
    )
    await async_client.aforce_login(admin)
    answer = await async_client.get("/users/table.csv")
    assert answer.is_async
    text = b"".join([piece async for piece in answer.streaming_content]).decode("utf-8-sig")
    await sync_to_async(connections.close_all)()  # of the thread, which lives on
    assert text.splitlines()[1].startswith("boss,")


# A user's page ---------------------------------------------------------------------------


def test_the_page_shows_all_they_hold_and_no_secret(browser, alice):
    vm = VMFactory(owner=alice, running=True, name="cluster head")
    key = SshKeyFactory(owner=alice)
    token = alice.api_tokens.create(
        name="notebook", digest="d" * 64, hint="sl_x", expires_at=timezone.now() + timedelta(1)
    )
    page = browser.get(f"/users/{alice.uuid}/").text
    for words in (vm.name, str(vm.uuid), key.fingerprint, token.name, "alice@example.org"):
        assert words in page
    assert token.digest not in page
    assert alice.password not in page


def test_every_limit_can_be_set_disk_in_gib(browser, alice):
    limits = {"machines": "2", "vcpus": "", "memory_mib": "1024", "disk_gib": "7", "images": "0"}
    path = f"/users/{alice.uuid}/quota/"
    assert browser.post(path, limits).status_code == 302
    alice.refresh_from_db()
    assert (alice.quota_machines, alice.quota_vcpus, alice.quota_memory_mib) == (2, None, 1024)
    assert (alice.quota_disk_bytes, alice.quota_images) == (7 * 2**30, 0)
    assert "quota set" in browser.get(f"/users/{alice.uuid}/").text
    refused = browser.post(path, limits | {"machines": "-1"})
    assert refused.status_code == 422
    assert browser.post(path, limits | {"machines": 10**12}).status_code == 422


def test_suspending_asks_why_and_resuming_does_not(browser, alice):
    path = f"/users/{alice.uuid}/"
    refused = browser.post(f"{path}suspend/", {"suspend-machines": "leave"})
    assert refused.status_code == 422
    form = {"suspend-machines": "leave", "suspend-reason": "Spam."}
    assert browser.post(f"{path}suspend/", form).status_code == 302
    assert "Spam." in browser.get(path).text
    assert browser.post(f"{path}suspend/", form).status_code == 422
    assert "is active again" in browser.post(f"{path}resume/", follow=True).text
    assert "is active by now" in browser.post(f"{path}resume/", follow=True).text


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("revoke-tokens", "Every API token of alice is revoked"),
        ("sign-out", "alice is signed out everywhere"),
        ("make-administrator", "alice is an administrator now"),
        ("revoke-administrator", "alice is no administrator any more"),
    ],
)
def test_what_touches_sign_in_is_asked_for_with_a_fresh_proof(browser, admin, alice, verb, words):
    path = f"/users/{alice.uuid}/ask/{verb}/"
    stale = Client()
    stale.force_login(admin)
    assert stale.post(path).url.startswith("/profile/confirm/")
    assert words in browser.post(path, follow=True).text
    assert browser.post(f"/users/{alice.uuid}/ask/delete/").status_code == 404


def test_the_last_administrator_is_told_to_make_another_first(browser, admin):
    page = browser.post(f"/users/{admin.uuid}/ask/revoke-administrator/", follow=True)
    assert "the last administrator" in page.text


# Machines of an account that is suspended or closed --------------------------------------


def test_suspending_leaves_shuts_down_or_kills(admin):
    for verb, expected in (
        ("leave", {VmState.RUNNING, VmState.PENDING, VmState.UNKNOWN}),
        ("shut_down", {VmState.SHUTDOWN, VmState.EPILOG, VmState.UNKNOWN}),
        ("kill", {VmState.EPILOG, VmState.UNKNOWN}),
    ):
        owner = UserFactory()
        VMFactory(owner=owner, running=True)
        VMFactory(owner=owner)
        VMFactory(owner=owner, state=VmState.UNKNOWN)
        accounts.suspend(owner, by=admin, reason=WHY, machines=verb)
        assert set(VM.objects.filter(owner=owner).values_list("state", flat=True)) == expected


def test_the_page_says_what_still_runs_and_wants_the_name_typed(browser, alice):
    VMFactory(owner=alice, running=True, name="cluster head")
    path = f"/users/{alice.uuid}/close/"
    assert "1 machine: cluster head (Running)" in browser.get(path).text
    form = {"reason": WHY, "what": "remove", "typed": "bob"}
    assert browser.post(path, form).status_code == 422
    assert browser.post(path, form | {"typed": "alice"}).status_code == 302
    alice.refresh_from_db()
    assert alice.state == AccountState.CLOSED
    assert browser.get(path, follow=True).redirect_chain


def test_machines_that_still_die_do_not_hold_up_the_closing(alice, admin, cloud, worker):
    vm = VMFactory(owner=alice, running=True)
    ref = cloud.create_vm(vm.spec(), token=vm.token).ref
    cloud.set_phase(ref, VmPhase.RUNNING)
    VM.objects.filter(pk=vm.pk).update(cloud_ref=ref)
    VMFactory(owner=alice, state=VmState.EPILOG)
    accounts.close(alice, by=admin, reason=WHY)
    assert VM.objects.get(pk=vm.pk).state == VmState.EPILOG
    worker.run(hours=0.2)
    assert set(VM.objects.values_list("state", flat=True)) == {VmState.DONE}
    assert holdings.of(alice) == []


def test_machines_go_to_an_heir_and_both_histories_say_so(browser, alice):
    bob = UserFactory(username="bob")
    vm = VMFactory(owner=alice, running=True)
    dying = VMFactory(owner=alice, state=VmState.EPILOG)
    form = {"reason": WHY, "what": "hand_over", "heir": "BOB", "typed": "alice"}
    assert browser.post(f"/users/{alice.uuid}/close/", form).status_code == 302
    vm.refresh_from_db()
    dying.refresh_from_db()
    assert (vm.owner, vm.state) == (bob, VmState.RUNNING)
    assert dying.owner == alice
    given, taken = Event.objects.of(vm.uuid)
    assert (given.verb, given.owner) == ("handed_over", alice)
    assert (taken.verb, taken.owner, taken.detail) == (
        "taken_over", bob, {"before": "alice", "after": "bob"},
    )  # fmt: skip
    assert Event.objects.of(bob.uuid).get(verb="took_over").detail["of"] == "alice"
    assert Event.objects.of(alice.uuid).get(now="closed").detail["heir"] == "bob"


@pytest.mark.parametrize("heir", ["", "nobody", "alice", "shut"])
def test_an_heir_is_somebody_else_who_is_active(browser, alice, heir):
    UserFactory(username="shut", suspended=True)
    VMFactory(owner=alice)
    form = {"reason": WHY, "what": "hand_over", "heir": heir, "typed": "alice"}
    answer = browser.post(f"/users/{alice.uuid}/close/", form)
    assert answer.status_code == 422
    assert "somebody else whose account is active" in answer.text


def test_the_heirs_quota_counts_unless_it_is_overruled(browser, alice):
    bob = UserFactory(username="bob", quota_machines=1)
    VMFactory.create_batch(2, owner=alice)
    path = f"/users/{alice.uuid}/close/"
    form = {"reason": WHY, "what": "hand_over", "heir": "bob", "typed": "alice"}
    refused = browser.post(path, form)
    assert refused.status_code == 422
    assert "The quota of bob is 1 machines: they hold 0 and this would add 2" in refused.text
    alice.refresh_from_db()
    assert alice.is_active
    assert not VM.objects.filter(owner=bob).exists()
    assert browser.post(path, form | {"is_over_quota": "on"}).status_code == 302
    assert VM.objects.filter(owner=bob).count() == 2


def test_only_administrators_hand_over(alice):
    with pytest.raises(Refused) as refused:
        actions.hand_over([VMFactory(owner=alice)], to=UserFactory(), by=alice)
    assert refused.value.code == "not_administrator"


def test_who_is_shut_out_is_given_nothing(admin):
    with pytest.raises(Refused) as refused:
        actions.hand_over([VMFactory()], to=UserFactory(suspended=True), by=admin)
    assert refused.value.code == "not_active"


def test_the_page_of_a_person_reads_no_history_but_theirs(admin, browser):
    person = UserFactory(username="carla", confirmed=True)
    accounts.reject(person, by=admin, reason="Who are you?")
    with CaptureQueriesContext(connection) as queries:
        page = browser.get(f"/users/{person.uuid}/").text
    assert "Who are you?" in page
    assert f"by {admin}" in page
    of_moves = [query["sql"] for query in queries if "'moved'" in query["sql"]]
    assert of_moves == []


def test_the_page_of_a_person_tells_who_used_their_name_or_address_too(browser):
    person = UserFactory(username="carla", confirmed=True)
    UserFactory(username="carla", email="other@example.org", rejected=True, reason="Not known.")
    page = browser.get(f"/users/{person.uuid}/").text
    assert "The same user name" in page
    assert "Not known." in page


def test_a_closed_account_has_no_quota_to_be_set(browser, alice):
    page = f"/users/{alice.uuid}/"
    assert "Set the quota" in browser.get(page).text
    User.objects.filter(pk=alice.pk).update(state=AccountState.CLOSED)
    assert "Set the quota" not in browser.get(page).text


def test_closing_says_that_the_machines_keep_their_keys(browser, alice):
    VMFactory(owner=alice)
    text = browser.get(f"/users/{alice.uuid}/close/").text
    assert "authorized_keys" in text
