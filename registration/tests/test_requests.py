"""What a person asks about their own request before being let in."""

import dataclasses
import importlib

import pytest
from django.apps import apps

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import Request, addresses, links
from registration.applicants import applicants, waiting_by_pattern
from registration.models import ApprovalRule, Rejection, User
from registration.states import REQUEST_VERBS, AccountState
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

S = AccountState


def carla(**more) -> User:
    known = {"username": "carla", "email": "carla@lab.example", "message": "Galaxies."}
    return UserFactory(**known | more)


def said(user: User, **changes) -> Request:
    fields = {field.name: getattr(user, field.name) for field in dataclasses.fields(Request)}
    return Request(**fields | changes)


ACTS = {
    "resend": actions.resend,
    "correct": lambda user: actions.correct(user, said(user, given_name="New")),
    "withdraw": actions.withdraw,
    "apply_again": lambda user: actions.apply_again(user, said(user)),
}


@pytest.mark.parametrize("state", AccountState)
@pytest.mark.parametrize("verb", ACTS)
def test_the_table_says_what_may_be_asked_and_the_actions_obey(verb, state):
    user = UserFactory(state=state)
    before = User.objects.filter(pk=user.pk).values().get()
    if state in REQUEST_VERBS[verb]:
        ACTS[verb](user)
        assert Event.objects.of(user.uuid).exists()
        return
    with pytest.raises(Refused) as refused:
        ACTS[verb](user)
    assert refused.value.code == "account_state"
    assert User.objects.filter(pk=user.pk).values().get() == before


def test_the_link_is_sent_again_to_the_address_of_the_request(posted):
    with posted() as mails:
        actions.resend(carla(applied=True))
    assert [mail.to for mail in mails] == [["carla@lab.example"]]
    assert "/register/confirm/" in mails[0].body


def test_sending_again_has_an_end():
    user = carla(applied=True)
    for _ in range(addresses.MOST_MAILS):
        actions.resend(user)
    with pytest.raises(Refused) as refused:
        actions.resend(user)
    assert refused.value.code == "too_many_mails"


@pytest.mark.parametrize("trait", ["applied", "confirmed"])
def test_a_correction_changes_what_was_said_and_nothing_else(trait, posted):
    user = carla(**{trait: True})
    state = user.state
    with posted() as mails:
        actions.correct(user, said(user, family_name="Bianchi", message="Pulsars."))
    user.refresh_from_db()
    assert (user.family_name, user.message, user.state) == ("Bianchi", "Pulsars.", state)
    assert mails == []
    event = Event.objects.of(user.uuid).get()
    assert event.detail["before"] == {"family_name": "Carla", "message": "Galaxies."}


@pytest.mark.parametrize("trait", ["applied", "confirmed"])
def test_another_address_has_to_be_confirmed_first(trait, posted):
    user = carla(**{trait: True})
    with posted() as mails:
        actions.correct(user, said(user, email="carla@new.example"))
    user.refresh_from_db()
    assert (user.state, user.email_confirmed_at) == (S.APPLIED, None)
    assert [mail.to for mail in mails] == [["carla@new.example"]]


def test_correcting_to_an_address_that_has_an_account_looks_the_same(posted, alice):
    user = carla(confirmed=True)
    with posted() as mails:
        actions.correct(user, said(user, email=alice.email))
    user.refresh_from_db()
    assert (user.state, user.email) == (S.APPLIED, alice.email)
    assert [mail.to for mail in mails] == [[alice.email]]
    assert "/register/confirm/" not in mails[0].body


def test_a_name_that_is_taken_is_refused_whole(alice):
    user = carla(confirmed=True)
    with pytest.raises(Refused) as refused:
        actions.correct(user, said(user, username="ALICE", message="Pulsars."))
    assert (refused.value.code, refused.value.field) == ("username_taken", "username")
    user.refresh_from_db()
    assert user.message == "Galaxies."


def test_a_correction_that_comes_after_the_decision_is_refused():
    user = carla(confirmed=True)
    page = User.objects.get(pk=user.pk)
    user.move(S.ACTIVE)
    with pytest.raises(Refused) as refused:
        actions.correct(page, said(user, family_name="Late"))
    assert refused.value.code == "account_state"
    user.refresh_from_db()
    assert user.family_name == "Carla"


