"""Drafts are signed: with a key of one's own, another's certificate, or the site's key."""

import gzip
from html import unescape
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from core.errors import Refused
from marketplace import actions
from marketplace.judging import digest
from marketplace.lifecycle.images import proving
from marketplace.models import Draft, Entry, Pending
from marketplace.tests.drafting import (
    CONTENT,
    ada,
    answers,
    endorser,
    measured,
    page,
    places,
    said_of,
    url,
)
from marketplace.tests.factories import EntryFactory
from marketplace.tests.test_endorsing import p12_of, publish
from registration.tests.factories import GroupFactory, MembershipFactory
from volumes.models import DiskType, Volume
from volumes.tests.factories import AttachmentFactory

__all__ = ["ada", "page", "places"]
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_keys"),
]


# Signing --------------------------------------------------------------------------------


def test_a_certificate_of_ones_own_signs_in_this_request_alone(page, ada, cloud):
    draft = measured(ada)
    actions.new_key(ada, ada)
    file = SimpleUploadedFile("me.p12", p12_of(ada))
    page.post(draft.get_absolute_url(), answers(go="sign"))
    form = {"sign_with": "file", "visibility": "public", "file": file, "password": "secret"}
    answer = page.post(url("sign", draft), form)
    assert answer.url == Entry.objects.get().permalink
    assert b"secret" not in page.get(draft.get_absolute_url(), follow=True).content


def test_a_wrong_password_is_told_beside_the_file_and_nothing_is_published(page, ada, cloud):
    draft = measured(ada)
    actions.new_key(ada, ada)
    file = SimpleUploadedFile("me.p12", p12_of(ada))
    page.post(draft.get_absolute_url(), answers(go="sign"))
    form = {"sign_with": "file", "visibility": "public", "file": file, "password": "tr0mbone"}
    answer = page.post(url("sign", draft), form)
    assert answer.status_code == 422
    assert "password is wrong" in str(answer.context["pens"].errors["password"])
    assert b"tr0mbone" not in answer.content
    assert not Entry.objects.exists()
    draft.volume.refresh_from_db()
    assert draft.volume.type == DiskType.DATA_IMAGE_RAW_READ_WRITE


@pytest.fixture
def bob(db):
    user = endorser("bob")
    actions.new_key(user, user)
    return user


def sign_as(page, bob, draft, **more):
    """On the page, with somebody else's certificate."""
    page.post(draft.get_absolute_url(), answers(go="sign"))
    file = SimpleUploadedFile("bob.p12", p12_of(bob))
    form = {"sign_with": "file", "visibility": "public", "file": file, "password": "secret"}
    return page.post(url("sign", draft), form | more)


def test_nobody_is_written_to_by_a_wrong_certificate(page, ada, bob, cloud):
    draft = measured(ada)
    answer = sign_as(page, bob, draft)
    assert answer.status_code == 422
    assert f"speaks for {bob.email}, and your address is {ada.email}" in unescape(answer.text)
    assert not Pending.objects.exists()
    assert Volume.objects.get(pk=draft.volume_id).type == DiskType.DATA_IMAGE_RAW_READ_WRITE


def test_a_certificate_of_another_address_is_confirmed_by_mail(page, ada, bob, cloud):
    draft = measured(ada)
    answer = sign_as(page, bob, draft, ask_by_mail="on")
    assert answer.url == draft.get_absolute_url()
    assert Pending.objects.get().email == bob.email
    assert not Entry.objects.exists()
    told = [str(message) for message in get_messages(answer.wsgi_request)]
    assert any(bob.email in one for one in told)


def test_a_draft_waits_with_its_document(page, ada, bob, cloud):
    draft = measured(ada)
    sign_as(page, bob, draft, ask_by_mail="on")
    assert bob.email in page.get(reverse("marketplace:drafts")).text
    assert "Take it back" in page.get(draft.get_absolute_url()).text
    assert page.get(url("sign", draft)).url == draft.get_absolute_url()
    draft.refresh_from_db()
    with pytest.raises(Refused) as refused:
        actions.keep_draft(draft, {"title": "Other"})
    assert refused.value.code == "draft_waiting"


def test_what_waits_is_taken_back_by_who_sent_it(page, ada, bob, cloud, client):
    draft = measured(ada)
    sign_as(page, bob, draft, ask_by_mail="on")
    pending = Pending.objects.get()
    act = reverse("marketplace:pending_withdraw", args=[pending.uuid])
    other = Client()
    other.force_login(bob)
    assert other.post(act).status_code == 404
    assert page.post(act).url == draft.get_absolute_url()
    pending.refresh_from_db()
    assert pending.state == "withdrawn"
    assert not actions.confirming.can_answer(pending)
    assert "withdrawn by its sender" in page.get(draft.get_absolute_url()).text
    assert actions.publish_draft(
        Draft.objects.get(pk=draft.pk), by=ada, said=said_of(draft), readers=actions.EVERYBODY,
        pen=pen_of_hers(ada),
    )  # fmt: skip


def pen_of_hers(ada):
    actions.new_key(ada, ada)
    return actions.pen_of_key(ada)


