"""What a launch tells of entries that who launches may not read, and of files that nobody has."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from core.errors import Refused
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.models import VM

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob():
    return UserFactory()


@pytest.fixture
def browser(client, bob):
    client.force_login(bob)
    return client


def refused(owner, entry):
    order = actions.Order(entry=entry, name="web", type_name="m1.small", vcpus=1, memory_mib=512)
    with pytest.raises(Refused) as refusal:
        actions.launch(owner=owner, order=order)
    assert not VM.objects.exists()
    return refusal.value


def said_since(old, **more):
    later = old.created_at + timedelta(days=1)
    return EntryFactory(
        identifier=old.identifier, endorser_email=old.endorser_email, created_at=later, **more
    )


def test_a_private_reason_is_told_to_nobody_else(browser, bob):
    old = EntryFactory()
    said_since(old, visibility="private", owner=UserFactory(), deprecated="We were broken into.")
    assert "broken into" not in str(refused(bob, old))
    page = browser.get("/vms/launch/", {"image": old.identifier, "entry": old.uuid})
    assert "no longer stands by this entry" in page.content.decode()
    assert "broken into" not in page.content.decode()


def test_who_may_read_what_is_said_now_is_led_there(bob):
    old = EntryFactory()
    said_since(old, visibility="private", owner=bob)
    assert "Launch it by that entry" in str(refused(bob, old))


def test_an_image_and_an_entry_of_another_image_are_no_launch(browser):
    one, other = EntryFactory(), EntryFactory()
    for image in ("A" * 27, one.identifier):
        asked = {"image": image, "entry": other.uuid}
        assert browser.get("/vms/launch/", asked).status_code == 404


@pytest.mark.parametrize(
    "locations", [["ftp://a.example.org/x"], ["pdisk:elsewhere.example.org:" + str(uuid4())]]
)
def test_places_that_nothing_is_fetched_from_are_no_place(bob, locations):
    entry = EntryFactory(is_kept_here=False, locations=locations)
    refusal = refused(bob, entry)
    assert refusal.code == "image_nowhere"
    assert "does not fetch from" in str(refusal)


def test_a_copy_that_everybody_may_use_needs_no_place(browser):
    entry = EntryFactory(is_kept_here=False)
    other = EntryFactory(identifier=entry.identifier, endorser_email="c@example.org")
    copy = ImageFileFactory(entry=other, ready=True)
    asked = {"image": entry.identifier, "entry": entry.uuid}
    assert "form" not in browser.get("/vms/launch/", asked).context
    copy.proven_by.add(other)
    assert browser.get("/vms/launch/", asked).context["form"].entry == entry


def test_the_catalogue_says_so_before_anybody_asks(client):
    for _ in range(5):
        EntryFactory(is_kept_here=False, valid_until=timezone.now() + timedelta(days=9))
    page = client.get("/marketplace/").content.decode()
    assert page.count("names no place where the file is") == 5
    assert "/vms/launch/?image" not in page
