"""Who may do what with a disk, verb by verb, and how it is opened and closed."""

from uuid import uuid4

import pytest
import redis
from django.db import connection

from core import live
from core.errors import Refused
from core.models import Event
from registration.models import Membership
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from vms import disks
from vms.tests.factories import VMFactory
from volumes import actions
from volumes.actions import sharing
from volumes.asking import Situation
from volumes.models import Access, DiskType, Share, Visibility, Volume
from volumes.states import VOLUME_VERBS, VolumeState
from volumes.tests.factories import ShareFactory, SnapshotFactory, VolumeFactory

pytestmark = pytest.mark.django_db

OWNER, WRITER, READER, MEMBER, PUBLIC, ADMIN, STRANGER = (
    "owner", "write share", "read share", "group member", "public", "administrator", "stranger"
)  # fmt: skip
EVERYBODY = (OWNER, WRITER, READER, MEMBER, PUBLIC, ADMIN, STRANGER)
READERS = {OWNER, WRITER, READER, MEMBER, PUBLIC}

#: Who may, by verb. What an administrator removes, they do not read.
MAY = {
    "attach": READERS,
    "copy": READERS,
    "download": READERS,
    "change": {OWNER},
    "share": {OWNER},
    "grow": {OWNER},
    "snapshot": {OWNER},
    "restore_snapshot": {OWNER},
    "offer": {OWNER},
    "delete": {OWNER, ADMIN},
    "recover": {OWNER, ADMIN},
    "purge": {OWNER, ADMIN},
    "cancel": {OWNER, ADMIN},
    "dismiss": {OWNER, ADMIN},
}


def a_disk_and(who):
    """A disk, and somebody who stands to it as ``who`` says."""
    volume = VolumeFactory()
    if who == OWNER:
        return volume, volume.owner
    user = UserFactory(admin=who == ADMIN)
    if who in (WRITER, READER):
        access = Access.WRITE if who == WRITER else Access.READ
        ShareFactory(volume=volume, user=user, access=access)
    if who == MEMBER:
        ShareFactory(volume=volume, group=MembershipFactory(user=user).group)
    if who == PUBLIC:
        volume.visibility = Visibility.PUBLIC
        volume.save(update_fields=["visibility"])
    return volume, user


def test_every_verb_is_somebodys():
    assert set(MAY) == set(VOLUME_VERBS)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("verb", MAY)
def test_a_verb_is_for_those_whom_it_is_for(who, verb):
    volume, user = a_disk_and(who)
    assert Situation.of(volume, user).may(verb) == (who in MAY[verb])


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_disk_is_seen_by_all_but_strangers(who):
    volume, user = a_disk_and(who)
    assert Volume.objects.visible_to(user).filter(pk=volume.pk).exists() == (who != STRANGER)


def ask(verb, volume, user):
    """Ask it for real, in the simplest way that is legal for the owner."""
    if verb == "change":
        actions.change(volume, by=user, tag="mine")
    elif verb == "share":
        actions.share(volume, by=user, username=UserFactory().username, access="read")
    elif verb == "grow":
        actions.grow(volume, by=user, size_gib=2)
    elif verb == "snapshot":
        actions.take_snapshot(volume, by=user, name="monday")
    elif verb == "restore_snapshot":
        actions.restore_snapshot(SnapshotFactory(volume=volume, name="x"), by=user, typed="x")
    elif verb == "offer":
        actions.offer(volume, by=user, username=UserFactory().username)
    elif verb == "copy":
        actions.copy(volume, by=user, create_key=uuid4())
    elif verb == "delete":
        actions.delete(volume, by=user)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize(
    "verb",
    ["change", "share", "grow", "snapshot", "restore_snapshot", "offer", "copy", "delete"],
)
def test_what_is_asked_is_done_for_those_and_denied_to_others(who, verb):
    volume, user = a_disk_and(who)
    before = Volume.objects.values().get(pk=volume.pk)
    if who in MAY[verb]:
        ask(verb, volume, user)
        return
    with pytest.raises(Refused) as refused:
        ask(verb, volume, user)
    assert refused.value.code == "not_yours"
    assert Volume.objects.values().get(pk=volume.pk) == before
    assert Event.objects.filter(subject=volume.uuid, outcome="denied", by=user).count() == 1


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_disk_goes_into_ones_own_machine_as_far_as_it_is_open(who, read_only, cloud):
    volume, user = a_disk_and(who)
    vm = VMFactory(owner=user, running=True)
    wanted = READERS if read_only else {OWNER, WRITER}
    if who in wanted:
        disks.attach(volume, vm, by=user, read_only=read_only)
        assert volume.attachments.holding().get().read_only == read_only
        return
    with pytest.raises(Refused) as refused:
        disks.attach(volume, vm, by=user, read_only=read_only)
    assert refused.value.code in ("disk_access", "disk_read_only_share")