def test_who_withdraws_frees_the_name():
    actions.withdraw(carla(confirmed=True))
    assert not User.objects.holding(username="carla", email="carla@lab.example").exists()


@pytest.mark.parametrize("trait", ["rejected", "withdrawn"])
def test_who_asks_again_waits_again_and_the_administrators_are_told(trait, posted, admin):
    user = carla(**{trait: True})
    asked_at = user.asked_at
    with posted() as mails:
        actions.apply_again(user, said(user, message="More galaxies."))
    user.refresh_from_db()
    assert (user.state, user.reason, user.message) == (S.CONFIRMED, "", "More galaxies.")
    assert user.asked_at > asked_at
    assert [mail.to for mail in mails] == [["carla@lab.example"], ["boss@example.org"]]


def test_no_rule_lets_in_who_was_rejected(admin):
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    user = carla(rejected=True)
    actions.apply_again(user, said(user))
    user.refresh_from_db()
    assert user.state == S.CONFIRMED


def use_link(user):
    user.refresh_from_db()
    assert user.state == S.APPLIED
    actions.confirm_email(user.uuid, links.address_links.make_token(user))
    user.refresh_from_db()
    return user.state


def test_no_rule_lets_in_who_was_rejected_under_another_address(admin):
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    user = carla(confirmed=True)
    actions.reject(user, by=admin, reason="No.")
    actions.apply_again(user, said(user, email="other@lab.example"))
    assert use_link(user) == S.CONFIRMED


@pytest.mark.parametrize("decide", [
    lambda user, admin: actions.reject(user, by=admin, reason="No."),
    lambda user, admin: (actions.approve(user, by=admin), actions.take_back(user, by=admin)),
])  # fmt: skip
def test_no_rule_lets_in_who_corrects_the_address_away_and_back(admin, decide):
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    user = carla(confirmed=True)
    decide(user, admin)
    if user.state == S.REJECTED:
        actions.apply_again(user, said(user))
    for email in ("carla@else.example", "carla@lab.example"):
        actions.correct(user, said(user, email=email))
        assert use_link(user) == S.CONFIRMED


@pytest.mark.parametrize("is_again", [False, True])
@pytest.mark.parametrize("same", [{"username": "Carla"}, {"email": "CARLA@lab.example"}])
def test_no_rule_lets_in_a_new_request_of_who_was_rejected(admin, same, is_again):
    rule = ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    user = carla(confirmed=True)
    actions.reject(user, by=admin, reason="No.")
    if is_again:  # and the traces are wiped
        actions.apply_again(user, said(user, username="other", email="other@new.example"))
        actions.withdraw(user)
    anew = UserFactory(**{"username": "anew", "email": "anew@lab.example"} | same, applied=True)
    assert use_link(anew) == S.CONFIRMED
    assert actions.waiting_for(rule) == []
    assert actions.apply_rule(rule, by=admin) == []
    assert waiting_by_pattern([rule.pattern]) == {rule.pattern: 0}
    (row,) = applicants([anew])
    assert row.was_refused


def test_a_rule_lets_in_again_once_an_administrator_has(admin):
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    user = carla(confirmed=True)
    actions.reject(user, by=admin, reason="No.")
    actions.apply_again(user, said(user))
    actions.approve(user, by=admin)
    assert use_link(UserFactory(email="anew@lab.example", applied=True)) == S.ACTIVE
    assert not Rejection.objects.exists()


def test_no_rule_lets_in_whom_an_administrator_has_closed(admin):
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    actions.close(carla(), by=admin, reason="The end.")
    anew = UserFactory(username="anew", email="carla@lab.example", applied=True)
    assert use_link(anew) == S.CONFIRMED


def test_a_rule_lists_only_whom_it_can_let_in(admin):
    rule = ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    carla(confirmed=True, email_confirmed_at=None)  # from before addresses were confirmed
    assert actions.waiting_for(rule) == actions.apply_rule(rule, by=admin) == []


