"""Images come from where their entries say: through whatever servers do, step by step."""

import gzip
import hashlib
import subprocess
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.utils import timezone

from cloud.local.driver import LocalDriver
from cloud.types import ImageFormat
from core.tests.webserver import Server, says
from marketplace import actions, arrivals, pdisk
from marketplace.lifecycle import IMAGE_STEPS
from marketplace.lifecycle.images import locating
from marketplace.models import ImageFile
from marketplace.states import ImageState
from marketplace.tests.arriving import (
    MIB,
    RAW,
    an_entry,
    bring,
    landing,
    nothing_is_left,
    server,
    serving,
    step,
)
from volumes.models import DiskType
from volumes.tests.factories import VolumeFactory

__all__ = ["landing", "server"]
pytestmark = pytest.mark.django_db

S = ImageState


class TestTheWay:
    def test_a_raw_disk_is_fetched_once_compared_and_kept(self, server, cloud, landing):
        server.answers["/disk"] = serving(RAW)
        entry = an_entry(server, "/disk")
        image = actions.ensure_image(entry, "local")
        assert [step(image) for _ in range(4)] == [S.FETCHING, S.CHECKING, S.COPYING, S.READY]
        assert image.sums == {
            name: getattr(entry, name) for name in ("md5", "sha1", "sha256", "sha512")
        }
        assert image.size_bytes == image.bytes_done == image.bytes_total == MIB
        assert cloud.find_image(entry.identifier)
        assert image.is_proven_by(entry)
        assert len(server.asked) == 1
        assert list(arrivals.landed()) == []

    @pytest.mark.parametrize("says_so", [True, False], ids=["declared", "not declared"])
    def test_of_a_packed_file_what_is_in_it_is_compared(self, server, cloud, landing, says_so):
        server.answers["/disk.gz"] = serving(gzip.compress(RAW))
        image = actions.ensure_image(
            an_entry(server, "/disk.gz", compression="gz" if says_so else ""), "local"
        )
        states = [step(image) for _ in range(5)]
        assert states == [S.FETCHING, S.CHECKING, S.UNPACKING, S.COPYING, S.READY]
        assert image.size_bytes == MIB

    def test_an_index_may_state_the_sum_of_the_packed_file(self, server, cloud):
        packed = gzip.compress(RAW)
        server.answers["/disk.gz"] = serving(packed)
        image = bring(an_entry(server, "/disk.gz", content=packed, compression="gz"))
        assert image.state == S.READY
        assert image.sums["sha256"] == hashlib.sha256(packed).hexdigest()

    def test_what_is_not_packed_although_it_should_be_is_taken(self, server, cloud):
        server.answers["/disk"] = serving(RAW)
        assert bring(an_entry(server, "/disk", compression="gz")).state == S.READY

    def test_without_sha1_and_size_another_sum_will_do(self, server, cloud):
        server.answers["/disk"] = serving(RAW)
        entry = an_entry(
            server, "/disk", sha1="", md5="", sha256="", size_bytes=None,
            identifier="_" + "x" * 26,
        )  # fmt: skip
        image = bring(entry)
        assert image.state == S.READY
        assert image.size_bytes == MIB

    def test_md5_alone_is_no_proof(self, server, cloud):
        entry = an_entry(server, "/disk", sha1="", sha256="", sha512="", identifier="_" + "x" * 26)
        image = bring(entry)
        nothing_is_left(image)
        assert "no checksum" in image.reason
        assert server.asked == []

    def test_two_launches_fetch_it_once(self, server, cloud, alice, bob):
        server.answers["/disk"] = serving(RAW)
        entry = an_entry(server, "/disk")
        first = actions.image_for(entry, "local", by=alice)
        second = actions.image_for(entry, "local", by=bob)
        assert first.image == second.image
        assert (first.is_ready, first.is_open) == (False, False)
        bring(entry)
        assert actions.image_for(entry, "local", by=bob).is_ready
        assert len(server.asked) == 1

    def test_progress_is_told_in_bytes(self, server, cloud, monkeypatch):
        server.answers["/disk"] = serving(RAW)
        seen = []
        keep = ImageFile.keep
        monkeypatch.setattr(
            ImageFile, "keep", lambda self, **said: (seen.append(said), keep(self, **said))
        )
        bring(an_entry(server, "/disk"))
        assert {"bytes_done": MIB, "bytes_total": MIB} in seen

    def test_the_engine_keeps_the_very_file(self, server, tmp_path):
        server.answers["/disk"] = serving(RAW)
        driver = LocalDriver(home=tmp_path / "cloud", public_host="127.0.0.1")
        entry = an_entry(server, "/disk")
        image = actions.ensure_image(entry, "local")
        inode = None
        while image.is_moving:
            if image.state == S.COPYING:
                inode = arrivals.received(image.uuid).stat().st_ino
            go = IMAGE_STEPS[image.state](image, driver)
            image.move(go.to, alongside=go.alongside, **go.fields)
        kept = tmp_path / "cloud" / "images" / f"{entry.identifier}.raw"
        assert kept.stat().st_ino == inode
        assert kept.read_bytes() == RAW
        assert image.kept_bytes >= MIB


