"""Second factors, passkeys, proofs and sessions: who gets through, and what is written down."""

import html
import json
import re
import time
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from core.errors import Refused
from core.models import Event, Outcome
from registration import actions, agents, sealing, sessions
from registration.actions import second_factor
from registration.actions.second_factor import MOST_WRONG_CODES
from registration.models import User
from registration.states import AccountState
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.proving import proved
from registration.tests.soft_key import HOST, SoftKey
from registration.tests.test_at_once import at_once

pytestmark = pytest.mark.django_db

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


# Setting up --------------------------------------------------------------------------


def test_an_app_is_set_up_with_the_code_it_shows(alice):
    client = proved(browser(alice), alice)
    page = client.get("/profile/security/app/")
    assert "data:image/svg+xml;base64," in page.text
    secret = page.context["secret"].replace(" ", "")
    answer = client.post("/profile/security/app/", {"code": code_of(secret)})
    assert answer.url == "/profile/security/codes/"
    assert "second_factor_added" in verbs_of(alice)
    assert "10 codes are unused" in client.get(answer.url).text


def test_looking_twice_shows_the_same_secret(alice):
    client = proved(browser(alice), alice)
    first, second = (client.get("/profile/security/app/").context["secret"] for _ in range(2))
    assert first == second


def test_a_wrong_code_sets_up_nothing_and_says_so(alice):
    client = proved(browser(alice), alice)
    client.get("/profile/security/app/")
    answer = client.post("/profile/security/app/", {"code": "000000"})
    assert answer.status_code == 422
    assert "This code is not right" in answer.text
    assert not second_factor.has_second_factor(alice)


def test_no_secret_lies_open_in_the_database(alice):
    client = proved(browser(alice), alice)
    secret = client.get("/profile/security/app/").context["secret"].replace(" ", "")
    kept = json.dumps(dict(client.session))
    client.post("/profile/security/app/", {"code": code_of(secret)})
    codes = actions.recovery_codes(alice)
    kept += json.dumps([row.data for row in Authenticator.objects.all()])
    kept += json.dumps([event.detail for event in Event.objects.all()])
    assert secret not in kept
    assert not [code for code in codes if code in kept]


def test_a_changed_secret_key_makes_codes_wrong_and_breaks_nothing(alice, settings):
    with_app(alice)
    settings.SECRET_KEY = "another one " * 5
    with pytest.raises(Refused, match="not right"):
        actions.use_code(alice, code_of())
    assert actions.recovery_codes(alice) is None
    assert browser(alice).get("/profile/security/").status_code == 200


def test_the_secret_key_of_before_still_reads(alice, settings):
    with_app(alice)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one " * 5
    assert actions.use_code(alice, code_of()).type == "totp"


# Signing in --------------------------------------------------------------------------


def test_who_has_an_app_is_in_after_the_code_and_not_before(alice, client):
    with_app(alice)
    there = "/profile/keys/"
    assert give_password(client, alice, next=there).url == "/login/second-step/"
    assert not is_signed_in(client)
    assert client.get(there).status_code == 302
    answer = client.post("/login/second-step/", {"code": code_of()})
    assert (answer.status_code, answer.url) == (302, there)
    assert is_signed_in(client)
    assert verbs_of(alice)[-3:] == ["password_given", "second_factor_used", "signed_in"]


def test_a_recovery_code_lets_in_once(alice):
    code = actions.recovery_codes(with_app(alice))[0]
    for outcome in (True, False):
        client = browser()
        give_password(client, alice)
        client.post("/login/second-step/", {"code": f"{code[:4]} {code[4:]}"})
        assert is_signed_in(client) is outcome
    assert len(actions.recovery_codes(alice)) == 9


def test_the_last_recovery_codes_are_told(alice):
    codes = actions.recovery_codes(with_app(alice))
    Authenticator.objects.filter(type="recovery_codes").update(
        data={**Authenticator.objects.get(type="recovery_codes").data, "used_mask": 0b1111111}
    )
    client = browser()
    give_password(client, alice)
    answer = client.post("/login/second-step/", {"code": codes[-1]}, follow=True)
    assert "You have 2 recovery codes left" in answer.text


def test_a_code_is_good_once_and_none_before_it(alice):
    with_app(alice)
    earlier = code_of(steps=-1)
    now = code_of()
    actions.use_code(alice, now)
    for spent in (now, earlier):
        with pytest.raises(Refused) as refused:
            actions.use_code(alice, spent)
        assert refused.value.code == "code_wrong"
    actions.use_code(alice, code_of(steps=1))


