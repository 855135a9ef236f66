"""Size and checksums of what a draft is about: of disks as a launch will read them, and of URLs."""

import bz2
import gzip
import hashlib
import lzma
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from backports import zstd
from django.utils import timezone

from core.errors import Refused
from core.tests.webserver import CONTENT as SERVED
from core.tests.webserver import Server, ranged, says
from marketplace import actions
from marketplace.identifiers import identifier_of
from marketplace.lifecycle import measuring
from marketplace.tests.drafting import CONTENT, arrived, endorser, measure, step
from volumes.models import Volume
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def places(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    settings.PORTAL_DOWNLOADS = tmp_path / "downloads"


@pytest.fixture
def ada(db):
    return endorser()


@pytest.fixture
def server(settings):
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    settings.PORTAL_FETCH_PORTS = [one.http.server_port]
    yield one
    one.close()


def of_disk(volume: Volume, by, **more):
    return actions.draft_of_disk(volume, by=by, create_key=uuid4(), **more)


def of_url(url: str, by):
    return actions.draft_of_url(url, by=by, create_key=uuid4())


def sums(content: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, content).hexdigest() for name in ("sha1", "sha256", "sha512")}


def must_be(draft, content: bytes) -> None:
    assert draft.state == "ready", draft.reason
    found = {name: getattr(draft, name) for name in sums(b"")}
    assert found == sums(content)
    assert draft.size_bytes == len(content)
    assert draft.identifier == identifier_of(draft.sha1)


# Disks ----------------------------------------------------------------------------------


def test_a_disk_that_came_in_raw_is_not_read_again(ada, cloud):
    volume = arrived(ada)
    draft = measure(of_disk(volume, ada))
    must_be(draft, CONTENT)
    assert (draft.format, draft.compression) == ("raw", "")
    assert not measuring.place(draft.uuid).parent.exists()


def test_a_packed_raw_file_is_known_by_what_was_in_it(ada, cloud):
    must_be(measure(of_disk(arrived(ada, gzip.compress(CONTENT)), ada)), CONTENT)


def test_a_disk_that_came_in_another_format_is_measured_as_it_will_be_read(ada, cloud, tmp_path):
    raw, file = tmp_path / "disk.raw", tmp_path / "disk.qcow2"
    raw.write_bytes(CONTENT)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, file], check=True)
    volume = arrived(ada, file.read_bytes())
    assert volume.sha1 == hashlib.sha1(file.read_bytes()).hexdigest()  # noqa: S324
    draft = measure(of_disk(volume, ada))
    assert draft.state == "ready", draft.reason
    assert draft.size_bytes == volume.size_bytes == draft.virtual_size_bytes
    assert draft.sha1 != volume.sha1
    assert draft.format == "raw"


def test_what_does_not_fill_whole_sectors_is_measured_with_its_padding(ada, cloud):
    content = CONTENT + b"a little more"
    volume = arrived(ada, content)
    draft = measure(of_disk(volume, ada))
    assert draft.size_bytes == volume.size_bytes == len(CONTENT) + 512
    assert draft.sha1 != volume.sha1


def test_a_disk_that_was_written_to_is_read_again(ada, cloud):
    volume = arrived(ada)
    Volume.objects.filter(pk=volume.pk).update(written_at=timezone.now(), sha1="0" * 40)
    must_be(measure(of_disk(volume, ada)), CONTENT)


def test_nothing_is_left_of_what_was_exported(ada, cloud, settings):
    volume = arrived(ada)
    Volume.objects.filter(pk=volume.pk).update(written_at=timezone.now())
    stale = Path(settings.PORTAL_DOWNLOADS) / f"draft-{uuid4()}"
    stale.mkdir(parents=True)
    must_be(measure(of_disk(volume, ada)), CONTENT)
    assert list(Path(settings.PORTAL_DOWNLOADS).iterdir()) == []


def test_a_disk_that_a_machine_writes_to_is_refused(ada, cloud):
    volume = arrived(ada)
    AttachmentFactory(volume=volume)
    with pytest.raises(Refused) as refused:
        of_disk(volume, ada)
    assert refused.value.code == "disk_written"


