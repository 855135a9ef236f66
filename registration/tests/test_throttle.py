"""The brake on guessing: what is counted as one place, and as one name."""

import pytest

from core.errors import Refused
from registration import actions, throttle
from registration.actions.passwords import MOST_FAILURES, MOST_FAILURES_OF_NAME
from registration.tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8:0:0:ffff::9"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_addresses_of_one_place_are_counted_together(one, other):
    assert throttle.take(1, "sign in", one) is None
    assert throttle.take(1, "sign in", other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8:0:1::1"), ("192.0.2.7", "192.0.2.8"), ("alice", "alice2")],
)
def test_what_is_not_one_place_is_counted_apart(one, other):
    assert throttle.take(1, "sign in", one) is None
    assert throttle.take(1, "sign in", other) is None


def guesses(login, addresses):
    """How many passwords were looked at."""
    looked_at = 0
    for address in addresses:
        with pytest.raises(Refused) as refusal:
            actions.sign_in(login=login, password="wrong", address=address)
        looked_at += refusal.value.code == "credentials"
    return looked_at


def test_one_network_has_as_many_guesses_as_one_address(alice):
    assert guesses("alice", [f"2001:db8::{n:x}" for n in range(30)]) == MOST_FAILURES


@pytest.mark.parametrize("login", ["alice", "nobody_here"])
def test_many_addresses_together_have_few_guesses_of_a_name(alice, login):
    many = [f"192.0.2.{n}" for n in range(MOST_FAILURES_OF_NAME + 20)]
    assert guesses(login, many) == MOST_FAILURES_OF_NAME


def test_who_guesses_does_not_keep_the_owner_out(alice, client):
    form = {"login": "alice", "password": PASSWORD}
    client.post("/login/", form, REMOTE_ADDR="198.51.100.7")
    client.post("/logout/")
    guesses("alice", [f"192.0.2.{n}" for n in range(MOST_FAILURES_OF_NAME + 5)])
    assert actions.sign_in(login="alice", password=PASSWORD, address="198.51.100.7") == alice
    with pytest.raises(Refused):
        actions.sign_in(login="alice", password=PASSWORD, address="203.0.113.1")


def test_right_passwords_do_not_count(alice):
    for n in range(MOST_FAILURES_OF_NAME + 5):
        actions.sign_in(login="alice", password=PASSWORD, address=f"192.0.2.{n}")
