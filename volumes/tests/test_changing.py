"""Changing a disk, making it larger, copying it, keeping what it held, handing it over."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from core.errors import Refused
from core.machine import tick
from core.models import Event
from registration.models import GIB, OutgoingMail
from registration.states import AccountState
from registration.tests.factories import UserFactory
from volumes import actions, quota
from volumes.actions import snapshots as snapshot_actions
from volumes.lifecycle import SNAPSHOT_STEPS, VOLUME_STEPS
from volumes.models import DiskType, Offer, Snapshot, Visibility, Volume
from volumes.states import AttachmentState, OfferState, SnapshotState, VolumeState
from volumes.tests.factories import (
    AttachmentFactory,
    ExportFactory,
    OfferFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db

T = DiskType


def refusal(call, *args, **kwargs):
    with pytest.raises(Refused) as refused:
        call(*args, **kwargs)
    return refused.value


def events_of(volume):
    return list(Event.objects.of(volume.uuid).values_list("verb", flat=True))


@pytest.fixture
def disk(cloud):
    """A disk of 1 GiB that the engine knows."""

    def make(**fields):
        volume = VolumeFactory(**fields)
        info = cloud.create_volume(volume.size_bytes, token=volume.token)
        Volume.objects.filter(pk=volume.pk).update(cloud_ref=info.ref)
        volume.cloud_ref = info.ref
        return volume

    return make


def look(row):
    """Have a worker look at it once, as if its time had come."""
    steps = SNAPSHOT_STEPS if isinstance(row, Snapshot) else VOLUME_STEPS
    type(row).objects.filter(pk=row.pk).update(next_tick_at=timezone.now())
    row = type(row).objects.get(pk=row.pk)
    tick(row, steps)
    row.refresh_from_db()
    return row


# Tag, visibility, type --------------------------------------------------------------------


def test_what_is_left_out_of_a_change_stays():
    volume = VolumeFactory(tag="spectra", visibility="public")
    actions.change(volume, by=volume.owner, type=T.DATA_IMAGE_RAW_READONLY)
    volume.refresh_from_db()
    assert (volume.tag, volume.visibility) == ("spectra", "public")
    assert volume.is_read_only
    change = Event.objects.get(subject=volume.uuid)
    assert change.detail["after"] == {"type": "DATA_IMAGE_RAW_READONLY"}


def test_a_change_that_changes_nothing_is_no_event():
    volume = VolumeFactory(tag="spectra")
    actions.change(volume, by=volume.owner, tag=" spectra ", visibility="private")
    assert events_of(volume) == []


@pytest.mark.parametrize(
    ("code", "field", "given"),
    [
        ("disk_tag", "tag", {"tag": "x" * 41}),
        ("disk_tag", "tag", {"tag": "a\u202eb"}),
        ("disk_visibility", "visibility", {"visibility": "RESTRICTED"}),
        ("disk_type", "type", {"type": "FLOPPY"}),
    ],
)
def test_what_a_disk_cannot_be_is_refused_beside_its_field(code, field, given):
    volume = VolumeFactory()
    refused = refusal(actions.change, volume, by=volume.owner, **given)
    assert (refused.code, refused.field) == (code, field)


@pytest.mark.parametrize(
    ("type_", "read_only", "is_refused"),
    [
        (T.DATA_IMAGE_RAW_READONLY, False, True),  # a machine writes to it
        (T.DATA_IMAGE_RAW_READONLY, True, False),
        (T.DATA_IMAGE_LIVE, False, False),
        (T.DATA_IMAGE_ORIGIN, True, True),  # never beside a machine's own disk
        (T.MACHINE_IMAGE_LIVE, False, True),
        (T.MACHINE_IMAGE_ORIGIN, True, True),
    ],
)
def test_a_disk_that_a_machine_has_becomes_nothing_that_it_cannot_be_there(
    type_, read_only, is_refused
):
    volume = AttachmentFactory(read_only=read_only).volume
    if is_refused:
        refused = refusal(actions.change, volume, by=volume.owner, type=type_)
        assert (refused.code, refused.field) == ("type_in_use", "type")
    else:
        actions.change(volume, by=volume.owner, type=type_)


def test_a_disk_that_a_machine_runs_from_stays_what_it_is():
    volume = AttachmentFactory(is_root=True, volume__type=T.MACHINE_IMAGE_LIVE).volume
    refused = refusal(actions.change, volume, by=volume.owner, type=T.DATA_IMAGE_LIVE)
    assert "runs from it" in str(refused)


def test_a_disk_that_becomes_private_stays_where_it_is():
    held = AttachmentFactory(volume__visibility="public", vm__owner=UserFactory(), read_only=True)
    actions.change(held.volume, by=held.volume.owner, visibility=Visibility.PRIVATE)
    held.refresh_from_db()
    assert held.state == AttachmentState.ATTACHED
    assert held.volume.access_of(held.vm.owner) is None


def test_a_disk_in_the_bin_is_not_changed():
    volume = VolumeFactory(binned=True)
    assert refusal(actions.change, volume, by=volume.owner, tag="x").code == "disk_state"


# Larger -----------------------------------------------------------------------------------


def test_a_disk_grows_in_the_engine_too(disk, cloud):
    volume = disk()
    actions.grow(volume, by=volume.owner, size_gib=3)
    volume = look(volume)
    assert (volume.state, volume.size_bytes) == (VolumeState.AVAILABLE, 3 * GIB)
    assert volume.wanted_bytes is None
    assert cloud.get_volume(volume.cloud_ref).size_bytes == 3 * GIB


def test_a_disk_that_grows_in_a_machine_is_in_use_again(disk):
    volume = disk(state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume)
    actions.grow(volume, by=volume.owner, size_gib=2)
    assert look(volume).state == VolumeState.IN_USE


def test_a_disk_that_was_detached_while_it_grew_is_available(disk):
    volume = disk(state=VolumeState.IN_USE)
    held = AttachmentFactory(volume=volume)
    actions.grow(volume, by=volume.owner, size_gib=2)
    held.move(AttachmentState.DETACHED)
    assert Volume.objects.get(pk=volume.pk).state == VolumeState.GROWING
    assert look(volume).state == VolumeState.AVAILABLE


def test_an_engine_that_will_not_grow_it_leaves_it_in_its_machine(disk, cloud):
    volume = disk(state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume)
    actions.grow(volume, by=volume.owner, size_gib=2)
    # A disk that has become larger meanwhile cannot become smaller.
    cloud.grow_volume(volume.cloud_ref, 5 * GIB)
    volume = look(volume)
    assert (volume.state, volume.size_bytes) == (VolumeState.IN_USE, GIB)
    assert volume.reason.startswith("It has not grown.")
    assert volume.wanted_bytes is None


def test_two_disks_that_grow_at_once_have_one_quota(settings):
    settings.PORTAL_QUOTA_DISK_GIB = 10
    owner = UserFactory()
    first, second = (VolumeFactory(owner=owner, size_gib=2) for _ in range(2))
    actions.grow(first, by=owner, size_gib=8)
    assert quota.bytes_held(owner) == 10 * GIB
    refused = refusal(actions.grow, second, by=owner, size_gib=3)
    assert (refused.code, refused.field) == ("quota_disk", "size_gib")


@pytest.mark.parametrize("size_gib", [0, 1, 1025])
def test_a_size_that_is_no_growth_is_refused(size_gib):
    volume = VolumeFactory()
    refused = refusal(actions.grow, volume, by=volume.owner, size_gib=size_gib)
    assert (refused.code, refused.field) == ("disk_size", "size_gib")


def test_a_disk_waits_for_its_snapshot_before_it_grows():
    snapshot = SnapshotFactory(state=SnapshotState.TAKING)
    refused = refusal(actions.grow, snapshot.volume, by=snapshot.volume.owner, size_gib=5)
    assert refused.code == "snapshot_taking"


# Copies -----------------------------------------------------------------------------------


def copy(volume, **more):
    return actions.copy(volume, **{"by": volume.owner, "create_key": uuid4(), **more})


def test_a_copy_is_a_disk_of_its_own_with_the_bytes_that_are_known(disk, cloud):
    volume = disk(uploaded=True, content=b"spectra", identifier="A" * 27)
    made = look(copy(volume, tag="mine"))
    assert (made.state, made.tag, made.source) == (VolumeState.AVAILABLE, "mine", volume)
    assert (made.identifier, made.sha256) == (volume.identifier, volume.sha256)
    assert cloud.find_volume(made.token).size_bytes == volume.size_bytes
    assert made.visibility == Visibility.PRIVATE


def test_a_copy_of_what_machines_wrote_claims_no_checksum(disk):
    volume = disk(uploaded=True, content=b"spectra", written_at=timezone.now())
    made = look(copy(volume))
    assert (made.sha256, made.identifier) == ("", "")
    assert made.holds_data


def test_a_copy_of_a_snapshot_is_what_the_disk_was(disk, cloud):
    volume = disk(uploaded=True, content=b"spectra")
    snapshot = look(actions.take_snapshot(volume, by=volume.owner, name="monday"))
    Volume.objects.filter(pk=volume.pk).update(written_at=timezone.now() + timedelta(hours=1))
    AttachmentFactory(volume=volume)  # writes on
    made = look(copy(volume, snapshot=snapshot))
    assert made.state == VolumeState.AVAILABLE
    assert made.sha256 == volume.sha256
    assert made.wanted_snapshot is None


@pytest.mark.parametrize(
    ("source", "as_original", "becomes"),
    [
        (T.MACHINE_IMAGE_ORIGIN, False, T.MACHINE_IMAGE_LIVE),
        (T.MACHINE_IMAGE_LIVE, False, T.MACHINE_IMAGE_LIVE),
        (T.MACHINE_IMAGE_LIVE, True, T.MACHINE_IMAGE_ORIGIN),
        (T.DATA_IMAGE_ORIGIN, False, T.DATA_IMAGE_LIVE),
        (T.DATA_IMAGE_RAW_READONLY, False, T.DATA_IMAGE_RAW_READONLY),
        (T.DATA_IMAGE_RAW_READ_WRITE, False, T.DATA_IMAGE_RAW_READ_WRITE),
    ],
)
def test_a_copy_is_for_what_its_source_is_for(source, as_original, becomes):
    assert copy(VolumeFactory(type=source), as_original=as_original).type == becomes


def test_only_what_boots_machines_is_saved_as_an_original():
    assert refusal(copy, VolumeFactory(), as_original=True).code == "copy_original"


def test_a_disk_that_is_written_to_is_copied_from_a_snapshot_only():
    volume = AttachmentFactory(vm__name="web").volume
    refused = refusal(copy, volume)
    assert refused.code == "disk_written"
    assert "web may write to it" in str(refused)
    assert copy(AttachmentFactory(read_only=True).volume).state == VolumeState.COPYING


def test_a_machine_that_was_faster_ends_the_copy(disk):
    volume = disk()
    made = copy(volume)
    AttachmentFactory(volume=volume)
    made = look(made)
    assert made.state == VolumeState.CLEARING
    assert "began to write" in made.reason


@pytest.mark.parametrize("end", ["share", "account", "snapshot"])
def test_a_copy_that_waited_looks_at_the_right_to_it_again(disk, cloud, end):
    volume, reader = disk(), UserFactory()
    share = ShareFactory(volume=volume, user=reader)
    match end:
        case "share":
            made = copy(volume, by=reader)
            share.delete()
        case "account":
            made = copy(volume, by=reader)
            reader.state = AccountState.SUSPENDED
            reader.save()
        case "snapshot":
            made = copy(volume, by=volume.owner, snapshot=SnapshotFactory(volume=volume))
            actions.give(volume, to=reader, by=reader)
    made = look(made)
    assert made.state == VolumeState.CLEARING
    assert "not open to" in made.reason or "not active" in made.reason
    assert cloud.find_volume(made.token) is None


def test_a_reader_copies_what_it_holds_and_not_what_it_held():
    volume, reader = VolumeFactory(visibility="public"), UserFactory()
    snapshot = SnapshotFactory(volume=volume)
    assert copy(volume, by=reader).owner == reader
    assert refusal(copy, volume, by=reader, snapshot=snapshot).code == "not_yours"


def test_a_snapshot_of_another_disk_is_no_way_to_its_bytes():
    foreign = SnapshotFactory()
    assert refusal(copy, VolumeFactory(), snapshot=foreign).code == "not_yours"


def test_a_copy_counts_in_the_quota_of_who_copies(settings):
    settings.PORTAL_QUOTA_DISK_GIB = 3
    volume, reader = VolumeFactory(size_gib=2, visibility="public"), UserFactory()
    copy(volume, by=reader)
    assert refusal(copy, volume, by=reader).code == "quota_disk"


def test_the_same_copy_twice_is_one_disk():
    volume, key = VolumeFactory(), uuid4()
    assert copy(volume, create_key=key) == copy(volume, create_key=key)


def test_the_engine_is_asked_for_one_copy_however_often_the_step_runs(disk, cloud):
    volume = disk()
    made = copy(volume)
    cloud.copy_volume(volume.cloud_ref, token=made.token, on_progress=lambda done, total: None)
    assert look(made).state == VolumeState.AVAILABLE
    assert len(list(cloud.list_volumes())) == 2


# Snapshots --------------------------------------------------------------------------------


def test_a_snapshot_is_taken_gone_back_to_and_forgotten(disk, cloud):
    volume = disk()
    snapshot = look(actions.take_snapshot(volume, by=volume.owner, name=" monday "))
    assert (snapshot.state, snapshot.name) == (SnapshotState.READY, "monday")
    assert cloud.get_volume(volume.cloud_ref).snapshots == (snapshot.token,)
    actions.restore_snapshot(snapshot, by=volume.owner, typed="monday")
    assert look(volume).state == VolumeState.AVAILABLE
    actions.delete_snapshot(snapshot, by=volume.owner)
    assert look(snapshot).state == SnapshotState.DELETED
    assert cloud.get_volume(volume.cloud_ref).snapshots == ()


def test_a_disk_that_has_grown_since_goes_back_whole(disk, cloud):
    volume = disk()
    snapshot = look(actions.take_snapshot(volume, by=volume.owner, name="small"))
    volume.refresh_from_db()
    actions.grow(volume, by=volume.owner, size_gib=2)
    volume = look(volume)
    actions.restore_snapshot(Snapshot.objects.get(pk=snapshot.pk), by=volume.owner, typed="small")
    volume = look(volume)
    assert volume.state == VolumeState.AVAILABLE
    assert volume.size_bytes == cloud.get_volume(volume.cloud_ref).size_bytes


def test_snapshots_count_in_the_quota(settings):
    settings.PORTAL_QUOTA_DISK_GIB = 2
    volume = VolumeFactory()
    actions.take_snapshot(volume, by=volume.owner, name="one")
    assert quota.bytes_held(volume.owner) == 2 * GIB
    refused = refusal(actions.take_snapshot, volume, by=volume.owner, name="two")
    assert refused.code == "quota_disk"


def test_a_disk_has_so_many_snapshots_and_no_more(monkeypatch):
    monkeypatch.setattr(snapshot_actions, "MOST_SNAPSHOTS", 1)
    volume = SnapshotFactory().volume
    refused = refusal(actions.take_snapshot, volume, by=volume.owner, name="another")
    assert refused.code == "too_many_snapshots"


@pytest.mark.parametrize(
    ("name", "code"),
    [(" ", "name_missing"), ("x" * 41, "name_too_long"), ("a\u200bb", "name_invalid"),
     ("MONDAY", "name_taken")],
)  # fmt: skip
def test_a_snapshots_name_is_one_to_know_it_by(name, code):
    volume = SnapshotFactory(name="monday").volume
    refused = refusal(actions.take_snapshot, volume, by=volume.owner, name=name)
    assert (refused.code, refused.field) == (code, "name")


def test_nothing_goes_back_under_a_machine():
    volume = AttachmentFactory(vm__name="web", read_only=True).volume
    snapshot = SnapshotFactory(volume=volume)
    refused = refusal(actions.restore_snapshot, snapshot, by=volume.owner, typed=snapshot.name)
    assert refused.code == "disk_in_use"
    assert "web" in str(refused)


def test_nothing_goes_back_under_what_reads_it():
    for begin in (copy, lambda volume: ExportFactory(volume=volume)):
        snapshot = SnapshotFactory()
        begin(snapshot.volume)
        refused = refusal(
            actions.restore_snapshot, snapshot, by=snapshot.volume.owner, typed=snapshot.name
        )
        assert refused.code == "disk_busy"


def test_a_snapshot_that_is_being_read_stays(disk):
    volume = disk()
    snapshot = look(actions.take_snapshot(volume, by=volume.owner, name="monday"))
    copy(volume, snapshot=snapshot)
    assert refusal(actions.delete_snapshot, snapshot, by=volume.owner).code == "snapshot_in_use"
    other = SnapshotFactory(volume=volume)
    ExportFactory(volume=volume, snapshot=other)
    assert refusal(actions.delete_snapshot, other, by=volume.owner).code == "snapshot_in_use"


def test_of_two_who_delete_a_snapshot_one_finds_it_deleting():
    snapshot = SnapshotFactory()
    actions.delete_snapshot(Snapshot.objects.get(pk=snapshot.pk), by=snapshot.volume.owner)
    refused = refusal(actions.delete_snapshot, snapshot, by=snapshot.volume.owner)
    assert refused.code == "snapshot_state"


def test_a_snapshot_that_the_engine_did_not_take_says_why_and_can_go(cloud):
    snapshot = look(SnapshotFactory(state=SnapshotState.TAKING))  # of no disk of the engine's
    assert snapshot.state == SnapshotState.FAILED
    assert snapshot.reason
    actions.delete_snapshot(snapshot, by=snapshot.volume.owner)
    assert look(snapshot).state == SnapshotState.DELETED


def test_a_snapshot_that_went_with_its_disk_is_deleted(cloud):
    assert look(SnapshotFactory(state=SnapshotState.DELETING)).state == SnapshotState.DELETED


# Handing over -----------------------------------------------------------------------------


def test_a_disk_changes_hands_when_it_is_accepted():
    volume, bob = VolumeFactory(tag="spectra"), UserFactory(username="bob")
    alice, carol = volume.owner, UserFactory()
    ShareFactory(volume=volume, user=bob)
    ShareFactory(volume=volume, user=carol)
    SnapshotFactory(volume=volume)
    made = actions.offer(volume, by=alice, username="bob")
    assert (Volume.objects.get(pk=volume.pk).owner, made.state) == (alice, OfferState.OFFERED)
    actions.accept_offer(made, by=bob)
    volume = Volume.objects.get(pk=volume.pk)
    assert volume.owner == bob
    assert volume.access_of(alice) is None
    assert list(volume.shares.values_list("user", flat=True)) == [carol.pk]
    assert quota.bytes_held(bob) == 2 * GIB
    for person, verb in ((alice, "handed_over"), (bob, "taken_over")):
        assert Event.objects.filter(subject=volume.uuid, owner=person, verb=verb).exists()


def test_an_offer_is_mailed_and_so_is_its_answer():
    volume, bob = VolumeFactory(tag="see www.example.org/x"), UserFactory(username="bob")
    made = actions.offer(volume, by=volume.owner, username="bob")
    actions.decline_offer(made, by=bob)
    mails = OutgoingMail.objects.order_by("pk")
    assert [(mail.kind, mail.to) for mail in mails] == [
        ("disk_offered", bob.email),
        ("disk_offer_answered", volume.owner.email),
    ]
    assert "www.example.org" not in "".join(mail.subject for mail in mails)


def test_a_disk_beyond_the_quota_of_who_would_take_it_stays(settings):
    settings.PORTAL_QUOTA_DISK_GIB = 3
    bob = UserFactory()
    VolumeFactory(owner=bob, size_gib=2)
    offer = OfferFactory(to=bob)
    SnapshotFactory(volume=offer.volume)
    assert refusal(actions.accept_offer, offer, by=bob).code == "quota_disk"
    assert Offer.objects.get().state == OfferState.OFFERED


def test_an_offer_is_answered_once():
    offer = OfferFactory()
    actions.accept_offer(Offer.objects.get(pk=offer.pk), by=offer.to)
    assert refusal(actions.accept_offer, offer, by=offer.to).code == "offer_over"
    assert refusal(actions.decline_offer, offer, by=offer.to).code == "offer_over"
    assert refusal(actions.withdraw_offer, offer, by=offer.owner).code == "offer_over"


def test_an_offer_is_for_whom_it_is_for_and_withdrawn_by_who_made_it():
    offer, mallory = OfferFactory(), UserFactory()
    for act in (actions.accept_offer, actions.decline_offer, actions.withdraw_offer):
        assert refusal(act, offer, by=mallory).code == "not_yours"
    assert Event.objects.filter(subject=offer.uuid, outcome="denied").count() == 3
    actions.withdraw_offer(offer, by=offer.owner)
    assert refusal(actions.accept_offer, offer, by=offer.to).code == "offer_over"


def test_a_disk_is_offered_to_one_at_a_time():
    offer = OfferFactory(to__username="bob")
    another = UserFactory().username
    refused = refusal(actions.offer, offer.volume, by=offer.owner, username=another)
    assert refused.code == "disk_offered"
    assert "bob" in str(refused)


def test_a_disk_in_a_machine_is_neither_offered_nor_taken():
    held = AttachmentFactory()
    bob = UserFactory()
    refused = refusal(actions.offer, held.volume, by=held.volume.owner, username=bob.username)
    assert refused.code == "disk_in_use"
    offer = OfferFactory(volume=AttachmentFactory(read_only=True).volume)
    assert refusal(actions.accept_offer, offer, by=offer.to).code == "disk_in_use"


def test_an_offered_disk_neither_grows_nor_goes_back():
    offer = OfferFactory()
    snapshot = SnapshotFactory(volume=offer.volume)
    grow = refusal(actions.grow, offer.volume, by=offer.owner, size_gib=9)
    back = refusal(actions.restore_snapshot, snapshot, by=offer.owner, typed=snapshot.name)
    assert grow.code == back.code == "disk_offered"


def test_who_gets_a_disk_may_have_made_one_with_the_same_key():
    bob, key = UserFactory(), uuid4()
    VolumeFactory(owner=bob, create_key=key)
    offer = OfferFactory(to=bob, volume__create_key=key)
    assert actions.accept_offer(offer, by=bob).owner == bob


def test_nobody_is_offered_their_own_disk():
    volume = VolumeFactory()
    refused = refusal(actions.offer, volume, by=volume.owner, username=volume.owner.username)
    assert refused.code == "offer_self"
