"""Files made of disks: asked for, prepared, packed, sent, removed."""

import gzip
import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from backports import zstd
from django.utils import timezone

from cloud.errors import CloudBusy, CloudRefused, CloudUnavailable
from core.errors import Refused
from core.machine import LEASE, StaleState
from core.models import Event
from registration import actions as people
from registration.models import Scope
from registration.tests.factories import GroupFactory, UserFactory
from volumes import outgoing
from volumes.actions import ask_download, delete, give, purge, remove_download, standings
from volumes.actions.downloads import MOST_DOWNLOADS
from volumes.lifecycle import exporting
from volumes.models import Access, Export, ExportFormat, Visibility
from volumes.states import ExportState, VolumeState
from volumes.tests.factories import (
    AttachmentFactory,
    ExportFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db

MIB = 1 << 20
DATA = b"results " * 5000
F, X = ExportFormat, ExportState


@pytest.fixture(autouse=True)
def downloads(settings, tmp_path):
    settings.PORTAL_DOWNLOADS = tmp_path / "downloads"
    return settings.PORTAL_DOWNLOADS


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def disk(cloud, alice):
    volume = VolumeFactory(owner=alice, tag="results 2026", size_bytes=4 * MIB)
    cloud.put_volume(volume.token, size_bytes=4 * MIB, data=DATA)
    return volume


@pytest.fixture
def whole():
    return DATA.ljust(4 * MIB, b"\0")


def ready(worker, disk, *, format=F.RAW, by=None, snapshot=None):
    export = ask_download(disk, by=by or disk.owner, format=format, snapshot=snapshot)
    worker.run()
    export.refresh_from_db()
    assert export.state == X.READY, export.reason
    return export


def body_of(answer) -> bytes:
    return answer.getvalue() if answer.streaming else answer.content


def url(export) -> str:
    return f"/volumes/downloads/{export.uuid}/"


# Made -----------------------------------------------------------------------------------


@pytest.mark.parametrize("format", F.values)
def test_a_download_is_the_disk_with_its_checksum_size_and_time(
    worker, browser, disk, whole, format
):
    export = ready(worker, disk, format=format)
    answer = browser.get(url(export))
    data = body_of(answer)
    assert answer.status_code == 200
    assert export.sha256 == hashlib.sha256(data).hexdigest()
    assert export.size_bytes == len(data) == int(answer["Content-Length"])
    assert timedelta(hours=23) < export.expires_at - timezone.now() <= timedelta(hours=24)
    if format == F.QCOW2:
        assert data.startswith(b"QFI\xfb")
    else:
        unpack = {F.RAW: bytes, F.GZIP: gzip.decompress, F.ZSTD: zstd.decompress}[F(format)]
        assert unpack(data) == whole
    assert os.listdir(outgoing.folder(export)) == [f"disk.{format}"]


def test_the_same_disk_packed_twice_is_the_same_file(worker, disk):
    one = ready(worker, disk, format=F.GZIP)
    remove_download(one, by=disk.owner)
    other = ready(worker, disk, format=F.GZIP)
    assert one.pk != other.pk
    assert one.sha256 == other.sha256


def test_a_snapshot_is_downloaded_as_it_was_while_a_machine_writes(worker, cloud, disk, whole):
    then = SnapshotFactory(volume=disk)
    cloud.create_snapshot(disk.cloud_ref, token=then.token)
    cloud.write_volume(disk.cloud_ref, b"later")
    AttachmentFactory(volume=disk, vm__owner=disk.owner)
    disk.state = VolumeState.IN_USE
    disk.save()
    with pytest.raises(Refused, match="take a snapshot") as refused:
        ask_download(disk, by=disk.owner, format=F.RAW)
    assert refused.value.code == "disk_written"
    export = ready(worker, disk, snapshot=then)
    assert outgoing.file(export).read_bytes() == whole


def test_a_disk_that_machines_only_read_is_downloaded(worker, disk):
    AttachmentFactory(volume=disk, vm__owner=disk.owner, read_only=True)
    disk.state = VolumeState.IN_USE
    disk.save()
    assert ready(worker, disk)


def test_while_it_is_read_nothing_may_write_to_the_disk(worker, disk):
    assert standings([disk], disk.owner)[disk.pk].busy == ""
    ask_download(disk, by=disk.owner, format=F.RAW)
    assert "download" in standings([disk], disk.owner)[disk.pk].busy
    worker.run()
    assert standings([disk], disk.owner)[disk.pk].busy == ""


def test_asked_twice_while_it_is_made_it_is_one(disk):
    one = ask_download(disk, by=disk.owner, format=F.GZIP)
    assert ask_download(disk, by=disk.owner, format=F.GZIP) == one
    assert ask_download(disk, by=disk.owner, format=F.ZSTD) != one


def test_nobody_has_more_than_ten_at_a_time(disk):
    for _ in range(MOST_DOWNLOADS):
        ExportFactory(volume=disk, state=X.READY)
    with pytest.raises(Refused, match=str(MOST_DOWNLOADS)) as refused:
        ask_download(disk, by=disk.owner, format=F.RAW)
    assert refused.value.code == "too_many_downloads"
    other = UserFactory()
    disk.visibility = Visibility.PUBLIC
    disk.save()
    assert ask_download(disk, by=other, format=F.RAW)


@pytest.mark.parametrize("state", [VolumeState.BINNED, VolumeState.COPYING, VolumeState.GROWING])
def test_a_disk_that_is_not_there_is_not_downloaded(disk, state):
    disk.state = state
    disk.save()
    with pytest.raises(Refused) as refused:
        ask_download(disk, by=disk.owner, format=F.RAW)
    assert refused.value.code == "disk_state"


def test_a_format_or_a_snapshot_that_is_none_is_refused(disk):
    with pytest.raises(Refused) as refused:
        ask_download(disk, by=disk.owner, format="vdi")
    assert refused.value.code == "download_format"
    with pytest.raises(Refused) as refused:
        ask_download(disk, by=disk.owner, format=F.RAW, snapshot=SnapshotFactory())
    assert refused.value.code == "snapshot_state"


def test_the_asking_is_in_the_history_of_the_disk(disk):
    ask_download(disk, by=disk.owner, format=F.ZSTD)
    told = Event.objects.get(subject=disk.uuid, verb="download")
    assert told.by_id == disk.owner.pk
    assert "zstd" in told.reason


def packing(disk, whole) -> Export:
    export = ExportFactory(volume=disk, state=X.PACKING, format=F.GZIP)
    (outgoing.make(export) / "disk.raw").write_bytes(whole)
    return export


def test_what_another_worker_left_or_still_writes_is_not_written_into(cloud, disk, whole):
    export = packing(disk, whole)
    with outgoing.partial(export).open("wb") as others:
        others.write(b"half")
        others.flush()
        done = exporting.pack(export, cloud)
        others.write(b"of another")
    content = outgoing.file(export).read_bytes()
    assert done.fields["sha256"] == hashlib.sha256(content).hexdigest()
    assert gzip.decompress(content) == whole
    assert os.listdir(outgoing.folder(export)) == ["disk.raw.gz"]


def test_who_lost_the_lease_gives_no_file_its_name(cloud, disk, whole):
    export = packing(disk, whole)
    Export.objects.update(lease_until=timezone.now() + LEASE)
    with pytest.raises(StaleState):
        exporting.pack(export, cloud)
    assert os.listdir(outgoing.folder(export)) == ["disk.raw"]


# What goes wrong ------------------------------------------------------------------------


def test_an_engine_that_is_busy_is_asked_again(worker, cloud, disk):
    cloud.fail_next(CloudBusy("full"), CloudUnavailable("away"))
    assert ready(worker, disk)


def test_a_lost_answer_makes_it_once_more_or_not_at_all(worker, cloud, disk, whole):
    cloud.lose_next_answer()
    export = ready(worker, disk)
    assert outgoing.file(export).read_bytes() == whole


def test_what_the_engine_refuses_fails_with_its_sentence_and_leaves_no_file(
    worker, cloud, disk, downloads
):
    export = ask_download(disk, by=disk.owner, format=F.RAW)
    cloud.fail_next(CloudRefused("This disk is damaged."))
    worker.run()
    export.refresh_from_db()
    assert (export.state, export.reason) == (X.FAILED, "This disk is damaged.")
    exporting.tidy()
    assert list(outgoing.all_keys()) == []


@pytest.mark.parametrize("format", F.values)
@pytest.mark.parametrize("left", ["nothing", "half", "both", "packed"])
def test_a_worker_killed_while_packing_begins_again(worker, disk, whole, format, left):
    done = ready(worker, disk, format=format)
    data = outgoing.file(done).read_bytes()
    plain = outgoing.plain(done)
    if left in ("nothing", "half", "both"):
        if format in (F.GZIP, F.ZSTD):
            plain.write_bytes(whole)
        if left == "half":
            outgoing.partial(done).write_bytes(b"half")
        if left != "both" and format in (F.GZIP, F.ZSTD):
            outgoing.file(done).unlink()
    Export.objects.filter(pk=done.pk).update(
        state=X.PACKING, next_tick_at=timezone.now(), sha256="", state_since=timezone.now()
    )
    worker.run()
    done.refresh_from_db()
    assert done.state == X.READY
    assert done.sha256 == hashlib.sha256(data).hexdigest()
    assert outgoing.file(done).read_bytes() == data
    assert not (plain != outgoing.file(done) and plain.exists())


def test_a_file_that_somebody_removed_fails_the_download(worker, disk):
    export = ready(worker, disk)
    outgoing.forget(export.uuid)
    Export.objects.filter(pk=export.pk).update(
        state=X.PACKING, next_tick_at=timezone.now(), state_since=timezone.now()
    )
    worker.run()
    export.refresh_from_db()
    assert export.state == X.FAILED
    assert "Ask for the download again" in export.reason


def test_a_full_disk_puts_the_packing_off(worker, disk, monkeypatch):
    export = ask_download(disk, by=disk.owner, format=F.GZIP)
    worker.step()
    export.refresh_from_db()
    assert export.state == X.PACKING
    with monkeypatch.context() as patch:
        patch.setattr(outgoing, "FLOOR_BYTES", 1 << 60)
        Export.objects.update(next_tick_at=timezone.now())
        worker.step()
        export.refresh_from_db()
        assert export.state == X.PACKING
        assert not outgoing.file(export).exists()
    worker.run()
    export.refresh_from_db()
    assert export.state == X.READY


# Sent -----------------------------------------------------------------------------------


@pytest.fixture
def export(worker, disk):
    return ready(worker, disk)


@pytest.mark.parametrize(
    ("wanted", "first", "end"),
    [
        ("bytes=0-", 0, 4 * MIB),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=4194303-", 4 * MIB - 1, 4 * MIB),
        ("bytes=-100", 4 * MIB - 100, 4 * MIB),
        ("bytes=-99999999", 0, 4 * MIB),
        ("bytes=100-99999999999", 100, 4 * MIB),
    ],
)
def test_a_part_is_sent_to_who_asks_for_it(browser, export, whole, wanted, first, end):
    answer = browser.get(url(export), headers={"Range": wanted})
    is_whole = (first, end) == (0, 4 * MIB)
    assert answer.status_code == (200 if is_whole else 206)
    assert body_of(answer) == whole[first:end]
    assert answer["Content-Length"] == str(end - first)
    assert answer.get("Content-Range") == (
        None if is_whole else f"bytes {first}-{end - 1}/{4 * MIB}"
    )


@pytest.mark.parametrize("wanted", ["bytes=4194304-", "bytes=99999999999-", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused_with_the_size(browser, export, wanted):
    answer = browser.get(url(export), headers={"Range": wanted})
    assert answer.status_code == 416
    assert answer["Content-Range"] == f"bytes */{4 * MIB}"


@pytest.mark.parametrize(
    "wanted", ["bytes=-", "bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=٣-٤", ""]
)
def test_a_part_that_is_not_understood_is_the_whole(browser, export, wanted):
    answer = browser.get(url(export), headers={"Range": wanted})
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(4 * MIB)
    body_of(answer)


def test_a_part_of_another_file_is_the_whole_of_this_one(browser, export):
    etag, changed = f'"{export.sha256}"', browser.head(url(export))["Last-Modified"]
    for condition, status in ((etag, 206), (changed, 206), ('"other"', 200), ("W/" + etag, 200)):
        headers = {"Range": "bytes=1-2", "If-Range": condition}
        answer = browser.get(url(export), headers=headers)
        assert answer.status_code == status, condition
        body_of(answer)


def test_the_head_says_everything_and_sends_nothing(browser, export):
    answer = browser.head(url(export))
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer["Content-Length"] == str(4 * MIB)
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["ETag"] == f'"{export.sha256}"'
    assert answer["Repr-Digest"].startswith("sha-256=:")
    assert "no-transform" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_who_has_it_already_is_sent_nothing(browser, export):
    answer = browser.get(url(export), headers={"If-None-Match": f'"{export.sha256}"'})
    assert answer.status_code == 304
    answer = browser.get(url(export), headers={"If-Match": '"other"'})
    assert answer.status_code == 412


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("results 2026", "results-2026"),
        ('../../etc/"passwd"\r\nX: y', "etc-passwd-X-y"),
        (".hidden", "hidden"),
        ("", "disk"),
        ("///", "disk"),
        ("größe", "größe"),
    ],
)
def test_the_file_has_a_safe_name(browser, export, tag, expected):
    export.volume.tag = tag
    export.volume.save()
    assert outgoing.file_name(export) == f"{expected}-{export.volume.token[:8]}.raw"
    said = browser.head(url(export))["Content-Disposition"]
    assert said.startswith("attachment; filename")
    assert "\n" not in said


def test_a_program_downloads_with_a_token(client, export, whole):
    _, secret = people.create_token(
        owner=export.owner, name="laptop", scope=Scope.READ,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {secret}", "Range": "bytes=0-9"}
    answer = client.get(url(export), headers=headers)
    assert (answer.status_code, body_of(answer)) == (206, whole[:10])
    answer = client.get(url(export), headers={"Authorization": "Bearer slp_wrong"})
    assert answer.status_code == 401


# Whose it is ----------------------------------------------------------------------------


def test_a_download_is_there_for_who_asked_and_for_nobody_else(client, export):
    assert client.get(url(export)).status_code == 401
    for stranger in (UserFactory(), UserFactory(admin=True)):
        client.force_login(stranger)
        for path in ("", "row/"):
            assert client.get(url(export) + path).status_code == 404
        assert client.post(url(export) + "remove/").status_code == 404
    assert Event.objects.filter(subject=export.uuid, verb="download").count() >= 2


def test_even_the_owner_of_the_disk_does_not_see_what_others_had_made(client, worker, disk):
    reader = UserFactory()
    share = ShareFactory(volume=disk, user=reader, access=Access.READ)
    export = ready(worker, disk, by=reader)
    client.force_login(disk.owner)
    assert client.get(url(export)).status_code == 404
    client.force_login(reader)
    answer = client.get(url(export))
    assert answer.status_code == 200
    body_of(answer)
    share.delete()
    assert client.get(url(export)).status_code == 404


def test_a_stranger_asks_for_nothing(client, disk):
    client.force_login(UserFactory())
    path = f"/volumes/{disk.uuid}/downloads/"
    assert client.get(path).status_code == 404
    assert client.post(path, {"format": F.RAW}).status_code == 404
    assert not Export.objects.exists()


def test_an_administrator_sees_a_disk_and_does_not_read_it(client, disk):
    client.force_login(UserFactory(admin=True))
    path = f"/volumes/{disk.uuid}/downloads/"
    assert "Make the download" not in client.get(path).content.decode()
    assert client.post(path, {"format": F.RAW}).status_code == 422
    assert not Export.objects.exists()


def test_members_of_a_group_that_may_read_download(worker, client, disk):
    group = GroupFactory()
    member = UserFactory()
    group.memberships.create(user=member)
    ShareFactory(volume=disk, group=group)
    assert ready(worker, disk, by=member)


# Its end --------------------------------------------------------------------------------


def test_a_download_ends_when_its_time_is_over(browser, export):
    with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1)):
        exporting.tidy()
        export.refresh_from_db()
        assert export.state == X.EXPIRED
        assert not outgoing.folder(export).exists()
    browser.force_login(export.owner)
    assert browser.get(url(export)).status_code == 404