def test_a_machine_that_gets_the_disk_meanwhile_ends_the_measuring(ada, cloud):
    draft = step(of_disk(arrived(ada), ada))
    assert draft.state == "measuring"
    AttachmentFactory(volume=draft.volume)
    draft = step(draft)
    assert draft.state == "failed"
    assert "detach it first" in draft.reason


def test_only_the_owner_of_a_disk_measures_it(ada, cloud):
    volume = arrived(ada)
    Volume.objects.filter(pk=volume.pk).update(visibility="public")
    volume.refresh_from_db()
    with pytest.raises(Refused, match="Only the owner"):
        of_disk(volume, endorser("bob"))


def test_a_disk_that_is_gone_says_so(ada, cloud):
    draft = of_disk(arrived(ada), ada)
    Volume.objects.filter(pk=draft.volume_id).update(state="deleted")
    draft = measure(draft)
    assert draft.state == "failed"
    assert "gone" in draft.reason


def test_measuring_twice_is_one_draft(ada, cloud):
    volume, key = arrived(ada), uuid4()
    first = actions.draft_of_disk(volume, by=ada, create_key=key)
    assert actions.draft_of_disk(volume, by=ada, create_key=key) == first


def test_three_are_measured_at_a_time(ada, cloud):
    for _ in range(3):
        of_url("https://images.example.org/disk.img", ada)
    with pytest.raises(Refused) as refused:
        of_url("https://images.example.org/disk.img", ada)
    assert refused.value.code == "too_many_measured"


def test_a_measured_disk_can_be_measured_again(ada, cloud):
    draft = measure(of_disk(arrived(ada), ada))
    actions.measure_again(draft, by=ada)
    assert draft.identifier == ""
    must_be(measure(draft), CONTENT)


def test_the_worker_measures_by_itself(ada, cloud, worker):
    draft = of_disk(arrived(ada), ada)
    worker.run()
    draft.refresh_from_db()
    must_be(draft, CONTENT)


# Files on the web -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pack", "compression"),
    [
        ("plain", bytes, ""),
        ("gz", gzip.compress, "gz"),
        ("bz2", bz2.compress, "bz2"),
        ("xz", lzma.compress, "xz"),
        ("zst", zstd.compress, "zst"),
    ],
)
def test_a_file_is_measured_as_it_passes_and_unpacked(ada, cloud, server, name, pack, compression):
    server.answers["/disk"] = says(200, pack(CONTENT))
    draft = measure(of_url(server.url("/disk"), ada))
    must_be(draft, CONTENT)
    assert (draft.format, draft.compression) == ("raw", compression)
    assert draft.virtual_size_bytes == len(CONTENT)


@pytest.mark.slow
def test_the_format_and_the_size_of_the_disk_are_told_from_the_head(ada, cloud, server, tmp_path):
    for format in ("qcow2", "vmdk", "vdi", "vpc", "vhdx"):
        path = tmp_path / f"disk.{format}"
        subprocess.run(["qemu-img", "create", "-q", "-f", format, path, "3M"], check=True)
        server.answers["/disk"] = says(200, path.read_bytes())
        draft = measure(of_url(server.url("/disk"), ada))
        must_be(draft, path.read_bytes())
        assert draft.format == format
        if format != "vhdx":
            assert draft.virtual_size_bytes >= 3 << 20


def test_an_image_that_needs_another_file_is_refused(ada, cloud, server, tmp_path):
    base, path = tmp_path / "base.qcow2", tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "3M"], check=True)
    more = ["-b", base, "-F", "qcow2"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *more, path], check=True)
    server.answers["/disk"] = says(200, path.read_bytes())
    draft = measure(of_url(server.url("/disk"), ada))
    assert draft.state == "failed"
    assert "another file" in draft.reason


