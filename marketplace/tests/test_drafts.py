"""Pages of whoever publishes an image: from a disk to a signed entry, and nothing is lost."""

import hashlib
from html import unescape
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from marketplace import actions, documents, pdisk
from marketplace.models import Draft, Entry
from marketplace.states import Visibility
from marketplace.tests.drafting import (
    FETCH,
    ada,
    answers,
    arrived,
    endorser,
    measure,
    measured,
    page,
    places,
    url,
)
from marketplace.tests.factories import EntryFactory
from marketplace.tests.test_endorsing import publish
from registration.tests.factories import UserFactory
from volumes.models import DiskType, Volume

__all__ = ["ada", "page", "places"]
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_keys"),
]


# The whole way --------------------------------------------------------------------------


def test_a_disk_becomes_an_entry(page, ada, cloud, worker):
    volume = arrived(ada)
    actions.new_key(ada, ada)
    form = {"of": "disk", "create_key": str(uuid4()), "disk": str(volume.uuid)}
    answer = page.post(reverse("marketplace:build"), form)
    draft = Draft.objects.get()
    assert answer.url == draft.get_absolute_url()
    worker.run()

    answer = page.post(answer.url, answers(go="sign", rules=["context", "private"]))
    assert answer.url == url("sign", draft)
    shown = unescape(page.get(answer.url).content.decode())
    assert "You have not confirmed that" in shown
    assert "no account has a password" in shown
    assert "no password, no private key" not in shown

    wanted = {"sign_with": "portal", "visibility": "public"}
    refused = page.post(answer.url, wanted)
    assert refused.status_code == 422
    assert "what is in it, nobody has seen" in unescape(refused.content.decode())
    answer = page.post(answer.url, wanted | {"knows": "on"})
    entry = Entry.objects.get()
    assert answer.url == entry.permalink
    assert entry.locations == [pdisk.address_of(volume.uuid)]
    assert entry.is_on_pdisk
    assert entry.inbound_ports == [22, 80]
    assert (entry.owner, entry.endorser_email) == (ada, ada.email)
    assert page.get(entry.get_absolute_url()).status_code == 200
    volume.refresh_from_db()
    assert volume.type == DiskType.MACHINE_IMAGE_ORIGIN
    draft.refresh_from_db()
    assert (draft.state, draft.entry) == ("published", entry)
    assert page.get(draft.get_absolute_url()).url == entry.permalink


def test_data_become_a_read_only_disk(page, ada, cloud, worker):
    volume = arrived(ada)
    actions.new_key(ada, ada)
    form = {"of": "disk", "create_key": str(uuid4()), "disk": str(volume.uuid), "is_data": "on"}
    page.post(reverse("marketplace:build"), form)
    worker.run()
    draft = Draft.objects.get()
    shown = page.get(draft.get_absolute_url()).context["form"]
    assert {shown[name].value() for name in ("os", "os_version", "os_arch")} == {"none"}
    given = answers(kind="disk", os="none", os_version="none", os_arch="none", go="sign")
    page.post(draft.get_absolute_url(), given)
    page.post(url("sign", draft), {"sign_with": "portal", "visibility": "private"})
    entry = Entry.objects.get()
    assert (entry.kind, entry.visibility) == ("disk", Visibility.PRIVATE)
    volume.refresh_from_db()
    assert volume.type == DiskType.DATA_IMAGE_RAW_READONLY


def test_a_disks_page_leads_to_its_publication(page, ada, cloud):
    volume = arrived(ada)
    there = f"{reverse('marketplace:build')}?disk={volume.uuid}"
    assert there in page.get(volume.get_absolute_url()).content.decode()
    assert f'value="{volume.uuid}" selected' in page.get(there).content.decode()


def test_the_guide_for_data_shows_the_steps(page):
    shown = page.get(reverse("marketplace:build"), {"kind": "disk"}).content.decode()
    assert "genisoimage" in shown
    assert "LABEL=" in shown


# The form -------------------------------------------------------------------------------


def test_everything_known_is_filled_in(page, ada, cloud, settings):
    settings.PORTAL_SITE_NAME = "Example Lab"
    form = page.get(measured(ada).get_absolute_url()).context["form"]
    shown = {name: form[name].value() for name in form.fields}
    assert shown["title"] == "debian"
    assert shown["creator"] == "Ada Lovelace"
    assert shown["publisher"] == "Example Lab"
    assert (shown["kind"], shown["disks_bus"], shown["hypervisor"]) == ("machine", "virtio", "kvm")
    assert 182 <= (shown["valid"] - timezone.now().date()).days <= 183
    assert "compression" not in shown