def test_an_undone_rejection_is_none(admin):
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    user = carla(confirmed=True)
    actions.reject(user, by=admin, reason="No.")
    actions.reconsider(user, by=admin)
    actions.correct(user, said(user, email="other@lab.example"))
    assert use_link(user) == S.ACTIVE


def test_rejections_from_before_they_were_kept_are_found(admin):
    again, undone, in_now = (UserFactory(confirmed=True) for _ in range(3))
    was = again.username
    for user in (again, undone, in_now):
        actions.reject(user, by=admin, reason="No.")
    actions.reconsider(undone, by=admin)
    actions.apply_again(again, said(again, username="other"))
    actions.apply_again(in_now, said(in_now))
    actions.approve(in_now, by=admin)
    Rejection.objects.all().delete()
    name = "registration.migrations.0011_directory_ids_and_rejections"
    importlib.import_module(name).keep_rejections(apps, None)
    (kept,) = Rejection.objects.all()
    assert (kept.user, kept.username, kept.email) == (again, was, again.email)


@pytest.mark.parametrize("trait", ["applied", "confirmed", "rejected", "withdrawn"])
@pytest.mark.parametrize("source", ["ldap", "orcid"])
def test_a_name_that_somebody_else_gave_stays(trait, source):
    user = carla(**{trait: True}, source=source)
    act = actions.correct if "correct" in user.request_verbs else actions.apply_again
    with pytest.raises(Refused, match="came with your sign-in") as refused:
        act(user, said(user, username="victim"))
    assert (refused.value.code, refused.value.field) == ("username_elsewhere", "username")
    act(user, said(user, message="Pulsars."))
    user.refresh_from_db()
    assert (user.username, user.message) == ("carla", "Pulsars.")


@pytest.mark.parametrize("name", ["alice", "root"])
def test_who_cannot_have_the_name_any_more_chooses_another(name, alice):
    user = carla(username=name, rejected=True, source="ldap")
    actions.apply_again(user, said(user, username="carla"))
    user.refresh_from_db()
    assert (user.username, user.state) == ("carla", S.CONFIRMED)


@pytest.mark.parametrize(
    ("act", "trait"), [(actions.correct, "confirmed"), (actions.apply_again, "rejected")]
)
def test_nobody_takes_a_reserved_name(act, trait):
    user = carla(**{trait: True})
    with pytest.raises(Refused) as refused:
        act(user, said(user, username="Support"))
    assert refused.value.code == "username_reserved"


@pytest.mark.parametrize("changes", [{}, {"email": "carla@new.example"}])
def test_who_asks_again_without_a_confirmed_address_confirms_it_first(changes, posted, admin):
    confirmed = {} if changes else {"email_confirmed_at": None}
    user = carla(rejected=True, **confirmed)
    with posted() as mails:
        actions.apply_again(user, said(user, **changes))
    user.refresh_from_db()
    assert (user.state, user.email_confirmed_at) == (S.APPLIED, None)
    assert [mail.to for mail in mails] == [[user.email]]


@pytest.mark.parametrize(
    ("code", "twin"),
    [("username_taken", {"username": "Carla"}), ("email_taken", {"email": "CARLA@lab.example"})],
)
def test_who_asks_again_after_the_name_was_given_away_is_told(code, twin):
    user = carla(rejected=True)
    UserFactory(**twin)
    with pytest.raises(Refused) as refused:
        actions.apply_again(user, said(user))
    assert refused.value.code == code


def test_who_asks_again_may_take_another_name(alice):
    user = UserFactory(username="alice", rejected=True, email="second@lab.example")
    actions.apply_again(user, said(user, username="alice_too"))
    user.refresh_from_db()
    assert (user.state, user.username) == (S.CONFIRMED, "alice_too")


def test_a_request_is_not_changed_without_end(monkeypatch):
    monkeypatch.setattr("registration.actions.requests.MOST_CHANGES", 2)
    user = carla(applied=True)
    for number in range(2):
        actions.correct(user, said(user, message=f"Number {number}"))
    with pytest.raises(Refused) as refused:
        actions.correct(user, said(user, message="Once more"))
    assert refused.value.code == "too_many_attempts"
