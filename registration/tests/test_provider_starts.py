"""Going to a provider costs a visitor's portal nothing that lasts."""

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.test import Client

from registration.identities import visits
from registration.tests.test_oidc import (
    authlib_over_http,
    begin,
    come_back,
    free_port,
    listening,
    provider,
    sign_in,
)
from registration.views.identities import MOST_STARTS

__all__ = ["authlib_over_http", "free_port", "listening", "provider"]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_who_only_begins_leaves_no_session(provider):
    for _ in range(20):
        begin(Client())
    assert not Session.objects.exists()


def test_who_comes_back_with_nothing_leaves_no_session(provider, client):
    begin(client)
    path = "/oidc/lab/login/callback/?code=1&state="
    assert client.get(path + "wrong").status_code == 400
    assert not Session.objects.exists()


def test_starts_from_one_address_are_counted(provider):
    for _ in range(MOST_STARTS):
        begin(Client())
    page = Client().post("/oidc/lab/login/")
    assert page.status_code == 429
    assert f"{MOST_STARTS} sign-ins" in page.text
    assert begin(Client(REMOTE_ADDR="192.0.2.9"))


def test_two_tabs_may_both_come_back(provider, client):
    one, other = provider.agree(begin(client), "jane"), provider.agree(begin(client), "jane")
    assert come_back(client, one).url == "/register/finish/"
    assert come_back(client, other).url == "/register/finish/"


def test_a_cookie_that_is_sent_again_brings_nobody_back(provider, client):
    url = provider.agree(begin(client), "jane")
    kept = client.cookies[visits.cookie()].value
    assert come_back(client, url).status_code == 302
    thief = Client()
    thief.cookies[visits.cookie()] = kept
    assert come_back(thief, url).status_code == 400


def test_a_cookie_that_was_changed_counts_for_nothing(provider, client):
    url = provider.agree(begin(client), "jane")
    client.cookies[visits.cookie()] = client.cookies[visits.cookie()].value[:-3] + "abc"
    assert come_back(client, url).status_code == 400
    assert not SocialAccount.objects.exists()


def test_what_a_provider_says_of_itself_is_not_asked_each_time(provider):
    provider.paths.clear()
    for _ in range(3):
        sign_in(Client(), provider)
    paths = [path for path in provider.paths if "well-known" in path or "jwks" in path]
    assert len(paths) == 2
