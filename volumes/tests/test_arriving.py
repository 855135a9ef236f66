"""From a landed file to a disk: checked, read once, converted; restarted wherever it ends."""

import gzip
import hashlib
import os
from datetime import timedelta

import pytest
from django.utils import timezone

from cloud.diskfiles import unpacking
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.identifiers import identifier_of
from cloud.diskfiles.tests import samples
from cloud.diskfiles.tests.samples import DISK_BYTES, KINDS, MIB
from cloud.diskfiles.tests.test_packing import PACK
from cloud.errors import CloudBusy, CloudFull, CloudRefused
from cloud.types import DiskFormat
from core.machine import StaleState, tick
from core.models import Event
from registration.tests.factories import UserFactory
from volumes import landing, tasks
from volumes.lifecycle import VOLUME_STEPS, arriving
from volumes.models import Arrival, DiskType, Volume
from volumes.quota import bytes_held
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory
from volumes.tests.intake import arrive, landed, step

pytestmark = pytest.mark.django_db

RAW = samples.disk()


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    return settings.PORTAL_ARRIVALS


def holds(cloud, volume: Volume, content: bytes) -> bool:
    return cloud.read_volume(volume.cloud_ref, count=volume.size_bytes) == content


def nothing_is_left(cloud, volume: Volume) -> bool:
    return not landing.folder(volume).exists() and cloud.find_volume(volume.token) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_accepted_format_becomes_a_disk_to_the_byte(cloud, tmp_path, kind):
    content = samples.make(tmp_path, kind, RAW).read_bytes()
    volume = arrive(landed(content))
    assert (volume.state, volume.reason) == (VolumeState.AVAILABLE, "")
    assert (volume.size_bytes, volume.content_bytes) == (DISK_BYTES, len(content))
    assert holds(cloud, volume, RAW)
    assert volume.sha256 == hashlib.sha256(content).hexdigest()
    assert volume.arrival.format == KINDS[kind][0].value
    assert list(tmp_path.joinpath("arrivals").iterdir()) == []


@pytest.mark.parametrize("packing", PACK)
def test_what_is_packed_is_unpacked_and_summed_as_it_was(cloud, packing):
    volume = arrive(landed(PACK[packing](RAW)))
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert holds(cloud, volume, RAW)
    sums = (volume.sha1, volume.sha256, volume.sha512)
    assert sums == tuple(
        hashlib.new(name, RAW).hexdigest() for name in ("sha1", "sha256", "sha512")
    )
    assert volume.identifier == identifier_of(volume.sha1)
    assert (volume.content_bytes, volume.size_bytes) == (len(RAW), len(RAW))
    assert (volume.arrival.packing, volume.arrival.format) == (packing.value, "raw")


def test_a_packed_disk_of_another_format_is_converted_too(cloud, tmp_path):
    content = samples.make(tmp_path, "qcow2", RAW).read_bytes()
    volume = arrive(landed(gzip.compress(content)))
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert holds(cloud, volume, RAW)
    assert volume.sha1 == hashlib.sha1(content).hexdigest()  # noqa: S324
    assert volume.arrival.format == DiskFormat.QCOW2.value


def test_the_way_is_told_step_by_step(cloud):
    volume = landed(gzip.compress(RAW))
    seen = [volume.state]
    while volume.is_moving:
        volume = step(volume)
        seen.append(volume.state)
    S = VolumeState  # noqa: N806
    assert seen == [S.CHECKING, S.UNPACKING, S.CONVERTING, S.AVAILABLE]
    events = Event.objects.filter(subject=volume.uuid).order_by("pk")
    assert [event.now for event in events] == [S.UNPACKING, S.CONVERTING, S.AVAILABLE]
    assert volume.bytes_done == volume.bytes_total == volume.size_bytes


@pytest.mark.parametrize("packing", ["", "gzip"])
def test_an_iso_is_read_only_data_with_its_label(cloud, packing):
    iso = samples.iso("RESULTS")
    volume = arrive(landed(gzip.compress(iso) if packing else iso, file_name="data.iso"))
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert volume.type == DiskType.DATA_IMAGE_RAW_READONLY
    assert (volume.arrival.label, volume.arrival.format) == ("RESULTS", "raw")
    assert holds(cloud, volume, iso.ljust(volume.size_bytes, b"\0"))


