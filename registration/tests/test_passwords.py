from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db.models import F
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions, names
from registration.actions import addresses, rules
from registration.actions.addresses import MOST_MAILS
from registration.actions.passwords import (
    MOST_FAILURES,
    MOST_RESET_MAILS,
    MOST_RESETS,
    NOBODY,
    _spend,
)
from registration.actions.rules import MOST_WRONG_PASSWORDS
from registration.models import User
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.test_applications import queries_of

pytestmark = pytest.mark.django_db

NEW = "a quite different staple"
HERE = "192.0.2.7"


class CountingHasher(MD5PasswordHasher):
    calls = 0

    def encode(self, password, salt):
        type(self).calls += 1
        return super().encode(password, salt)


def sign_in(login="alice", password=PASSWORD, address=HERE):
    return actions.sign_in(login=login, password=password, address=address)


@pytest.mark.parametrize(
    "login", ["alice", "ALICE", " alice ", "alice@example.org", "Alice@Example.org"]
)
def test_a_person_signs_in_by_name_or_address(alice, login):
    assert sign_in(login) == alice
    assert Event.objects.of(alice.uuid).get().verb == "signed_in"


@pytest.mark.parametrize("login", ["alice", "nobody", "", "x" * 500, "a@b@c"])
def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(alice, login):
    with pytest.raises(Refused) as refused:
        sign_in(login, "wrong")
    assert (refused.value.code, str(refused.value)) == (
        "credentials",
        "The user name or the password is not right.",
    )


def test_an_unknown_name_costs_the_same_queries_as_a_wrong_password(alice):
    known = queries_of(lambda: sign_in("alice", "wrong"))
    unknown = queries_of(lambda: sign_in("nobody", "wrong", address="192.0.2.8"))
    assert known == unknown


def test_an_unknown_name_costs_a_hash_too(settings):
    settings.PASSWORD_HASHERS = ["registration.tests.test_passwords.CountingHasher"]
    CountingHasher.calls = 0
    with pytest.raises(Refused):
        sign_in("nobody", "wrong")
    assert CountingHasher.calls == 1


def test_denials_are_recorded_without_what_was_typed(alice):
    for login in ("alice", "my secret password"):
        with pytest.raises(Refused):
            sign_in(login, "wrong")
    denied = Event.objects.filter(outcome="denied")
    assert list(denied.values_list("subject", flat=True)) == [alice.uuid, NOBODY]
    assert "secret" not in str(list(denied.values()))


@pytest.mark.parametrize("trait", ["applied", "confirmed", "rejected", "withdrawn", "suspended"])
def test_who_is_not_let_in_may_look_after_the_right_password_only(trait):
    user = UserFactory(username="alice", **{trait: True})
    with pytest.raises(Refused) as refused:
        sign_in(password="wrong")
    assert refused.value.code == "credentials"
    assert sign_in() == user
    assert Event.objects.of(user.uuid).last().verb == "looked"


def test_a_closed_account_is_told_so_after_the_right_password_only():
    UserFactory(username="alice", closed=True)
    with pytest.raises(Refused) as refused:
        sign_in(password="wrong")
    assert refused.value.code == "credentials"
    with pytest.raises(Refused) as refused:
        sign_in()
    assert refused.value.code == "account_closed"


def test_an_address_means_who_holds_it_not_who_only_wrote_it():
    holder = UserFactory(username="alice")
    UserFactory(username="thief", email=holder.email, applied=True)
    assert sign_in(holder.email) == holder


@pytest.mark.parametrize("trait", ["applied", "withdrawn", "rejected"])
def test_an_address_that_was_never_confirmed_is_no_way_in(trait):
    user = UserFactory(username="carla", **{trait: True}, email_confirmed_at=None)
    with pytest.raises(Refused, match="not right"):
        sign_in(user.email)
    assert sign_in("carla") == user


def test_a_name_means_who_holds_it_not_who_lost_it():
    UserFactory(username="alice", rejected=True)
    holder = UserFactory(username="alice", email="new@example.org")
    UserFactory(username="alice", email="late@example.org", rejected=True)
    assert sign_in() == holder


def test_guessing_is_stopped_for_a_while_for_this_name_from_this_address(alice):
    for login in ("alice", "nobody"):
        for _ in range(MOST_FAILURES):
            with pytest.raises(Refused, match="not right"):
                sign_in(login, "wrong")
        with pytest.raises(Refused) as refused:
            sign_in(login)
        assert refused.value.code == "too_many_attempts"
    assert sign_in(address="192.0.2.99") == alice
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        assert sign_in() == alice


