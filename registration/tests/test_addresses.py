"""Proving that an e-mail address is one's own: that of a request, and another one later."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import addresses, links
from registration.models import ApprovalRule, User
from registration.states import AccountState
from registration.tests.browsing import with_app
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.test_applications import CARLA, carla

pytestmark = pytest.mark.django_db

ANEW = "brave new horse 88"


def link_in(mail) -> tuple[str, str]:
    """The person's uuid and the token of the link in a mail."""
    found = re.search(r"/(?:register/confirm|profile/email)/([\w-]+)/([\w-]+)/", mail.body)
    return found[1], found[2]


@pytest.fixture
def asked(posted) -> tuple[User, tuple[str, str]]:
    with posted() as mails:
        user = actions.register(CARLA)
    return user, link_in(mails[0])


def test_the_link_hands_the_request_to_the_administrators_and_tells_both(asked, posted, admin):
    UserFactory(admin=True, email="other@example.org")
    UserFactory(admin=True, applied=True, email="not-yet@example.org")
    user, link = asked
    with posted() as mails:
        assert actions.confirm_email(*link) == user
    user.refresh_from_db()
    assert user.state == AccountState.CONFIRMED
    assert user.email_confirmed_at is not None
    assert [mail.to for mail in mails] == [
        ["carla@lab.example"],
        ["boss@example.org"],
        ["other@example.org"],
    ]
    assert "I want to fit galaxies." in mails[1].body
    assert mails[1].reply_to == ["carla@lab.example"]
    moved = Event.objects.of(user.uuid).last()
    assert (moved.verb, moved.now, moved.by, moved.owner) == ("moved", "confirmed", user, user)


def test_looking_at_the_link_changes_nothing(asked):
    user, link = asked
    for _ in range(2):
        assert actions.person_to_confirm(*link) == user
    user.refresh_from_db()
    assert user.state == AccountState.APPLIED


def test_the_link_works_once(asked):
    _, link = asked
    actions.confirm_email(*link)
    with pytest.raises(Refused) as refused:
        actions.confirm_email(*link)
    assert refused.value.code == "link_spent"


def test_the_link_works_for_a_day(asked):
    _, link = asked
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59)):
        actions.person_to_confirm(*link)
    later = timezone.now() + timedelta(hours=24, minutes=1)
    with time_machine.travel(later), pytest.raises(Refused):
        actions.person_to_confirm(*link)


def test_another_persons_link_is_worthless(asked):
    other = UserFactory(applied=True)
    with pytest.raises(Refused) as refused:
        actions.confirm_email(other.uuid, asked[1][1])
    assert refused.value.code == "link_spent"


def test_a_link_that_was_sent_before_still_works_after_it_was_sent_again(asked, posted):
    user, link = asked
    with posted() as mails:
        actions.resend(user)
    assert "/register/confirm/" in mails[0].body
    actions.confirm_email(*link)


def test_a_rule_lets_in_at_once_and_nobody_is_asked(asked, posted, admin):
    ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    user, link = asked
    with posted() as mails:
        actions.confirm_email(*link)
    user.refresh_from_db()
    assert user.is_active
    assert [mail.to for mail in mails] == [["carla@lab.example"]]
    assert "active" in mails[0].subject


def test_of_two_requests_with_one_address_the_first_that_is_confirmed_gets_it(asked, posted):
    with posted() as mails:
        actions.register(carla(username="twin"))
    second = link_in(mails[0])
    actions.confirm_email(*asked[1])
    with pytest.raises(Refused, match="Sign in") as refused:
        actions.confirm_email(*second)
    assert refused.value.code == "email_taken"
    assert User.objects.get(username="twin").state == AccountState.APPLIED


# Another address for an account ----------------------------------------------------------


@pytest.fixture
def wanted(alice, posted) -> tuple[User, tuple[str, str]]:
    with posted() as mails:
        actions.change_email(alice, "al@new.example")
    assert [mail.to for mail in mails] == [["alice@example.org"], ["al@new.example"]]
    assert "al@new.example" in mails[0].body
    assert link_in(mails[0])[1] != link_in(mails[1])[1]
    return alice, link_in(mails[1])


@pytest.mark.parametrize("get_back", [
    lambda user, admin: actions.change_password(user, password=PASSWORD, new_password=ANEW),
    lambda user, admin: actions.reset_password(
        user.uuid, links.password_links.make_token(user), new_password=ANEW
    ),
    lambda user, admin: (
        actions.suspend(user, by=admin, reason="Stolen."), actions.resume(user, by=admin)
    ),
])  # fmt: skip
def test_who_gets_the_account_back_gets_rid_of_the_new_address(wanted, admin, get_back):
    alice, link = wanted
    alice.refresh_from_db()
    get_back(alice, admin)
    with pytest.raises(Refused) as refused:
        actions.confirm_new_email(*link)
    assert refused.value.code == "link_spent"
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@example.org", "")