@pytest.mark.parametrize("code", ["", "12", "abc", "१२३४५६", "\u202e", "9" * 32])
def test_what_is_no_code_is_refused(alice, code):
    with_app(alice)
    client = browser()
    give_password(client, alice)
    answer = client.post("/login/second-step/", {"code": code})
    assert answer.status_code == 422
    assert not is_signed_in(client)


def test_guesses_are_counted_for_the_account_wherever_they_come_from(alice):
    with_app(alice)
    for number in range(MOST_WRONG_CODES):
        client = browser(REMOTE_ADDR=f"192.0.2.{number}")
        give_password(client, alice)
        client.post("/login/second-step/", {"code": wrong_code()})
    client = browser()
    give_password(client, alice)
    answer = client.post("/login/second-step/", {"code": code_of()})
    assert "Too many attempts failed" in answer.text
    assert not is_signed_in(client)
    assert denials_of(alice)[-1] == "Second factor: too many attempts"
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        actions.use_code(alice, code_of())


def test_the_second_step_is_nobodys_first(alice, client):
    with_app(alice)
    for method in (client.get, client.post):
        answer = method("/login/second-step/", {"code": code_of()})
        assert (answer.status_code, answer.url) == (302, "/login/")
    assert not is_signed_in(client)


def test_the_second_step_waits_a_quarter_of_an_hour(alice):
    with_app(alice)
    client = browser()
    give_password(client, alice)
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        assert client.post("/login/second-step/", {"code": code_of()}).url == "/login/"
    assert not is_signed_in(client)


def test_a_password_that_changed_between_the_steps_ends_the_sign_in(alice):
    with_app(alice)
    client = browser()
    give_password(client, alice)
    alice.set_password("another quite long one")
    alice.save()
    assert client.post("/login/second-step/", {"code": code_of()}).url == "/login/"
    assert not is_signed_in(client)


@pytest.mark.parametrize("state", [AccountState.SUSPENDED, AccountState.CLOSED])
def test_who_is_shut_out_between_the_steps_stays_out(alice, state):
    with_app(alice)
    client = browser()
    give_password(client, alice)
    User.objects.filter(pk=alice.pk).update(state=state)
    answer = client.post("/login/second-step/", {"code": code_of()})
    there = "/register/standing/" if state == AccountState.SUSPENDED else "/login/"
    assert answer.url == there
    assert not is_signed_in(client)


@pytest.mark.parametrize("trait", ["applied", "confirmed", "suspended", "rejected", "withdrawn"])
def test_who_is_not_let_in_sees_where_they_stand_in_spite_of_an_app(trait):
    person = with_app(UserFactory(**{trait: True}))
    client = browser()
    assert give_password(client, person).url == "/register/standing/"
    assert not is_signed_in(client)
    assert client.post("/login/second-step/", {"code": code_of()}).url == "/login/"


def test_a_second_factor_that_was_reset_between_the_steps_begins_anew(alice, admin):
    with_app(alice)
    client = browser()
    give_password(client, alice)
    actions.reset_second_factor(alice, by=admin)
    assert client.post("/login/second-step/", {"code": code_of()}).url == "/login/"
    assert not is_signed_in(client)


# Passkeys ----------------------------------------------------------------------------


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


# Taking away -------------------------------------------------------------------------


def test_with_the_last_factor_the_recovery_codes_go(alice):
    client = proved(browser(with_app(alice)), alice)
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.filter(user=alice).exists()
    assert verbs_of(alice)[-1] == "second_factor_removed"


def test_new_recovery_codes_make_the_old_worthless(alice):
    old = actions.recovery_codes(with_app(alice))
    client = proved(browser(alice), alice)
    client.post(reverse("mfa_generate_recovery_codes"))
    assert not set(old) & set(actions.recovery_codes(alice))
    with pytest.raises(Refused):
        actions.use_code(alice, old[0])


def test_recovery_codes_are_for_who_has_a_factor(alice):
    with pytest.raises(Refused, match="Set up"):
        actions.renew_recovery_codes(alice)
    client = proved(browser(alice), alice)
    assert client.get(reverse("mfa_view_recovery_codes")).status_code == 404
    assert client.post(reverse("mfa_generate_recovery_codes")).url == "/profile/security/"


