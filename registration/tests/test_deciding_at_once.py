"""Several administrators, or a person and an administrator, in the same moment."""

import pytest

from core.models import Event
from registration import actions
from registration.models import ApprovalRule, QuotaWish, User
from registration.states import AccountState, WishState
from registration.tests.factories import UserFactory
from registration.tests.test_at_once import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_of_two_wishes_asked_in_two_tabs_one_waits():
    alice = UserFactory()
    outcome = at_once(
        *(
            lambda machines=machines: actions.ask_for_more(
                alice, limits={"machines": machines}, message="A course."
            )
            for machines in (40, 50)
        )
    )
    assert outcome == ["done", "wish_waiting"]
    assert QuotaWish.objects.waiting().count() == 1


def test_a_wish_is_answered_once():
    admin, alice = UserFactory(admin=True), UserFactory()
    wish = actions.ask_for_more(alice, limits={"machines": 40}, message="A course.")
    copies = [QuotaWish.objects.get(pk=wish.pk) for _ in range(3)]
    outcome = at_once(
        lambda: actions.grant_wish(copies[0], by=admin),
        lambda: actions.decline_wish(copies[1], by=admin, reason="No."),
        lambda: actions.withdraw_wish(copies[2], by=alice),
    )
    assert outcome == ["done", "wish_state", "wish_state"]
    wish.refresh_from_db()
    alice.refresh_from_db()
    assert (alice.quota_machines == 40) == (wish.state == WishState.GRANTED)


def test_a_rule_and_an_administrator_let_in_once():
    admin = UserFactory(admin=True)
    rule = ApprovalRule.objects.create(pattern="lab.example", created_by=admin)
    person = UserFactory(confirmed=True, email="carla@lab.example")
    copies = [User.objects.get(pk=person.pk) for _ in range(3)]
    at_once(
        lambda: actions.by_rule(copies[0]),
        lambda: actions.by_rule(copies[1]),
        lambda: actions.approve(copies[2], by=admin),
    )
    person.refresh_from_db()
    rule.refresh_from_db()
    assert person.state == AccountState.ACTIVE
    assert Event.objects.of(person.uuid).filter(now="active").count() == 1
    by_rules = Event.objects.of(person.uuid).filter(reason__startswith="Approved by rule").count()
    assert rule.used_count == by_rules


def test_of_two_who_are_vouched_for_with_one_address_one_gets_it():
    admin = UserFactory(admin=True)
    people = [UserFactory(applied=True, email="twin@lab.example") for _ in range(2)]
    outcome = at_once(*(lambda user=user: actions.vouch(user, by=admin) for user in people))
    assert outcome == ["done", "email_taken"]