def test_an_odd_file_is_padded_to_whole_sectors(cloud):
    volume = arrive(landed(b"\x55" * 1025))
    assert (volume.size_bytes, volume.content_bytes) == (1536, 1025)
    assert holds(cloud, volume, b"\x55" * 1025 + bytes(511))


def test_a_raw_disk_that_pretends_to_be_qcow2_stays_raw_for_ever(cloud, tmp_path):
    overlay = tmp_path / "overlay"
    samples.qemu_img("create", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", overlay, "8M")
    content = overlay.read_bytes().ljust(DISK_BYTES, b"\0")
    for packed, name in ((content, "disk.img"), (gzip.compress(content), "disk.img.gz")):
        volume = arrive(landed(packed, format="raw", file_name=name))
        assert volume.state == VolumeState.AVAILABLE, volume.reason
        assert volume.arrival.format == "raw"
        assert holds(cloud, volume, content)
        out = tmp_path / volume.token
        cloud.export_volume(volume.cloud_ref, out, DiskFormat.RAW, on_progress=lambda *_: None)
        assert out.read_bytes() == content


def test_a_raw_disk_that_pretends_to_be_packed_stays_as_it_is(cloud):
    content = gzip.compress(RAW).ljust(DISK_BYTES, b"\x01")
    volume = arrive(landed(content, format="raw", file_name="disk.img"))
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert holds(cloud, volume, content.ljust(volume.size_bytes, b"\0"))


# What its sender says of it --------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_sums_may_be_of_the_file_or_of_what_is_packed_in_it(cloud, packed):
    content = gzip.compress(RAW) if packed else RAW
    for of in (content, RAW):
        volume = arrive(
            landed(
                content,
                expected_bytes=len(of),
                expected_sha1=hashlib.sha1(of).hexdigest(),  # noqa: S324
                expected_sha256=hashlib.sha256(of).hexdigest().upper(),
            )
        )
        assert volume.state == VolumeState.AVAILABLE, volume.reason


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ({"expected_bytes": 4711}, "4711"),
        ({"expected_sha1": "0" * 40}, "SHA-1"),
        ({"expected_sha256": "0" * 64}, "SHA-256"),
    ],
)
def test_another_file_than_was_announced_is_refused(cloud, packed, expected, says):
    volume = arrive(landed(gzip.compress(RAW) if packed else RAW, **expected))
    assert volume.state == VolumeState.FAILED
    assert says in volume.reason
    assert nothing_is_left(cloud, volume)


@pytest.mark.slow
def test_more_than_was_announced_is_not_unpacked_to_its_end(cloud):
    volume = step(landed(gzip.compress(bytes(64 * MIB)), expected_bytes=MIB))
    assert volume.state == VolumeState.CLEARING  # what it says of itself was enough
    assert "should have 1048576 bytes" in volume.reason
    packed = PACK["bzip2"](bytes(64 * MIB))  # this one does not say
    volume = step(step(landed(packed, expected_bytes=MIB)))
    assert volume.state == VolumeState.CLEARING
    assert "should have 1048576 bytes" in volume.reason
    assert (
        not landing.unpacked(volume).exists() or landing.unpacked(volume).stat().st_size <= 2 * MIB
    )


# The quota -------------------------------------------------------------------------


def test_the_disk_counts_as_what_it_is_and_not_as_its_file(cloud, tmp_path):
    content = samples.make(tmp_path, "qcow2", RAW).read_bytes()
    volume = step(landed(content))
    assert volume.size_bytes == bytes_held(volume.owner) == DISK_BYTES
    volume = arrive(volume)
    assert bytes_held(volume.owner) == DISK_BYTES


def test_a_disk_that_is_too_large_for_its_owner_is_refused_unread(cloud, tmp_path):
    path = tmp_path / "large.qcow2"
    samples.qemu_img("create", "-f", "qcow2", path, "300M")
    for content in (path.read_bytes(), gzip.compress(path.read_bytes())):
        volume = step(landed(content))
        assert volume.state == VolumeState.CLEARING
        assert "300 MiB" in volume.reason
        assert "quota is 256 MiB" in volume.reason
        volume = arrive(volume)
        assert (volume.state, bytes_held(volume.owner)) == (VolumeState.FAILED, 0)
        assert nothing_is_left(cloud, volume)