def test_the_codes_are_downloaded_as_text(alice):
    client = proved(browser(with_app(alice)), alice)
    answer = client.get(reverse("mfa_download_recovery_codes"))
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["Cache-Control"].count("no-store") == 1
    assert all(code in answer.text for code in actions.recovery_codes(alice))


def test_every_change_is_mailed(alice, admin, posted):
    key = SoftKey()
    with posted() as mails:
        add_passkey(alice, key)
    with posted() as more:
        actions.renew_recovery_codes(alice)
        actions.reset_second_factor(alice, by=admin)
    assert [mail.to for mail in [*mails, *more]] == [[alice.email]] * 3


def test_an_administrator_resets_the_factors_of_who_lost_them(alice, admin):
    client = add_passkey(with_app(alice), SoftKey())
    UserSession.objects.create(
        user=alice, session_key=client.session.session_key, ip="192.0.2.1", user_agent=""
    )
    actions.reset_second_factor(alice, by=admin)
    assert not Authenticator.objects.filter(user=alice).exists()
    assert client.get("/profile/security/").status_code == 302
    event = Event.objects.of(alice.uuid).last()
    assert (event.verb, event.by) == ("second_factor_reset", admin)
    anew = browser()
    give_password(anew, alice)
    assert is_signed_in(anew)


def test_only_administrators_reset_and_not_their_own(alice, admin):
    with_app(alice)
    with_app(admin)
    for by, person, code in (
        (alice, admin, "not_administrator"),
        (admin, admin, "own_second_factor"),
        (admin, UserFactory(), "no_second_factor"),
    ):
        with pytest.raises(Refused) as refused:
            actions.reset_second_factor(person, by=by)
        assert refused.value.code == code


# Administrators ----------------------------------------------------------------------


@pytest.fixture
def enforced(settings):
    settings.PORTAL_ADMIN_SECOND_FACTOR = True


@pytest.mark.usefixtures("enforced")
def test_an_administrator_without_one_is_led_to_set_it_up(admin, alice):
    client = browser(admin)
    assert client.get("/registrations/").url == "/profile/security/?next=%2Fregistrations%2F"
    assert "Set up a second factor to go on" in client.get("/profile/security/").text
    for url in ("/live/", "/registrations/"):
        answer = client.get(url, headers=FETCH)
        assert answer.json()["code"] == "second_factor_missing"
    assert client.post("/profile/keys/").status_code == 403
    assert client.post("/logout/").url == "/"
    assert browser(alice).get("/profile/keys/").status_code == 200


