"""The contract of images as tests: a mixin of ``DriverContract``."""

import struct
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path

import pytest

from cloud.driver import CloudDriver
from cloud.errors import CloudRefused
from cloud.tests.contract import quiet
from cloud.types import (
    ImageFormat,
    ImageSource,
    VmInfo,
    VmPhase,
)

P = VmPhase
IMAGE = "Kfake-image_identifier-0001"


def a_source(path: Path, kind: ImageFormat = ImageFormat.QCOW2) -> ImageSource:
    with path.open("rb") as file:
        sha1 = file_digest(file, "sha1").hexdigest()
    return ImageSource(path=path, format=kind, size_bytes=path.stat().st_size, sha1=sha1)


def _sha256(source: ImageSource) -> str:
    with source.path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def a_qcow2_head(*, backing_at: int = 0, crypt: int = 0, features: int = 0) -> bytes:
    """A qcow2 header that is enough to be judged by (qcow2 specification, section 1)."""
    name = b"/etc/passwd"
    head = struct.pack(">4sIQIIQI", b"QFI\xfb", 3, backing_at, len(name), 16, 1 << 20, crypt)
    head += struct.pack(">IQQIIQ", 1, 0x30000, 0x10000, 1, 0, 0)
    head += struct.pack(">QQQII", features, 0, 0, 4, 104)
    return head.ljust(512, b"\0")[: backing_at or 512] + (name if backing_at else b"")


class ImageContract:
    """Every rule of ``cloud/driver.py`` about images that holds on any cloud."""

    def test_an_imported_image_is_found_by_every_driver(
        self, driver: CloudDriver, twin: CloudDriver, source: ImageSource
    ) -> None:
        info = driver.import_image(source, token=IMAGE, on_progress=quiet)
        assert info.token == IMAGE
        assert info.size_bytes == source.size_bytes
        assert info.virtual_size_bytes >= 1
        assert twin.find_image(IMAGE) == info

    def test_an_import_says_how_far_it_is(self, driver: CloudDriver, source: ImageSource) -> None:
        told: list[tuple[int, int]] = []
        driver.import_image(
            source, token=IMAGE, on_progress=lambda done, all_: told.append((done, all_))
        )
        assert told[-1] == (source.size_bytes, source.size_bytes)
        assert told == sorted(told)

    def test_importing_again_changes_nothing(
        self, driver: CloudDriver, source: ImageSource
    ) -> None:
        first = driver.import_image(source, token=IMAGE, on_progress=quiet)
        assert driver.import_image(source, token=IMAGE, on_progress=quiet) == first

    def test_an_unknown_image_is_not_found(self, driver: CloudDriver) -> None:
        assert driver.find_image("Kno-such-image-identifier01") is None

    @pytest.mark.parametrize(
        "lie",
        [
            {"md5": "0" * 32},
            {"sha1": "0" * 40},
            {"sha256": "0" * 64},
            {"sha512": "0" * 128},
            {"size_bytes": 1},
            {"size_bytes": 1 << 40 >> 12},
            {"path": Path("/nonexistent/image")},
            {"sha1": ""},
            {"size_bytes": 1, "is_verified": True},
            {"path": Path("/nonexistent/image"), "is_verified": True},
        ],
        ids="-".join,
    )
    def test_an_image_that_is_not_as_promised_is_not_kept(
        self, driver: CloudDriver, source: ImageSource, lie: dict[str, object]
    ) -> None:
        with pytest.raises(CloudRefused):
            driver.import_image(replace(source, **lie), token=IMAGE, on_progress=quiet)
        assert driver.find_image(IMAGE) is None

    def test_any_checksum_but_md5_will_do(self, driver: CloudDriver, source: ImageSource) -> None:
        with source.path.open("rb") as file:
            sha512 = file_digest(file, "sha512").hexdigest()
        other = replace(source, sha1="", sha512=sha512.upper())
        assert driver.import_image(other, token=IMAGE, on_progress=quiet).token == IMAGE

    def test_what_the_portal_has_verified_stays_when_its_file_goes(
        self, driver: CloudDriver, twin: CloudDriver, source: ImageSource, tmp_path: Path
    ) -> None:
        mine = replace(source, path=tmp_path / "file", sha256=_sha256(source), is_verified=True)
        mine.path.write_bytes(source.path.read_bytes())
        info = driver.import_image(mine, token=IMAGE, on_progress=quiet)
        mine.path.unlink()
        assert info.size_bytes == source.size_bytes
        assert twin.find_image(IMAGE) == info

    @pytest.mark.parametrize("is_verified", [False, True])
    @pytest.mark.parametrize(
        ("head", "declared"),
        [
            (a_qcow2_head(backing_at=112), ImageFormat.QCOW2),
            (a_qcow2_head(features=1 << 2), ImageFormat.QCOW2),
            (a_qcow2_head(crypt=1), ImageFormat.QCOW2),
            (a_qcow2_head(), ImageFormat.RAW),
            (b"KDMV".ljust(1024, b"\0"), ImageFormat.RAW),
            (b"\x1f\x8b".ljust(1024, b"\0"), ImageFormat.RAW),
            (b"\0" * 1024, ImageFormat.QCOW2),
            (b"", ImageFormat.QCOW2),
        ],
        ids=["backing", "data-file", "encrypted", "not-raw", "vmdk", "gzip", "zeros", "empty"],
    )
    def test_an_image_of_another_kind_or_with_other_files_is_refused(
        self,
        driver: CloudDriver,
        tmp_path: Path,
        head: bytes,
        declared: ImageFormat,
        is_verified: bool,
    ) -> None:
        bad = tmp_path / "bad"
        bad.write_bytes(head)
        source = a_source(bad, declared)
        source = replace(source, sha256=_sha256(source), is_verified=is_verified)
        with pytest.raises(CloudRefused):
            driver.import_image(source, token=IMAGE, on_progress=quiet)
        assert driver.find_image(IMAGE) is None

    def test_an_import_can_be_abandoned_and_begun_again(
        self, driver: CloudDriver, source: ImageSource
    ) -> None:
        class Enough(Exception):
            pass

        def abandon(done: int, in_all: int) -> None:
            raise Enough

        with pytest.raises(Enough):
            driver.import_image(source, token=IMAGE, on_progress=abandon)
        assert driver.find_image(IMAGE) is None
        assert driver.import_image(source, token=IMAGE, on_progress=quiet)

    def test_a_deleted_image_is_forgotten_and_deleting_is_harmless_to_repeat(
        self, driver: CloudDriver, image: str
    ) -> None:
        driver.delete_image(image)
        driver.delete_image(image)
        driver.delete_image("Kno-such-image-identifier01")
        assert driver.find_image(image) is None

    def test_a_machine_outlives_its_image(self, driver: CloudDriver, running: VmInfo) -> None:
        driver.delete_image(IMAGE)
        assert driver.get_vm(running.ref).phase is P.RUNNING
