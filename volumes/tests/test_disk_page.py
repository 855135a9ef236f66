"""The page of a disk: what it shows, to whom, and what it costs."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from core.models import Event
from registration.models import GIB
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from vms.tests.factories import VMFactory
from volumes import actions, history
from volumes.actions import attachments
from volumes.models import Access, DiskType, Visibility, Volume
from volumes.states import AttachmentState, VolumeState
from volumes.tests.factories import (
    ArrivalFactory,
    AttachmentFactory,
    OfferFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


def text_of(response):
    return " ".join(response.content.decode().split())


def page(browser, volume):
    response = browser.get(volume.get_absolute_url())
    assert response.status_code == 200
    return text_of(response)


@pytest.mark.parametrize("state", VolumeState.values)
def test_the_page_of_a_disk_opens_in_every_state(browser, alice, state):
    volume = VolumeFactory(owner=alice, state=state, purge_at=timezone.now())
    text = page(browser, volume)
    assert f'data-live="volume:{volume.uuid}"' in text
    assert volume.get_state_display() in text


def test_a_stranger_finds_no_page_and_the_audit_is_told(browser):
    volume = VolumeFactory()
    assert browser.get(volume.get_absolute_url()).status_code == 404
    assert Event.objects.get(subject=volume.uuid).outcome == "denied"


def test_the_page_tells_the_checksums_and_since_when_they_are_of_the_past(browser, alice):
    volume = VolumeFactory(owner=alice, uploaded=True, content=b"spectra")
    ArrivalFactory(volume=volume, file_name="spectra.img")
    text = page(browser, volume)
    assert volume.sha512 in text
    assert f"{volume.sha256} spectra.img&#x27; | sha256sum --check" in text
    assert "no machine has written to it" in text
    Volume.objects.filter(pk=volume.pk).update(written_at=timezone.now())
    assert "machines have written to it since" in page(browser, volume)


def test_an_address_is_shown_without_its_secrets(browser, alice):
    volume = VolumeFactory(owner=alice, origin="fetched")
    ArrivalFactory(volume=volume, url="https://ann:secret@example.org/d.img?token=s3cr3t#part")
    text = page(browser, volume)
    assert "https://example.org/d.img" in text
    assert "secret" not in text
    assert "s3cr3t" not in text


def test_where_it_was_copied_from_is_named_to_who_may_see_that(browser, alice):
    own, hidden = VolumeFactory(owner=alice, tag="spring"), VolumeFactory(tag="winter")
    assert "from <a" in page(browser, VolumeFactory(owner=alice, origin="copied", source=own))
    assert "winter" not in page(browser, VolumeFactory(owner=alice, origin="copied", source=hidden))


def test_a_button_that_cannot_be_pressed_says_why(browser, alice):
    volume = AttachmentFactory(volume__owner=alice, vm__name="web").volume
    text = page(browser, volume)
    assert "It is in use by web: detach it first." in text
    assert f"/volumes/{volume.uuid}/delete/" not in text
    assert f"/volumes/{volume.uuid}/grow/" in text


def test_a_reader_gets_the_buttons_of_a_reader_and_no_secrets(client, alice):
    volume = VolumeFactory(owner=alice, visibility=Visibility.PUBLIC)
    ShareFactory(volume=volume, user=UserFactory(username="bob"), access=Access.WRITE)
    SnapshotFactory(volume=volume, name="before the storm")
    client.force_login(UserFactory())
    text = page(client, volume)
    assert f"/volumes/{volume.uuid}/copy/" in text
    for secret in ("bob", "before the storm", "/delete/", "/change/", "/grow/", "/offer/"):
        assert secret not in text


def test_an_administrator_sees_it_all_and_may_remove_it_only(client, alice):
    volume = VolumeFactory(owner=alice)
    ShareFactory(volume=volume, user=UserFactory(username="bob"))
    client.force_login(UserFactory(admin=True))
    text = page(client, volume)
    assert "bob" in text
    assert f"/volumes/{volume.uuid}/delete/" in text
    for verb in ("copy", "change", "grow", "sharing", "offer", "snapshots"):
        assert f"/volumes/{volume.uuid}/{verb}/" not in text


def test_the_owner_reads_the_whole_history_others_what_they_did(browser, client, alice):
    reader = UserFactory(username="reader")
    volume = VolumeFactory(owner=alice, visibility=Visibility.PUBLIC, tag="before")
    actions.change(volume, by=alice, tag="after")
    actions.copy(volume, by=reader, create_key="6a1f0d7e-4a39-4d0f-93b5-0b7df1d8f7a1")
    text = page(browser, volume)
    assert "tag: before → after" in text
    assert '<td data-label="Who">reader</td>' in text
    client.force_login(reader)
    text = page(client, volume)
    assert "before → after" not in text
    assert '<td data-label="What">Copied</td>' in text


def test_what_others_tried_is_not_told_to_others(client, alice):
    volume = VolumeFactory(owner=alice, visibility=Visibility.PUBLIC)
    mallory = UserFactory(username="mallory")
    client.force_login(mallory)
    response = client.post(f"/volumes/{volume.uuid}/change/", {"tag": "mine"})
    assert response.url == volume.get_absolute_url()
    assert Event.objects.filter(subject=volume.uuid, outcome="denied", by=mallory).exists()
    client.force_login(UserFactory())
    assert "mallory" not in page(client, volume)
    client.force_login(alice)
    assert "mallory" in page(client, volume)


def test_an_open_offer_stands_on_the_page(browser, alice):
    offer = OfferFactory(volume__owner=alice, to__username="bob")
    text = page(browser, offer.volume)
    assert "offered to <strong>bob</strong>" in text
    assert "withdraw the offer first" in text


def test_a_full_page_costs_as_many_queries_as_an_empty_one(
    browser, alice, django_assert_max_num_queries
):
    bare, full = VolumeFactory(owner=alice), VolumeFactory(owner=alice)
    browser.get(bare.get_absolute_url())
    for _ in range(8):
        ShareFactory(volume=full, user=UserFactory())
        ShareFactory(volume=full, group=MembershipFactory(user=alice).group)
        SnapshotFactory(volume=full)
        actions.change(full, by=alice, tag=f"tag {_}")
        AttachmentFactory(volume=full, vm__owner=UserFactory(), read_only=True)
    with django_assert_max_num_queries(21) as of_bare:
        browser.get(bare.get_absolute_url())
    with django_assert_max_num_queries(len(of_bare) + 4):
        browser.get(full.get_absolute_url())


def test_the_fragment_is_the_live_part_of_the_page(browser, alice):
    volume = VolumeFactory(owner=alice, state=VolumeState.COPYING, bytes_done=1, bytes_total=4)
    response = browser.get(volume.get_absolute_url(), headers={"X-Requested-With": "fetch"})
    text = text_of(response)
    assert "<html" not in text
    assert 'role="progressbar"' in text


# What is asked on pages of their own ------------------------------------------------------


def ask(browser, volume, what, **answers):
    return browser.post(f"/volumes/{volume.uuid}/{what}/", answers)


CHANGE = {"tag": "spectra", "visibility": "public", "type": DiskType.DATA_IMAGE_RAW_READONLY}


def test_tag_visibility_and_type_are_changed_on_one_page(browser, alice):
    volume = VolumeFactory(owner=alice)
    assert "Save" in text_of(browser.get(f"/volumes/{volume.uuid}/change/"))
    assert ask(browser, volume, "change", **CHANGE).status_code == 302
    volume.refresh_from_db()
    assert {name: getattr(volume, name) for name in CHANGE} == CHANGE


def test_a_refused_change_is_told_beside_its_field(browser, alice):
    volume = AttachmentFactory(volume__owner=alice, vm__name="web").volume
    response = ask(browser, volume, "change", **CHANGE)
    assert response.status_code == 422
    assert "web may write to it: detach it first" in response.context["form"].errors["type"][0]


def test_making_a_disk_private_says_that_others_keep_it(browser, alice):
    volume = VolumeFactory(owner=alice, visibility="public", state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume, vm__owner=UserFactory(), read_only=True)
    text = text_of(browser.get(f"/volumes/{volume.uuid}/change/"))
    assert "1 machine of another person has it now" in text
    assert "they keep it until it is detached" in text


def test_a_disk_is_shared_changed_and_closed_again(browser, alice):
    volume, group = VolumeFactory(owner=alice), MembershipFactory(user=alice).group
    UserFactory(username="bob")
    ask(browser, volume, "sharing", username="BOB", access="read")
    ask(browser, volume, "sharing", group=str(group.uuid), access="write")
    named, grouped = volume.shares.order_by("pk")
    assert (named.user.username, named.access, grouped.access) == ("bob", "read", "write")
    assert "bob" in text_of(browser.get(f"/volumes/{volume.uuid}/sharing/"))
    ask(browser, volume, f"sharing/{named.pk}", access="write")
    ask(browser, volume, f"sharing/{grouped.pk}/stop")
    assert list(volume.shares.values_list("user__username", "access")) == [("bob", "write")]


def test_a_name_that_nobody_has_is_told_beside_its_field(browser, alice):
    volume = VolumeFactory(owner=alice)
    response = ask(browser, volume, "sharing", username="nobody_here", access="read")
    assert response.status_code == 422
    assert "nobody_here" in response.context["form"].errors["username"][0]


def test_somebody_elses_group_cannot_be_chosen(browser, alice):
    volume, group = VolumeFactory(owner=alice), GroupFactory()
    response = ask(browser, volume, "sharing", group=str(group.uuid), access="read")
    assert response.status_code == 422
    assert not volume.shares.exists()


def test_a_share_of_another_disk_is_not_found_through_ones_own(browser, alice):
    foreign = ShareFactory(user=UserFactory())
    response = ask(browser, VolumeFactory(owner=alice), f"sharing/{foreign.pk}/stop")
    assert response.status_code == 404
    assert foreign.volume.shares.exists()


def test_a_snapshot_of_a_disk_that_is_written_says_what_it_is_worth(browser, alice):
    volume = AttachmentFactory(volume__owner=alice, vm__name="web").volume
    text = text_of(browser.get(f"/volumes/{volume.uuid}/snapshots/"))
    assert "what a power cut would leave" in text
    ask(browser, volume, "snapshots", name="monday")
    assert volume.snapshots.get().was_in_use
    assert "as after a power cut" in page(browser, volume)


def test_going_back_wants_the_snapshots_name(browser, alice):
    snapshot = SnapshotFactory(volume__owner=alice, name="monday")
    url = f"snapshots/{snapshot.uuid}/restore"
    assert "is lost" in text_of(browser.get(f"/volumes/{snapshot.volume.uuid}/{url}/"))
    assert ask(browser, snapshot.volume, url, typed="tuesday").status_code == 422
    assert ask(browser, snapshot.volume, url, typed="monday").status_code == 302
    snapshot.volume.refresh_from_db()
    assert snapshot.volume.state == VolumeState.RESTORING


def test_snapshots_are_nobodys_but_the_owners(client, alice):
    snapshot = SnapshotFactory(volume__owner=alice, volume__visibility="public")
    client.force_login(UserFactory())
    for url in ("restore", "delete"):
        response = ask(client, snapshot.volume, f"snapshots/{snapshot.uuid}/{url}", typed="x")
        assert response.status_code == 404
    snapshot.refresh_from_db()
    assert snapshot.state == "ready"


def test_a_copy_is_asked_for_once_however_often_the_form_is_sent(browser, alice):
    volume = VolumeFactory(owner=alice, tag="spectra")
    form = browser.get(f"/volumes/{volume.uuid}/copy/").context["form"]
    answers = {"create_key": str(form["create_key"].value()), "tag": form["tag"].value()}
    first, second = (ask(browser, volume, "copy", **answers) for _ in range(2))
    assert first.url == second.url
    made = Volume.objects.get(source=volume)
    assert (made.tag, made.state) == ("Copy of spectra", VolumeState.COPYING)


def test_growing_says_what_is_left_and_refuses_less(browser, alice):
    volume = VolumeFactory(owner=alice, size_gib=2)
    assert "your quota leaves you" in text_of(browser.get(f"/volumes/{volume.uuid}/grow/"))
    assert ask(browser, volume, "grow", size_gib=2).status_code == 422
    assert ask(browser, volume, "grow", size_gib=3).status_code == 302
    volume.refresh_from_db()
    assert (volume.state, volume.wanted_bytes) == (VolumeState.GROWING, 3 * GIB)


def test_an_offer_is_made_seen_and_accepted(browser, client, alice, mailoutbox):
    volume, bob = VolumeFactory(owner=alice, tag="spectra"), UserFactory(username="bob")
    assert ask(browser, volume, "offer", username="bob").status_code == 302
    client.force_login(bob)
    assert client.get("/volumes/offers/notice/").context["disk_offers"] == 1
    assert "spectra" in text_of(client.get("/volumes/offers/"))
    response = client.post(f"/volumes/offers/{volume.offers.get().uuid}/accept/")
    assert response.url == volume.get_absolute_url()
    assert Volume.objects.get(pk=volume.pk).owner == bob


def test_an_offer_to_somebody_else_is_not_found(browser, alice):
    offer = OfferFactory()
    for verb in ("accept", "decline"):
        assert browser.post(f"/volumes/offers/{offer.uuid}/{verb}/").status_code == 404
    assert Event.objects.filter(subject=offer.uuid, outcome="denied").count() == 2


def test_what_was_refused_meanwhile_is_a_sentence(browser, alice):
    volume = VolumeFactory(owner=alice)
    Volume.objects.filter(pk=volume.pk).update(state=VolumeState.BINNED)
    response = browser.post(f"/volumes/{volume.uuid}/grow/", {"size_gib": 5}, follow=True)
    assert "It is in the bin" in text_of(response)


def test_nobody_signed_in_is_asked_to_sign_in(client):
    response = client.get(VolumeFactory().get_absolute_url())
    assert response.status_code == 302
    assert "/login/" in response.url


def test_a_disk_that_has_grown_shows_what_to_type_in_the_guest(browser, alice):
    volume = VolumeFactory(owner=alice, state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume, stable_path="/dev/disk/by-id/scsi-1")
    assert "growpart" not in page(browser, volume)
    actions.grow(volume, by=alice, size_gib=2)
    volume.refresh_from_db()
    volume.move(VolumeState.IN_USE, size_bytes=2 * GIB)
    text = page(browser, volume)
    assert "sudo growpart /dev/disk/by-id/scsi-1 1" in text
    assert "sudo resize2fs /dev/disk/by-id/scsi-1-part1" in text


def test_a_disk_that_went_back_after_it_had_grown_is_not_called_larger(browser, alice):
    volume = VolumeFactory(owner=alice, size_gib=2)
    volume.record_event("grow", by=alice)
    assert "It is larger now" in page(browser, volume)
    volume.record_event("restore_snapshot", by=alice)
    assert "It is larger now" not in page(browser, volume)


def test_a_week_after_it_has_grown_nobody_is_told_any_more(browser, alice):
    volume = VolumeFactory(owner=alice)
    volume.record_event("grow", by=alice)
    with time_machine.travel(timezone.now() + timedelta(days=8), tick=False):
        browser.force_login(alice)
        assert "It is larger now" not in page(browser, volume)


def test_the_size_is_said_where_it_follows_the_disk_and_only_when_it_is_known(browser, alice):
    volume = VolumeFactory(owner=alice, size_gib=3)
    live = page(browser, volume).partition('id="disk"')[2]
    assert '<strong class="disk-size">3 GiB</strong>' in live
    failed = VolumeFactory(owner=alice, failed=True, size_bytes=512)
    assert "disk-size" not in page(browser, failed)
    assert "512 bytes" not in browser.get("/volumes/").content.decode()


def test_a_snapshot_is_downloaded_from_its_row(browser, alice):
    snapshot = SnapshotFactory(volume=VolumeFactory(owner=alice))
    link = f"/volumes/{snapshot.volume.uuid}/downloads/?snapshot={snapshot.uuid}"
    assert f'href="{link}"' in page(browser, snapshot.volume)
    chosen = browser.get(link).context["form"]["snapshot"].value()
    assert str(chosen) == str(snapshot.uuid)


def test_a_data_disk_that_is_free_leads_to_a_machine_that_has_it(browser, alice):
    volume = VolumeFactory(owner=alice)
    assert f'href="/vms/launch/?disks={volume.uuid}"' in page(browser, volume)
    original = VolumeFactory(owner=alice, type=DiskType.DATA_IMAGE_ORIGIN)
    assert "/vms/launch/" not in page(browser, original)


def test_what_never_came_to_be_offers_nothing_of_a_disk(browser, alice):
    text = page(browser, VolumeFactory(owner=alice, failed=True))
    assert not [
        word for word in ("Snapshots", "Downloads", "Shared with") if f">{word}</h2>" in text
    ]


def test_a_disk_in_use_names_every_machine_that_has_it(browser, alice):
    volume = VolumeFactory(owner=alice, type=DiskType.DATA_IMAGE_RAW_READONLY,
                           state=VolumeState.IN_USE, reason="Attached read-only to c.")  # fmt: skip
    for name in ("a", "b", "c"):
        AttachmentFactory(volume=volume, vm=VMFactory(owner=alice, name=name), read_only=True)
    assert "Plugged into a, b and c." in page(browser, volume)


def test_a_disk_that_is_written_to_is_copied_of_a_snapshot_or_not_at_all(browser, alice):
    volume = VolumeFactory(owner=alice, state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume)
    path = f"/volumes/{volume.uuid}/copy/"
    assert "It cannot be copied now" in text_of(browser.get(path))
    assert browser.post(path, {}).status_code == 422
    SnapshotFactory(volume=volume, name="before the storm")
    form = browser.get(path).context["form"]
    assert [str(label) for _, label in form["snapshot"].field.choices] == [
        str(volume.snapshots.get())
    ]


def test_a_plug_that_came_and_went_is_told_in_a_line_each(browser, alice):
    volume = VolumeFactory(owner=alice)
    vm = VMFactory(owner=alice, name="box", running=True)
    row = attachments.attach(volume, vm, by=alice, read_only=False, ready=lambda: None)
    row.move(AttachmentState.ATTACHED)
    row.move(AttachmentState.DETACHING, by=alice, verb="detach")
    row.move(AttachmentState.DETACHED)
    told = [one.what for one in history.of(volume, alice)[0]]
    assert told == ["Detached", "Attached"]
