"""Proving again who one is, before what a stolen session must not do."""

import json
import re
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from registration.actions import second_factor
from registration.tests.browsing import (
    FETCH,
    add_passkey,
    browser,
    code_of,
    give_password,
    options_in,
    verbs_of,
    with_app,
)
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.proving import proved
from registration.tests.soft_key import SoftKey

pytestmark = pytest.mark.django_db


BEHIND_A_PROOF = [
    ("GET", "mfa_activate_totp"), ("POST", "mfa_activate_totp"), ("POST", "mfa_deactivate_totp"),
    ("GET", "mfa_add_webauthn"), ("POST", "mfa_add_webauthn"),
    ("GET", "mfa_view_recovery_codes"), ("GET", "mfa_download_recovery_codes"),
    ("POST", "mfa_generate_recovery_codes"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "name"), BEHIND_A_PROOF)
@pytest.mark.parametrize("seconds_ago", [None, 301])
def test_what_opens_the_account_is_behind_a_fresh_proof(alice, method, name, seconds_ago):
    client = browser(with_app(alice))
    if seconds_ago:
        proved(client, alice, seconds_ago=seconds_ago)
    answer = client.generic(method, reverse(name))
    assert answer.url.startswith("/profile/confirm/?next=")
    assert Authenticator.objects.filter(user=alice).count() == 2


def test_a_proof_by_another_account_in_the_same_session_counts_for_nobody_else(alice):
    client = proved(browser(alice), UserFactory())
    assert client.get(reverse("mfa_activate_totp")).url.startswith("/profile/confirm/")


def test_what_was_sent_is_done_after_the_proof(alice):
    client = browser(with_app(alice))
    url = reverse("mfa_deactivate_totp")
    there = client.post(url).url
    page = client.get(there)
    assert page.context["next"] == url
    answer = client.post("/profile/confirm/", {"password": PASSWORD, "next": url})
    assert answer.url == "/profile/security/"
    assert not second_factor.has_second_factor(alice)
    assert "proved_again" in verbs_of(alice)


def test_what_was_sent_is_kept_sealed(alice):
    client = browser(with_app(alice))
    client.post(reverse("mfa_deactivate_totp"), {"secret": "words-of-somebody"})
    assert "words-of-somebody" not in json.dumps(dict(client.session))


def test_what_was_sent_to_one_page_is_not_done_by_another(alice):
    client = browser(with_app(alice))
    client.post(reverse("mfa_deactivate_totp"))
    answer = client.post("/profile/confirm/", {"password": PASSWORD, "next": "/profile/keys/"})
    assert answer.url == "/profile/keys/"
    client.post("/profile/confirm/", {"password": PASSWORD, "next": reverse("mfa_deactivate_totp")})
    assert second_factor.has_second_factor(alice)


def test_a_code_or_a_passkey_proves_too(alice):
    key = SoftKey(asks=False)
    add_passkey(with_app(alice), key)
    there = reverse("mfa_view_recovery_codes")
    client = browser(alice)
    assert client.post("/profile/confirm/", {"code": code_of(), "next": there}).url == there
    client = browser(alice)
    page = client.get(f"/profile/confirm/?next={there}").text
    fields = {"credential": key.sign(options_in(page)), "next": there}
    assert client.post("/profile/confirm/", fields).url == there
    assert client.get(there).status_code == 200


def test_a_wrong_proof_proves_nothing_and_ends_with_the_time_to_try_again(alice):
    client = browser(alice)
    for _ in range(10):
        answer = client.post("/profile/confirm/", {"password": "wrong"})
        assert answer.status_code == 422
        assert "This is not your current password" in answer.text
    answer = client.post("/profile/confirm/", {"password": PASSWORD})
    assert re.search(r"Try again after \d\d:\d\d UTC", answer.text)
    assert client.get(reverse("mfa_activate_totp")).status_code == 302


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_the_proof_does_not_lead_off_the_site(alice, there):
    answer = browser(alice).post("/profile/confirm/", {"password": PASSWORD, "next": there})
    assert answer.url == "/profile/security/"


def test_a_script_is_refused_and_not_led(alice):
    client = browser(with_app(alice))
    answer = client.post(reverse("mfa_deactivate_totp"), headers=FETCH)
    assert (answer.status_code, answer.json()["code"]) == (403, "proof_needed")


def test_who_signs_in_elsewhere_is_shown_the_way(alice):
    alice.set_unusable_password()
    alice.save()
    client = browser(alice)
    there = client.get(reverse("mfa_activate_totp")).url
    assert "You sign in through another site" in client.get(there).text
    assert proved(client, alice).get(reverse("mfa_activate_totp")).status_code == 200


def test_signing_in_just_now_is_a_proof(alice):
    client = browser()
    give_password(client, alice)
    assert client.get(reverse("mfa_activate_totp")).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert client.get(reverse("mfa_activate_totp")).status_code == 302


@pytest.mark.parametrize(
    "name",
    ["mfa_trust", "mfa_signup_webauthn", "mfa_reauthenticate", "mfa_list_webauthn",
     "account_signup_by_passkey", "account_request_login_code", "account_confirm_login_code",
     "account_reset_password_from_key", "account_confirm_email", "account_verify_phone"],
)  # fmt: skip
def test_pages_of_allauth_that_are_not_ours_do_not_exist(name):
    with pytest.raises(NoReverseMatch):
        reverse(name)