def test_tidying_removes_strays_and_leaves_the_rest(export, downloads):
    stray = downloads / "0f0e0d0c-0b0a-4908-8706-050403020100"
    stray.mkdir()
    (stray / "disk.raw").write_bytes(b"left")
    (downloads / "notes").mkdir()
    exporting.tidy()
    assert sorted(os.listdir(downloads)) == sorted([export.token, "notes"])


def test_it_can_be_removed_at_any_time(browser, worker, disk):
    export = ready(worker, disk)
    browser.post(url(export) + "remove/")
    export.refresh_from_db()
    assert export.state == X.EXPIRED
    early = ask_download(disk, by=disk.owner, format=F.RAW)
    remove_download(early, by=disk.owner)
    remove_download(early, by=disk.owner)
    worker.run()
    early.refresh_from_db()
    assert early.state == X.EXPIRED


@pytest.mark.django_db(transaction=True)
def test_removing_it_removes_the_file_at_once(browser, worker, disk):
    export = ready(worker, disk)
    browser.post(url(export) + "remove/")
    assert not outgoing.folder(export).exists()


def test_somebody_elses_download_is_not_removed(export):
    with pytest.raises(Refused) as refused:
        remove_download(export, by=UserFactory())
    assert refused.value.code == "not_yours"
    remove_download(export, by=UserFactory(admin=True))
    assert export.state == X.EXPIRED


