"""The entrance: asking for an account, signing in and out."""

import re

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from registration import standing
from registration.models import User
from registration.states import AccountState
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db

FORM = {
    "username": "carla",
    "email": "carla@lab.example",
    "given_name": "Carla",
    "family_name": "Bianchi",
    "new_password": PASSWORD,
    "again": PASSWORD,
    "message": "I want to fit galaxies.",
    "agreement": "on",
}


def test_registering_ends_on_a_page_that_says_what_comes_next(client):
    answer = client.post("/register/", FORM | {"public_key": GOOD[0]}, follow=True)
    assert answer.redirect_chain == [("/register/sent/", 302)]
    assert "Confirm your address" in answer.text
    assert "An administrator must validate" in answer.text
    user = User.objects.get()
    assert (user.state, user.message) == (AccountState.APPLIED, "I want to fit galaxies.")
    assert user.ssh_keys.get().is_default


#: What no two answers have in common: who, and when.
MADE_ANEW = r"account:[\w-]+|datetime=\S+|\d\d:\d\d(:\d\d)?"


def told(page: str) -> str:
    """What a page says to everybody: without what is made anew for each answer."""
    page = re.sub(r'csrfmiddlewaretoken" value="\w+"', "", page)
    page = re.sub(r'data-since="[\d-]+"', "", page)
    return re.sub(r"[0-9a-f]{12}", "", page)


def answers_to(client: Client, url: str, form: dict[str, str]) -> list[tuple[int, str, str]]:
    answer = client.post(url, form)
    followed = client.get(answer.url) if answer.status_code == 302 else answer
    return [
        (answer.status_code, answer.headers.get("location", ""), told(answer.text)),
        (followed.status_code, "", told(followed.text)),
    ]


def test_nobody_learns_by_registering_whether_an_address_has_an_account(alice, posted):
    """The answers, what signing in says afterwards, and sending again: all the same."""
    word = "something of the stranger's own"
    said = []
    for username, email in (("known", alice.email), ("fresh", "fresh@example.org")):
        me = Client()
        form = FORM | {"username": username, "email": email, "new_password": word, "again": word}
        by_email = {"login": email, "password": word}
        with posted() as mails:
            answers = answers_to(me, "/register/", form)
            answers += answers_to(me, "/login/", by_email)
            answers += answers_to(me, "/login/", {"login": username, "password": word})
            answers += answers_to(me, "/register/standing/resend/", {})
            answers += answers_to(me, "/register/", form)
            answers += answers_to(me, "/register/standing/withdraw/", {})
            answers += answers_to(Client(), "/login/", by_email)
        assert [mail.to for mail in mails] == [[email]] * 2
        said.append(str(answers).replace(email, "ADDRESS").replace(username, "NAME"))
    first, second = (re.sub(MADE_ANEW, "", one) for one in said)
    assert first == second


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"username": "c a"}, "3 to 20 characters"),
        ({"username": "ALICE"}, "The user name ALICE is taken"),
        ({"username": ""}, "A user name must be provided."),
        ({"email": "carla"}, "exactly one @"),
        ({"given_name": " "}, "Your given name must be provided."),
        ({"x500_dn": "/C=FR"}, "Write the X500 DN"),
        ({"new_password": "12345678", "again": "12345678"}, "This password is too common"),
        ({"again": "something else"}, "The two passwords are not the same"),
        ({"public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "This is a private key"),
        ({"agreement": ""}, "You must agree to the terms, conditions, and policies"),
    ],
)
def test_a_refused_form_says_why_and_keeps_all_but_the_passwords(client, alice, changes, sentence):
    answer = client.post("/register/", FORM | changes)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert "I want to fit galaxies." in answer.text
    assert 'value="Bianchi"' in answer.text
    assert PASSWORD not in answer.text
    assert User.objects.count() == 1


def test_every_mistake_is_told_at_once_beside_its_field(client):
    answer = client.post("/register/", {})
    assert set(answer.context["form"].errors) == {
        "username", "email", "given_name", "family_name", "new_password", "again", "agreement",
    }  # fmt: skip


def test_browsers_are_told_what_the_fields_are(client):
    page = client.get("/register/").text
    for word in ("username", "email", "given-name", "family-name", "new-password"):
        assert f'autocomplete="{word}"' in page
    assert 'href="/policies/"' in page
    assert "data-keygen" in page