class TestServers:
    """Each ends in the right message, and nothing is left."""

    def test_one_that_cuts_the_connection_is_asked_for_the_rest(self, server, cloud, landing):
        server.answers["/disk"] = says(200, RAW[:5000], content_length=str(MIB), etag='"v1"')
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image)
        assert step(image) == S.FETCHING
        assert image.reason == "The server hung up before the end. The portal tries again."
        server.answers["/disk"] = serving(RAW)
        assert [step(image) for _ in range(3)] == [S.CHECKING, S.COPYING, S.READY]
        assert server.asked[-1]["range"] == "bytes=5000-"
        assert image.reason == ""

    def test_another_version_is_fetched_from_its_beginning(self, server, cloud):
        server.answers["/disk"] = says(200, b"x" * 5000, content_length=str(MIB), etag='"v0"')
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image), step(image)
        server.answers["/disk"] = serving(RAW)
        assert bring(image.entry).state == S.READY

    @pytest.mark.parametrize(
        "where", ["http://127.0.0.1/disk", "http://169.254.169.254/latest/meta-data/"]
    )
    def test_one_that_redirects_inside_leads_nowhere(self, server, cloud, landing, settings, where):
        other = Server("127.0.0.2")
        settings.PORTAL_FETCH_NETWORKS = ["127.0.0.2/32"]
        settings.PORTAL_FETCH_PORTS = [other.http.server_port]
        other.answers["/disk"] = says(302, b"", location=where)
        image = bring(an_entry(other, "/disk"))
        other.close()
        nothing_is_left(image)
        assert "is inside a private network, which the portal does not fetch from" in image.reason

    def test_one_that_lies_and_sends_less_is_given_up(self, server, cloud, landing):
        server.answers["/disk"] = says(200, RAW[:-5], content_length=str(MIB))
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image), step(image)
        assert image.state == S.FETCHING
        with time_machine.travel(timezone.now() + timedelta(minutes=6)):
            step(image)
            assert image.state == S.CLEARING
            step(image)
        nothing_is_left(image)
        assert "hung up" in image.reason

    def test_one_that_lies_and_sends_more_is_cut_off(self, server, cloud, landing):
        server.answers["/disk"] = says(200, RAW + b"more", content_length="")
        image = bring(an_entry(server, "/disk"))
        nothing_is_left(image)
        assert image.reason.endswith(f"expected {MIB} bytes, got more than {MIB}.")

    def test_another_length_is_seen_before_the_file_is_loaded(self, server, cloud, landing):
        server.answers["/disk"] = serving(RAW * 3)
        image = bring(an_entry(server, "/disk"))
        nothing_is_left(image)
        assert image.reason.endswith(f"expected {MIB} bytes, got {3 * MIB}.")

    @pytest.mark.parametrize("packed", [False, True])
    def test_other_bytes_are_told_with_both_values(self, server, cloud, landing, packed):
        other = RAW[:-1] + b"!"
        server.answers["/disk"] = serving(gzip.compress(other) if packed else other)
        entry = an_entry(server, "/disk", compression="gz" if packed else "")
        image = bring(entry)
        nothing_is_left(image)
        got = hashlib.sha256(other).hexdigest()
        assert f"SHA-256 expected {entry.sha256}, got {got}." in image.reason
        assert cloud.find_image(entry.identifier) is None

    @pytest.mark.parametrize("name", ["md5", "sha1", "sha512"])
    def test_every_sum_that_is_stated_must_be_right(self, server, cloud, name):
        server.answers["/disk"] = serving(RAW)
        wrong = "0" * len(getattr(an_entry(server, "/x", content=b"x"), name))
        image = bring(an_entry(server, "/disk", **{name: wrong}))
        assert image.state == S.FAILED
        assert f"expected {wrong}, got" in image.reason

    def test_one_that_drips_is_given_up(self, server, cloud, landing, monkeypatch):
        monkeypatch.setattr("core.fetch.PACE_S", 0.2)
        monkeypatch.setattr("core.fetch.SLOWEST_BYTES_S", 1 << 30)
        server.answers["/disk"] = drip
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image), step(image)
        assert "sends less than" in image.reason
        with time_machine.travel(timezone.now() + timedelta(minutes=6)):
            step(image), step(image)
        nothing_is_left(image)
        assert "sends less than" in image.reason

    @pytest.mark.parametrize("size_is_stated", [True, False])
    def test_a_bomb_goes_off_no_further_than_it_may(
        self, server, cloud, landing, settings, monkeypatch, size_is_stated
    ):
        monkeypatch.setattr("marketplace.lifecycle.images.checking.GIB", 4 * MIB)
        settings.PORTAL_IMAGE_GIB = 1
        server.answers["/disk"] = serving(gzip.compress(bytes(64 * MIB), 9))
        sizes = {} if size_is_stated else {"size_bytes": None}
        image = bring(an_entry(server, "/disk", compression="gz", **sizes))
        nothing_is_left(image)
        expected = f"expected {MIB} bytes, got more." if size_is_stated else "larger than the 1 GiB"
        assert expected in image.reason

    def test_an_error_page_is_never_kept(self, server, cloud, landing):
        server.answers["/disk"] = says(404, b"<html>")
        image = bring(an_entry(server, "/disk"))
        nothing_is_left(image)
        assert "there is no such file" in image.reason

    def test_a_full_disk_is_waited_for_a_little(self, server, cloud, monkeypatch):
        server.answers["/disk"] = serving(RAW)
        monkeypatch.setattr(arrivals, "FLOOR_BYTES", 1 << 60)
        image = actions.ensure_image(an_entry(server, "/disk"), "local")
        step(image), step(image)
        assert image.state == S.FETCHING
        assert "no room" in image.reason
        monkeypatch.undo()