def test_what_is_typed_is_kept_good_or_not(page, ada, cloud):
    draft = measured(ada)
    broken = answers(inbound_ports="ssh", title="")
    answer = page.post(draft.get_absolute_url(), broken, headers=FETCH)
    assert answer.status_code == 200
    shown = unescape(answer.content.decode())
    assert "'ssh' is no number from 0 to 65535" in shown
    draft.refresh_from_db()
    assert draft.fields["inbound_ports"] == "ssh"
    form = page.get(draft.get_absolute_url()).context["form"]
    assert form["inbound_ports"].value() == "ssh"
    assert form["os"].value() == "Debian"


def test_the_preview_is_the_document(page, ada, cloud):
    draft = measured(ada)
    answer = page.post(draft.get_absolute_url(), answers(), headers=FETCH)
    xml = answer.context["xml"]
    metadata = documents.parse(xml.encode())
    assert metadata.title == "Debian 12 with R"
    assert metadata.identifier == draft.identifier
    assert metadata.endorsement is None
    again = page.get(url("draft_preview", draft)).context["xml"]
    assert again == xml


def test_markup_in_answers_is_text(page, ada, cloud):
    draft = measured(ada)
    given = answers(title="<script>alert(1)</script>")
    for headers in ({}, FETCH):
        page.post(draft.get_absolute_url(), given, headers=headers)
        shown = page.get(draft.get_absolute_url()).content.decode()
        assert "<script>alert" not in shown


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("title", "", "Give the image a title"),
        ("valid", "2001-01-01", "ends in the future"),
        ("valid", "2099-01-01", "at most five years"),
        ("locations", "javascript:alert(1)", "begins with https://"),
        ("locations", "https://", "names no server"),
        ("locations", "https://example.org/a b", "blanks"),
        ("locations", "\n".join(f"https://example.org/{n}" for n in range(11)), "At most 10"),
        ("icmp", "256", "no number from 0 to 255"),
        ("default_user", "Root!", "small letters"),
        ("serial_number", "-1", "At least 0"),
        ("min_memory_mib", "many", "whole number"),
        ("title", "x" * 201, "At most 200 characters"),
    ],
)
def test_a_wrong_answer_is_told_beside_its_field(page, ada, cloud, field, value, sentence):
    draft = measured(ada)
    answer = page.post(draft.get_absolute_url(), answers(go="sign", **{field: value}))
    assert answer.status_code == 422
    assert sentence in str(answer.context["form"].errors[field])


def test_an_unmeasured_draft_waits_with_its_signature(page, ada, cloud):
    draft = actions.draft_of_disk(arrived(ada), by=ada, create_key=uuid4())
    answer = page.post(draft.get_absolute_url(), answers(go="sign"))
    assert answer.status_code == 422
    assert "still being measured" in answer.content.decode()
    assert page.get(url("sign", draft)).url == draft.get_absolute_url()
    measure(draft)
    assert page.post(draft.get_absolute_url(), answers(go="sign")).url == url("sign", draft)


def test_a_file_of_ones_own_says_where_it_will_be(page, ada):
    sums = {name: hashlib.new(name, b"x").hexdigest() for name in ("sha1", "sha256", "sha512")}
    found = {"create_key": str(uuid4()), "name": "x.img.gz", "size_bytes": 1, "format": "raw",
             "compression": "gz", **sums}  # fmt: skip
    answer = page.post(reverse("marketplace:build_of_file"), found)
    answer = page.post(answer.url, answers(go="sign"))
    assert "Say where the file is" in str(answer.context["form"].errors["locations"])
    draft = Draft.objects.get()
    at = "https://example.org/x.img.gz"
    given = answers(go="sign", locations=at, compression="")
    answer = page.post(draft.get_absolute_url(), given)
    assert "packed with gzip, by its name" in str(answer.context["form"].errors["compression"])
    given["compression"] = "gz"
    assert page.post(draft.get_absolute_url(), given).url == url("sign", draft)
    xml = page.get(url("sign", draft)).context["xml"]
    assert (documents.parse(xml.encode()).compression, at in xml) == ("gz", True)


def test_a_file_that_was_not_measured_is_refused(page):
    answer = page.post(reverse("marketplace:build_of_file"), {"create_key": str(uuid4())})
    assert answer.status_code == 422


def test_an_entry_is_said_again_with_other_words(page, ada):
    actions.new_key(ada, ada)
    entry = publish(ada, title="Old words")
    answer = page.post(reverse("marketplace:build_of_entry", args=[entry.uuid]))
    draft = Draft.objects.get()
    form = page.get(answer.url).context["form"]
    assert form["title"].value() == "Old words"
    assert form["locations"].value() == "https://images.example.org/x.img"
    given = answers(title="New words", locations=form["locations"].value(), go="sign")
    page.post(answer.url, given)
    page.post(url("sign", draft), {"sign_with": "portal", "visibility": "public"})
    newest = Entry.objects.get(is_latest=True)
    assert (newest.title, newest.identifier) == ("New words", entry.identifier)


