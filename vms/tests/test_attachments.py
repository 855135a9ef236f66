"""Who may plug which disk in where, and what is said to those who may not."""

import pytest

from core.errors import Refused
from core.models import Event, Outcome
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from vms import disks
from vms.models import VM, CloudStatus
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes import actions
from volumes.models import Access, Attachment, DiskType, Volume
from volumes.states import AttachmentState, ExportState, VolumeState
from volumes.tests.factories import (
    AttachmentFactory,
    ExportFactory,
    OfferFactory,
    ShareFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db

A = AttachmentState


@pytest.fixture
def alice(db):
    return UserFactory(username="alice")


@pytest.fixture
def bob(db):
    return UserFactory(username="bob")


@pytest.fixture
def box(bob):
    return VMFactory(owner=bob, name="box", running=True)


def refused(volume, vm, *, by, read_only=False):
    with pytest.raises(Refused) as caught:
        disks.attach(volume, vm, by=by, read_only=read_only)
    assert not Attachment.objects.filter(vm=vm, volume=volume, by=by).exists()
    assert str(caught.value).endswith(".")
    return caught.value


# Rights ------------------------------------------------------------------------------------


def opened(alice, bob, how):
    """A disk of Alice's that Bob has this access to."""
    volume = VolumeFactory(owner=alice, public=how == "public", tag="results")
    if how in (Access.READ, Access.WRITE):
        ShareFactory(volume=volume, user=bob, access=how)
    elif how == "group":
        group = GroupFactory()
        MembershipFactory(group=group, user=bob)
        ShareFactory(volume=volume, group=group, access=Access.WRITE)
    return volume


@pytest.mark.parametrize(
    ("how", "read_only", "code"),
    [
        ("private", True, "disk_access"),
        ("private", False, "disk_access"),
        ("public", True, ""),
        ("public", False, "disk_read_only_share"),
        (Access.READ, True, ""),
        (Access.READ, False, "disk_read_only_share"),
        (Access.WRITE, True, ""),
        (Access.WRITE, False, ""),
        ("group", False, ""),
    ],
)
def test_what_a_disk_of_somebody_else_may_be_attached_for(alice, bob, box, how, read_only, code):
    volume = opened(alice, bob, how)
    if code:
        refusal = refused(volume, box, by=bob, read_only=read_only)
        assert (refusal.code, "alice" in str(refusal)) == (code, True)
        denial = Event.objects.get(subject=volume.uuid, outcome=Outcome.DENIED)
        assert (denial.verb, denial.by) == ("attach", bob)
    else:
        row = disks.attach(volume, box, by=bob, read_only=read_only)
        assert (row.state, row.by, row.read_only) == (A.ATTACHING, bob, read_only)


def test_its_owner_attaches_it_and_it_is_in_use(bob, box):
    volume = VolumeFactory(owner=bob)
    row = disks.attach(volume, box, by=bob, read_only=False)
    volume.refresh_from_db()
    assert (volume.state, row.next_tick_at is not None) == (VolumeState.IN_USE, True)
    event = Event.objects.get(subject=volume.uuid, verb="attach")
    assert (event.by, event.reason) == (bob, "Attached read-write to box.")


def test_an_administrator_reads_no_disk_of_others(box):
    admin = UserFactory(admin=True)
    mine = VMFactory(owner=admin, running=True)
    assert refused(VolumeFactory(), mine, by=admin, read_only=True).code == "disk_access"


@pytest.mark.parametrize("is_admin", [False, True])
def test_a_disk_goes_into_ones_own_machine_only(alice, box, is_admin):
    who = UserFactory(admin=True) if is_admin else alice
    refusal = refused(VolumeFactory(owner=who), box, by=who)
    assert refusal.code == "not_yours"
    assert Event.objects.filter(outcome=Outcome.DENIED, verb="attach", by=who).exists()


# Types and states --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "to_write", "to_read"),
    [
        (DiskType.DATA_IMAGE_RAW_READ_WRITE, "", ""),
        (DiskType.DATA_IMAGE_LIVE, "", ""),
        (DiskType.DATA_IMAGE_RAW_READONLY, "disk_read_only", ""),
        (DiskType.DATA_IMAGE_ORIGIN, "disk_type", "disk_type"),
        (DiskType.MACHINE_IMAGE_ORIGIN, "disk_type", "disk_type"),
        (DiskType.MACHINE_IMAGE_LIVE, "disk_type", "disk_type"),
    ],
)
def test_what_each_type_may_be_attached_for(bob, kind, to_write, to_read):
    for read_only, code in ((False, to_write), (True, to_read)):
        vm, volume = VMFactory(owner=bob, running=True), VolumeFactory(owner=bob, type=kind)
        if code:
            assert refused(volume, vm, by=bob, read_only=read_only).code == code
        else:
            disks.attach(volume, vm, by=bob, read_only=read_only)


