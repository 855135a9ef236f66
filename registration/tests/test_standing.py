"""The page of who is not let in: where the request is, and what may be asked about it."""

import re

import pytest
from django.test import Client

from registration.models import User
from registration.states import AccountState
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.test_addresses import link_in

pytestmark = pytest.mark.django_db

PAGE = "/register/standing/"
SAID = {
    "username": "carla", "email": "carla@example.org", "given_name": "Carla",
    "family_name": "Bianchi", "message": "Galaxies.", "x500_dn": "",
}  # fmt: skip
ACTS = ["resend", "withdraw", "correct", "again"]


@pytest.fixture
def standing():
    """Somebody of this state who has proven the password: the account, and a browser."""

    def prove(**traits) -> tuple[User, Client]:
        user = UserFactory(username="carla", **traits)
        client = Client()
        answer = client.post("/login/", {"login": "carla", "password": PASSWORD})
        assert answer.url == PAGE
        return user, client

    return prove


@pytest.mark.parametrize(
    ("trait", "sentence"),
    [
        ("applied", "We sent a mail to carla@example.org"),
        ("confirmed", "They have been told, and read your message"),
        ("rejected", "We do not know you."),
        ("withdrawn", "You can apply again at any time"),
        ("suspended", "Your machine sends spam."),
    ],
)
def test_the_page_says_where_the_request_is(standing, trait, sentence, settings):
    settings.PORTAL_CONTACT = "help@cloud.example"
    user, client = standing(**{trait: True})
    page = client.get(PAGE).text
    assert sentence in page
    assert ("mailto:help@cloud.example" in page) == (trait in ("rejected", "suspended"))
    for verb in ("resend", "correct", "withdraw", "apply_again"):
        path = {"apply_again": "again"}.get(verb, verb)
        assert (f"{PAGE}{path}/" in page) == (verb in user.request_verbs)


def test_the_page_follows_by_itself_and_says_when_to_sign_in(standing):
    user, client = standing(confirmed=True)
    page = client.get(PAGE).text
    source = re.search(r'data-live-every="10" data-live-src="([^"]+)"', page)[1]
    user.move(AccountState.ACTIVE)
    fragment = client.get(source)
    assert "<html" not in fragment.text
    assert "Your account is active" in fragment.text
    assert 'href="/login/"' in fragment.text


def test_a_site_without_mail_says_that_an_administrator_confirms(standing, settings, tmp_path):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    _, client = standing(applied=True)
    page = client.get(PAGE).text
    assert "an administrator confirms the address" in page
    assert f"{PAGE}resend/" not in page


@pytest.mark.parametrize("path", ["", "now/", *(f"{act}/" for act in ACTS)])
def test_nobody_else_gets_there(client, alice, signed_in, path):
    method = "post" if path in ("resend/", "withdraw/") else "get"
    assert getattr(client, method)(f"{PAGE}{path}").url == "/login/"
    assert getattr(signed_in(alice), method)(f"{PAGE}{path}").url == "/profile/"


def test_a_changed_password_ends_the_sight(standing):
    user, client = standing(confirmed=True)
    user.set_password("something else entirely")
    user.save()
    assert client.get(PAGE).url == "/login/"


def test_leaving_the_page_ends_the_sight(standing):
    _, client = standing(confirmed=True)
    client.post("/logout/")
    assert client.get(PAGE).url == "/login/"


@pytest.mark.parametrize("act", ACTS)
def test_asking_needs_a_csrf_token(standing, act):
    _, client = standing(applied=True)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(f"{PAGE}{act}/").status_code == 403


@pytest.mark.parametrize("act", ["resend", "withdraw"])
def test_looking_asks_for_nothing(standing, act):
    user, client = standing(applied=True)
    assert client.get(f"{PAGE}{act}/").status_code == 405
    user.refresh_from_db()
    assert user.state == AccountState.APPLIED


def test_the_mail_is_sent_again(standing, posted):
    _, client = standing(applied=True)
    with posted() as mails:
        answer = client.post(f"{PAGE}resend/", follow=True)
    assert "is on its way, with a new link" in answer.text
    assert len(mails) == 1


