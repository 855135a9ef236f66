"""Passkeys: a second factor, or all it takes; and what a stranger may try."""

from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from core.models import Event
from registration.models import User
from registration.tests.browsing import (
    ASKED,
    FETCH,
    add_passkey,
    browser,
    denials_of,
    give_password,
    is_signed_in,
    options_in,
    sign_in_with_passkey,
    verbs_of,
)
from registration.tests.factories import UserFactory
from registration.tests.proving import proved
from registration.tests.soft_key import SoftKey

pytestmark = pytest.mark.django_db


def test_a_passkey_signs_in_alone(alice):
    key = SoftKey()
    add_passkey(alice, key)
    client = browser()
    answer = sign_in_with_passkey(client, key, next="/profile/keys/")
    assert (answer.status_code, answer.url) == (302, "/profile/keys/")
    assert is_signed_in(client)
    signed_in = Event.objects.of(alice.uuid).last()
    assert (signed_in.verb, signed_in.detail["how"]) == ("signed_in", ["webauthn"])


def test_a_passkey_is_a_second_factor(alice):
    key = SoftKey(asks=False)
    add_passkey(alice, key)
    client = browser()
    give_password(client, alice)
    page = client.get("/login/second-step/").text
    client.post("/login/second-step/", {"credential": key.sign(options_in(page))})
    assert is_signed_in(client)
    assert "second_factor_used" in verbs_of(alice)


def test_a_key_that_asks_nothing_does_not_sign_in_alone(alice):
    key = SoftKey(asks=False)
    add_passkey(alice, key)
    client = browser()
    answer = sign_in_with_passkey(client, key)
    assert answer.url == "/login/?next=%2F"
    assert not is_signed_in(client)


def test_a_challenge_for_a_second_factor_does_not_make_a_found_key_enough(alice):
    """It asks for less than a passkey alone must give."""
    key = SoftKey(asks=False)
    add_passkey(alice, key)
    mallory = UserFactory()
    add_passkey(mallory, SoftKey())
    client = browser()
    give_password(client, mallory)
    options = options_in(client.get("/login/second-step/").text)
    client.get(reverse("mfa_login_webauthn"), headers=FETCH)
    client.post(reverse("mfa_login_webauthn"), {"credential": key.sign(options)})
    assert not is_signed_in(client)


def test_a_challenge_is_good_once(alice):
    key = SoftKey()
    add_passkey(alice, key)
    url = reverse("mfa_login_webauthn")
    client = browser()
    credential = key.sign(client.get(url, headers=FETCH).text)
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    client.post(url, {"credential": credential})
    assert is_signed_in(client)
    thief = browser()
    thief.cookies.load(cookies)
    thief.post(url, {"credential": credential})
    assert not is_signed_in(thief)


def test_a_challenge_grows_old(alice):
    key = SoftKey()
    add_passkey(alice, key)
    url = reverse("mfa_login_webauthn")
    client = browser()
    credential = key.sign(client.get(url, headers=FETCH).text)
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        client.post(url, {"credential": credential})
    assert not is_signed_in(client)


def test_who_only_asks_for_a_challenge_leaves_no_session_behind():
    client = browser()
    for _ in range(3):
        assert client.get(reverse("mfa_login_webauthn"), headers=FETCH).json()["challenge"]
        client.post(reverse("mfa_login_webauthn"), {"credential": "{}"})
        client.get("/login/")
        client.get(reverse("mfa_login_webauthn"), headers=FETCH)
        client.post(reverse("mfa_login_webauthn"), {"credential": SoftKey().sign(ASKED)})
    assert not Session.objects.exists()


def test_passkeys_that_are_refused_count_for_the_address(alice, monkeypatch):
    monkeypatch.setattr("registration.actions.second_factor.MOST_FAILURES_OF_ADDRESS", 2)
    key = SoftKey()
    add_passkey(alice, key)
    client = browser()
    for _ in range(3):
        sign_in_with_passkey(client, SoftKey())
    answer = sign_in_with_passkey(client, key)
    assert "Too many attempts failed" in client.get(answer.url).text
    assert not is_signed_in(client)
    elsewhere = browser(REMOTE_ADDR="198.51.100.7")
    for _ in range(5):
        elsewhere.logout()
        sign_in_with_passkey(elsewhere, key)
        assert is_signed_in(elsewhere)


def test_a_passkey_for_another_site_is_worth_nothing(alice):
    key = SoftKey()
    add_passkey(alice, key)
    key.origin = "https://portal.example.net"
    client = browser()
    sign_in_with_passkey(client, key)
    assert not is_signed_in(client)


@pytest.mark.parametrize("trait", ["confirmed", "suspended", "closed", "rejected"])
def test_who_is_not_let_in_gets_no_further_with_a_passkey(alice, trait):
    key = SoftKey()
    add_passkey(alice, key)
    User.objects.filter(pk=alice.pk).update(state=UserFactory.build(**{trait: True}).state)
    client = browser()
    answer = sign_in_with_passkey(client, key)
    assert answer.url == ("/login/" if trait == "closed" else "/register/standing/")
    assert not is_signed_in(client)
    assert client.get("/profile/").status_code == 302
    assert denials_of(alice) == [f"Sign-in: {User.objects.get(pk=alice.pk).state}"]


@pytest.mark.parametrize(
    "credential",
    ["", "{}", "[]", "1", "null", '"x"', '{"id": 1}', '{"id":"AA","rawId":"AA","response":{}}',
     '{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AA",'
     '"authenticatorData":"AA","signature":"AA","userHandle":"AA","attestationObject":"AA"}}',
     "[" * 3000, "x" * 20_000],
)  # fmt: skip
def test_what_is_no_passkey_is_refused_everywhere(alice, credential):
    client = proved(browser(alice), alice)
    client.get(reverse("mfa_add_webauthn"))
    assert client.post(reverse("mfa_add_webauthn"), {"credential": credential}).status_code == 422
    add_passkey(alice, SoftKey())
    stranger = browser()
    stranger.get(reverse("mfa_login_webauthn"), headers=FETCH)
    answer = stranger.post(reverse("mfa_login_webauthn"), {"credential": credential})
    assert answer.status_code == 302
    give_password(stranger, alice)
    stranger.get("/login/second-step/")
    answer = stranger.post("/login/second-step/", {"credential": credential})
    assert answer.status_code == 422
    assert not is_signed_in(stranger)


def test_a_passkey_is_named_renamed_and_removed(alice):
    client = add_passkey(alice, SoftKey(), name="")
    row = Authenticator.objects.get(user=alice, type="webauthn")
    assert row.data["name"] == "Passkey 1"
    client.post(reverse("mfa_edit_webauthn", args=[row.pk]), {"name": "Key\u202e on my ring"})
    assert "Key on my ring" in client.get("/profile/security/").text
    client.post(reverse("mfa_remove_webauthn", args=[row.pk]))
    assert not Authenticator.objects.filter(user=alice).exists()


def test_the_same_key_is_not_added_twice(alice):
    key = SoftKey()
    client = add_passkey(alice, key)
    page = client.get(reverse("mfa_add_webauthn")).text
    fields = {"credential": key.create(options_in(page)), "passwordless": "on"}
    answer = client.post(reverse("mfa_add_webauthn"), fields)
    assert "You have this passkey already" in answer.text


def test_passkeys_of_others_do_not_exist(alice, signed_in):
    add_passkey(alice, SoftKey())
    row = Authenticator.objects.get(type="webauthn")
    bob = UserFactory()
    stranger = proved(browser(bob), bob)
    for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        assert stranger.post(reverse(name, args=[row.pk]), {"name": "x"}).status_code == 404