def drip(request):
    request.send_response(200)
    request.send_header("Content-Length", str(MIB))
    request.end_headers()
    try:
        for at in range(0, MIB, 512):
            request.wfile.write(RAW[at : at + 512])
            request.wfile.flush()
            request.connection.settimeout(0.02)
            try:
                request.connection.recv(1)
            except TimeoutError:
                continue
    except OSError:
        pass


class TestLocations:
    def test_they_are_tried_in_order_and_each_failure_kept(self, server, cloud):
        server.answers |= {"/a": says(404), "/b": serving(b"x" * MIB), "/c": serving(RAW)}
        entry = an_entry(server, "/a", "/b", "/c")
        image = actions.ensure_image(entry, "local")
        seen = []
        while image.is_moving:
            step(image)
            seen.append(list(image.failures))
        assert image.state == S.READY
        first, second = max(seen, key=len)
        assert first == [server.url("/a"), "The server answers 404 (there is no such file) "
                         "instead of a file."]  # fmt: skip
        assert second[0] == server.url("/b")
        assert "expected" in second[1]
        assert image.failures == []

    def test_when_all_fail_each_is_told(self, server, cloud):
        server.answers |= {"/a": says(404), "/b": serving(b"x" * MIB)}
        ftp = "ftp://example.org/disk"
        urls = [server.url("/a"), server.url("/b"), ftp, "pdisk:elsewhere.example:1", "what:ever"]
        image = bring(an_entry(server, locations=urls))
        nothing_is_left(image)
        for words in ("None of the image's 5 locations", "404", "expected"):
            assert words in image.reason
        assert len(image.reason) <= 500
        assert [location for location, _ in image.failures] == urls
        said = [why for _, why in image.failures]
        assert "does not fetch by FTP" in said[2]
        assert "disk of another site" in said[3]

    def test_an_entry_without_locations_says_so(self, server, cloud):
        image = bring(an_entry(server))
        nothing_is_left(image)
        assert "names no place" in image.reason

    def test_a_busy_server_is_left_sooner_if_there_is_another(self, server, cloud):
        server.answers |= {"/a": says(503), "/b": serving(RAW)}
        image = actions.ensure_image(an_entry(server, "/a", "/b"), "local")
        step(image), step(image)
        assert "503" in image.reason
        with time_machine.travel(timezone.now() + locating.PATIENCE_WITH_OTHERS * 2):
            step(image)
            assert image.location.endswith("/b")
            assert bring(image.entry).state == S.READY

    def test_what_failed_once_is_tried_anew_at_the_next_wish(self, server, cloud):
        server.answers["/disk"] = says(404)
        entry = an_entry(server, "/disk")
        assert bring(entry).state == S.FAILED
        server.answers["/disk"] = serving(RAW)
        with time_machine.travel(timezone.now() + timedelta(minutes=1)):
            assert bring(entry).state == S.READY


