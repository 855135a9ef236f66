import re

import pytest

from core.models import Event
from registration import emails, mailbox
from registration.models import SshKey
from registration.tests.factories import SshKeyFactory, UserFactory
from registration.tests.test_keys import GOOD

pytestmark = pytest.mark.django_db

FETCH = {"X-Requested-With": "fetch"}


STAFF_PAGES = ["/registrations/", "/mails/"]


@pytest.mark.parametrize("url", STAFF_PAGES)
def test_pages_for_administrators_do_not_exist_for_others(url, client, alice, signed_in):
    assert client.get(url).url == f"/login/?next={url}"
    assert signed_in(alice).get(url).status_code == 404


def test_keys_are_added_chosen_and_removed(alice, signed_in):
    client = signed_in(alice)
    assert "You have no SSH key here yet" in client.get("/profile/keys/").text
    for text in GOOD[:2]:
        client.post("/profile/keys/add/", {"public_key": text, "name": text[:11]})
    first, second = SshKey.objects.order_by("pk")
    client.post(f"/profile/keys/{second.uuid}/default/")
    assert SshKey.objects.get(is_default=True) == second
    client.post(f"/profile/keys/{second.uuid}/remove/")
    assert list(SshKey.objects.all()) == [first]
    page = client.get("/profile/keys/").text
    assert first.fingerprint in page


def test_a_refused_key_is_told_beside_the_field_and_not_lost(alice, signed_in):
    answer = signed_in(alice).post("/profile/keys/add/", {"public_key": "ssh-ed25519 AAAA mine"})
    assert answer.status_code == 422
    assert "not a whole public key" in answer.text
    assert "ssh-ed25519 AAAA mine" in answer.text


def test_adding_a_key_leads_back_to_where_it_was_needed(alice, signed_in):
    form = {"public_key": GOOD[0], "next": "/vms/launch/?image=abc"}
    assert signed_in(alice).post("/profile/keys/add/", form).url == "/vms/launch/?image=abc"


@pytest.mark.parametrize("act", ["default", "remove"])
def test_another_persons_key_does_not_exist(act, alice, admin, signed_in):
    key = SshKeyFactory()
    for who in (alice, admin):
        answer = signed_in(who).post(f"/profile/keys/{key.uuid}/{act}/")
        assert answer.status_code == 404
    assert SshKey.objects.filter(pk=key.pk, is_default=False).exists()


def test_mails_in_files_are_shown_to_administrators(settings, tmp_path, posted, admin, signed_in):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    client = signed_in(admin)
    assert "No mail was written yet" in client.get("/mails/").text
    with posted():
        emails.rejected(UserFactory(rejected=True, reason="<script>alert(1)</script>"))
    page = client.get("/mails/")
    url = re.search(r"/mails/[0-9a-f]+-[0-9a-f-]+/", page.text)[0]
    mail = client.get(url).text
    assert "&lt;script&gt;alert(1)" in mail
    assert "<script>alert" not in mail
    assert client.get("/mails/unknown/").status_code == 404
    assert client.get("/mails/../../etc/passwd").status_code == 404


def test_who_opened_a_mail_is_in_the_audit_and_its_words_are_not(
    settings, tmp_path, posted, admin, alice, signed_in
):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    with posted():
        emails.reset(alice, "the-token-of-a-link")
    (head,) = mailbox.newest()
    client = signed_in(admin)
    client.get("/mails/")
    assert not Event.objects.filter(kind="mail").exists()
    page = client.get(f"/mails/{head.key}/").text
    assert "the-token-of-a-link" in page
    assert "The audit says that you opened this mail" in page
    event = Event.objects.get(verb="mail_opened")
    assert (event.by, event.owner, event.outcome) == (admin, alice, "done")
    assert event.detail == {"recipient": alice.email}
    assert head.subject in event.subject_name
    assert "the-token" not in str(Event.objects.filter(pk=event.pk).values().get())
    assert event in Event.objects.visible_to(alice)


def test_with_a_mail_server_there_is_no_mail_page(admin, signed_in):
    assert signed_in(admin).get("/mails/").status_code == 404
    assert signed_in(admin).get("/mails/anything/").status_code == 404
