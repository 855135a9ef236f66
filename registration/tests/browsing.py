"""People at the pages of second factors, passkeys and sessions, without a browser."""

import html
import json
import re
import time

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.test import Client
from django.urls import reverse

from core.models import Event, Outcome
from registration import actions, sealing
from registration.models import User
from registration.tests.factories import PASSWORD
from registration.tests.proving import proved
from registration.tests.soft_key import HOST, SoftKey

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
FETCH = {"X-Requested-With": "fetch"}
ASKED = json.dumps({"rpId": HOST, "challenge": "AA"})


def code_of(secret: str = SECRET, *, steps: int = 0) -> str:
    """What an app shows, ``steps`` half minutes from now."""
    step = int(time.time()) // 30 + steps
    return totp.format_hotp_value(totp.hotp_value(secret, step))


def wrong_code() -> str:
    right = {code_of(steps=steps) for steps in range(-2, 3)}
    return next(code for code in map("{:06}".format, range(10)) if code not in right)


def with_app(user: User) -> User:
    """``user`` with an app that was set up a while ago."""
    data = {"secret": sealing.seal(SECRET), "last_step": 0}
    Authenticator.objects.create(user=user, type="totp", data=data)
    actions.renew_recovery_codes(user)
    return user


def browser(user: User | None = None, **options) -> Client:
    client = Client(SERVER_NAME=HOST, **options)
    if user:
        client.force_login(user)
    return client


def options_in(page: str) -> str:
    return html.unescape(re.search(r'data-passkey-options="([^"]*)"', page)[1])


def add_passkey(user: User, key: SoftKey, **fields) -> Client:
    client = proved(browser(user), user)
    page = client.get(reverse("mfa_add_webauthn")).text
    fields = {"name": "Phone", "credential": key.create(options_in(page)), **fields}
    if key.asks:
        fields.setdefault("passwordless", "on")
    answer = client.post(reverse("mfa_add_webauthn"), fields)
    assert answer.status_code == 302, answer.text
    return client


def give_password(client: Client, user: User, **fields):
    return client.post("/login/", {"login": user.username, "password": PASSWORD, **fields})


def sign_in_with_passkey(client: Client, key: SoftKey, **fields):
    url = reverse("mfa_login_webauthn")
    options = client.get(url, headers=FETCH).text
    return client.post(url, {"credential": key.sign(options), **fields})


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def verbs_of(user: User) -> list[str]:
    return [event.verb for event in Event.objects.of(user.uuid)]


def denials_of(user: User) -> list[str]:
    rows = Event.objects.of(user.uuid).filter(outcome=Outcome.DENIED)
    return list(rows.values_list("reason", flat=True))


def signed_in_from(user: User, agent: str, address: str = "192.0.2.1") -> Client:
    client = browser(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    give_password(client, user)
    assert is_signed_in(client)
    return client