# What they take, and whom they keep waiting ------------------------------------------------


def test_what_is_ready_is_given_again_and_kept_anew(browser, worker, disk):
    export = ready(worker, disk)
    answer = browser.post(f"/volumes/{disk.uuid}/downloads/", {"format": F.RAW}, follow=True)
    assert "is there already" in answer.text
    with time_machine.travel(timezone.now() + timedelta(hours=20)):
        again = ask_download(disk, by=disk.owner, format=F.RAW)
        assert again == export
        assert again.expires_at > timezone.now() + timedelta(hours=23)
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        assert ask_download(disk, by=disk.owner, format=F.RAW) != export


@pytest.mark.parametrize("written", ["has been", "is restored", "elsewhere", "read"])
def test_of_a_disk_that_was_written_since_it_is_made_anew(worker, disk, written):
    export = ready(worker, disk)
    match written:
        case "has been":
            AttachmentFactory(volume=disk, state="detached", state_since=timezone.now())
        case "is restored":
            disk.record_event("restore_snapshot", by=disk.owner)
        case "elsewhere":
            AttachmentFactory(state="attached")
        case "read":
            AttachmentFactory(volume=disk, state="detached", read_only=True)
    again = ask_download(disk, by=disk.owner, format=F.RAW)
    assert (again == export) == (written in ("elsewhere", "read"))


