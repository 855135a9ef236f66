import uuid
from datetime import UTC, datetime

import pytest
from django.test import Client

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import Defaults, Profile
from registration.models import SshKey, User
from registration.tests.factories import PASSWORD, SshKeyFactory, UserFactory
from registration.tests.test_addresses import link_in
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db


def profile(**changes) -> Profile:
    return Profile(**{"given_name": "Alice", "family_name": "Liddell"} | changes)


def test_a_profile_changes_with_before_and_after(alice, posted):
    with posted() as mails:
        actions.change_profile(alice, profile(family_name="Hargreaves", x500_dn="CN=Alice"))
    alice.refresh_from_db()
    assert (alice.family_name, alice.x500_dn) == ("Hargreaves", "CN=Alice")
    event = Event.objects.of(alice.uuid).get()
    assert event.detail["before"] == {"family_name": "Liddell", "x500_dn": ""}
    assert mails == []


def test_saving_the_same_changes_nothing(alice):
    actions.change_profile(alice, profile())
    actions.choose_defaults(alice, Defaults())
    assert not Event.objects.of(alice.uuid).exists()


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("given_name_invalid", {"given_name": ""}),
        ("family_name_invalid", {"family_name": ""}),
        ("x500_dn_invalid", {"x500_dn": "Alice"}),
    ],
)
def test_a_profile_change_is_refused_whole(alice, code, changes):
    with pytest.raises(Refused) as refused:
        actions.change_profile(alice, profile(**{"given_name": "New"} | changes))
    assert refused.value.code == code
    alice.refresh_from_db()
    assert alice.given_name == "Alice"


def test_what_is_offered_first_is_chosen(alice):
    SshKeyFactory(owner=alice, is_default=True)
    key = SshKeyFactory(owner=alice)
    chosen = Defaults(date_style="fr", context_method="opennebula", key=key.uuid)
    actions.choose_defaults(alice, chosen)
    alice.refresh_from_db()
    assert (alice.date_style, alice.default_context_method) == ("fr", "opennebula")
    assert SshKey.objects.get(owner=alice, is_default=True) == key


@pytest.mark.parametrize(
    ("code", "chosen"),
    [
        ("date_style_unknown", {"date_style": "klingon"}),
        ("context_method_unknown", {"context_method": "post"}),
        ("key_unknown", {"key": uuid.uuid4(), "date_style": "fr"}),
    ],
)
def test_what_is_not_offered_is_refused_whole(alice, code, chosen):
    with pytest.raises(Refused) as refused:
        actions.choose_defaults(alice, Defaults(**chosen))
    assert refused.value.code == code
    alice.refresh_from_db()
    assert alice.date_style == ""


def test_another_persons_key_is_not_offered_first(alice):
    key = SshKeyFactory()
    with pytest.raises(Refused):
        actions.choose_defaults(alice, Defaults(key=key.uuid))


def test_the_page_of_the_profile_shows_and_saves(alice, signed_in):
    client = signed_in(alice)
    assert 'value="Liddell"' in client.get("/profile/").text
    form = {"given_name": "Alice", "family_name": "Hargreaves"}
    refused = client.post("/profile/", form | {"x500_dn": "nonsense"})
    assert refused.status_code == 422
    assert 'value="Hargreaves"' in refused.text
    assert "Hargreaves</h1>" not in refused.text
    saved = client.post("/profile/", form, follow=True)
    assert "Your profile is saved." in saved.text
    assert "Alice Hargreaves</h1>" in saved.text


def test_the_page_saves_what_is_offered_first(alice, signed_in):
    client = signed_in(alice)
    assert "You have no key here yet" in client.get("/profile/").text
    key = SshKeyFactory(owner=alice, is_default=True)
    form = {"date_style": "iso", "context_method": "", "key": str(key.uuid)}
    assert client.post("/profile/defaults/", form).url == "/profile/"
    alice.refresh_from_db()
    assert alice.date_style == "iso"
    refused = client.post("/profile/defaults/", form | {"date_style": "klingon"})
    assert refused.status_code == 422


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("", "1 March 2026"),
        ("en-US", "March 1, 2026"),
        ("iso", "2026-03-01"),
        ("de", "1. März 2026"),
        ("fr", "1 mars 2026"),
    ],
)
def test_dates_are_written_as_was_chosen(alice, signed_in, style, said):
    created_at = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    User.objects.filter(pk=alice.pk).update(date_style=style, created_at=created_at)
    page = signed_in(alice).get("/profile/").text
    assert f">{said}</time>" in page
    assert f'data-date-style="{style or "en-GB"}"' in page
    assert (f'lang="{style}"' in page) == (style in ("de", "fr"))


@pytest.fixture
def proven(alice):
    """Alice, who has just typed her password."""
    client = Client()
    client.post("/login/", {"login": "alice", "password": PASSWORD})
    return client


