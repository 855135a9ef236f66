"""Two people, or two tabs, in the same moment: on a real database, with real commits."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core import mail
from django.db import connection

from core.errors import Refused
from core.models import Event
from registration import actions, emails, outbox
from registration.actions.links import address_links, password_links
from registration.models import Attempts, OutgoingMail, Policy, SshKey, User
from registration.tests.factories import UserFactory
from registration.tests.test_applications import carla
from registration.tests.test_keys import GOOD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.at_once]


def at_once(*acts: Callable[[], object]) -> list[str]:
    """What became of each: "done", or the code of its refusal."""
    start = Barrier(len(acts))

    def run(act: Callable[[], object]) -> str:
        start.wait(5)
        try:
            act()
        except Refused as refused:
            return refused.code
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(len(acts)) as threads:
        return sorted(threads.map(run, acts))


def test_of_four_who_take_a_name_one_gets_it():
    outcome = at_once(
        *(
            lambda number=number: actions.register(carla(email=f"carla{number}@lab.example"))
            for number in range(4)
        )
    )
    assert outcome == ["done", *["username_taken"] * 3]
    assert User.objects.count() == 1


def test_of_four_who_confirm_one_address_one_gets_it():
    people = [UserFactory(email="same@lab.example", applied=True) for _ in range(4)]
    links = [(person.uuid, address_links.make_token(person)) for person in people]
    outcome = at_once(*(lambda link=link: actions.confirm_email(*link) for link in links))
    assert outcome == ["done", *["email_taken"] * 3]
    assert User.objects.holding(email="same@lab.example").count() == 1


def test_a_link_to_confirm_an_address_that_is_used_in_four_tabs_works_once():
    person = UserFactory(applied=True)
    token = address_links.make_token(person)
    outcome = at_once(*[lambda: actions.confirm_email(person.uuid, token)] * 4)
    assert outcome == ["done", *["link_spent"] * 3]


def test_of_three_decisions_one_counts():
    admin = UserFactory(admin=True)
    person = UserFactory(confirmed=True)
    copies = [User.objects.get(pk=person.pk) for _ in range(3)]
    outcome = at_once(
        lambda: actions.approve(copies[0], by=admin),
        lambda: actions.reject(copies[1], by=admin, reason="No."),
        lambda: actions.approve(copies[2], by=admin),
    )
    assert outcome == ["account_state", "account_state", "done"]


def test_keys_added_in_several_tabs_have_one_default():
    alice = UserFactory()
    at_once(*(lambda text=text: actions.add_key(owner=alice, text=text) for text in GOOD))
    assert SshKey.objects.filter(owner=alice).count() == len(GOOD)
    assert SshKey.objects.filter(owner=alice, is_default=True).count() == 1


def test_a_link_used_in_two_tabs_works_once():
    alice = UserFactory()
    token = password_links.make_token(alice)
    outcome = at_once(
        *(
            lambda new=new: actions.reset_password(alice.uuid, token, new_password=new)
            for new in ("first quite long", "second quite long")
        )
    )
    assert outcome == ["done", "link_spent"]


def test_of_many_guesses_at_once_no_more_than_the_limit_are_checked(monkeypatch):
    monkeypatch.setattr("registration.actions.passwords.MOST_FAILURES", 3)
    UserFactory(username="alice")
    guess = {"login": "alice", "password": "wrong", "address": "192.0.2.7"}
    outcome = at_once(*[lambda: actions.sign_in(**guess)] * 8)
    assert set(outcome) <= {"credentials", "too_many_attempts"}
    assert outcome.count("credentials") <= 3
    assert Event.objects.filter(outcome="denied").count() == outcome.count("credentials")
    assert Attempts.objects.get(count=8).since


def test_of_two_who_publish_policies_one_does():
    boss, other = UserFactory(admin=True), UserFactory(admin=True)
    outcome = at_once(
        *(
            lambda by=by: actions.publish_policies(
                by=by, text=f"By {by}.", changes="All of it.", asks_again=True, made_from=1
            )
            for by in (boss, other)
        )
    )
    assert outcome == ["done", "policies_changed"]
    assert sorted(Policy.objects.values_list("version", flat=True)) == [1, 2]


def test_of_three_workers_that_look_at_once_each_mail_is_sent_by_one():
    for number in range(6):
        emails.received(UserFactory(email=f"{number}@lab.example"))
    at_once(*[outbox._deliver] * 3)  # past the lane: as in three processes
    assert sorted(letter.to[0] for letter in mail.outbox) == [
        f"{number}@lab.example" for number in range(6)
    ]
    assert not OutgoingMail.objects.exists()
