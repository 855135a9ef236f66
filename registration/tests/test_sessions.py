"""Where a person is signed in, and signing out there."""

from datetime import timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from registration import agents, sessions
from registration.tests.browsing import (
    signed_in_from,
    verbs_of,
)
from registration.tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


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


@pytest.mark.slow
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
