"""Going on to where ``next`` says: a path of this site, whatever else is written there."""

import pytest

from registration.tests.factories import PASSWORD
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db

#: No paths, or paths elsewhere; the third is the name of a view.
ELSEWHERE = [
    "foo",
    "a.b",
    "policies",
    "registration:keys",
    "https://evil.example/",
    "//evil.example",
]


@pytest.mark.parametrize("there", ELSEWHERE)
def test_who_is_signed_in_already_goes_home_instead(alice, signed_in, there):
    assert signed_in(alice).get("/login/", {"next": there}).url == "/"


@pytest.mark.parametrize("there", ELSEWHERE)
def test_who_signs_in_goes_home_instead(client, alice, there):
    answer = client.post("/login/", {"login": "alice", "password": PASSWORD, "next": there})
    assert (answer.status_code, answer.url) == (302, "/")


@pytest.mark.parametrize("there", ELSEWHERE)
def test_who_adds_a_key_stays_with_the_keys_instead(alice, signed_in, there):
    answer = signed_in(alice).post("/profile/keys/add/", {"public_key": GOOD[0], "next": there})
    assert (answer.status_code, answer.url) == (302, "/profile/keys/")