class TestDisksOfThisSite:
    @pytest.fixture
    def disk(self, server, cloud, alice):
        volume = VolumeFactory(
            owner=alice, size_bytes=MIB, type=DiskType.MACHINE_IMAGE_ORIGIN,
        )  # fmt: skip
        cloud.create_volume(MIB, token=volume.token)
        volume.cloud_ref = volume.token
        volume.save(update_fields=["cloud_ref"])
        return volume

    def entry(self, server, disk, cloud, tmp_path, **more):
        path = tmp_path / f"{uuid4()}.raw"
        cloud.export_volume(disk.cloud_ref, path, ImageFormat.RAW, on_progress=lambda *_: None)
        content = path.read_bytes()
        path.unlink()
        where = pdisk.address_of(disk.uuid)
        return an_entry(server, content=content, locations=[where], **more)

    def test_their_bytes_come_through_the_cloud(self, server, cloud, disk, tmp_path, alice):
        entry = self.entry(server, disk, cloud, tmp_path, owner=alice)
        image = bring(entry)
        assert image.state == S.READY
        assert image.proof_disks == {str(entry.pk): str(disk.uuid)}
        assert "export_volume" in cloud.world.calls

    def test_not_for_an_entry_whose_owner_may_not_read_it(self, server, cloud, disk, tmp_path, bob):
        image = bring(self.entry(server, disk, cloud, tmp_path, owner=bob))
        nothing_is_left(image)
        assert "may not read it" in image.reason

    def test_one_that_changed_is_another_image(self, server, cloud, disk, tmp_path, alice):
        entry = self.entry(server, disk, cloud, tmp_path, owner=alice)
        type(entry).objects.filter(pk=entry.pk).update(sha512="0" * 128)
        entry.refresh_from_db()
        assert "expected" in bring(entry).reason


class TestKinds:
    def test_another_kind_than_its_entry_says_is_refused(self, server, cloud, qcow2):
        content = qcow2.read_bytes()
        server.answers["/disk"] = serving(content)
        image = bring(an_entry(server, "/disk", content=content, format="raw"))
        nothing_is_left(image)
        assert "says that the image is a RAW disk, and it is a QCOW2 disk" in image.reason

    def test_one_that_names_other_files_is_refused(self, server, cloud, tmp_path):
        (tmp_path / "base").write_bytes(bytes(MIB))
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "top"],
            cwd=tmp_path, check=True,
        )  # fmt: skip
        content = (tmp_path / "top").read_bytes()
        server.answers["/disk"] = serving(content)
        image = bring(an_entry(server, "/disk", content=content, format="qcow2"))
        nothing_is_left(image)
        assert "other file" in image.reason or "backing" in image.reason

    @pytest.mark.slow
    @pytest.mark.parametrize(("kind", "format"), [("vmdk", "vmdk"), ("vdi", "vdi"), ("vpc", "vpc")])
    def test_disks_of_other_kinds_are_converted(self, server, tmp_path, kind, format):
        raw, made = tmp_path / "raw", tmp_path / "made"
        raw.write_bytes(RAW * 4)
        subprocess.run(["qemu-img", "convert", "-O", kind, raw, made], check=True)
        content = made.read_bytes()
        server.answers["/disk"] = serving(content)
        driver = LocalDriver(home=tmp_path / "cloud", public_host="127.0.0.1")
        entry = an_entry(server, "/disk", content=content, format=format)
        image = actions.ensure_image(entry, "local")
        while image.is_moving:
            go = IMAGE_STEPS[image.state](image, driver)
            image.move(go.to, reason=go.reason, alongside=go.alongside, **go.fields)
        assert image.state == S.READY, image.reason
        kept = tmp_path / "cloud" / "images" / f"{entry.identifier}.qcow2"
        back = tmp_path / "back"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", kept, back], check=True)
        assert back.read_bytes()[: 4 * MIB] == RAW * 4
        assert list(arrivals.landed()) == []