def test_a_request_is_corrected_in_a_form_that_loses_nothing(standing):
    user, client = standing(confirmed=True)
    assert 'value="carla@example.org"' in client.get(f"{PAGE}correct/").text
    refused = client.post(f"{PAGE}correct/", SAID | {"x500_dn": "nonsense"})
    assert refused.status_code == 422
    assert 'value="Bianchi"' in refused.text
    answer = client.post(f"{PAGE}correct/", SAID, follow=True)
    assert "Your request is corrected" in answer.text
    user.refresh_from_db()
    assert (user.family_name, user.state) == ("Bianchi", AccountState.CONFIRMED)


def test_a_taken_name_is_told_beside_its_field(standing, alice):
    _, client = standing(confirmed=True)
    answer = client.post(f"{PAGE}correct/", SAID | {"username": "alice"})
    assert answer.context["form"].errors["username"]


def test_who_withdrew_asks_again(standing):
    user, client = standing(confirmed=True)
    assert "is withdrawn" in client.post(f"{PAGE}withdraw/", follow=True).text
    assert "You have applied again" in client.post(f"{PAGE}again/", SAID, follow=True).text
    user.refresh_from_db()
    assert user.state == AccountState.CONFIRMED


@pytest.mark.parametrize(
    ("typed_for", "done", "press"),
    [
        ("correct", {"withdrawn": True}, "again"),
        ("correct", {"rejected": True}, "again"),
        ("again", {"confirmed": True}, "correct"),
    ],
)
def test_what_was_typed_stays_when_another_tab_was_faster(standing, typed_for, done, press):
    user, client = standing(**done)
    answer = client.post(f"{PAGE}{typed_for}/", SAID | {"given_name": "Typed"})
    assert answer.status_code == 422
    assert "This was not saved: your request " in answer.text
    assert 'value="Typed"' in answer.text
    assert f'action="{PAGE}{press}/"' in answer.text
    user.refresh_from_db()
    assert user.given_name == "Jane"
    client.post(f"{PAGE}{press}/", SAID | {"given_name": "Typed"})
    user.refresh_from_db()
    assert user.given_name == "Typed"


def test_a_form_that_is_opened_too_late_leads_back_with_the_reason(standing):
    _, client = standing(withdrawn=True)
    answer = client.get(f"{PAGE}correct/", follow=True)
    assert answer.redirect_chain == [(PAGE, 302)]
    assert "Your request was withdrawn meanwhile." in answer.text


def test_a_name_that_cannot_be_changed_is_not_offered(standing):
    _, client = standing(confirmed=True)
    User.objects.update(source="ldap")
    page = client.get(f"{PAGE}correct/").text
    assert re.search(r"<input[^>]*name=\"username\"[^>]* readonly", page)


@pytest.mark.parametrize("act", ["resend", "withdraw"])
def test_what_cannot_be_asked_now_leads_back_with_the_reason(standing, act):
    user, client = standing(rejected=True)
    answer = client.post(f"{PAGE}{act}/", SAID, follow=True)
    assert answer.redirect_chain == [(PAGE, 302)]
    state = user.state
    user.refresh_from_db()
    assert user.state == state


# The link in the mail ---------------------------------------------------------------------


def test_opening_the_link_changes_nothing_and_pressing_the_button_does(client, posted):
    with posted() as mails:
        client.post("/register/", SAID | {"new_password": PASSWORD, "again": PASSWORD,
                                          "agreement": "on"})  # fmt: skip
    uid, token = link_in(mails[0])
    url = f"/register/confirm/{uid}/{token}/"
    for _ in range(2):
        assert "This is my address" in client.get(url).text
    assert User.objects.get().state == AccountState.APPLIED
    assert "Your address is confirmed" in client.post(url).text
    assert User.objects.get().state == AccountState.CONFIRMED
    spent = client.post(url)
    assert spent.status_code == 404
    assert "no longer good" in spent.text


@pytest.mark.parametrize("token", ["abc", "abc-def", "0-0"])
def test_a_made_up_link_is_worth_nothing(client, token):
    user = UserFactory(applied=True)
    for uid in (user.uuid, "00000000-0000-0000-0000-000000000000"):
        answer = client.post(f"/register/confirm/{uid}/{token}/")
        assert answer.status_code == 404
    user.refresh_from_db()
    assert user.state == AccountState.APPLIED
