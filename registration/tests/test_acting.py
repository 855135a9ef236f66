"""An administrator in somebody's place: what they see, what stays shut, and what is written."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from core.caller import Caller, called
from core.errors import Refused
from core.models import Event
from registration import acting, actions
from registration.actions.links import password_links
from registration.tests.factories import PASSWORD, UserFactory
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db

BANNER = "You act as alice"


@pytest.fixture
def helper(admin, alice) -> Client:
    """The administrator, who has just proved who they are, in Alice's place."""
    client = Client()
    client.post("/login/", {"login": admin.username, "password": PASSWORD})
    answer = client.post(
        f"/users/{alice.uuid}/act/", {"act-reason": "They cannot find their machine."}
    )
    assert answer.url == "/"
    return client


def test_every_page_says_so_and_is_the_persons(helper, alice):
    for path in ("/", "/vms/", "/profile/keys/", "/profile/usage/", "/marketplace/", "/nothing/"):
        page = helper.get(path)
        assert BANNER in page.text, path
        assert page.context["user"] == alice, path


def test_what_is_for_administrators_is_not_there_meanwhile(helper):
    for path in ("/users/", "/registrations/", "/audit/", "/admin/", "/doctor/"):
        assert helper.get(path).status_code == 404, path


def test_it_is_told_to_the_person_and_names_both(helper, admin, alice):
    event = Event.objects.get(verb="acting_started")
    assert (event.by, event.owner, event.reason) == (
        admin, alice, "They cannot find their machine.",
    )  # fmt: skip
    assert event in Event.objects.visible_to(alice)
    helper.post("/vms/types/m1.small/prefer/")
    done = Event.objects.get(verb="instance_type_chosen")
    assert (done.by, done.on_behalf_of) == (admin, alice)
    assert done in Event.objects.visible_to(alice)


def test_what_proves_who_the_person_is_stays_theirs(helper, alice):
    for path in ("/profile/", "/profile/password/", "/profile/security/", "/profile/sessions/",
                 "/profile/tokens/", "/profile/confirm/"):  # fmt: skip
        for ask in (helper.get, helper.post):
            assert ask(path).status_code == 403, path
    assert helper.post("/profile/keys/", {"public_key": GOOD[0]}).status_code == 403
    assert not alice.ssh_keys.exists()


def test_what_was_refused_meanwhile_is_in_the_audit_and_told_to_the_person(helper, admin, alice):
    for path in ("/profile/tokens/", "/profile/security/", "/profile/security/"):
        helper.get(path)
    helper.post("/profile/keys/", {"public_key": GOOD[0]})
    denied = Event.objects.filter(outcome="denied").order_by("pk")
    assert [(event.verb, event.subject_name) for event in denied] == [
        ("opened", "/profile/tokens/"), ("opened", "/profile/security/"),
        ("changed", "/profile/keys/"),
    ]  # fmt: skip
    for event in denied:
        assert (event.by, event.on_behalf_of, event.owner) == (admin, alice, alice)
        assert event in Event.objects.visible_to(alice)


def test_a_link_that_is_refused_meanwhile_is_not_in_the_audit(helper, alice):
    token = password_links.make_token(alice)
    assert helper.get(f"/reset/{alice.uuid}/{token}/").status_code == 403
    event = Event.objects.get(outcome="denied")
    assert token not in str(Event.objects.filter(pk=event.pk).values().get())


@pytest.mark.parametrize("act", ["add", "find", "token"])
def test_actions_that_are_the_persons_alone_write_their_refusal(admin, alice, act):
    acts = {
        "add": lambda: actions.add_key(owner=alice, text=GOOD[0]),
        "find": lambda: actions.find_or_add_key(owner=alice, text=GOOD[0]),
        "token": lambda: actions.create_token(
            owner=alice, name="x", scope="read", expires_at=timezone.now() + timedelta(days=1)
        ),
    }
    known = Caller(door="page", administrator=admin.pk, acts_as=alice.pk)
    with called(known), pytest.raises(Refused, match="Only the person"):
        acts[act]()
    event = Event.objects.get(outcome="denied")
    assert event.verb == ("token_created" if act == "token" else "key_added")
    assert (event.by, event.on_behalf_of, event.owner) == (admin, alice, alice)


