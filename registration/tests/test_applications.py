import dataclasses
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import Application, addresses
from registration.models import SshKey, User
from registration.states import AccountState
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db

CARLA = Application(
    username="carla",
    email="carla@lab.example",
    given_name="Carla",
    family_name="Bianchi",
    password=PASSWORD,
    message="I want to fit galaxies.",
    has_agreed=True,
)


def queries_of(act) -> int:
    with CaptureQueriesContext(connection) as queries, suppress(Refused):
        act()
    return len(queries)


def carla(**changes) -> Application:
    return dataclasses.replace(CARLA, **changes)


def test_a_request_is_kept_with_everything_that_was_said():
    user = actions.register(carla(x500_dn="CN=Carla, O=Lab", public_key=GOOD[0]))
    user = User.objects.get(pk=user.pk)
    assert user.state == AccountState.APPLIED
    assert user.check_password(PASSWORD)
    assert user.x500_dn == "CN=Carla,O=Lab"
    assert user.message == "I want to fit galaxies."
    assert (user.policy_version, user.policy_agreed_at is not None) == (1, True)
    assert user.email_confirmed_at is None
    assert not user.is_staff
    assert SshKey.objects.get(owner=user).is_default
    event = Event.objects.of(user.uuid).first()
    assert (event.verb, event.owner, event.subject_name) == ("registered", user, "carla")


def test_nobody_but_the_address_is_told_at_first(posted, admin):
    with posted() as mails:
        actions.register(CARLA)
    assert [mail.to for mail in mails] == [["carla@lab.example"]]
    assert "/register/confirm/" in mails[0].body
    assert "Carla" not in mails[0].body  # whoever reads it may never have asked


def test_a_request_for_an_address_that_has_an_account_is_kept_like_any_other(posted, alice):
    with posted() as mails:
        user = actions.register(carla(email="ALICE@example.org"))
    assert (user.state, user.username) == (AccountState.APPLIED, "carla")
    assert [mail.to for mail in mails] == [["alice@example.org"]]
    assert "/register/confirm/" not in mails[0].body
    assert "alice" in mails[0].body


def test_a_known_address_costs_the_same_queries_as_a_new_one(alice):
    actions.register(carla(username="warm", email="warm@lab.example"))
    known = queries_of(lambda: actions.register(carla(email=alice.email)))
    fresh = queries_of(lambda: actions.register(carla(username="fresh")))
    assert known == fresh


def test_an_address_that_nobody_has_confirmed_keeps_nobody_away(posted):
    actions.register(carla(username="thief"))
    with posted() as mails:
        actions.register(CARLA)
    assert "/register/confirm/" in mails[0].body


def test_a_request_that_is_never_confirmed_gives_way_after_a_week(posted):
    old = actions.register(CARLA)
    with time_machine.travel(timezone.now() + timedelta(days=6, hours=23)):
        with pytest.raises(Refused) as refused:
            actions.register(carla(email="other@lab.example"))
        assert refused.value.code == "username_taken"
    with time_machine.travel(timezone.now() + timedelta(days=7, hours=1)):
        new = actions.register(carla(email="other@lab.example"))
    old.refresh_from_db()
    assert (old.state, new.state) == (AccountState.WITHDRAWN, AccountState.APPLIED)
    assert "not confirmed within 7 days" in old.reason


def test_one_address_does_not_get_mail_after_mail():
    for number in range(addresses.MOST_MAILS):
        actions.register(carla(username=f"carla{number}"))
    with pytest.raises(Refused, match=r"try again after \d\d:\d\d UTC") as refused:
        actions.register(carla(email="CARLA@lab.example"))
    assert (refused.value.code, refused.value.field) == ("too_many_mails", "email")


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("terms_not_agreed", {"has_agreed": False}),
        ("username_invalid", {"username": "c"}),
        ("username_taken", {"username": "ALICE"}),
        ("email_invalid", {"email": "carla"}),
        ("given_name_invalid", {"given_name": " "}),
        ("family_name_invalid", {"family_name": ""}),
        ("x500_dn_invalid", {"x500_dn": "carla"}),
        ("password_weak", {"password": "password"}),
        ("password_weak", {"password": "carla_bianchi"}),
        ("password_weak", {"password": "Xy3" * 100}),
        ("message_too_long", {"message": "x" * 3000}),
        ("key_broken", {"public_key": "ssh-ed25519 AAAA"}),
    ],
)
def test_a_request_is_refused_and_nothing_is_kept(alice, code, changes):
    with pytest.raises(Refused) as refused:
        actions.register(carla(**changes))
    assert refused.value.code == code
    assert list(User.objects.all()) == [alice]


def test_the_name_of_a_rejected_request_is_free():
    UserFactory(username="carla", email="carla@lab.example", rejected=True)
    assert actions.register(CARLA).state == AccountState.APPLIED


def test_an_address_that_registers_many_is_stopped(monkeypatch):
    monkeypatch.setattr("registration.actions.applications.MOST_REGISTRATIONS", 2)
    for number in range(2):
        some = carla(username=f"carla{number}", email=f"carla{number}@lab.example")
        actions.register(some, address="192.0.2.7")
    with pytest.raises(Refused, match=r"Try again after \d\d:\d\d UTC") as refused:
        actions.register(CARLA, address="192.0.2.7")
    assert refused.value.code == "too_many_attempts"
    actions.register(CARLA, address="192.0.2.8")
