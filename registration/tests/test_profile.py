import pytest

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.actions import Profile
from registration.models import SshKey
from registration.tests.factories import PASSWORD, SshKeyFactory, UserFactory
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db


def profile(**changes) -> Profile:
    return Profile(
        **{"given_name": "Alice", "family_name": "Liddell", "email": "alice@example.org"} | changes
    )


def test_a_profile_changes_with_before_and_after(alice, posted):
    with posted() as mails:
        actions.change_profile(
            alice, profile(family_name="Hargreaves", x500_dn="CN=Alice"), password=PASSWORD
        )
    alice.refresh_from_db()
    assert (alice.family_name, alice.x500_dn) == ("Hargreaves", "CN=Alice")
    event = Event.objects.of(alice.uuid).get()
    assert event.detail["before"] == {"family_name": "Liddell", "x500_dn": ""}
    assert mails == []


def test_a_new_address_is_told_to_both(alice, posted):
    with posted() as mails:
        actions.change_profile(alice, profile(email="al@new.example"), password=PASSWORD)
    assert [mail.to for mail in mails] == [["alice@example.org"], ["al@new.example"]]


def test_saving_the_same_changes_nothing(alice):
    actions.change_profile(alice, profile(), password=PASSWORD)
    assert not Event.objects.of(alice.uuid).exists()


@pytest.mark.parametrize(
    ("code", "password", "changes"),
    [
        ("password_wrong", "wrong", {}),
        ("email_invalid", PASSWORD, {"email": "x"}),
        ("email_taken", PASSWORD, {"email": "BOB@example.org"}),
        ("given_name_invalid", PASSWORD, {"given_name": ""}),
        ("family_name_invalid", PASSWORD, {"family_name": ""}),
        ("x500_dn_invalid", PASSWORD, {"x500_dn": "Alice"}),
    ],
)
def test_a_profile_change_is_refused_whole(alice, code, password, changes):
    UserFactory(username="bob")
    with pytest.raises(Refused) as refused:
        actions.change_profile(alice, profile(**{"given_name": "New"} | changes), password=password)
    assert refused.value.code == code
    alice.refresh_from_db()
    assert alice.given_name == "Alice"


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