@pytest.mark.slow
def test_what_grows_as_it_is_unpacked_takes_its_owners_quota_step_by_step(cloud):
    owner = UserFactory(quota_disk_bytes=100 * MIB)
    volume = arrive(landed(PACK["bzip2"](bytes(90 * MIB)), owner=owner))
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert bytes_held(owner) == 90 * MIB  # the step that was taken too many is given back


@pytest.mark.slow
def test_other_disks_of_the_same_person_count(cloud):
    owner = UserFactory(quota_disk_bytes=100 * MIB)
    VolumeFactory(owner=owner, size_bytes=50 * MIB)
    volume = arrive(landed(PACK["bzip2"](bytes(64 * MIB)), owner=owner))
    assert volume.state == VolumeState.FAILED
    assert "quota" in volume.reason
    assert bytes_held(owner) == 50 * MIB


# What breaks in between ------------------------------------------------------------


def test_a_killed_pass_begins_anew(cloud):
    volume = step(landed(gzip.compress(RAW)))
    assert volume.state == VolumeState.UNPACKING
    landing.unpacked(volume).write_bytes(os.urandom(3 * MIB))  # what killed ones left
    left = landing.folder(volume) / "disk.raw.part-0123"
    left.write_bytes(os.urandom(3 * MIB))
    volume = step(volume)
    assert not left.exists()
    volume = arrive(volume)
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert holds(cloud, volume, RAW)


def test_a_worker_that_was_taken_for_dead_spoils_nothing(cloud):
    """Its lease ran out while it waited for the disk; another one began anew."""
    volume = step(landed(gzip.compress(RAW)))
    part = landing.folder(volume) / "disk.raw.part-0123"
    with part.open("wb") as slow:
        slow.write(b"half")
        volume = step(volume)
        assert volume.state == VolumeState.CONVERTING
        slow.write(b"more")
    volume = arrive(volume)
    assert holds(cloud, volume, RAW)


@pytest.mark.parametrize("state", ["checking", "unpacking", "converting"])
def test_every_step_may_run_twice(cloud, state):
    volume = landed(gzip.compress(RAW))
    while volume.state != state:
        volume = step(volume)
    assert VOLUME_STEPS[state](volume, cloud) is not None  # its answer was lost
    volume = arrive(volume)
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert holds(cloud, volume, RAW)


def test_an_answer_of_the_engine_that_is_lost_is_found_again(cloud):
    volume = step(step(landed(RAW)))
    assert volume.state == VolumeState.CONVERTING
    cloud.lose_next_answer()
    volume = arrive(volume)
    assert volume.state == VolumeState.AVAILABLE
    assert holds(cloud, volume, RAW)


def test_a_busy_engine_is_asked_again_and_a_no_is_a_no(cloud):
    volume = step(step(landed(RAW)))
    cloud.fail_next(CloudBusy("The site is full."))
    volume = step(volume)
    assert volume.state == VolumeState.CONVERTING
    cloud.fail_next(CloudRefused("This disk is damaged."))
    volume = step(volume)
    assert (volume.state, volume.reason) == (VolumeState.CLEARING, "This disk is damaged.")
    volume = arrive(volume)
    assert (volume.state, volume.reason) == (VolumeState.FAILED, "This disk is damaged.")
    assert nothing_is_left(cloud, volume)


def test_a_cancelled_pass_stops_and_leaves_nothing(cloud):
    volume = step(landed(gzip.compress(RAW)))
    Volume.objects.get(pk=volume.pk).move(VolumeState.CLEARING, reason="Cancelled.")
    with pytest.raises(Exception, match="left unpacking"):
        VOLUME_STEPS[VolumeState.UNPACKING](volume, cloud)
    volume = arrive(volume)
    assert (volume.state, volume.reason) == (VolumeState.FAILED, "Cancelled.")
    assert nothing_is_left(cloud, volume)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_file_that_is_gone_is_said_to_be(cloud, steps):
    volume = landed(RAW)
    for _ in range(steps):
        volume = step(volume)
    landing.remove(volume)
    volume = arrive(volume)
    assert volume.state == VolumeState.FAILED
    assert "is gone" in volume.reason