def test_nobody_has_mails_sent_to_strangers_without_end(alice):
    for number in range(addresses.MOST_NEW_ADDRESSES):
        actions.change_email(alice, f"stranger{number}@example.net")
    with pytest.raises(Refused) as refused:
        actions.change_email(alice, "another@example.net")
    assert refused.value.code == "too_many_attempts"


def test_the_address_stays_until_the_new_one_is_confirmed(wanted):
    alice, _ = wanted
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@example.org", "al@new.example")


def test_the_link_changes_the_address_and_both_are_told(wanted, posted):
    alice, link = wanted
    with posted() as mails:
        actions.confirm_new_email(*link)
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("al@new.example", "")
    assert [mail.to for mail in mails] == [["alice@example.org"], ["al@new.example"]]
    event = Event.objects.of(alice.uuid).last()
    assert event.verb == "email_changed"
    assert event.detail == {"before": "alice@example.org", "after": "al@new.example"}


def test_the_link_to_a_new_address_works_once_and_not_after_a_change_of_mind(wanted):
    alice, link = wanted
    actions.cancel_change_of_email(alice)
    with pytest.raises(Refused) as refused:
        actions.confirm_new_email(*link)
    assert refused.value.code == "link_spent"
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@example.org", "")


def test_a_suspended_person_does_not_change_the_address_by_an_old_link(wanted):
    alice, link = wanted
    alice.refresh_from_db()
    alice.move(AccountState.SUSPENDED)
    with pytest.raises(Refused) as refused:
        actions.confirm_new_email(*link)
    assert refused.value.code == "link_spent"


def test_wanting_an_address_that_has_an_account_looks_the_same_and_tells_its_owner(alice, posted):
    UserFactory(username="bob")
    with posted() as mails:
        actions.change_email(alice, "BOB@example.org")
    alice.refresh_from_db()
    assert alice.new_email == "BOB@example.org"
    assert [mail.to for mail in mails] == [["alice@example.org"], ["bob@example.org"]]
    assert "/profile/email/" not in mails[1].body


def test_an_address_that_was_taken_meanwhile_is_refused(wanted):
    alice, link = wanted
    UserFactory(email="al@new.example")
    with pytest.raises(Refused) as refused:
        actions.confirm_new_email(*link)
    assert refused.value.code == "email_taken"
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


@pytest.mark.parametrize(
    ("email", "code"), [("alice@example.org", "email_same"), ("al", "email_invalid")]
)
def test_an_address_that_is_none_or_the_same_is_refused(alice, email, code):
    with pytest.raises(Refused) as refused:
        actions.change_email(alice, email)
    assert (refused.value.code, refused.value.field) == (code, "email")


@pytest.fixture
def way_back(alice, posted) -> str:
    """The link in the mail to the address that counts."""
    with posted() as mails:
        actions.change_email(alice, "thief@example.net")
    return re.search(r"/profile/email/[\w-]+/[\w-]+/stay/", mails[0].body)[0]


def test_the_old_address_ends_the_change_without_signing_in(alice, way_back, client):
    token = links.address_links.make_token(alice)
    assert "thief@example.net" in client.get(way_back).text
    alice.refresh_from_db()
    assert alice.new_email == "thief@example.net"  # mail scanners open links too
    assert "Your address stays" in client.post(way_back).text
    alice.refresh_from_db()
    assert (alice.email, alice.new_email) == ("alice@example.org", "")
    assert Event.objects.of(alice.uuid).last().verb == "email_change_cancelled"
    with pytest.raises(Refused):
        actions.confirm_new_email(alice.uuid, token)
    assert client.post(way_back).status_code == 404


def test_the_link_that_ends_a_change_confirms_none(alice, way_back, client):
    assert client.post(way_back.removesuffix("stay/")).status_code == 404
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


def test_a_reset_of_the_second_factor_ends_a_change_of_address(alice, admin, posted):
    with_app(alice)
    with posted() as mails:
        actions.change_email(alice, "thief@example.net")
    actions.reset_second_factor(alice, by=admin)
    with pytest.raises(Refused):
        actions.confirm_new_email(*link_in(mails[1]))
    alice.refresh_from_db()
    assert alice.new_email == ""