def test_an_entry_that_one_may_not_see_is_not_there(page):
    hidden = EntryFactory(visibility="private", owner=endorser("bob"))
    there = reverse("marketplace:build_of_entry", args=[hidden.uuid])
    assert page.post(there).status_code == 404


# Drafts ---------------------------------------------------------------------------------


def test_drafts_are_listed_and_thrown_away(page, ada, cloud):
    draft = measured(ada)
    listed = page.get(reverse("marketplace:drafts")).content.decode()
    assert draft.get_absolute_url() in listed
    page.post(url("draft_drop", draft))
    draft.refresh_from_db()
    assert draft.state == "dropped"
    assert draft.get_absolute_url() not in page.get(reverse("marketplace:drafts")).content.decode()
    assert page.get(draft.get_absolute_url()).url == reverse("marketplace:drafts")


def test_nobody_sees_the_draft_of_another(page, ada, cloud, client):
    draft = measured(ada)
    for other in (endorser("bob"), UserFactory(admin=True)):
        client.force_login(other)
        for name in ("draft", "draft_preview", "sign"):
            assert client.get(url(name, draft)).status_code == 404
        for name in ("draft", "sign", "draft_drop", "draft_retry"):
            assert client.post(url(name, draft)).status_code == 404


def test_a_list_of_drafts_costs_the_same_for_any_number(page, ada, django_assert_max_num_queries):
    for n in range(20):
        Draft.objects.create(
            owner=ada, create_key=uuid4(), about="url", url=f"https://x.org/{n}", cloud="local",
            state="ready",
        )  # fmt: skip
    with django_assert_max_num_queries(15):
        page.get(reverse("marketplace:drafts"))


def test_a_failed_draft_is_measured_again(page, ada, cloud):
    draft = actions.draft_of_disk(arrived(ada), by=ada, create_key=uuid4())
    Volume.objects.filter(pk=draft.volume_id).update(state="growing")
    draft = measure(draft)
    assert draft.state == "failed"
    Volume.objects.filter(pk=draft.volume_id).update(state="available")
    page.post(url("draft_retry", draft))
    draft.refresh_from_db()
    assert measure(draft).state == "ready"


def test_the_address_of_a_failed_draft_is_corrected(page, ada, cloud):
    wrong, right = "https://images.example.org/debain.img", "https://images.example.org/debian.img"
    draft = actions.draft_of_url(wrong, by=ada, create_key=uuid4(), fields={"title": "Debian 12"})
    Draft.objects.filter(pk=draft.pk).update(state="failed", reason="404", next_tick_at=None)
    assert f'value="{wrong}"' in page.get(draft.get_absolute_url()).text
    page.post(url("draft_retry", draft), {"url": "ftp://images.example.org/debian.img"})
    draft.refresh_from_db()
    assert (draft.state, draft.url) == ("failed", wrong)
    page.post(url("draft_retry", draft), {"url": right})
    draft.refresh_from_db()
    assert (draft.state, draft.url, draft.fields["title"]) == ("wanted", right, "Debian 12")


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "127.0.0.1", "[::1]"])
def test_a_private_address_is_refused_at_once_and_in_plain_words(page, address):
    form = {"of": "url", "url": f"http://{address}/x.img", "create_key": uuid4()}
    answer = page.post(reverse("marketplace:build"), form)
    assert answer.status_code == 422
    assert "is inside a private network: nobody else could" in answer.text
    assert "PORTAL_FETCH_NETWORKS" not in answer.text
    assert not Draft.objects.exists()


def test_what_no_machine_starts_from_is_doubted_before_it_is_signed(page, ada, cloud):
    volume = arrived(ada)
    Volume.objects.filter(pk=volume.pk).update(sha1="")  # it has to be read
    draft = measure(actions.draft_of_disk(volume, by=ada, create_key=uuid4()))
    page.post(draft.get_absolute_url(), answers(go="sign"))
    doubt = "It begins with no boot sector"
    assert doubt in page.get(draft.get_absolute_url()).text
    assert doubt in page.get(url("sign", draft)).text
    page.post(draft.get_absolute_url(), answers(go="sign", kind="disk"))
    assert doubt not in page.get(draft.get_absolute_url()).text
    assert doubt not in page.get(url("sign", draft)).text


def test_a_page_that_keeps_is_told_which_fields_are_wrong(page, ada, cloud):
    draft = measured(ada)
    wrong = page.post(draft.get_absolute_url(), answers(inbound_ports="99999"), headers=FETCH)
    assert 'data-wrong="inbound_ports"' in wrong.text
    right = page.post(draft.get_absolute_url(), answers(), headers=FETCH)
    assert 'data-wrong=""' in right.text


def test_too_much_text_is_not_kept(ada, cloud):
    draft = measured(ada)
    with pytest.raises(Refused) as refused:
        actions.keep_draft(draft, {"description": "x" * (200 << 10)})
    assert refused.value.code == "too_long"