def test_a_bug_ends_it_with_a_reference(cloud):
    volume = landed(RAW)
    Arrival.objects.filter(volume=volume).delete()
    with pytest.raises(Arrival.DoesNotExist):
        step(volume)
    volume = arrive(volume)
    assert volume.state == VolumeState.FAILED
    assert volume.reason.startswith("Something went wrong inside the portal. Reference: volume-")
    assert nothing_is_left(cloud, volume)


def test_clearing_up_removes_what_the_engine_made(cloud):
    volume = landed(RAW)
    cloud.put_volume(volume.token, size_bytes=volume.size_bytes)
    volume.move(VolumeState.CLEARING, reason="Cancelled by its owner.")
    volume = arrive(volume)
    assert (volume.state, volume.reason) == (VolumeState.FAILED, "Cancelled by its owner.")
    assert nothing_is_left(cloud, volume)
    assert bytes_held(volume.owner) == 0


def test_no_room_on_the_landing_place_is_said(cloud, monkeypatch):
    volume = step(landed(gzip.compress(RAW)))
    monkeypatch.setattr(landing, "FLOOR_BYTES", 1 << 60)
    volume = step(volume)
    assert volume.state == VolumeState.CLEARING
    assert "no room" in volume.reason


def test_strays_are_removed_and_nothing_else(cloud, place):
    waiting = landed(RAW)
    uploading = VolumeFactory(state=VolumeState.UPLOADING, cloud_ref="")
    landing.make(uploading).write_bytes(b"some")
    done = VolumeFactory()
    landing.make(done).write_bytes(b"left by a killed worker")
    unknown = Volume()
    landing.make(unknown).write_bytes(b"left of a row that is gone")
    (place / "not ours").mkdir()
    tasks.tidy()
    assert landing.received(waiting).exists()
    assert landing.received(uploading).exists()
    assert not landing.folder(done).exists()
    assert not landing.folder(unknown).exists()
    assert (place / "not ours").exists()


def test_the_largest_disk_is_the_one_that_is_promised():
    assert arriving.LARGEST_BYTES == 1024 << 30


def test_parts_with_nothing_in_them_are_refused_at_the_first_look(cloud):
    volume = arrive(landed(gzip.compress(b"", mtime=0) * 100_000))
    assert volume.state == VolumeState.FAILED
    assert "more than 1024 gzip parts" in volume.reason
    assert nothing_is_left(cloud, volume)


def test_whoever_stops_it_is_heard_though_nothing_comes_out(tmp_path):
    packed = tmp_path / "packed"
    nothing = b"\0\0\0\xff\xff" * (4 * MIB // 5)  # blocks of deflate
    packed.write_bytes(gzip.compress(b"", mtime=0)[:10] + nothing)
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 20:
            raise StaleState

    with pytest.raises(StaleState):
        unpacking.read(
            packed, Packing.GZIP, tmp_path / "out", sums_file=False,
            meter=lambda done: None, on_progress=stop,
        )  # fmt: skip
    assert seen[-1] <= 2 * MIB


NO_ROOM = "It takes 9 MiB and the site has 1 MiB of disk left."


def converting() -> Volume:
    volume = step(step(landed(RAW)))
    assert volume.state == VolumeState.CONVERTING
    return volume


def test_without_room_it_is_looked_for_minutes_later(cloud):
    volume = converting()
    cloud.fail_next(CloudFull(NO_ROOM))
    volume = step(volume)
    assert volume.state == VolumeState.CONVERTING
    assert volume.next_tick_at - timezone.now() > timedelta(minutes=2)
    tick(Volume.objects.get(pk=volume.pk), VOLUME_STEPS)
    assert Volume.objects.get(pk=volume.pk).state == VolumeState.CONVERTING, "it was begun at once"
    assert arrive(volume).state == VolumeState.AVAILABLE


def test_without_room_for_hours_it_ends_in_words(cloud):
    volume = converting()
    cloud.fail_next(CloudFull(NO_ROOM))
    Volume.objects.filter(pk=volume.pk).update(state_since=timezone.now() - timedelta(hours=7))
    volume = arrive(volume)
    assert volume.state == VolumeState.FAILED
    assert volume.reason == f"There was no room for it on the site's disk for 6 hours. {NO_ROOM}"
    assert nothing_is_left(cloud, volume)
