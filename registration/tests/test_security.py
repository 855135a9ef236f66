"""Second factors: setting up, signing in, taking away, and who must have one."""

import json
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import second_factor
from registration.actions.second_factor import MOST_WRONG_CODES
from registration.models import User
from registration.states import AccountState
from registration.tests.browsing import (
    FETCH,
    add_passkey,
    browser,
    code_of,
    denials_of,
    give_password,
    is_signed_in,
    verbs_of,
    with_app,
    wrong_code,
)
from registration.tests.factories import UserFactory
from registration.tests.proving import proved
from registration.tests.soft_key import SoftKey
from registration.tests.test_at_once import at_once

pytestmark = pytest.mark.django_db


# Setting up -------------------------------------------------------------------------


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


# Signing in -------------------------------------------------------------------------


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


# Taking away ------------------------------------------------------------------------


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


# Administrators ---------------------------------------------------------------------


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


def test_who_tries_codes_for_hours_fills_no_table(alice):
    for _ in range(40):
        with pytest.raises(Refused):
            actions.use_code(alice, "000000")
        with pytest.raises(Refused):
            actions.use_passkey(alice, {})
    reasons = Event.objects.filter(subject=alice.uuid).values_list("reason", flat=True)
    assert sorted(reasons) == [
        "Second factor: too many attempts", "Second factor: wrong code",
        "Second factor: wrong passkey",
    ]  # fmt: skip


def test_after_ten_wrong_passkeys_none_is_looked_at(alice):
    with_app(alice)
    codes = []
    for _ in range(12):
        with pytest.raises(Refused) as refused:
            actions.use_passkey(alice, {})
        codes.append(refused.value.code)
    assert codes == ["passkey_wrong"] * 10 + ["too_many_attempts"] * 2
    assert actions.use_code(alice, code_of()).type == "totp"  # that way in stays open
