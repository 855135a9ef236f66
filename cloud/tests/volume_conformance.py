"""The contract of volumes as tests, but for plugging them in: a mixin of ``DriverContract``."""

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudRefused, NotFound, Unsupported
from cloud.tests.contract import new_token, quiet
from cloud.types import DiskFormat, VolumeInfo, VolumeSource

MIB = 1 << 20
GIB = 1 << 30
F = DiskFormat

#: A guest may write this into the first sector of its own raw disk.
PRETENDS_TO_BE_QCOW2 = b"QFI\xfb\0\0\0\3" + bytes(8) + b"/etc/passwd"


class Enough(Exception):
    """Somebody changed their mind in the middle of a transfer."""


def a_disk(path: Path, *, mib: int = 4, head: bytes = b"begin") -> VolumeSource:
    """A raw file with bytes at both ends and in the middle, and holes between them."""
    with path.open("wb") as file:
        file.truncate(mib * MIB)
        file.write(head)
        for at in (mib * MIB // 2 + 513, mib * MIB - 100):
            file.seek(at)
            file.write(os.urandom(100))
    return VolumeSource(path=path, format=F.RAW, size_bytes=mib * MIB)


def as_format(source: VolumeSource, kind: DiskFormat, *options: str) -> VolumeSource:
    path = source.path.with_suffix(f".{kind}")
    command = ["qemu-img", "convert", "-f", "raw", "-O", kind.value, *options]
    subprocess.run([*command, str(source.path), str(path)], check=True)
    return VolumeSource(path=path, format=kind, size_bytes=source.size_bytes)


class VolumeContract:
    """Every rule of ``cloud/driver.py`` about volumes that holds on any cloud."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> VolumeSource:
        return a_disk(tmp_path / "disk.raw")

    @pytest.fixture
    def volume(self, driver: CloudDriver, disk: VolumeSource) -> VolumeInfo:
        return driver.import_volume(disk, token=new_token(), on_progress=quiet)

    def bytes_of(self, driver: CloudDriver, ref: str, folder: Path, *, snapshot: str = "") -> bytes:
        path = folder / new_token()
        driver.export_volume(ref, path, F.RAW, snapshot=snapshot, on_progress=quiet)
        return path.read_bytes()

    # They come and go ----------------------------------------------------------

    def test_a_new_volume_has_its_size_and_is_found_by_every_driver(
        self, driver: CloudDriver, twin: CloudDriver
    ) -> None:
        token = new_token()
        assert driver.find_volume(token) is None
        made = driver.create_volume(3 * GIB, token=token)
        assert (made.token, made.size_bytes, made.snapshots) == (token, 3 * GIB, ())
        assert twin.find_volume(token) == made
        assert twin.get_volume(made.ref) == made
        assert list(twin.list_volumes()) == [made]

    def test_a_new_volume_holds_zeros_and_takes_next_to_no_room(
        self, driver: CloudDriver, tmp_path: Path
    ) -> None:
        made = driver.create_volume(8 * MIB, token=new_token())
        assert made.used_bytes is None or made.used_bytes < 4 * MIB
        assert self.bytes_of(driver, made.ref, tmp_path) == bytes(8 * MIB)

    def test_asking_twice_makes_one_volume(self, driver: CloudDriver, twin: CloudDriver) -> None:
        token = new_token()
        first = driver.create_volume(GIB, token=token)
        assert twin.create_volume(GIB, token=token) == first
        assert len(list(driver.list_volumes())) == 1

    def test_asking_from_many_threads_at_once_makes_one_volume(
        self, driver: CloudDriver, twin: CloudDriver
    ) -> None:
        token = new_token()

        def ask(n: int) -> str:
            while True:
                with suppress(CloudBusy):
                    return (driver, twin)[n % 2].create_volume(GIB, token=token).ref

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(16)))) == 1
        assert len(list(driver.list_volumes())) == 1

    @pytest.mark.parametrize("size_bytes", [0, -512, 1, 1000, GIB + 1, 1 << 60])
    def test_what_is_no_size_of_a_volume_is_refused(
        self, driver: CloudDriver, size_bytes: int
    ) -> None:
        token = new_token()
        with pytest.raises(CloudRefused):
            driver.create_volume(size_bytes, token=token)
        assert driver.find_volume(token) is None

    def test_a_deleted_volume_is_gone_and_deleting_is_harmless_to_repeat(
        self, driver: CloudDriver, twin: CloudDriver, volume: VolumeInfo
    ) -> None:
        driver.create_snapshot(volume.ref, token=new_token())
        driver.delete_volume(volume.ref)
        twin.delete_volume(volume.ref)
        assert twin.find_volume(volume.token) is None
        assert list(driver.list_volumes()) == []
        with pytest.raises(NotFound):
            driver.get_volume(volume.ref)

    @pytest.mark.parametrize(
        "ref", ["00000000-0000-4000-8000-000000000000", "", "no-such", "../..", "a\0b", "x" * 300]
    )
    def test_a_stranger_is_no_volume_and_deleting_it_is_quiet(
        self, driver: CloudDriver, tmp_path: Path, ref: str
    ) -> None:
        token = new_token()
        asked: list[Callable[[], object]] = [
            lambda: driver.get_volume(ref),
            lambda: driver.copy_volume(ref, token=token, on_progress=quiet),
            lambda: driver.export_volume(ref, tmp_path / "out", F.RAW, on_progress=quiet),
            lambda: driver.grow_volume(ref, GIB),
            lambda: driver.create_snapshot(ref, token=token),
            lambda: driver.restore_snapshot(ref, token=token),
        ]
        for ask in asked:
            with pytest.raises(NotFound):
                ask()
        driver.delete_volume(ref)
        driver.delete_snapshot(ref, token=token)
        assert driver.find_volume(ref) is None
        assert list(driver.list_volumes()) == []
        assert list(tmp_path.iterdir()) == []

    # Bytes come in -------------------------------------------------------------

    @pytest.mark.parametrize("kind", list(F), ids=str)
    def test_an_imported_volume_holds_the_disk_that_was_in_the_file(
        self, driver: CloudDriver, disk: VolumeSource, tmp_path: Path, kind: DiskFormat
    ) -> None:
        source = disk if kind is F.RAW else as_format(disk, kind)
        if kind is F.VHD:  # it rounds to whole cylinders, unless it is told not to
            source = as_format(disk, kind, "-o", "force_size=on")
        before = sha256(source.path.read_bytes()).digest()
        made = driver.import_volume(source, token=new_token(), on_progress=quiet)
        assert made.size_bytes == disk.size_bytes
        assert self.bytes_of(driver, made.ref, tmp_path) == disk.path.read_bytes()
        assert sha256(source.path.read_bytes()).digest() == before

    def test_a_volume_that_is_not_whole_sectors_is_filled_up(
        self, driver: CloudDriver, tmp_path: Path
    ) -> None:
        odd = tmp_path / "odd"
        odd.write_bytes(b"x" * 1000)
        source = VolumeSource(path=odd, format=F.RAW, size_bytes=1024)
        made = driver.import_volume(source, token=new_token(), on_progress=quiet)
        assert self.bytes_of(driver, made.ref, tmp_path) == b"x" * 1000 + bytes(24)

    def test_a_raw_volume_that_pretends_to_be_qcow2_stays_raw(
        self, driver: CloudDriver, tmp_path: Path
    ) -> None:
        source = a_disk(tmp_path / "liar", head=PRETENDS_TO_BE_QCOW2)
        made = driver.import_volume(source, token=new_token(), on_progress=quiet)
        copy = driver.copy_volume(made.ref, token=new_token(), on_progress=quiet)
        for ref in (made.ref, copy.ref):
            assert self.bytes_of(driver, ref, tmp_path) == source.path.read_bytes()

    def test_a_volume_says_how_far_it_has_come(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
    ) -> None:
        told: list[tuple[int, int]] = []

        def tell(done: int, in_all: int) -> None:
            told.append((done, in_all))

        moves: list[Callable[[], object]] = [
            lambda: driver.import_volume(disk, token=new_token(), on_progress=tell),
            lambda: driver.copy_volume(volume.ref, token=new_token(), on_progress=tell),
            lambda: driver.export_volume(volume.ref, tmp_path / "out", F.RAW, on_progress=tell),
        ]
        for move in moves:
            told.clear()
            move()
            assert told[-1] == (disk.size_bytes, disk.size_bytes)
            assert told == sorted(told)

    def test_importing_a_volume_again_changes_nothing(
        self, driver: CloudDriver, twin: CloudDriver, disk: VolumeSource
    ) -> None:
        token = new_token()
        first = driver.import_volume(disk, token=token, on_progress=quiet)
        assert twin.import_volume(disk, token=token, on_progress=quiet) == first

    @pytest.mark.parametrize("size_bytes", [512, 4 * MIB - 512, 4 * MIB + 512, 0, 4 * MIB + 1])
    @pytest.mark.parametrize("kind", [F.RAW, F.QCOW2], ids=str)
    def test_a_file_whose_volume_has_another_size_is_refused(
        self, driver: CloudDriver, disk: VolumeSource, size_bytes: int, kind: DiskFormat
    ) -> None:
        path = disk.path if kind is F.RAW else as_format(disk, kind).path
        source = VolumeSource(path=path, format=kind, size_bytes=size_bytes)
        token = new_token()
        with pytest.raises(CloudRefused):
            driver.import_volume(source, token=token, on_progress=quiet)
        assert driver.find_volume(token) is None

    @pytest.mark.parametrize("kind", [F.QCOW2, F.VDI, F.VMDK, F.VHDX], ids=str)
    def test_a_damaged_file_becomes_no_volume(
        self, driver: CloudDriver, disk: VolumeSource, kind: DiskFormat
    ) -> None:
        source = as_format(disk, kind)
        with source.path.open("r+b") as file:
            file.write(b"rubbish" * 1000)
        token = new_token()
        with pytest.raises(CloudRefused):
            driver.import_volume(source, token=token, on_progress=quiet)
        assert driver.find_volume(token) is None

    def test_a_missing_file_becomes_no_volume(self, driver: CloudDriver, tmp_path: Path) -> None:
        token = new_token()
        source = VolumeSource(path=tmp_path / "none", format=F.RAW, size_bytes=MIB)
        with pytest.raises(CloudRefused):
            driver.import_volume(source, token=token, on_progress=quiet)
        assert driver.find_volume(token) is None

    @pytest.mark.parametrize("named", ["backing", "data", "extent"])
    def test_a_file_that_names_other_files_becomes_no_volume(
        self, driver: CloudDriver, disk: VolumeSource, tmp_path: Path, named: str
    ) -> None:
        path, base = tmp_path / "names", as_format(disk, F.QCOW2).path
        kind, options = {
            "backing": (F.QCOW2, ["-b", str(base), "-F", "qcow2"]),
            "data": (F.QCOW2, ["-o", f"data_file={tmp_path / 'data'}"]),
            "extent": (F.VMDK, ["-o", "subformat=monolithicFlat"]),
        }[named]
        command = ["qemu-img", "create", "-q", "-f", kind.value, *options, str(path)]
        subprocess.run([*command, str(4 * MIB)], check=True)
        token = new_token()
        with pytest.raises(CloudRefused):
            driver.import_volume(
                VolumeSource(path=path, format=kind, size_bytes=4 * MIB),
                token=token, on_progress=quiet,
            )  # fmt: skip
        assert driver.find_volume(token) is None

    # Bytes go out --------------------------------------------------------------

    def test_an_exported_volume_is_sparse_and_the_same(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
    ) -> None:
        path = tmp_path / "out.raw"
        driver.export_volume(volume.ref, path, F.RAW, on_progress=quiet)
        assert path.read_bytes() == disk.path.read_bytes()
        assert path.stat().st_blocks * 512 < disk.size_bytes // 2

    def test_a_volume_exported_as_qcow2_comes_back_the_same(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
    ) -> None:
        path = tmp_path / "out.qcow2"
        driver.export_volume(volume.ref, path, F.QCOW2, on_progress=quiet)
        source = VolumeSource(path=path, format=F.QCOW2, size_bytes=volume.size_bytes)
        again = driver.import_volume(source, token=new_token(), on_progress=quiet)
        assert self.bytes_of(driver, again.ref, tmp_path) == disk.path.read_bytes()

    @pytest.mark.parametrize("kind", [F.VDI, F.VMDK, F.VHD, F.VHDX], ids=str)
    def test_a_volume_is_exported_in_no_other_format(
        self, driver: CloudDriver, volume: VolumeInfo, tmp_path: Path, kind: DiskFormat
    ) -> None:
        with pytest.raises(Unsupported):
            driver.export_volume(volume.ref, tmp_path / "out", kind, on_progress=quiet)
        assert not (tmp_path / "out").exists()

    def test_a_transfer_of_a_volume_can_be_abandoned_and_begun_again(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
    ) -> None:
        def abandon(done: int, in_all: int) -> None:
            raise Enough

        token, out = new_token(), tmp_path / "out"
        transfers: list[Callable[[Callable[[int, int], None]], object]] = [
            lambda tell: driver.import_volume(disk, token=token, on_progress=tell),
            lambda tell: driver.copy_volume(volume.ref, token=token, on_progress=tell),
            lambda tell: driver.export_volume(volume.ref, out, F.RAW, on_progress=tell),
            lambda tell: driver.export_volume(volume.ref, out, F.QCOW2, on_progress=tell),
        ]
        for transfer in transfers:
            with pytest.raises(Enough):
                transfer(abandon)
            assert driver.find_volume(token) is None
            assert {path.name for path in tmp_path.iterdir()} <= {disk.path.name}
            transfer(quiet)
            driver.delete_volume(token)
            out.unlink(missing_ok=True)

    # Copies --------------------------------------------------------------------

    def test_a_copy_of_a_volume_outlives_it(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
    ) -> None:
        driver.create_snapshot(volume.ref, token=new_token())
        token = new_token()
        copy = driver.copy_volume(volume.ref, token=token, on_progress=quiet)
        assert (copy.token, copy.size_bytes, copy.snapshots) == (token, volume.size_bytes, ())
        driver.delete_volume(volume.ref)
        assert self.bytes_of(driver, copy.ref, tmp_path) == disk.path.read_bytes()

    def test_copying_a_volume_twice_makes_one_copy(
        self, driver: CloudDriver, twin: CloudDriver, volume: VolumeInfo
    ) -> None:
        token = new_token()
        first = driver.copy_volume(volume.ref, token=token, on_progress=quiet)
        assert twin.copy_volume(volume.ref, token=token, on_progress=quiet) == first
        assert len(list(driver.list_volumes())) == 2

    def test_it_says_whether_copies_of_volumes_share_what_is_the_same(
        self, driver: CloudDriver
    ) -> None:
        assert driver.capabilities().lacks.get("copy_on_write", "It can.").endswith(".")

    # They grow -----------------------------------------------------------------

    def test_a_grown_volume_keeps_its_bytes_and_ends_in_zeros(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
    ) -> None:
        for _ in range(2):
            assert driver.grow_volume(volume.ref, 8 * MIB).size_bytes == 8 * MIB
        expected = disk.path.read_bytes() + bytes(4 * MIB)
        assert self.bytes_of(driver, volume.ref, tmp_path) == expected

    @pytest.mark.parametrize("size_bytes", [4 * MIB - 512, 0, 4 * MIB + 1, 1 << 60])
    def test_a_volume_does_not_shrink_or_grow_without_measure(
        self, driver: CloudDriver, volume: VolumeInfo, size_bytes: int
    ) -> None:
        with pytest.raises(CloudRefused):
            driver.grow_volume(volume.ref, size_bytes)
        assert driver.get_volume(volume.ref).size_bytes == volume.size_bytes

    # Snapshots -----------------------------------------------------------------

    @pytest.fixture
    def before_it_grew(self, driver: CloudDriver, volume: VolumeInfo) -> str:
        """A snapshot of a volume that has another size now."""
        token = new_token()
        driver.create_snapshot(volume.ref, token=token)
        driver.grow_volume(volume.ref, 6 * MIB)
        return token

    def test_snapshots_of_a_volume_are_listed_oldest_first(
        self, driver: CloudDriver, twin: CloudDriver, volume: VolumeInfo
    ) -> None:
        tokens = tuple(new_token() for _ in range(3))
        for token in tokens:
            driver.create_snapshot(volume.ref, token=token)
            twin.create_snapshot(volume.ref, token=token)
        assert twin.get_volume(volume.ref).snapshots == tokens
        driver.delete_snapshot(volume.ref, token=tokens[1])
        twin.delete_snapshot(volume.ref, token=tokens[1])
        assert twin.get_volume(volume.ref).snapshots == (tokens[0], tokens[2])

    def test_a_volume_goes_back_to_its_snapshot_and_may_go_back_again(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, before_it_grew: str,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        for _ in range(2):
            driver.restore_snapshot(volume.ref, token=before_it_grew)
            assert driver.get_volume(volume.ref).size_bytes == disk.size_bytes
            assert self.bytes_of(driver, volume.ref, tmp_path) == disk.path.read_bytes()
            assert driver.get_volume(volume.ref).snapshots == (before_it_grew,)
            driver.grow_volume(volume.ref, 6 * MIB)

    def test_a_snapshot_of_a_volume_is_copied_and_exported_as_it_was(
        self, driver: CloudDriver, disk: VolumeSource, volume: VolumeInfo, before_it_grew: str,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        copy = driver.copy_volume(
            volume.ref, token=new_token(), snapshot=before_it_grew, on_progress=quiet
        )
        assert (copy.size_bytes, copy.snapshots) == (disk.size_bytes, ())
        assert self.bytes_of(driver, copy.ref, tmp_path) == disk.path.read_bytes()
        exported = self.bytes_of(driver, volume.ref, tmp_path, snapshot=before_it_grew)
        assert exported == disk.path.read_bytes()
        path = tmp_path / "then.qcow2"
        driver.export_volume(volume.ref, path, F.QCOW2, snapshot=before_it_grew, on_progress=quiet)
        source = VolumeSource(path=path, format=F.QCOW2, size_bytes=disk.size_bytes)
        assert driver.import_volume(source, token=new_token(), on_progress=quiet)

    def test_a_snapshot_that_a_volume_does_not_have_is_not_found(
        self, driver: CloudDriver, volume: VolumeInfo, tmp_path: Path
    ) -> None:
        missing = new_token()
        asked: list[Callable[[], object]] = [
            lambda: driver.restore_snapshot(volume.ref, token=missing),
            lambda: driver.copy_volume(
                volume.ref, token=new_token(), snapshot=missing, on_progress=quiet
            ),
            lambda: driver.export_volume(
                volume.ref, tmp_path / "out", F.RAW, snapshot=missing, on_progress=quiet
            ),
        ]
        for ask in asked:
            with pytest.raises(NotFound):
                ask()
        assert len(list(driver.list_volumes())) == 1
        assert not (tmp_path / "out").exists()