@pytest.mark.usefixtures("enforced")
def test_an_administrator_with_one_goes_on_and_keeps_it(admin):
    with_app(admin)
    client = proved(browser(admin), admin)
    assert client.get("/registrations/").status_code == 200
    answer = client.post(reverse("mfa_deactivate_totp"), follow=True)
    assert "this is your last one" in answer.text
    assert second_factor.has_second_factor(admin)
    assert denials_of(admin) == ["Second factor: an administrator needs one"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_two_last_factors_removed_at_once_one_stays(settings):
    settings.PORTAL_ADMIN_SECOND_FACTOR = True
    admin = with_app(UserFactory(admin=True))
    data = {"name": "Phone", "credential": {}}
    Authenticator.objects.create(user=admin, type="webauthn", data=data)
    rows = Authenticator.objects.filter(user=admin, type__in=second_factor.MAIN)
    outcome = at_once(
        *(lambda row=row: actions.remove_second_factor(admin, row) for row in list(rows))
    )
    assert outcome == ["done", "second_factor_needed"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_no_more_are_looked_at_than_the_limit():
    alice = with_app(UserFactory())
    wrong = wrong_code()
    outcome = at_once(*(lambda: actions.use_code(alice, wrong) for _ in range(16)))
    assert 0 < outcome.count("code_wrong") <= MOST_WRONG_CODES
    assert outcome.count("too_many_attempts") == 16 - outcome.count("code_wrong")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_one_code_sent_twice_at_once_one_counts():
    alice = with_app(UserFactory())
    code = code_of()
    outcome = at_once(*(lambda: actions.use_code(alice, code) for _ in range(4)))
    assert outcome.count("done") == 1


# Proving again -----------------------------------------------------------------------

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


# Sessions ----------------------------------------------------------------------------


def signed_in_from(user: User, agent: str, address: str = "192.0.2.1") -> Client:
    client = browser(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    give_password(client, user)
    assert is_signed_in(client)
    return client


def test_sessions_are_listed_in_words_this_one_first(alice):
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
    here = signed_in_from(alice, firefox)
    signed_in_from(alice, "curl/8.1", "198.51.100.9")
    rows = here.get("/profile/sessions/").context["sessions"]
    told = [(row.described, row.ip, row.is_here) for row in rows]
    assert told == [
        ("Firefox 143 on Linux", "192.0.2.1", True),
        ("curl", "198.51.100.9", False),
    ]


def test_one_session_is_ended_at_once(alice):
    here, there = signed_in_from(alice, "here/1"), signed_in_from(alice, "there/1")
    row = UserSession.objects.get(session_key=there.session.session_key)
    here.post(reverse("usersessions_end", args=[row.pk]))
    assert not Session.objects.filter(session_key=row.session_key).exists()
    assert there.get("/profile/").status_code == 302
    assert here.get("/profile/").status_code == 200
    assert verbs_of(alice)[-1] == "session_ended"


def test_ending_this_session_signs_out(alice):
    here = signed_in_from(alice, "here/1")
    row = UserSession.objects.get(session_key=here.session.session_key)
    assert here.post(reverse("usersessions_end", args=[row.pk])).url == "/login/"
    assert here.get("/profile/").status_code == 302


def test_all_others_are_ended_at_once(alice):
    here = signed_in_from(alice, "here/1")
    others = [signed_in_from(alice, "there/1") for _ in range(3)]
    bob = UserFactory()
    stranger = signed_in_from(bob, "there/1")
    assert "3 sessions are ended" in here.post("/profile/sessions/", follow=True).text
    assert [client.get("/profile/").status_code for client in others] == [302] * 3
    assert stranger.get("/profile/").status_code == 200


def test_sessions_of_others_do_not_exist(alice):
    there = signed_in_from(alice, "there/1")
    row = UserSession.objects.get(session_key=there.session.session_key)
    stranger = signed_in_from(UserFactory(), "here/1")
    assert stranger.post(reverse("usersessions_end", args=[row.pk])).status_code == 404
    assert there.get("/profile/").status_code == 200


def test_a_new_password_ends_every_other_session(alice):
    here, there = signed_in_from(alice, "here/1"), signed_in_from(alice, "there/1")
    new = "a quite different staple"
    here.post("/profile/password/", {"password": PASSWORD, "new_password": new, "again": new})
    assert there.get("/profile/").status_code == 302
    rows = here.get("/profile/sessions/").context["sessions"]
    assert [(row.described, row.is_here) for row in rows] == [("here", True)]


def test_the_list_costs_the_same_for_many_sessions(alice, django_assert_max_num_queries):
    here = signed_in_from(alice, "here/1")
    for _ in range(20):
        signed_in_from(alice, "there/1")
    with django_assert_max_num_queries(8):
        here.get("/profile/sessions/")


def test_of_too_many_sessions_the_quietest_ends(alice, monkeypatch):
    monkeypatch.setattr("registration.sessions.MOST_SESSIONS", 3)
    clients = []
    for minute in range(4):
        with time_machine.travel(timezone.now() + timedelta(seconds=minute), tick=False):
            clients.append(signed_in_from(alice, f"browser-{minute}/1"))
    assert sessions.of(alice).count() == 3
    assert [client.get("/profile/").status_code for client in clients] == [302, 200, 200, 200]


def test_being_seen_is_written_down_now_and_then(alice):
    client = signed_in_from(alice, "here/1")
    start = timezone.now()
    seen = []
    for minutes in (1, 4, 6, 7, 12):
        with time_machine.travel(start + timedelta(minutes=minutes), tick=False):
            client.get("/policies/")
            row = sessions.of(alice).get()
            seen.append((row.last_seen_at - start) / timedelta(minutes=1))
    assert [round(minutes) for minutes in seen] == [0, 0, 6, 6, 12]


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0", "Edge 141 on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
         "Gecko) Version/18.5 Safari/605.1.15", "Safari 18 on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
         "like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari 18 on iPhone"),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/141.0.0.0 Mobile Safari/537.36", "Chrome 141 on Android"),
        ("python-httpx/0.28.1", "python-httpx"),
        ("Mozilla/5.0 (X11; Linux x86_64) Something", "A browser on Linux"),
        ("", "An unknown browser"),
        ("<script>alert(1)</script>", "An unknown browser"),
    ],
)  # fmt: skip
def test_a_browser_is_named_in_words(agent, words):
    assert agents.described(agent) == words
