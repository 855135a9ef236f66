"""A new password by mail, at its pages."""

import re

import pytest

from registration.tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

NEW = "a quite different staple"


@pytest.mark.parametrize("login", ["alice", "nobody"])
def test_a_reset_answers_the_same_for_every_name(client, alice, login):
    answer = client.post("/reset/", {"login": login}, follow=True)
    assert answer.redirect_chain == [("/reset/sent/", 302)]
    assert "If there is an account" in answer.text


@pytest.fixture
def link(client, alice, posted) -> str:
    with posted() as mails:
        client.post("/reset/", {"login": "alice"})
    return re.search(r"/reset/\S+", mails[0].body)[0]


def test_opening_the_link_changes_nothing(client, alice, link):
    for _ in range(2):
        assert client.get(link).status_code == 200
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_the_link_sets_a_password_and_then_no_more(client, alice, link):
    weak = client.post(link, {"new_password": "12345678", "again": "12345678"})
    assert weak.status_code == 422
    assert client.post(link, {"new_password": NEW, "again": NEW}).url == "/login/"
    assert client.post("/login/", {"login": "alice", "password": NEW}).status_code == 302
    spent = client.get(link)
    assert spent.status_code == 404
    assert "no longer good" in spent.text


def test_the_link_can_be_cancelled(client, link):
    assert client.post(f"{link}cancel/").url == "/login/"
    assert client.get(link).status_code == 404
    assert client.post(f"{link}cancel/").status_code == 404


def test_too_many_resets_are_refused(client, alice):
    answers = [client.post("/reset/", {"login": "alice"}).status_code for _ in range(6)]
    assert answers == [302] * 5 + [422]


def test_a_site_without_mail_promises_none(client, alice, settings):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    for page in ("/reset/", "/reset/sent/"):
        text = client.get(page).text
        assert "an administrator passes the link on" in text
        assert "spam" not in text
        assert "We send you" not in text