def test_an_address_that_tries_many_names_is_stopped(alice, monkeypatch):
    monkeypatch.setattr("registration.actions.passwords.MOST_FAILURES_OF_ADDRESS", 12)
    for number in range(12):
        with pytest.raises(Refused, match="not right"):
            sign_in(f"name{number}", "wrong")
    with pytest.raises(Refused) as refused:
        sign_in()
    assert refused.value.code == "too_many_attempts"


def test_the_right_password_forgets_the_failures(alice):
    for _ in range(3):
        for _ in range(MOST_FAILURES - 1):
            with pytest.raises(Refused):
                sign_in(password="wrong")
        sign_in()


def test_a_password_is_changed_and_the_person_is_told(alice, posted):
    with posted() as mails:
        actions.change_password(alice, password=PASSWORD, new_password=NEW)
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert mails[0].to == [alice.email]
    assert NEW not in mails[0].body


@pytest.mark.parametrize(
    ("password", "new", "code", "field"),
    [
        ("wrong", NEW, "password_wrong", "password"),
        (PASSWORD, "short", "password_weak", "new_password"),
    ],
)
def test_a_password_is_not_changed_for_less(alice, password, new, code, field):
    with pytest.raises(Refused) as refused:
        actions.change_password(alice, password=password, new_password=new)
    assert (refused.value.code, refused.value.field) == (code, field)


@pytest.fixture
def link(alice, posted):
    """The link in the mail: the person's uuid and the token."""
    with posted() as mails:
        actions.request_reset(login="ALICE", address=HERE)
    assert [mail.to for mail in mails] == [[alice.email]]
    line = next(line for line in mails[0].body.splitlines() if "/reset/" in line)
    *_, uid, token, _ = line.split("/")
    return uid, token


def test_a_link_sets_a_new_password_once(alice, link, posted):
    with posted() as mails:
        assert actions.reset_password(*link, new_password=NEW) == alice
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert "has changed" in mails[0].subject
    with pytest.raises(Refused) as refused:
        actions.reset_password(*link, new_password=NEW)
    assert refused.value.code == "link_spent"


def test_of_two_who_use_a_link_at_once_one_does(alice, link):
    first = actions.person_of_link(*link)
    User.objects.filter(pk=first.pk).update(reset_serial=F("reset_serial") + 1)
    with pytest.raises(Refused) as refused:
        _spend(first, "password_reset", password="x")
    assert refused.value.code == "link_spent"


def test_a_cancelled_link_is_worthless(alice, link):
    actions.cancel_reset(*link)
    for act in (
        lambda: actions.reset_password(*link, new_password=NEW),
        lambda: actions.cancel_reset(*link),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "link_spent"


def test_a_link_is_worthless_after_a_day(link):
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59)):
        actions.person_of_link(*link)
    later = timezone.now() + timedelta(hours=24, minutes=1)
    with time_machine.travel(later), pytest.raises(Refused):
        actions.person_of_link(*link)


def test_a_link_is_worthless_after_a_change_of_password_or_address(alice, link):
    actions.change_password(alice, password=PASSWORD, new_password=NEW)
    with pytest.raises(Refused):
        actions.person_of_link(*link)


def test_a_weak_password_does_not_spend_the_link(link):
    with pytest.raises(Refused) as refused:
        actions.reset_password(*link, new_password="12345678")
    assert refused.value.code == "password_weak"
    actions.reset_password(*link, new_password=NEW)


def test_another_persons_link_is_worthless(link):
    with pytest.raises(Refused):
        actions.person_of_link(UserFactory().uuid, link[1])


@pytest.mark.parametrize("login", ["nobody", "", "nobody@example.com", "rejected"])
def test_a_reset_for_nobody_says_nothing_and_sends_nothing(login, posted):
    UserFactory(username="rejected", rejected=True)
    with posted() as mails:
        actions.request_reset(login=login, address=HERE)
    assert mails == []


def test_a_reset_for_nobody_costs_the_same_queries(alice):
    known = queries_of(lambda: actions.request_reset(login="alice", address=HERE))
    unknown = queries_of(lambda: actions.request_reset(login="nobody", address="192.0.2.8"))
    assert known == unknown


def test_a_reset_mail_goes_to_the_address_that_is_kept_not_to_the_typed_one(alice, posted):
    with posted() as mails:
        actions.request_reset(login="ALICE@EXAMPLE.ORG", address=HERE)
    assert mails[0].to == ["alice@example.org"]