def test_a_fixed_vhd_is_told_from_its_end(ada, cloud, server, tmp_path):
    path = tmp_path / "disk.vhd"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed", path, "3M"], check=True
    )
    server.answers["/disk"] = says(200, path.read_bytes())
    assert measure(of_url(server.url("/disk"), ada)).format == "vpc"


def test_a_transfer_that_breaks_goes_on_where_it_ended(ada, cloud, server, monkeypatch):
    monkeypatch.setattr("marketplace.lifecycle.passing.PAUSE_S", 0.01)

    def broken_once(request):
        server.answers["/disk"] = ranged
        says(200, SERVED[:500_000], content_length=str(len(SERVED)), etag='"v1"')(request)

    server.answers["/disk"] = broken_once
    must_be(measure(of_url(server.url("/disk"), ada)), SERVED)
    assert server.asked[1]["range"] == "bytes=500000-"


def test_a_file_that_has_changed_meanwhile_is_not_pieced_together(ada, cloud, server, monkeypatch):
    monkeypatch.setattr("marketplace.lifecycle.passing.PAUSE_S", 0.01)

    def broken_once(request):
        server.answers["/disk"] = says(200, SERVED[::-1], etag='"v2"')
        says(200, SERVED[:500_000], content_length=str(len(SERVED)), etag='"v1"')(request)

    server.answers["/disk"] = broken_once
    draft = measure(of_url(server.url("/disk"), ada))
    assert draft.state == "failed"
    assert "has changed" in draft.reason


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (says(404), "there is no such file"),
        (says(200, gzip.compress(CONTENT)[:-20]), "cut short"),
        (says(200, gzip.compress(CONTENT)[:-8] + b"!" * 8), "damaged"),
        (says(200, b""), "empty"),
        (says(302, location="http://169.254.169.254/"), "private network"),
    ],
)
def test_what_cannot_be_measured_says_why(ada, cloud, server, answer, sentence):
    server.answers["/disk"] = answer
    draft = measure(of_url(server.url("/disk"), ada))
    assert draft.state == "failed"
    assert sentence in draft.reason


def test_a_bomb_goes_off_no_further_than_the_sites_limit(ada, cloud, server, settings):
    settings.PORTAL_IMAGE_GIB = 1 / 1024
    server.answers["/disk"] = says(200, gzip.compress(bytes(8 << 20)))
    draft = measure(of_url(server.url("/disk"), ada))
    assert draft.state == "failed"
    assert "larger than the 1 MiB" in draft.reason


def test_an_address_that_is_none_is_refused_at_once(ada, cloud):
    for url in ("file:///etc/passwd", "https://user:secret@example.org/x", "nonsense"):
        with pytest.raises(Refused) as refused:
            of_url(url, ada)
        assert refused.value.code == "url"


# Files of one's own computer ------------------------------------------------------------


def test_what_a_browser_has_found_is_kept(ada):
    found = actions.Measured(name="disk.img.gz", size_bytes=17, compression="gz", **sums(b"x"))
    draft = actions.draft_of_file(found, by=ada, create_key=uuid4())
    assert draft.state == "ready"
    assert draft.identifier == identifier_of(sums(b"x")["sha1"])
    assert draft.fields["compression"] == "gz"


@pytest.mark.parametrize(
    "wrong", [{"sha1": "abc"}, {"sha1": ""}, {"size_bytes": 0}, {"format": "exe"}]
)
def test_what_no_browser_has_found_is_refused(ada, wrong):
    found = {"name": "disk.img", "size_bytes": 17, **sums(b"x"), **wrong}
    with pytest.raises(Refused) as refused:
        actions.draft_of_file(actions.Measured(**found), by=ada, create_key=uuid4())
    assert refused.value.code == "measured"


def test_nobody_else_measures_for_a_closed_account(ada, cloud):
    draft = of_disk(arrived(ada), ada)
    ada.state = "suspended"
    ada.save()
    draft = measure(draft)
    assert draft.state == "failed"
    assert "not active" in draft.reason


def test_a_disk_of_nobody_here_is_not_there(ada, cloud):
    with pytest.raises(Refused):
        of_disk(VolumeFactory(), ada)