@pytest.mark.parametrize("has_account", [True, False])
def test_a_disk_in_anothers_name_is_read_once_they_say_yes(ada, bob, cloud, has_account):
    draft = measured(ada)
    pen, token = actions.pen_of_key(bob), "known to bob"
    pending = actions.publish_draft(
        draft, by=ada, said=said_of(draft), readers=actions.EVERYBODY, pen=pen, ask_by_mail=True
    )
    if not has_account:
        type(bob).objects.filter(pk=bob.pk).update(email="bob@elsewhere.example")
    Pending.objects.filter(pk=pending.pk).update(token_hash=digest(token))
    entry = actions.confirm_document(pending.uuid, token)
    draft.refresh_from_db()
    assert (draft.state, draft.entry) == ("published", entry)
    assert entry.owner == (bob if has_account else None)
    assert proving.may_read(entry, draft.volume)
    stranger = EntryFactory(owner=bob, endorser_email="eve@example.org", locations=entry.locations)
    assert not proving.may_read(stranger, draft.volume)


def test_the_sites_key_is_for_administrators(page, ada, cloud, client):
    draft = measured(ada)
    page.post(draft.get_absolute_url(), answers(go="sign"))
    choices = page.get(url("sign", draft)).context["pens"].fields["sign_with"].choices
    assert [value for value, _ in choices] == ["file"]
    answer = page.post(url("sign", draft), {"sign_with": "site", "visibility": "public"})
    assert answer.status_code == 422

    boss = endorser("boss", is_staff=True)
    draft = measured(boss)
    client.force_login(boss)
    client.post(draft.get_absolute_url(), answers(go="sign"))
    client.post(url("sign", draft), {"sign_with": "site", "visibility": "public"})
    entry = Entry.objects.get()
    assert entry.is_official
    assert entry.owner is None


def test_a_disk_that_a_machine_wrote_to_since_is_measured_again(ada, cloud):
    actions.new_key(ada, ada)
    draft = measured(ada)
    AttachmentFactory(volume=draft.volume, state="detached")
    with pytest.raises(Refused) as refused:
        actions.publish_draft(
            draft, by=ada, said=said_of(draft), pen=actions.pen_of_key(ada),
            readers=actions.EVERYBODY,
        )  # fmt: skip
    assert refused.value.code == "disk_written_since"


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_published_disk_reaches_the_cloud_as_it_was_measured(ada, cloud, worker, is_packed):
    actions.new_key(ada, ada)
    content = gzip.compress(CONTENT) if is_packed else CONTENT
    draft = measured(ada, content)
    entry = actions.publish_draft(
        draft, by=ada, said=said_of(draft), pen=actions.pen_of_key(ada), readers=actions.EVERYBODY
    )
    image = actions.ensure_image(entry, "local")
    worker.run()
    image.refresh_from_db()
    assert (image.state, image.reason) == ("ready", "")


def test_a_disk_that_an_administrator_publishes_as_the_sites_is_read(cloud, worker):
    boss = endorser("boss", is_staff=True)
    draft = measured(boss)
    said, pen = said_of(draft), actions.pen_of_site(boss)
    entry = actions.publish_draft(draft, by=boss, said=said, pen=pen, readers=actions.EVERYBODY)
    image = actions.ensure_image(entry, "local")
    worker.run()
    image.refresh_from_db()
    assert (image.state, image.reason) == ("ready", "")


def test_the_sites_key_opens_nobody_elses_disk(ada, cloud, worker):
    boss = endorser("boss", is_staff=True)
    actions.new_key(ada, ada)
    draft = measured(ada)
    said = said_of(draft)
    entry = actions.publish_draft(
        draft, by=ada, said=said, pen=actions.pen_of_key(ada),
        readers=actions.reader("private", None, by=ada),
    )  # fmt: skip
    pen = actions.pen_of_site(boss)
    official = actions.endorse_again(entry, by=boss, until=said.valid, pen=pen)
    image = actions.ensure_image(official, "local")
    worker.run()
    image.refresh_from_db()
    assert image.state == "failed"
    assert "may not read it" in image.reason


def test_a_draft_is_published_once(ada, cloud):
    actions.new_key(ada, ada)
    draft = measured(ada)
    stale = Draft.objects.get(pk=draft.pk)
    more = {"by": ada, "said": said_of(draft), "pen": actions.pen_of_key(ada)}
    actions.publish_draft(draft, readers=actions.EVERYBODY, **more)
    with pytest.raises(Refused):
        actions.publish_draft(stale, readers=actions.EVERYBODY, **more)
    assert Entry.objects.count() == 1


def test_what_a_group_reads_is_not_published_to_all_by_a_draft(ada):
    bob = endorser("bob")
    actions.new_key(ada, ada)
    actions.new_key(bob, bob)
    entry = publish(ada)
    group = GroupFactory()
    for user in (ada, bob):
        MembershipFactory(group=group, user=user)
    actions.set_readers(entry, by=ada, readers=actions.reader("group", group, by=ada))
    entry.refresh_from_db()
    draft = actions.draft_of_entry(entry, by=bob, create_key=uuid4(), fields={})
    said = said_of(draft, locations=("https://images.example.org/x.img",))
    pen = actions.pen_of_key(bob)
    with pytest.raises(Refused) as refused:
        actions.publish_draft(draft, by=bob, said=said, pen=pen, readers=actions.EVERYBODY)
    assert refused.value.code == "readers_narrower"
    readers = actions.reader("group", group, by=bob)
    assert actions.publish_draft(draft, by=bob, said=said, pen=pen, readers=readers)
