"""Pages of whoever publishes an image: from a disk to a signed entry, and nothing is lost."""

import gzip
import hashlib
from html import unescape
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from marketplace import actions, documents, pdisk
from marketplace.composing import Said
from marketplace.judging import digest
from marketplace.lifecycle.images import proving
from marketplace.models import Draft, Entry, Pending
from marketplace.states import Visibility
from marketplace.tests.drafting import CONTENT, arrived, endorser, measure, measured
from marketplace.tests.factories import EntryFactory
from marketplace.tests.test_endorsing import p12_of, publish
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from registration.tests.proving import proved
from volumes.models import DiskType, Volume
from volumes.tests.factories import AttachmentFactory

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_keys"),
]
FETCH = {"X-Requested-With": "fetch"}
ANSWERS = {
    "title": "Debian 12 with R", "description": "Small. With R.", "kind": "machine",
    "type": "base", "os": "Debian", "os_version": "12", "os_arch": "x86_64", "version": "1.0",
    "hypervisor": "kvm", "disks_bus": "virtio", "inbound_ports": "22, 80", "default_user": "root",
    "creator": "Ada", "publisher": "Example Lab", "min_memory_mib": "512",
}  # fmt: skip


@pytest.fixture(autouse=True)
def places(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    settings.PORTAL_DOWNLOADS = tmp_path / "downloads"
    settings.PORTAL_IMAGE_ARRIVALS = tmp_path / "image-arrivals"


@pytest.fixture
def ada(db):
    return endorser()


@pytest.fixture
def page(ada, client) -> Client:
    client.force_login(ada)
    return client


def answers(**more) -> dict[str, object]:
    valid = (timezone.now() + timezone.timedelta(days=183)).date().isoformat()
    return {**ANSWERS, "valid": valid, **more}


def said_of(draft: Draft, **more) -> Said:
    until = timezone.now() + timezone.timedelta(days=183)
    return Said(title="Debian", valid=until, **more)


def url(name: str, draft: Draft) -> str:
    return reverse(f"marketplace:{name}", args=[draft.uuid])


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

    answer = page.post(answer.url, {"sign_with": "portal", "visibility": "public"})
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


# Keys and entries -----------------------------------------------------------------------


def test_a_key_is_made_on_request_after_a_proof(page, ada):
    answer = page.post(reverse("marketplace:new_key"))
    assert answer.url.startswith(reverse("account_reauthenticate"))
    proved(page, ada)
    answer = page.post(reverse("marketplace:new_key"), {"next": reverse("marketplace:drafts")})
    assert answer.url == reverse("marketplace:drafts")
    key = actions.key_of(ada)
    shown = page.get(reverse("marketplace:keys")).content.decode()
    assert key.fingerprint in shown
    assert "PRIVATE" not in shown
    assert key.sealed not in shown
    pem = page.get(reverse("marketplace:key_certificate", args=[key.uuid]))
    assert pem.content.decode() == key.certificate
    page.post(reverse("marketplace:end_key", args=[key.uuid]))
    assert actions.key_of(ada) is None


def test_a_certificate_of_another_person_is_not_there(page, ada):
    bob = endorser("bob")
    key = actions.new_key(bob, bob)
    assert page.get(reverse("marketplace:key_certificate", args=[key.uuid])).status_code == 404
    proved(page, ada)
    assert page.post(reverse("marketplace:end_key", args=[key.uuid])).status_code == 404


def test_the_sites_certificate_is_everybodys(client):
    answer = client.get(reverse("marketplace:site_certificate"))
    assert answer.content.startswith(b"-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in answer.content.decode()


def test_the_sites_key_is_ended_by_administrators(page, client):
    first = actions.site_key()
    there = reverse("marketplace:end_site")
    assert page.post(there).status_code == 404
    boss = UserFactory(admin=True)
    client.force_login(boss)
    proved(client, boss)
    client.post(there)
    assert actions.site_key() != first


@pytest.mark.parametrize("name", ["deprecate", "extend", "endorse", "readers"])
def test_pages_about_an_entry_open_for_whom_they_are(page, ada, name):
    actions.new_key(ada, ada)
    entry = publish(ada)
    assert page.get(reverse(f"marketplace:{name}", args=[entry.uuid])).status_code == 200


def test_nobody_deprecates_without_a_word_of_their_own(page, ada):
    actions.new_key(ada, ada)
    entry = publish(ada)
    address = reverse("marketplace:deprecate", args=[entry.uuid])
    assert page.get(address).context["form"]["reason"].value() is None
    answer = page.post(address, {"reason": " ", "sign_with": "portal"})
    assert (answer.status_code, Entry.objects.count()) == (422, 1)


def test_an_entry_is_deprecated_extended_and_endorsed_on_pages(page, ada, client):
    actions.new_key(ada, ada)
    entry = publish(ada)
    there = reverse("marketplace:extend", args=[entry.uuid])
    day = page.get(there).context["form"]["valid"].value()
    page.post(there, {"valid": day.isoformat(), "sign_with": "portal"})
    longer = Entry.objects.get(is_latest=True)
    assert longer.valid_until.date() == day

    bob = endorser("bob")
    actions.new_key(bob, bob)
    client.force_login(bob)
    there = reverse("marketplace:endorse", args=[longer.uuid])
    client.post(there, {"valid": day.isoformat(), "sign_with": "portal"})
    assert Entry.objects.filter(endorser_email=bob.email).exists()
    there = reverse("marketplace:deprecate", args=[longer.uuid])
    assert client.post(there, {"reason": "No.", "sign_with": "portal"}).url == longer.permalink
    assert not Entry.objects.exclude(deprecated="").exists()

    client.force_login(ada)
    answer = client.post(there, {"reason": "", "sign_with": "portal"})
    assert answer.status_code == 422
    answer = client.post(there, {"reason": "A hole.", "sign_with": "portal"})
    over = Entry.objects.get(deprecated="A hole.")
    assert answer.url == over.permalink


def test_the_measuring_page_is_everybodys(client):
    answer = client.get(reverse("marketplace:measure"))
    assert answer.status_code == 200
    assert "worker-src 'self'" in answer.headers["Content-Security-Policy"]
