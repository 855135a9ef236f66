"""Files become disks of the embedded engine itself, to the byte."""

import gzip
from pathlib import Path

import pytest

from cloud.diskfiles.tests import samples
from cloud.diskfiles.tests.samples import DISK_BYTES, KINDS
from cloud.local.driver import LocalDriver
from cloud.types import DiskFormat
from conftest import _forget_clouds
from volumes.models import Volume
from volumes.states import VolumeState
from volumes.tests.intake import arrive, landed

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

RAW = samples.disk()


@pytest.fixture
def engine(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    options = {"home": tmp_path / "cloud", "disk_floor_bytes": 0}
    settings.CLOUDS = {"local": {"DRIVER": "cloud.local.driver.LocalDriver", "OPTIONS": options}}
    _forget_clouds()
    yield LocalDriver(**options)
    _forget_clouds()


def inside(engine: LocalDriver, volume: Volume, folder: Path) -> bytes:
    out = folder / f"{volume.token}.raw"
    engine.export_volume(volume.cloud_ref, out, DiskFormat.RAW, on_progress=lambda *_: None)
    return out.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_accepted_format_comes_in_to_the_byte(engine, tmp_path, kind):
    volume = arrive(landed(samples.make(tmp_path, kind, RAW).read_bytes()))
    assert (volume.state, volume.reason) == (VolumeState.AVAILABLE, "")
    assert engine.get_volume(volume.cloud_ref).size_bytes == volume.size_bytes == DISK_BYTES
    assert inside(engine, volume, tmp_path) == RAW
    assert list((tmp_path / "arrivals").iterdir()) == []


def test_an_odd_disk_is_padded(engine, tmp_path):
    volume = arrive(landed(gzip.compress(b"\x55" * 1025)))
    assert (volume.state, volume.reason) == (VolumeState.AVAILABLE, "")
    assert inside(engine, volume, tmp_path) == b"\x55" * 1025 + bytes(511)


def test_a_raw_disk_that_pretends_to_be_qcow2_stays_raw_for_ever(engine, tmp_path):
    overlay = tmp_path / "overlay"
    samples.qemu_img("create", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", overlay, "8M")
    content = overlay.read_bytes().ljust(DISK_BYTES, b"\0")
    volume = arrive(landed(content, format="raw"))
    assert (volume.state, volume.reason) == (VolumeState.AVAILABLE, "")
    made = engine.copy_volume(
        volume.cloud_ref, token=str(Volume().uuid), on_progress=lambda *_: None
    )
    for ref in (volume.cloud_ref, made.ref):
        out = tmp_path / ref
        engine.export_volume(ref, out, DiskFormat.RAW, on_progress=lambda *_: None)
        assert out.read_bytes() == content


def test_a_damaged_disk_leaves_nothing_in_the_engine(engine, tmp_path):
    path = samples.make(tmp_path, "qcow2", RAW)
    volume = arrive(landed(path.read_bytes()[:-700_000]))
    assert volume.state == VolumeState.FAILED
    assert "cut short" in volume.reason
    assert engine.find_volume(volume.token) is None
    assert not [found for found in (tmp_path / "cloud").rglob("*") if found.name == "disk.qcow2"]
