"""The audit's pages: what is told, to whom, and that a million lines cost what fifty do."""

import csv
import io
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.caller import Caller, called
from core.models import NOTHING, Event, deny, record
from portal import trail, words
from registration.states import AccountState
from registration.tests.factories import UserFactory
from vms import actions
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client):
    admin = UserFactory(admin=True, username="ops")
    client.force_login(admin)
    return admin


@pytest.fixture
def alice():
    return UserFactory(username="alice")


def seen(client, path="/audit/", **query):
    """The sentences of a page, without marks."""
    text = client.get(path, query).content.decode()
    found = re.findall(r'<p class="event-sentence">(.*?)</p>', text, re.S)
    return [" ".join(re.sub(r"<[^>]+>", "", one).split()) for one in found]


def at(minutes):
    return datetime(2026, 3, 1, 12, minutes, tzinfo=UTC)


def put(verb="opened", **more):
    event = Event(kind="vm", subject=uuid.uuid4(), verb=verb, **more)
    event.save(force_insert=True)
    return event


def test_acts_are_told_in_sentences(client, admin, alice):
    vm = VMFactory(owner=alice, name="web-1", running=True)
    actions.shut_down(vm, by=alice)
    alice.record_event("password_changed", by=alice)
    UserFactory(username="bob", confirmed=True).move(AccountState.ACTIVE, by=admin)
    vm.record_denial("kill", by=UserFactory(username="eve"))
    record("account", NOTHING, "signed_in", outcome="denied")
    assert seen(client) == [
        "The portal tried to sign in as account that nobody has and was refused.",
        "eve tried to kill machine web-1 and was refused.",
        "ops let in account bob.",
        "alice changed the password of their own account.",
        "alice shut down machine web-1.",
    ]


def test_a_change_is_shown_before_and_after(client, admin, alice):
    was, now = {"quota_machines": None, "is_staff": False}, {"quota_machines": 9, "is_staff": True}
    alice.record_event("quota_set", by=admin, before=was, after=now, rule="example.org")
    text = client.get("/audit/").content.decode()
    assert re.search(r'<th scope="row">quota machines</th><td>—</td><td>9</td>', text)
    assert re.search(r'<th scope="row">administrator</th><td>no</td><td>yes</td>', text)
    assert re.search(r"<dt>Rule</dt><dd>example.org</dd>", text)


def test_what_people_wrote_is_text_and_nothing_else(client, admin, alice):
    alice.record_event("profile_changed", by=alice, before={"<b>": "<i>"}, after={"<b>": "<u>"})
    record("vm", uuid.uuid4(), "asked", label="<script>alert(1)</script>", reason="<img src=x>")
    text = client.get("/audit/").content.decode()
    assert "<script>alert" not in text
    assert "<img src=x>" not in text
    assert "&lt;i&gt;" in text


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 4),
        ({"who": "ALICE"}, 2),
        ({"who": "alice@example.org"}, 2),
        ({"who": "nobody"}, 0),
        ({"kind": "group"}, 1),
        ({"action": "kill"}, 1),
        ({"action": "moved:account:active"}, 1),
        ({"outcome": "denied"}, 1),
        ({"door": "api"}, 1),
        ({"q": "web-1"}, 1),
        ({"q": "11111111-1111-4111-8111-111111111111"}, 1),
        ({"q": "no such thing"}, 0),
        ({"reference": "ref-4"}, 1),
        ({"since": "2026-03-02"}, 1),
        ({"until": "2026-03-01"}, 3),
        ({"since": "2026-03-01", "until": "2026-03-02", "outcome": "done"}, 3),
        ({"who": "alice", "kind": "vm", "action": "asked", "door": "api"}, 1),
        ({"since": "soon"}, 0),
        ({"kind": "unicorn"}, 0),
    ],
)
def test_filters_narrow_the_list(client, admin, alice, query, count):
    first = uuid.UUID("11111111-1111-4111-8111-111111111111")
    rows = [
        {"kind": "vm", "subject": first, "verb": "asked", "by": alice, "door": "api",
         "subject_name": "web-1", "at": at(1)},
        {"kind": "vm", "verb": "kill", "owner": alice, "outcome": "denied", "at": at(2)},
        {"kind": "group", "verb": "group_changed", "at": at(3)},
        {"kind": "account", "verb": "moved", "was": "confirmed", "now": "active",
         "reference": "ref-4", "at": at(4) + timedelta(days=1)},
    ]  # fmt: skip
    for row in rows:
        Event(**{"subject": uuid.uuid4()} | row).save(force_insert=True)
    assert len(seen(client, **query)) == count


def test_a_long_list_is_read_from_page_to_page(client, admin):
    for number in range(120):
        put(at=at(0) + timedelta(seconds=number // 3), subject_name=f"thing {number}")
    names, path = [], "/audit/"
    for _ in range(3):
        text = client.get(path).content.decode()
        names += re.findall(r"thing \d+", text)
        older = re.search(r'href="\?([^"]*before=\d+)" rel="next"', text)
        path = f"/audit/?{older[1]}" if older else ""
    assert path == ""
    assert names == [f"thing {number}" for number in reversed(range(120))]


@pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "²", "999999999"])
def test_a_page_that_is_not_there_is_the_first(client, admin, before):
    put()
    assert len(seen(client, before=before)) == 1