# Opening and closing ----------------------------------------------------------------------


def refusal(call, *args, **kwargs):
    with pytest.raises(Refused) as refused:
        call(*args, **kwargs)
    return refused.value


def test_a_share_gives_what_it_says_and_its_end_takes_it_away():
    volume, bob = VolumeFactory(), UserFactory(username="bob")
    given = actions.share(volume, by=volume.owner, username="Bob", access="read")
    assert volume.access_of(bob) == Access.READ
    actions.change_share(given, by=volume.owner, access="write")
    assert volume.access_of(bob) == Access.WRITE
    actions.stop_sharing(given, by=volume.owner)
    assert volume.access_of(bob) is None
    verbs = Event.objects.of(volume.uuid).values_list("verb", flat=True)
    assert list(verbs) == ["share", "share_changed", "share_stopped"]


def test_a_group_gives_it_to_who_is_in_it_now():
    volume, bob = VolumeFactory(), UserFactory()
    group = MembershipFactory(user=volume.owner).group
    actions.share(volume, by=volume.owner, group=group, access="write")
    assert volume.access_of(bob) is None
    membership = MembershipFactory(group=group, user=bob)
    assert volume.access_of(bob) == Access.WRITE
    membership.delete()
    assert volume.access_of(bob) is None


def test_the_most_of_several_shares_counts():
    volume, bob = VolumeFactory(visibility="public"), UserFactory()
    ShareFactory(volume=volume, user=bob, access="read")
    ShareFactory(volume=volume, group=MembershipFactory(user=bob).group, access="write")
    assert volume.access_of(bob) == Access.WRITE


def test_sharing_again_changes_the_share():
    volume, bob = VolumeFactory(), UserFactory(username="bob")
    for access in ("read", "write", "write"):
        actions.share(volume, by=volume.owner, username="bob", access=access)
    assert volume.shares.get(user=bob).access == "write"
    assert Event.objects.of(volume.uuid).count() == 2


@pytest.mark.parametrize("state", ["suspended", "closed", "applied"])
def test_an_account_that_is_not_active_is_like_one_that_is_not(state):
    volume = VolumeFactory()
    UserFactory(username="gone_one", **{state: True})
    share = {"by": volume.owner, "access": "read"}
    known = refusal(actions.share, volume, username="gone_one", **share)
    unknown = refusal(actions.share, volume, username="no_one_01", **share)
    assert known.code == unknown.code == "nobody_of_that_name"
    assert str(known).replace("gone_one", "no_one_01") == str(unknown)


def test_whoever_tries_names_finds_few(monkeypatch):
    monkeypatch.setattr(sharing, "MOST_NAMES", 2)
    volume = VolumeFactory()
    share = {"by": volume.owner, "access": "read"}
    for number in range(2):
        refusal(actions.share, volume, username=f"nobody_{number}", **share)
    refused = refusal(actions.share, volume, username="nobody_3", **share)
    assert refused.code == "too_many_attempts"