def test_a_mailbox_cannot_be_flooded(alice):
    for _ in range(MOST_RESETS):
        actions.request_reset(login="alice", address=HERE)
    for login in ("alice", "Alice"):
        with pytest.raises(Refused) as refused:
            actions.request_reset(login=login, address=HERE)
        assert refused.value.code == "too_many_attempts"


def test_a_mailbox_is_not_flooded_from_many_addresses(alice, posted):
    with posted() as mails:
        for n in range(50):
            login = "alice" if n % 2 else alice.email
            actions.request_reset(login=login, address=f"192.0.2.{n}")
    assert len(mails) == MOST_RESET_MAILS


def test_other_mails_to_a_person_keep_nobody_from_a_new_password(alice, posted):
    for _ in range(MOST_MAILS):
        addresses.may_write_to(alice.email)
    with posted() as mails:
        actions.request_reset(login="alice", address=HERE)
    assert len(mails) == 1


def test_an_address_that_asks_for_many_names_is_stopped(monkeypatch):
    monkeypatch.setattr("registration.actions.passwords.MOST_RESETS_OF_ADDRESS", 3)
    for number in range(3):
        actions.request_reset(login=f"name{number}", address=HERE)
    with pytest.raises(Refused, match=r"Try again after \d\d:\d\d UTC") as refused:
        actions.request_reset(login="another", address=HERE)
    assert refused.value.code == "too_many_attempts"
    assert Event.objects.filter(verb="reset_asked").count() == 3
    actions.request_reset(login="another", address="192.0.2.8")


def test_a_guess_is_counted_before_it_is_checked(alice, monkeypatch):
    monkeypatch.setattr("registration.actions.passwords.MOST_FAILURES", 1)
    codes = []

    def check_while_another_tries(user, password):
        with pytest.raises(Refused) as refused:
            sign_in(password="wrong too")
        codes.append(refused.value.code)
        return False

    monkeypatch.setattr(User, "check_password", check_while_another_tries)
    with pytest.raises(Refused, match="not right"):
        sign_in(password="wrong")
    assert codes == ["too_many_attempts"]


def test_signing_in_rightly_does_not_spend_the_tries_of_an_address(alice, monkeypatch):
    monkeypatch.setattr("registration.actions.passwords.MOST_FAILURES_OF_ADDRESS", 2)
    for _ in range(4):
        sign_in()
    with pytest.raises(Refused, match="not right"):
        sign_in(password="wrong")


def test_wrong_current_passwords_are_recorded_and_stopped(alice):
    for _ in range(MOST_WRONG_PASSWORDS):
        with pytest.raises(Refused) as refused:
            actions.change_password(alice, password="wrong", new_password=NEW)
        assert refused.value.code == "password_wrong"
    with pytest.raises(Refused) as refused:
        actions.change_password(alice, password=PASSWORD, new_password=NEW)
    assert refused.value.code == "too_many_attempts"
    denied = Event.objects.of(alice.uuid).filter(outcome="denied", by=alice)
    assert denied.count() == MOST_WRONG_PASSWORDS
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        actions.change_password(alice, password=PASSWORD, new_password=NEW)


def test_the_right_current_password_forgets_the_wrong_ones(alice):
    for _ in range(2):
        for _ in range(MOST_WRONG_PASSWORDS - 1):
            with pytest.raises(Refused, match="not your current password"):
                rules.must_know_password(alice, "wrong")
        rules.must_know_password(alice, PASSWORD)


@pytest.mark.parametrize(
    "login", ["jane@exämple.org", " Jane@EXÄMPLE.org ", "jane@xn--exmple-cua.org"]
)
def test_a_domain_may_be_written_as_people_write_it(login, posted):
    jane = UserFactory(username="jane", email=names.email("jane@exämple.org"))
    assert sign_in(login) == jane
    with posted() as mails:
        actions.request_reset(login=login, address=HERE)
    assert [mail.to for mail in mails] == [[jane.email]]


def test_spellings_of_an_address_are_one_for_the_limit(alice, monkeypatch):
    monkeypatch.setattr("registration.actions.passwords.MOST_FAILURES", 1)
    with pytest.raises(Refused, match="not right"):
        sign_in("alice@example.org", "wrong")
    with pytest.raises(Refused) as refused:
        sign_in("alice@\N{FULLWIDTH LATIN SMALL LETTER E}xample.org")
    assert refused.value.code == "too_many_attempts"