def test_everything_can_be_had_as_a_table(client, admin, alice):
    record("vm", uuid.uuid4(), "asked", by=alice, label="=1+1", before={"a": 1}, after={"a": 2})
    put(verb="kill")
    answer = client.get("/audit/table.csv", {"who": "alice"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    (row,) = rows
    assert (row["person"], row["name"], row["changes"]) == ("alice", "'=1+1", "a: 1 -> 2")
    assert row["sentence"] == "alice asked for machine =1+1"


def test_people_read_what_concerns_them_and_no_more(client, alice):
    client.force_login(alice)
    mine, theirs = VMFactory(owner=alice, name="mine"), VMFactory(name="theirs")
    mine.record_event("asked", by=alice)
    theirs.record_event("asked", by=theirs.owner)
    theirs.record_denial("kill", by=alice)  # she is not to learn that there is such a machine
    mine.record_denial("kill", by=UserFactory(username="eve"))
    assert seen(client, "/profile/activity/") == [
        "eve tried to kill machine mine and was refused.",
        "alice asked for machine mine.",
    ]
    assert "theirs" not in client.get("/profile/activity/").content.decode()


def test_nobody_is_told_where_others_came_from(client, alice):
    client.force_login(alice)
    with called(Caller("page", "198.51.100.7")):
        alice.record_event("quota_set", by=UserFactory(admin=True, username="ops"))
    with called(Caller("page", "192.0.2.44")):
        alice.record_event("password_changed", by=alice)
    text = client.get("/profile/activity/").content.decode()
    assert "192.0.2.44" in text
    assert "198.51.100.7" not in text


def test_what_an_administrator_did_as_somebody_is_marked(client, alice):
    admin = UserFactory(admin=True, username="ops")
    with called(Caller("page", "", administrator=admin.pk, acts_as=alice.pk)):
        VMFactory(owner=alice, name="web-1").record_event("asked", by=alice)
    client.force_login(alice)
    assert seen(client, "/profile/activity/") == ["ops as alice asked for machine web-1."]


def test_a_visitor_is_told_from_the_portal(client, admin):
    with called(Caller("page", "192.0.2.1")):
        deny("account", NOTHING, "signed_in")
    assert seen(client)[0].startswith("Somebody who was not signed in tried to sign in")


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("active", "confirmed", "ops took back the approval of account bob."),
        ("rejected", "confirmed", "ops put the request for account bob back in the queue."),
        ("suspended", "active", "ops ended the suspension of account bob."),
        ("confirmed", "active", "ops let in account bob."),
    ],
)
def test_a_move_is_told_by_where_it_came_from(client, admin, was, now, told):
    record("account", uuid.uuid4(), "moved", by=admin, label="bob", was=was, now=now)
    assert seen(client) == [told]


def test_what_a_rule_did_is_told_as_the_portals(client, admin):
    with called(Caller("page", "192.0.2.1")):
        record(
            "account", uuid.uuid4(), "moved", label="bob", was="confirmed", now="active",
            rule="example.org", rule_uuid=str(uuid.uuid4()),
        )  # fmt: skip
    assert seen(client) == ["The portal let in account bob by the rule example.org."]


FILTERS = [
    {}, {"who": "alice"}, {"q": "machine 77"}, {"q": str(uuid.UUID(int=7))}, {"kind": "group"},
    {"action": "group_left"}, {"action": "asked"}, {"outcome": "failed"}, {"outcome": "done"},
    {"door": "command"}, {"reference": "ref-1"}, {"since": "2026-03-01", "until": "2026-03-02"},
]  # fmt: skip


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plans")
@pytest.mark.parametrize("query", FILTERS, ids=str)
def test_the_newest_lines_are_found_without_sorting_or_reading_them_all(
    client, admin, alice, query
):
    put(by=alice, at=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        client.get("/audit/", query)
    asked = [one["sql"] for one in queries if 'FROM "core_event"' in one["sql"]]
    assert asked
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " | ".join(row[-1] for row in cursor.fetchall())
        assert "SCAN core_event |" not in f"{plan} |", (sql, plan)
        is_small = "reference" in query  # a request writes a few lines
        assert is_small or "USE TEMP B-TREE" not in plan, (sql, plan)


def test_sentences_say_who_acted_for_whom(alice):
    admin = UserFactory(admin=True, username="ops")
    event = put(verb="kill", by=admin, on_behalf_of=alice, subject_name="web-1")
    (line,) = trail.told([event], reader=admin)
    assert trail.sentence(line) == "ops, as alice, killed machine web-1"


@pytest.mark.parametrize("is_administrator", [True, False])
def test_no_two_actions_to_choose_from_read_alike(is_administrator):
    groups = words.choices(is_administrator=is_administrator)
    labels = [label for _, verbs in groups for _, label in verbs]
    assert len(labels) == len(set(labels))
    assert ("The site" in dict(groups)) is is_administrator