def test_another_address_is_asked_for_and_confirmed(alice, proven, posted):
    with posted() as mails:
        answer = proven.post("/profile/email/", {"email": "al@new.example"}, follow=True)
    assert "A mail is on its way to al@new.example" in answer.text
    assert "is not confirmed yet" in answer.text
    uid, token = link_in(mails[1])
    elsewhere = Client()
    url = f"/profile/email/{uid}/{token}/"
    assert "This is my address" in elsewhere.get(url).text
    assert "Your new address counts" in elsewhere.post(url).text
    alice.refresh_from_db()
    assert alice.email == "al@new.example"
    assert elsewhere.post(url).status_code == 404


def test_a_change_of_mind_keeps_the_address(alice, proven):
    proven.post("/profile/email/", {"email": "al@new.example"})
    answer = proven.post("/profile/email/cancel/", follow=True)
    assert "Your address stays alice@example.org" in answer.text
    assert "is not confirmed yet" not in answer.text


def test_nobody_learns_by_asking_for_an_address_whether_it_has_an_account(alice, proven, posted):
    UserFactory(username="bob")
    said = []
    for email in ("bob@example.org", "new@example.org"):
        answer = proven.post("/profile/email/", {"email": email})
        said.append((answer.status_code, answer.url))
        page = proven.get("/profile/").text
        said[-1] += (page.count(email), "is not confirmed yet" in page)
    assert said[0] == said[1]


def test_an_old_session_proves_itself_before_it_changes_the_address(alice, signed_in):
    client = signed_in(alice)
    for answer in (client.get("/profile/email/"), client.post("/profile/email/", {"email": "x"})):
        assert answer.status_code == 302
        assert answer.url.startswith("/profile/confirm/?next=")


def test_changing_the_password_keeps_this_session_and_ends_the_others(alice, signed_in):
    new = "a quite different staple"
    here, elsewhere = signed_in(alice), signed_in(alice)
    form = {"password": PASSWORD, "new_password": new, "again": new}
    refused = here.post("/profile/password/", form | {"password": "wrong"})
    assert refused.status_code == 422
    assert here.post("/profile/password/", form).url == "/profile/"
    assert here.get("/profile/").status_code == 200
    assert elsewhere.get("/profile/").status_code == 302


def test_the_first_key_is_the_default_and_others_are_not(alice):
    first = actions.add_key(owner=alice, text=GOOD[0])
    second = actions.add_key(owner=alice, text=GOOD[1], name=" office\npc ")
    assert (first.is_default, second.is_default) == (True, False)
    assert (first.name, second.name) == ("alice@laptop", "office pc")


def test_a_key_without_a_comment_still_has_a_name(alice):
    line = GOOD[0].rsplit(" ", 1)[0]
    assert actions.add_key(owner=alice, text=line).name == "Key 1"


def test_there_is_always_exactly_one_default(alice):
    keys = [actions.add_key(owner=alice, text=text) for text in GOOD]
    actions.make_default_key(keys[2])
    assert SshKey.objects.get(owner=alice, is_default=True) == keys[2]
    actions.remove_key(keys[2])
    assert SshKey.objects.get(owner=alice, is_default=True) == keys[0]
    for key in SshKey.objects.filter(owner=alice):
        actions.remove_key(key)
        assert SshKey.objects.filter(owner=alice, is_default=True).count() == min(
            1, SshKey.objects.filter(owner=alice).count()
        )


def test_a_key_can_be_added_as_the_default(alice):
    actions.add_key(owner=alice, text=GOOD[0])
    second = actions.add_key(owner=alice, text=GOOD[1], is_default=True)
    assert SshKey.objects.get(owner=alice, is_default=True) == second


def test_the_same_key_twice_is_refused_by_its_name(alice):
    actions.add_key(owner=alice, text=GOOD[0], name="office")
    with pytest.raises(Refused, match="office") as refused:
        actions.add_key(owner=alice, text=f"{GOOD[0]} again")
    assert refused.value.code == "key_known"
    actions.add_key(owner=UserFactory(), text=GOOD[0])


def test_a_key_that_is_known_is_found(alice):
    key = actions.find_or_add_key(owner=alice, text=GOOD[0])
    assert actions.find_or_add_key(owner=alice, text=GOOD[0]) == key


def test_twenty_keys_are_enough(alice):
    SshKeyFactory.create_batch(actions.MOST_KEYS, owner=alice)
    with pytest.raises(Refused, match="20") as refused:
        actions.add_key(owner=alice, text=GOOD[0])
    assert refused.value.code == "too_many_keys"


def test_what_happens_to_keys_is_recorded(alice):
    first = actions.add_key(owner=alice, text=GOOD[0])
    second = actions.add_key(owner=alice, text=GOOD[1])
    first_uuid = first.uuid
    actions.make_default_key(second)
    actions.make_default_key(second)
    actions.remove_key(first)
    events = Event.objects.filter(kind="ssh_key", owner=alice)
    assert [(event.verb, event.subject) for event in events] == [
        ("key_added", first_uuid),
        ("key_added", second.uuid),
        ("key_made_default", second.uuid),
        ("key_removed", first_uuid),
    ]
    assert all(event.subject_name and event.detail["fingerprint"] for event in events)


def test_a_preferred_size_is_remembered(alice):
    actions.choose_instance_type(alice, name="m1.small")
    alice.refresh_from_db()
    assert alice.default_instance_type == "m1.small"