def test_downloads_together_have_no_more_than_the_quota(disk):
    limit = 10 * MIB
    reader = UserFactory(quota_disk_bytes=limit)
    ShareFactory(volume=disk, user=reader)
    ask_download(disk, by=reader, format=F.RAW)  # 4 MiB, as far as is known
    ExportFactory(volume=disk, owner=reader, state=X.READY, size_bytes=3 * MIB)
    with pytest.raises(Refused, match="together") as refused:
        ask_download(disk, by=reader, format=F.QCOW2)
    assert refused.value.code == "downloads_full"
    Export.objects.filter(owner=reader, state=X.READY).update(size_bytes=2 * MIB)
    assert ask_download(disk, by=reader, format=F.QCOW2)


def test_the_owner_of_a_disk_ends_what_reads_it_and_nothing_else(browser, worker, disk):
    reader = UserFactory(username="reader")
    ShareFactory(volume=disk, user=reader)
    export = ask_download(disk, by=reader, format=F.RAW)
    page = browser.get(f"/volumes/{disk.uuid}/downloads/").text
    assert "A download for reader" in page
    assert browser.post(url(export) + "remove/").status_code == 302
    export.refresh_from_db()
    assert export.state == X.EXPIRED
    assert "disk's owner" in export.reason
    done = ready(worker, disk, by=reader)
    assert browser.post(url(done) + "remove/").status_code == 404
    with pytest.raises(Refused):
        remove_download(done, by=disk.owner)