@pytest.mark.parametrize(
    "url", ["/login/", "/register/", "/register/sent/", "/policies/", "/reset/"]
)
def test_a_link_checker_may_ask_for_the_head(client, url):
    assert client.head(url).status_code == 200


def test_a_site_without_mail_says_who_confirms_the_address(client, settings, tmp_path):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    assert "This site sends no mail" in client.get("/register/sent/").text


def test_signing_in_leads_where_one_wanted_to_go(client, alice):
    there = "/profile/keys/"
    assert client.get(there).url == f"/login/?next={there}"
    answer = client.post(
        f"/login/?next={there}", {"login": "alice", "password": PASSWORD, "next": there}
    )
    assert (answer.status_code, answer.url) == (302, there)
    assert client.get(there).status_code == 200


def test_signing_in_does_not_lead_off_the_site(client, alice):
    answer = client.post(
        "/login/", {"login": "alice", "password": PASSWORD, "next": "https://evil.example/"}
    )
    assert answer.url == "/"


@pytest.mark.parametrize("login", ["alice", "nobody"])
def test_a_refused_sign_in_looks_the_same_for_every_name(client, alice, login):
    answer = client.post("/login/", {"login": login, "password": "wrong"})
    assert answer.status_code == 422
    assert "The user name or the password is not right." in answer.text
    assert f'value="{login}"' in answer.text
    assert "wrong" not in answer.text


def test_guessing_ends_with_the_time_to_try_again(client, alice, monkeypatch):
    monkeypatch.setattr("registration.actions.passwords.MOST_FAILURES", 2)
    for _ in range(2):
        client.post("/login/", {"login": "alice", "password": "wrong"})
    answer = client.post("/login/", {"login": "alice", "password": PASSWORD})
    assert re.search(r"Try again after \d\d:\d\d UTC", answer.text)


def test_signing_out_is_a_post(alice, signed_in):
    client = signed_in(alice)
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").url == "/"
    assert client.get("/profile/").status_code == 302


def test_a_visitor_has_no_session_until_somebody_is_proven(client, alice):
    for url in ("/", "/login/", "/register/", "/reset/"):
        client.get(url)
    client.post("/login/", {"login": "alice", "password": "wrong"})
    client.post("/register/", FORM)
    client.post("/reset/", {"login": "alice"})
    assert not Session.objects.exists()
    client.post("/login/", {"login": "alice", "password": PASSWORD})
    assert Session.objects.count() == 1


def test_signing_in_has_a_new_session_and_forgets_the_waiting(client):
    user = UserFactory(username="carla", confirmed=True)
    client.post("/login/", {"login": "carla", "password": PASSWORD})
    before = client.session.session_key
    assert standing.KEY in client.session
    user.move(AccountState.ACTIVE)
    client.post("/login/", {"login": "carla", "password": PASSWORD})
    assert client.session.session_key != before
    assert standing.KEY not in client.session
    assert not Session.objects.filter(session_key=before).exists()


def test_a_person_who_is_no_longer_let_in_loses_the_session(alice, signed_in):
    client = signed_in(alice)
    User.objects.filter(pk=alice.pk).update(state=AccountState.REJECTED)
    assert client.get("/profile/").status_code == 302


@pytest.mark.parametrize("trait", ["applied", "confirmed", "rejected", "withdrawn", "suspended"])
def test_who_is_not_let_in_stays_a_visitor_to_every_other_door(client, trait):
    UserFactory(username="carla", **{trait: True})
    answer = client.post("/login/", {"login": "carla", "password": PASSWORD})
    assert (answer.status_code, answer.url) == (302, "/register/standing/")
    assert "_auth_user_id" not in client.session
    assert client.get("/profile/").url == "/login/?next=/profile/"


def test_a_closed_account_is_told_so_after_the_right_password_only(client):
    UserFactory(username="carla", closed=True)
    wrong = client.post("/login/", {"login": "carla", "password": "wrong"})
    assert "is closed" not in wrong.text
    right = client.post("/login/", {"login": "carla", "password": PASSWORD})
    assert (right.status_code, "This account is closed." in right.text) == (422, True)


def test_a_text_that_is_too_long_is_told_the_number_and_what_it_has(client):
    page = client.post("/register/", {"username": "x" * 10_000, "message": "x" * 9_000})
    assert "At most 20 characters; this has 10000." in page.text
    assert "At most 2000 characters; this has 9000." in page.text
    assert "Ensure this value" not in page.text
