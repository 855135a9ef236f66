"""Every action writes its line, and the line says what it should and nothing it should not."""

import ast
import inspect
from pathlib import Path

import pytest
from django.db import connection

from core.audit import WITHHELD
from core.models import NOTHING, Event
from marketplace import actions as catalogue
from portal import trail, words
from registration import actions as accounts
from registration.tests.factories import UserFactory
from tests.laws.examples import EXAMPLES, READS, Case
from vms import actions as machines
from volumes import actions as disks

pytestmark = pytest.mark.django_db

MODULES = {
    "registration": accounts, "vms": machines, "marketplace": catalogue, "volumes": disks,
}  # fmt: skip
#: Kinds of things that are somebody's.
OWNED = {
    "account", "api_token", "group", "quota_wish", "readiness", "ssh_key", "vm",
    "volume", "attachment", "snapshot", "export", "disk_offer",
}  # fmt: skip
ROOT = Path(__file__).parents[2]


def actions_of(app: str) -> set[str]:
    """What an app offers: what it lists, or what its module of actions has in it."""
    module = MODULES[app]
    names = getattr(module, "__all__", None) or [
        name for name, one in vars(module).items()
        if not name.startswith("_") and getattr(one, "__module__", "") == module.__name__
    ]  # fmt: skip
    return {name for name in names if inspect.isfunction(getattr(module, name))}


@pytest.mark.parametrize("app", MODULES)
def test_every_action_has_an_example(app):
    known = set(EXAMPLES[app]) | READS[app]
    assert actions_of(app) - known == set(), "Put an example into tests/laws/examples.py."
    assert known - actions_of(app) == set(), "There is no such action any more."
    assert not set(EXAMPLES[app]) & READS[app]


@pytest.mark.parametrize(
    ("app", "name"), [(app, name) for app in EXAMPLES for name in sorted(EXAMPLES[app])]
)
def test_every_action_writes_a_line_without_a_secret(app, name):
    case = Case()
    EXAMPLES[app][name](case)
    events = list(Event.objects.all())
    assert events, f"{app}.{name} writes no line"
    for event in events:
        told = str(Event.objects.filter(pk=event.pk).values().get())
        assert not [secret for secret in case.secrets if secret in told], told
        assert WITHHELD not in told, told
        assert event.subject_name or event.subject == NOTHING, told
        assert event.owner_id or event.kind not in OWNED or event.subject == NOTHING, told
        assert event.kind in words.KINDS, told
        assert event.verb in words.VERBS, told
    assert all(trail.sentence(line) for line in trail.told(events, reader=case.admin))


#: Functions that write a line, and where the verb stands among what they are given.
WRITERS = {
    "record": 2, "deny": 2, "record_event": 0, "record_denial": 0, "note_denial": 1,
    "find_or_404": 2, "_note": None, "_record": None, "_spend": None, "_end": None,
}  # fmt: skip


def verbs_in(source: str) -> set[str]:
    """Verbs that stand in the code itself."""
    found = set()
    for call in ast.walk(ast.parse(source)):
        name = getattr(getattr(call, "func", None), "attr", "") or getattr(
            getattr(call, "func", None), "id", ""
        )
        if isinstance(call, ast.Call) and name in WRITERS:
            place = WRITERS[name]
            given = call.args[place : place + 1] if place is not None else call.args
            given += [word.value for word in call.keywords if word.arg == "verb"]
            found |= {one.value for one in given if isinstance(one, ast.Constant)}
    return {verb for verb in found if isinstance(verb, str) and verb}


def test_every_verb_has_words():
    unknown = {}
    for app in ("core", "registration", "volumes", "marketplace", "vms", "portal"):
        for path in sorted((ROOT / app).rglob("*.py")):
            if {"tests", "demo"} & set(path.parts):
                continue
            if new := verbs_in(path.read_text()) - set(words.VERBS):
                unknown[str(path.relative_to(ROOT))] = new
    assert not unknown, "Give these words in portal/words.py."


def test_words_fit_into_sentences():
    assert all("{}" in verb.past and "{}" in verb.to for verb in words.VERBS.values())
    assert all("{}" in past for past in words.MOVES.values())


def test_kinds_lead_to_pages_that_are_there():
    thing = UserFactory()
    for name, kind in words.KINDS.items():
        if kind.page:
            event = Event(kind=name, subject=thing.uuid, owner=thing)
            assert trail._url(event, kind, UserFactory(admin=True)), name


def test_the_table_is_guarded_after_every_migration():
    """SQLite forgets triggers when a migration makes the table anew: see core.audit.protect."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            expected = {"core_event_no_update", "core_event_no_delete", "core_event_no_replace"}
        else:
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
            expected = {"core_event_no_change", "core_event_no_truncate"}
        assert {name for (name,) in cursor.fetchall()} >= expected