def test_a_download_that_waited_looks_at_the_right_to_it_again(worker, disk):
    reader = UserFactory()
    share = ShareFactory(volume=disk, user=reader)
    export = ask_download(disk, by=reader, format=F.RAW)
    share.delete()
    worker.run()
    export.refresh_from_db()
    assert export.state == X.FAILED
    assert "not open to you any more" in export.reason
    assert not outgoing.plain(export).exists()


@pytest.mark.parametrize("format", [F.RAW, F.GZIP])
def test_what_is_called_ready_is_on_the_platter(worker, disk, monkeypatch, format):
    synced, sync = set(), os.fsync

    def syncing(fd):
        synced.add(os.readlink(f"/proc/self/fd/{fd}"))
        sync(fd)

    monkeypatch.setattr(os, "fsync", syncing)
    export = ready(worker, disk, format=format)
    where = outgoing.folder(export)
    assert {str(where), str(outgoing.file(export))} <= synced
    if format == F.GZIP:  # before it had its name
        assert any(Path(name).name.startswith(".disk") for name in synced)


def test_a_disk_that_ends_takes_its_downloads_along(worker, disk, downloads):
    reader = UserFactory()
    ShareFactory(volume=disk, user=reader)
    export = ready(worker, disk, by=reader)
    delete(disk, by=disk.owner)
    purge(disk, by=disk.owner)
    worker.run()
    exporting.tidy()
    export.refresh_from_db()
    assert (export.state, export.reason) == (X.EXPIRED, "The disk was deleted for good.")
    assert not outgoing.folder(export).exists()