@pytest.mark.parametrize("state", sorted(set(VolumeState) - {"available", "in_use"}))
def test_only_a_disk_that_is_available_or_in_use_is_attached(bob, box, state):
    refusal = refused(VolumeFactory(owner=bob, state=state), box, by=bob)
    assert refusal.code == "disk_state"
    assert VolumeState(state).label in str(refusal)


@pytest.mark.parametrize("state", list(VmState))
def test_machines_take_disks_while_they_run_or_are_halted(bob, state):
    vm = VMFactory(owner=bob, running=True)
    VM.objects.filter(pk=vm.pk).update(state=state)
    volume = VolumeFactory(owner=bob)
    if state in (VmState.RUNNING, VmState.UNKNOWN):
        disks.attach(volume, vm, by=bob, read_only=False)
    else:
        refusal = refused(volume, vm, by=bob)
        assert (refusal.code, VmState(state).label in str(refusal)) == ("vm_state", True)


def test_an_engine_without_hot_plug_says_why_in_its_own_words(bob, box):
    sentence = "This cloud plugs disks in at launch only."
    lacks = {"attach_volume": sentence, "detach_volume": sentence}
    CloudStatus.objects.create(cloud="local", lacks=lacks)
    assert str(refused(VolumeFactory(owner=bob), box, by=bob)) == sentence
    row = AttachmentFactory(vm=box, volume__owner=bob)
    with pytest.raises(Refused, match="at launch only"):
        disks.detach(row, by=bob)


def test_a_disk_stays_on_its_cloud(bob, box):
    refusal = refused(VolumeFactory(owner=bob, cloud="other"), box, by=bob)
    assert refusal.code == "other_cloud"
    assert "“other”" in str(refusal)


def test_a_machine_has_26_disks_at_most(bob, box):
    for _ in range(26):
        disks.attach(VolumeFactory(owner=bob), box, by=bob, read_only=False)
    refusal = refused(VolumeFactory(owner=bob), box, by=bob)
    assert (refusal.code, "26" in str(refusal)) == ("too_many_disks", True)


# One writer, many readers ------------------------------------------------------------------


def test_a_disk_to_write_to_is_on_one_machine_at_a_time(bob, box):
    volume = VolumeFactory(owner=bob)
    disks.attach(volume, box, by=bob, read_only=False)
    other = VMFactory(owner=bob, running=True)
    for read_only in (False, True):
        refusal = refused(volume, other, by=bob, read_only=read_only)
        assert refusal.code == "disk_in_use"
        assert "box" in str(refusal)


def test_read_only_it_goes_to_many_and_to_none_to_write(bob):
    volume = VolumeFactory(owner=bob)
    for _ in range(3):
        disks.attach(volume, VMFactory(owner=bob, running=True), by=bob, read_only=True)
    assert volume.attachments.holding().count() == 3
    assert refused(volume, VMFactory(owner=bob, running=True), by=bob).code == "disk_in_use"


def test_never_twice_on_one_machine(bob, box):
    volume = VolumeFactory(owner=bob)
    disks.attach(volume, box, by=bob, read_only=True)
    refusal = None
    with pytest.raises(Refused) as caught:
        disks.attach(volume, box, by=bob, read_only=True)
    refusal = caught.value
    assert (refusal.code, str(refusal)) == (
        "disk_twice", f"{volume} is attached to box already.",
    )  # fmt: skip


def test_machines_that_one_may_not_see_are_not_named(alice, bob):
    secret = VMFactory(owner=bob, name="secret", running=True)
    volume = VolumeFactory(owner=alice)
    carol = UserFactory()
    for reader in (bob, carol):
        ShareFactory(volume=volume, user=reader, access=Access.WRITE)
    disks.attach(volume, secret, by=bob, read_only=False)
    mine = VMFactory(owner=alice, running=True)
    assert "a machine of bob" in str(refused(volume, mine, by=alice))
    theirs = VMFactory(owner=carol, running=True)
    sentence = str(refused(volume, theirs, by=carol))
    assert "another machine" in sentence
    told = Event.objects.filter(owner=alice).values_list("subject_name", "reason")
    assert not any("secret" in word for line in told for word in (*line, sentence))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda volume: OfferFactory(volume=volume), "offered"),
        (lambda volume: ExportFactory(volume=volume, state=ExportState.PREPARING), "download"),
        (
            lambda volume: VolumeFactory(
                owner=volume.owner, source=volume, state=VolumeState.COPYING
            ),
            "copied",
        ),
    ],
)
def test_while_it_is_read_as_a_whole_nothing_writes_to_it(bob, make, word):
    volume = VolumeFactory(owner=bob)
    make(volume)
    refusal = refused(volume, VMFactory(owner=bob, running=True), by=bob)
    assert (refusal.code, word in str(refusal)) == ("disk_busy", True)
    disks.attach(volume, VMFactory(owner=bob, running=True), by=bob, read_only=True)


# At launch ---------------------------------------------------------------------------------