def test_the_administrator_stops_and_is_themselves(helper, admin, alice):
    answer = helper.post("/acting/stop/", follow=True)
    assert answer.context["user"] == admin
    assert BANNER not in answer.text
    event = Event.objects.get(verb="acting_stopped")
    assert (event.by, event.on_behalf_of, event.owner) == (admin, None, alice)
    assert helper.post("/acting/stop/").url == "/"
    assert Event.objects.filter(verb="acting_stopped").count() == 1


def test_it_ends_after_half_an_hour(helper, admin):
    with time_machine.travel(timezone.now() + timedelta(minutes=29), tick=False):
        assert BANNER in helper.get("/").text
    with time_machine.travel(timezone.now() + timedelta(minutes=31), tick=False):
        page = helper.get("/")
        assert page.context["user"] == admin
    assert Event.objects.get(verb="acting_stopped").reason == acting.OVER
    assert acting.KEY not in helper.session


@pytest.mark.parametrize("end", ["suspend", "promote", "demote"])
def test_it_ends_when_either_account_changes(helper, admin, alice, end):
    other = UserFactory(admin=True)
    if end == "suspend":
        actions.suspend(alice, by=other, reason="Spam.")
    elif end == "promote":
        actions.make_administrator(alice, by=other)
    else:
        actions.revoke_administrator(admin, by=other)
    page = helper.get("/")
    assert page.context["user"] == admin
    assert BANNER not in page.text


def test_signing_out_ends_both(helper):
    helper.post("/logout/")
    assert helper.get("/profile/keys/").status_code == 302
    assert Event.objects.get(verb="acting_stopped").reason == "Signed out."


def test_only_with_a_fresh_proof_and_a_reason(admin, alice, signed_in):
    path, why = f"/users/{alice.uuid}/act/", {"act-reason": "To help."}
    answer = signed_in(admin).post(path, why)
    assert answer.url.startswith("/profile/confirm/")
    client = Client()
    client.post("/login/", {"login": admin.username, "password": PASSWORD})
    assert client.post(path, {"act-reason": ""}).status_code == 422
    assert not Event.objects.filter(verb="acting_started").exists()


def test_nobody_acts_for_another_administrator(admin):
    client, other = Client(), UserFactory(admin=True)
    client.post("/login/", {"login": admin.username, "password": PASSWORD})
    answer = client.post(f"/users/{other.uuid}/act/", {"act-reason": "To help."})
    assert answer.status_code == 422
    assert acting.KEY not in client.session


def test_a_session_cannot_be_told_to_act_by_who_is_no_administrator(alice, signed_in):
    client, other = signed_in(alice), UserFactory()
    session = client.session
    session[acting.KEY] = [str(other.uuid), (timezone.now() + acting.LIMIT).isoformat()]
    session.save()
    assert client.get("/").context["user"] == alice


def test_doors_that_stay_open_look_the_session_up_again(helper, admin, alice):
    key = helper.session.session_key
    assert acting.behind(key) == (alice, admin)
    with time_machine.travel(timezone.now() + timedelta(minutes=31), tick=False):
        assert acting.behind(key) == (admin, None)
    helper.post("/acting/stop/")
    assert acting.behind(key) == (admin, None)
    helper.post("/logout/")
    assert acting.behind(key) is None


def test_policies_that_the_person_has_not_agreed_to_shut_everything_but_the_way_back(helper, alice):
    alice.policy_version = 0
    alice.save()
    assert helper.get("/vms/", follow=True).status_code == 403
    assert helper.post("/acting/stop/").status_code == 302