def test_a_disk_that_is_given_away_takes_along_what_its_owner_may_not_read(worker, disk):
    reader, taker, before = UserFactory(), UserFactory(), disk.owner
    ShareFactory(volume=disk, user=reader)
    old = ready(worker, disk)
    kept = ready(worker, disk, by=reader)
    give(disk, to=taker, by=taker)
    old.refresh_from_db()
    kept.refresh_from_db()
    assert before != disk.owner
    assert (old.state, kept.state) == (X.EXPIRED, X.READY)


# Pages ----------------------------------------------------------------------------------


def test_the_page_asks_and_shows_how_far_it_is(browser, worker, disk):
    path = f"/volumes/{disk.uuid}/downloads/"
    answer = browser.post(path, {"format": F.GZIP})
    assert answer.status_code == 302
    page = browser.get(path).content.decode()
    assert "Being prepared" in page
    assert "Reading the disk" in page
    worker.run()
    export = Export.objects.get()
    page = browser.get(path).content.decode()
    for words in (export.sha256, "sha256sum -c", "curl -f -C -", outgoing.file_name(export)):
        assert words in page


def test_of_a_disk_that_is_written_a_snapshot_is_offered(browser, disk):
    then = SnapshotFactory(volume=disk, name="before")
    AttachmentFactory(volume=disk, vm__owner=disk.owner)
    disk.state = VolumeState.IN_USE
    disk.save()
    path = f"/volumes/{disk.uuid}/downloads/"
    page = browser.get(path).content.decode()
    assert "one of its snapshots" in page
    assert "it is now" not in page
    assert browser.post(path, {"format": F.RAW}).status_code == 422
    browser.post(path, {"format": F.RAW, "snapshot": str(then.uuid)})
    assert Export.objects.get().snapshot == then


def test_of_a_disk_that_is_written_without_snapshots_the_way_out_is_named(browser, disk):
    AttachmentFactory(volume=disk, vm__owner=disk.owner)
    disk.state = VolumeState.IN_USE
    disk.save()
    page = browser.get(f"/volumes/{disk.uuid}/downloads/").content.decode()
    assert "Take a snapshot" in page
    assert "Make the download" not in page


def test_a_row_is_a_fragment_until_it_is_removed(browser, export):
    assert "Download" in browser.get(url(export) + "row/").content.decode()
    remove_download(export, by=export.owner)
    assert browser.get(url(export) + "row/").status_code == 404


def test_the_list_is_a_fragment_for_the_page_s_own_script(browser, export):
    path = f"/volumes/{export.volume.uuid}/downloads/"
    fragment = browser.get(path, headers={"X-Requested-With": "fetch"}).content.decode()
    assert fragment.lstrip().startswith("<section")
    assert export.token in fragment
    assert "Make a download" in fragment
    there = browser.get(f"{path}?page=1", headers={"X-Requested-With": "fetch"})
    assert "Make a download" not in there.content.decode()


def test_as_many_queries_for_many_downloads_as_for_one(
    browser, disk, export, django_assert_max_num_queries
):
    for _ in range(9):
        ExportFactory(
            volume=disk, state=X.READY, sha256="0" * 64, size_bytes=1,
            expires_at=timezone.now() + timedelta(hours=1),
        )  # fmt: skip
    with django_assert_max_num_queries(16):
        browser.get(f"/volumes/{disk.uuid}/downloads/")