def test_a_planned_disk_is_held_for_its_machine(bob):
    vm, volume = VMFactory(owner=bob), VolumeFactory(owner=bob)
    row = actions.plan(volume, vm, by=bob, read_only=False)
    assert (row.state, row.at_launch, row.is_root) == (A.PLANNED, True, False)
    assert refused(volume, VMFactory(owner=bob, running=True), by=bob).code == "disk_in_use"


def test_a_machine_boots_from_a_live_machine_image_and_nothing_else(bob):
    live = VolumeFactory(owner=bob, type=DiskType.MACHINE_IMAGE_LIVE)
    row = actions.plan(live, VMFactory(owner=bob), by=bob, read_only=False, is_root=True)
    assert row.is_root
    with pytest.raises(Refused) as caught:
        actions.plan(VolumeFactory(owner=bob), VMFactory(owner=bob), by=bob, read_only=False,
                     is_root=True)  # fmt: skip
    assert caught.value.code == "disk_type"


# Detaching ---------------------------------------------------------------------------------


def test_who_may_have_a_disk_let_go(alice, bob):
    for who, may in ((alice, True), (bob, True), (UserFactory(admin=True), True),
                     (UserFactory(), False)):  # fmt: skip
        row = AttachmentFactory(volume__owner=alice, vm=VMFactory(owner=bob, running=True))
        if may:
            disks.detach(row, by=who)
            assert row.state == A.DETACHING
        else:
            with pytest.raises(Refused) as caught:
                disks.detach(row, by=who)
            assert caught.value.code == "not_yours"
            denial = Event.objects.get(subject=row.uuid, outcome=Outcome.DENIED)
            assert (denial.verb, denial.by) == ("detach", who)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"is_root": True}, "disk_root"),
        ({"state": A.PLANNED}, "disk_not_attached"),
        ({"state": A.DETACHED}, "disk_not_attached"),
        ({"vm__state": VmState.EPILOG}, "vm_state"),
    ],
)
def test_what_cannot_be_detached(bob, fields, code):
    row = AttachmentFactory(volume__owner=bob, **fields)
    with pytest.raises(Refused) as caught:
        disks.detach(row, by=bob)
    assert caught.value.code == code


def test_to_ask_twice_is_to_ask_once_and_force_hurries(bob):
    row = AttachmentFactory(volume__owner=bob)
    disks.detach(row, by=bob)
    disks.detach(row, by=bob)
    assert Event.objects.filter(subject=row.uuid, verb="detach").count() == 1
    disks.detach(row, by=bob, force=True)
    assert Attachment.objects.get(pk=row.pk).is_forced
    assert Event.objects.filter(subject=row.uuid, verb="detach").count() == 2


def test_a_wish_to_detach_is_about_the_disk_not_the_state_it_was_seen_in(bob):
    row = AttachmentFactory(volume__owner=bob, state=A.ATTACHING)
    Attachment.objects.filter(pk=row.pk).update(state=A.ATTACHED)
    disks.detach(row, by=bob)
    assert row.state == A.DETACHING


def test_several_at_once_say_what_came_of_each(bob, box):
    good, gone = VolumeFactory(owner=bob), VolumeFactory(owner=bob, state=VolumeState.BINNED)
    done, refusals = disks.attach_many([(good, False), (gone, False)], box, by=bob)
    assert [row.volume for row in done] == [good]
    assert [refusal.code for refusal in refusals] == ["disk_state"]
    number, refusals = disks.detach_many(done, by=bob)
    assert (number, refusals) == (1, [])


# What pages offer --------------------------------------------------------------------------


def test_machines_to_choose_from_say_why_not(bob, box):
    volume = VolumeFactory(owner=bob)
    waiting = VMFactory(owner=bob, name="waiting")
    VMFactory(owner=bob, state=VmState.DONE)
    VMFactory(running=True)
    reasons = {taker.vm: taker.reason for taker in disks.takers(volume, bob)}
    assert (set(reasons), reasons[box]) == ({box, waiting}, "")
    assert "Pending" in reasons[waiting]


def test_as_many_queries_for_many_disks_and_machines_as_for_few(
    bob, box, django_assert_max_num_queries
):
    for _ in range(12):
        AttachmentFactory(volume__owner=bob)
    with django_assert_max_num_queries(10):
        disks.choices(list(Volume.objects.select_related("owner")), bob, box)
    with django_assert_max_num_queries(10):
        disks.takers(VolumeFactory(owner=bob), bob)


def test_the_readers_of_a_public_disk_cost_no_queries_each(bob, box, django_assert_max_num_queries):
    volume = VolumeFactory(public=True, state=VolumeState.IN_USE)
    for _ in range(12):
        vm = VMFactory(running=True)
        AttachmentFactory(volume=volume, vm=vm, read_only=True)
    with django_assert_max_num_queries(10):
        disks.choices(list(Volume.objects.select_related("owner")), bob, box)
