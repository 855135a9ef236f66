"""What is said after another's entry reaches nobody whom that entry does not reach."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from marketplace import actions
from marketplace.actions import endorsing
from marketplace.actions.pens import Pen
from marketplace.composing import Said
from marketplace.models import Draft, Entry
from marketplace.states import Visibility
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from marketplace.tests.publishing import signer_named
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
CONTENT = b"the site's own image"
MINE = actions.Reader(visibility=Visibility.PRIVATE)


@pytest.fixture
def mallory(db):
    return UserFactory(username="mallory", email="mallory@example.org")


@pytest.fixture
def group(mallory):
    group = GroupFactory()
    MembershipFactory(group=group, user=mallory)
    return group


def pen_of(user) -> Pen:
    return Pen(signer=signer_named(user.email), email=user.email)


@pytest.fixture
def kept(home):
    """An image that the site keeps, and its file."""

    def make(**columns) -> Entry:
        more = {"official": True, "format": "raw", "endorser_email": "site@example.org"}
        entry = EntryFactory(content=CONTENT, **more | columns)
        (home / "images" / entry.file_name).write_bytes(CONTENT)
        return entry

    return make


def file_of(client, entry) -> int:
    return client.get(reverse("marketplace:file", args=[entry.identifier])).status_code


def soon():
    return timezone.now() + timedelta(days=9)


def said() -> Said:
    where = ("https://images.example.org/x.img",)
    return Said(title="Mine", valid=soon(), locations=where)


def drawn(entry, by) -> Draft:
    return actions.draft_of_entry(entry, by=by, create_key=uuid4(), fields={})


def published(draft, by, readers) -> Entry:
    return actions.publish_draft(draft, by=by, said=said(), pen=pen_of(by), readers=readers)


def refused(act) -> str:
    with pytest.raises(Refused) as refusal:
        act()
    return refusal.value.code


def test_the_sites_file_stays_with_the_sites_entry(kept, group, mallory, client):
    site = kept(visibility="group", group=group)
    again = actions.endorse_again(site, by=mallory, until=soon(), pen=pen_of(mallory))
    assert (again.visibility, again.group, again.is_kept_here) == ("group", group, False)
    client.force_login(mallory)
    assert file_of(client, site) == 200
    Entry.objects.filter(pk=site.pk).update(visibility="private")
    assert file_of(client, site) == 404


def test_what_is_endorsed_again_is_not_opened_by_its_endorser(kept, group, mallory, client):
    site = kept(visibility="group", group=group)
    again = actions.endorse_again(site, by=mallory, until=soon(), pen=pen_of(mallory))
    open_it = lambda: actions.set_readers(again, by=mallory, readers=actions.EVERYBODY)  # noqa: E731
    assert refused(open_it) == "readers_narrower"
    assert file_of(client, site) == 404
    actions.set_readers(again, by=mallory, readers=MINE)
    Entry.objects.filter(pk=site.pk).update(visibility="public")
    open_it()
    assert Entry.objects.get(pk=again.pk).visibility == "public"


def test_nor_by_saying_it_once_more(kept, group, mallory):
    site = kept(visibility="group", group=group)
    again = actions.endorse_again(site, by=mallory, until=soon(), pen=pen_of(mallory))
    longer = endorsing.extend(again, by=mallory, until=soon(), pen=pen_of(mallory))
    draft = drawn(longer, mallory)
    assert refused(lambda: published(draft, mallory, actions.EVERYBODY)) == "readers_narrower"
    readers = actions.reader("group", group, by=mallory)
    third = published(draft, mallory, readers)
    assert {longer.said_again_of, third.said_again_of} == {site}


def test_a_draft_ends_with_the_right_to_read_its_entry(kept, mallory, client):
    site = kept()
    draft = drawn(site, mallory)
    Entry.objects.filter(pk=site.pk).update(visibility="private")
    assert refused(lambda: published(draft, mallory, MINE)) == "entry_gone"
    stale = lambda: actions.endorse_again(site, by=mallory, until=soon(), pen=pen_of(mallory))  # noqa: E731
    assert refused(stale) == "entry_gone"
    client.force_login(mallory)
    assert file_of(client, site) == 404


def test_a_draft_of_a_public_image_gives_no_right_to_its_file(kept, mallory, client):
    site = kept()
    mine = published(drawn(site, mallory), mallory, MINE)
    Entry.objects.filter(pk=site.pk).update(visibility="private")
    client.force_login(mallory)
    assert not mine.is_kept_here
    assert file_of(client, site) == 404
    copy = ImageFileFactory(entry=site, ready=True)
    copy.proven_by.add(site)
    assert not actions.image_for(mine, "local", by=mallory).is_open


def test_whoever_may_read_the_sites_entry_launches_by_what_is_said_again(kept, mallory):
    site = kept()
    mine = actions.endorse_again(site, by=mallory, until=soon(), pen=pen_of(mallory))
    wish = actions.image_for(mine, "local", by=mallory)
    assert wish.is_open
    assert wish.image.entry == site