def test_what_is_no_share_is_refused():
    volume = VolumeFactory()
    owner, group = volume.owner, GroupFactory()
    asked = {
        "share_self": {"username": owner.username, "access": "read"},
        "share_access": {"username": "bob", "access": "own"},
        "share_whom": {"access": "read"},
        "not_member": {"group": group, "access": "read"},
    }
    for code, how in asked.items():
        assert refusal(actions.share, volume, by=owner, **how).code == code
    both = {"username": "bob", "group": group, "access": "read"}
    assert refusal(actions.share, volume, by=owner, **both).code == "share_whom"
    assert not Share.objects.exists()


def test_a_disk_has_so_many_shares_and_no_more(monkeypatch):
    monkeypatch.setattr(sharing, "MOST_SHARES", 1)
    volume, bob = VolumeFactory(), UserFactory()
    actions.share(volume, by=volume.owner, username=bob.username, access="read")
    another = UserFactory().username
    refused = refusal(actions.share, volume, by=volume.owner, username=another, access="read")
    assert refused.code == "too_many_shares"
    actions.share(volume, by=volume.owner, username=bob.username, access="write")


def test_of_two_who_end_a_share_one_finds_it_over():
    given = ShareFactory(user=UserFactory())
    actions.stop_sharing(Share.objects.get(pk=given.pk), by=given.volume.owner)
    assert refusal(actions.stop_sharing, given, by=given.volume.owner).code == "share_over"
    change = refusal(actions.change_share, given, by=given.volume.owner, access="write")
    assert change.code == "share_over"


def test_a_group_that_ends_takes_its_shares_along():
    membership = MembershipFactory()
    given = ShareFactory(volume__owner=membership.user, group=membership.group)
    membership.group.delete()
    assert not Share.objects.filter(pk=given.pk).exists()
    assert not Membership.objects.filter(pk=membership.pk).exists()


def test_those_whom_it_was_open_to_hear_that_it_no_longer_is(
    django_capture_on_commit_callbacks, redis_server
):
    given = ShareFactory(user=UserFactory())
    with django_capture_on_commit_callbacks(execute=True):
        actions.stop_sharing(given, by=given.volume.owner)
    with redis.Redis(unix_socket_path=redis_server, decode_responses=True) as stream:
        told = [fields for _, fields in stream.xrange(live.STREAM)]
    mine = [line["audience"].split(",") for line in told if line["subject"] == given.volume.token]
    bob = str(given.user_id)
    assert bob in mine[0]
    assert bob not in mine[-1]


@pytest.mark.parametrize("type", [DiskType.MACHINE_IMAGE_LIVE, DiskType.DATA_IMAGE_LIVE])
def test_it_says_who_keeps_a_disk_that_boots(client, type):
    volume = VolumeFactory(type=type)
    client.force_login(volume.owner)
    page = client.get(f"/volumes/{volume.uuid}/sharing/").text
    assert ("Machines boot from it" in page) == (type == DiskType.MACHINE_IMAGE_LIVE)


def test_a_public_disk_is_told_of_to_others_once_it_is_there(
    django_capture_on_commit_callbacks, redis_server
):
    volume = VolumeFactory(state=VolumeState.CONVERTING, visibility=Visibility.PUBLIC)
    with django_capture_on_commit_callbacks(execute=True):
        volume.announce()  # as its progress is, twice a second
        volume.move(VolumeState.AVAILABLE)
        volume.move(VolumeState.BINNED)
        volume.announce()
    with redis.Redis(unix_socket_path=redis_server, decode_responses=True) as stream:
        told = [fields for _, fields in stream.xrange(live.STREAM)]
    owner = str(volume.owner_id)
    mine = [line["audience"] for line in told if line["subject"] == volume.token]
    assert mine == [owner, owner, live.EVERYBODY, live.EVERYBODY, owner]


def test_shares_are_of_a_person_or_of_a_group_by_the_databases_word():
    assert connection.introspection.get_constraints(connection.cursor(), Share._meta.db_table)[
        "volumes_share_one"
    ]["check"]
