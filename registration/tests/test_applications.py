import dataclasses

import pytest

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import Application
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


def carla(**changes) -> Application:
    return dataclasses.replace(CARLA, **changes)


def test_a_request_waits_with_everything_that_was_said():
    user = actions.register(carla(x500_dn="CN=Carla, O=Lab", public_key=GOOD[0]))
    user = User.objects.get(pk=user.pk)
    assert user.state == AccountState.APPLIED
    assert user.check_password(PASSWORD)
    assert user.x500_dn == "CN=Carla,O=Lab"
    assert user.message == "I want to fit galaxies."
    assert user.terms_version == actions.TERMS_VERSION
    assert user.terms_agreed_at is not None
    assert not user.is_staff
    assert SshKey.objects.get(owner=user).is_default
    assert list(Event.objects.of(user.uuid).values_list("verb", flat=True)) == [
        "registered",
        "key_added",
    ]


def test_the_person_and_each_administrator_get_a_mail(posted, admin):
    UserFactory(admin=True, email="other@example.org")
    UserFactory(admin=True, applied=True, email="not-yet@example.org")
    with posted() as mails:
        actions.register(CARLA)
    assert [mail.to for mail in mails] == [
        ["carla@lab.example"],
        ["boss@example.org"],
        ["other@example.org"],
    ]
    to_admin = mails[1]
    assert "I want to fit galaxies." in to_admin.body
    assert "/registrations/" in to_admin.body
    assert "approve/" not in to_admin.body
    assert to_admin.reply_to == ["carla@lab.example"]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("terms_not_agreed", {"has_agreed": False}),
        ("username_invalid", {"username": "c"}),
        ("username_taken", {"username": "ALICE"}),
        ("email_invalid", {"email": "carla"}),
        ("email_taken", {"email": "ALICE@example.org"}),
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


def test_an_administrator_lets_a_person_in_and_they_are_told(posted, admin):
    user = actions.register(CARLA)
    with posted() as mails:
        actions.approve(user, by=admin)
    user.refresh_from_db()
    assert user.is_active
    assert [(mail.to, mail.subject) for mail in mails] == [
        (["carla@lab.example"], "StratusLab: Your account is active")
    ]
    assert Event.objects.of(user.uuid).last().by == admin


def test_a_rejected_person_is_told_why(posted, admin):
    user = actions.register(CARLA)
    with posted() as mails:
        actions.reject(user, by=admin, reason=" We do not know <you>. ")
    user.refresh_from_db()
    assert (user.state, user.reason) == (AccountState.REJECTED, "We do not know <you>.")
    assert "We do not know <you>." in mails[0].body
    html = mails[0].alternatives[0].content
    assert "We do not know &lt;you&gt;." in html


def test_a_rejection_can_be_undone(admin):
    user = UserFactory(rejected=True)
    actions.reconsider(user, by=admin)
    user.refresh_from_db()
    assert (user.state, user.reason) == (AccountState.APPLIED, "")


@pytest.mark.parametrize(
    ("code", "twin"),
    [("username_taken", {"username": "Carla"}), ("email_taken", {"email": "CARLA@lab.example"})],
)
def test_a_rejection_cannot_be_undone_when_the_name_was_given_away(admin, code, twin):
    user = UserFactory(username="carla", email="carla@lab.example", rejected=True)
    UserFactory(**twin)
    with pytest.raises(Refused) as refused:
        actions.reconsider(user, by=admin)
    assert refused.value.code == code


DECISIONS = [
    lambda user, by: actions.approve(user, by=by),
    lambda user, by: actions.reject(user, by=by, reason="No."),
    lambda user, by: actions.reconsider(user, by=by),
    lambda user, by: actions.set_quota(
        user, by=by, limits={"machines": 1, "vcpus": 1, "memory_mib": 1}
    ),
]


@pytest.mark.parametrize("decide", DECISIONS)
@pytest.mark.parametrize("who", [{}, {"admin": True, "applied": True}])
def test_only_an_active_administrator_decides(decide, who):
    user = UserFactory(rejected=True) if decide is DECISIONS[2] else UserFactory(applied=True)
    with pytest.raises(Refused) as refused:
        decide(user, UserFactory(**who))
    assert refused.value.code == "not_administrator"


@pytest.mark.parametrize("decide", DECISIONS[:3])
def test_what_is_decided_is_not_decided_again(decide, admin, alice):
    with pytest.raises(Refused) as refused:
        decide(alice, admin)
    assert refused.value.code == "account_state"


def test_of_two_administrators_at_once_the_second_is_told(admin, posted):
    user = UserFactory(applied=True)
    seen_by_other = User.objects.get(pk=user.pk)
    actions.approve(user, by=admin)
    with posted() as mails, pytest.raises(Refused) as refused:
        actions.reject(seen_by_other, by=admin, reason="No.")
    assert refused.value.code == "account_state"
    assert mails == []


@pytest.mark.parametrize(
    ("reason", "code"), [(" ", "reason_missing"), ("x" * 501, "reason_too_long")]
)
def test_a_rejection_needs_a_reason_of_a_sentence(admin, reason, code):
    with pytest.raises(Refused) as refused:
        actions.reject(UserFactory(applied=True), by=admin, reason=reason)
    assert (refused.value.code, refused.value.field) == (code, "reason")


def test_a_quota_is_set_and_given_back(alice, admin):
    actions.set_quota(alice, by=admin, limits={"machines": 9, "vcpus": None, "memory_mib": 512})
    alice.refresh_from_db()
    assert (alice.quota.machines, alice.quota.memory_mib) == (9, 512)
    assert alice.quota_vcpus is None
    event = Event.objects.of(alice.uuid).get()
    assert event.detail["after"] == {"machines": 9, "vcpus": None, "memory_mib": 512}


@pytest.mark.parametrize("limit", [-1, 10**12])
def test_a_senseless_quota_is_refused(alice, admin, limit):
    with pytest.raises(Refused) as refused:
        actions.set_quota(alice, by=admin, limits={"machines": limit, "vcpus": 1, "memory_mib": 1})
    assert refused.value.code == "quota_invalid"


def test_an_address_that_registers_many_is_stopped(monkeypatch):
    monkeypatch.setattr("registration.actions.applications.MOST_REGISTRATIONS", 2)
    for number in range(2):
        some = carla(username=f"carla{number}", email=f"carla{number}@lab.example")
        actions.register(some, address="192.0.2.7")
    with pytest.raises(Refused, match=r"Try again after \d\d:\d\d UTC") as refused:
        actions.register(CARLA, address="192.0.2.7")
    assert refused.value.code == "too_many_attempts"
    actions.register(CARLA, address="192.0.2.8")
