"""The fake cloud's volumes: their bytes are kept in memory, block by block, zeros not at all."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cloud.diskfiles import convert, headers
from cloud.driver import Progress
from cloud.errors import CloudBusy, CloudRefused, NotFound, Unsupported
from cloud.types import DiskFormat, VolumeInfo, VolumeSource

BLOCK = 64 << 10
SECTOR = 512
LARGEST_BYTES = 2 << 40
NO_COPY_ON_WRITE = "This cloud copies every byte."

Blocks = dict[int, bytes]  # by number; one that is missing is zeros


@dataclass(slots=True)
class FakeVolume:
    """``holders``: machine's ref -> whether it only reads. ``saved``: checksums of then."""

    token: str
    size_bytes: int
    blocks: Blocks = field(default_factory=dict)
    snapshots: dict[str, tuple[int, Blocks]] = field(default_factory=dict)
    holders: dict[str, bool] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)

    def info(self) -> VolumeInfo:
        return VolumeInfo(
            ref=self.token,
            token=self.token,
            size_bytes=self.size_bytes,
            used_bytes=BLOCK * len(self.blocks),
            snapshots=tuple(self.snapshots),
        )

    def then(self, snapshot: str) -> tuple[int, Blocks]:
        """Size and blocks, now or when the snapshot was taken."""
        if not snapshot:
            if not all(self.holders.values()):
                raise CloudBusy("A machine has this disk to write to. Detach it first.")
            return self.size_bytes, self.blocks
        if snapshot not in self.snapshots:
            raise NotFound("This disk has no such snapshot.", detail=snapshot)
        return self.snapshots[snapshot]


class FakeVolumes(ABC):
    """The contract's calls for volumes, but for plugging them in, and handles for tests."""

    @abstractmethod
    def _call(self, name: str) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _volumes(self) -> dict[str, FakeVolume]: ...

    # Handles for tests ---------------------------------------------------------

    def put_volume(self, token: str, *, size_bytes: int = 1 << 30, data: bytes = b"") -> VolumeInfo:
        """Have a volume that begins with ``data``, without asking for it."""
        volume = self._volumes()[token] = FakeVolume(token=token, size_bytes=size_bytes)
        self.write_volume(token, data)
        return volume.info()

    def write_volume(self, ref: str, data: bytes, *, at: int = 0) -> None:
        """What a machine does that has it."""
        put(self._volume(ref), data, at)

    def read_volume(self, ref: str, *, at: int = 0, count: int = 512) -> bytes:
        blocks = self._volume(ref).blocks
        first, last = at // BLOCK, (at + count - 1) // BLOCK
        found = b"".join(blocks.get(number, bytes(BLOCK)) for number in range(first, last + 1))
        return found[at - first * BLOCK :][:count]

    # The contract --------------------------------------------------------------

    def find_volume(self, token: str) -> VolumeInfo | None:
        with self._call("find_volume"):
            volume = self._volumes().get(token)
            return volume.info() if volume else None

    def get_volume(self, ref: str) -> VolumeInfo:
        with self._call("get_volume"):
            return self._volume(ref).info()

    def list_volumes(self) -> Iterable[VolumeInfo]:
        with self._call("list_volumes"):
            return [volume.info() for volume in self._volumes().values()]

    def create_volume(self, size_bytes: int, *, token: str) -> VolumeInfo:
        with self._call("create_volume"):
            _must_be_a_size(size_bytes)
            fresh = FakeVolume(token=token, size_bytes=size_bytes)
            return self._volumes().setdefault(token, fresh).info()

    def import_volume(
        self, source: VolumeSource, *, token: str, on_progress: Progress
    ) -> VolumeInfo:
        with self._call("import_volume"):
            _must_be_a_size(source.size_bytes)
            if token not in self._volumes():
                blocks = _imported(source, on_progress)
                self._volumes()[token] = FakeVolume(token, source.size_bytes, blocks)
            on_progress(source.size_bytes, source.size_bytes)
            return self._volume(token).info()

    def copy_volume(
        self, ref: str, *, token: str, snapshot: str = "", on_progress: Progress
    ) -> VolumeInfo:
        with self._call("copy_volume"):
            source = self._volume(ref)
            if token not in self._volumes():
                size_bytes, blocks = source.then(snapshot)
                on_progress(0, size_bytes)
                self._volumes()[token] = FakeVolume(token, size_bytes, dict(blocks))
            made = self._volume(token)
            on_progress(made.size_bytes, made.size_bytes)
            return made.info()

    def export_volume(
        self, ref: str, path: Path, format: DiskFormat, *, snapshot: str = "", on_progress: Progress
    ) -> None:
        with self._call("export_volume"):
            if format not in (DiskFormat.RAW, DiskFormat.QCOW2):
                raise Unsupported(f"This cloud exports disks as raw or qcow2, not {format.name}.")
            size_bytes, blocks = self._volume(ref).then(snapshot)
            _export(size_bytes, blocks, path, format, on_progress)

    def grow_volume(self, ref: str, size_bytes: int) -> VolumeInfo:
        with self._call("grow_volume"):
            volume = self._volume(ref)
            _must_be_a_size(size_bytes)
            if size_bytes < volume.size_bytes:
                raise CloudRefused(f"It has {volume.size_bytes} bytes and cannot shrink.")
            volume.size_bytes = size_bytes
            return volume.info()

    def delete_volume(self, ref: str) -> None:
        with self._call("delete_volume"):
            volume = self._volumes().get(ref)
            if volume and volume.holders:
                raise CloudBusy("This disk is attached to a machine. Detach it first.")
            self._volumes().pop(ref, None)

    def create_snapshot(self, ref: str, *, token: str) -> None:
        with self._call("create_snapshot"):
            volume = self._volume(ref)
            volume.snapshots.setdefault(token, (volume.size_bytes, dict(volume.blocks)))

    def restore_snapshot(self, ref: str, *, token: str) -> None:
        with self._call("restore_snapshot"):
            volume = self._volume(ref)
            if token not in volume.snapshots:
                raise NotFound("This disk has no such snapshot.", detail=token)
            if volume.holders:
                raise CloudBusy("This disk is attached to a machine. Detach it first.")
            size_bytes, blocks = volume.snapshots[token]
            volume.size_bytes, volume.blocks = size_bytes, dict(blocks)

    def delete_snapshot(self, ref: str, *, token: str) -> None:
        with self._call("delete_snapshot"):
            if volume := self._volumes().get(ref):
                volume.snapshots.pop(token, None)

    def _volume(self, ref: str) -> FakeVolume:
        try:
            return self._volumes()[ref]
        except KeyError:
            raise NotFound("There is no such disk.", detail=ref) from None


def put(volume: FakeVolume, data: bytes, at: int) -> None:
    """Write to a disk."""
    if at + len(data) > volume.size_bytes:
        raise ValueError("beyond the end of the disk")
    while data:
        number, begin = divmod(at, BLOCK)
        part, data = data[: BLOCK - begin], data[BLOCK - begin :]
        block = bytearray(volume.blocks.get(number, bytes(BLOCK)))
        block[begin : begin + len(part)] = part
        volume.blocks[number] = bytes(block)
        at += len(part)


def _must_be_a_size(size_bytes: int) -> None:
    if size_bytes % SECTOR or not 0 < size_bytes <= LARGEST_BYTES:
        raise CloudRefused(f"{size_bytes} bytes are no size of a disk: it has whole sectors.")


def _imported(source: VolumeSource, on_progress: Progress) -> Blocks:
    if not source.path.is_file():
        raise CloudRefused("The disk's file cannot be read.", detail=str(source.path))
    found = headers.inspect(source.path, declared=source.format).size_bytes
    if found != source.size_bytes:
        raise CloudRefused(
            f"The disk in the file should have {source.size_bytes} bytes and has {found}."
        )
    with tempfile.TemporaryDirectory() as folder:
        raw = source.path
        if source.format is not DiskFormat.RAW:
            raw = Path(folder, "raw")
            convert.convert(
                source.path, source.format, raw, DiskFormat.RAW,
                size_bytes=source.size_bytes, on_progress=on_progress,
            )  # fmt: skip
        with raw.open("rb") as file:
            on_progress(0, found)
            return {number: block for number, block in _blocks(file) if block.strip(b"\0")}


def _blocks(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The blocks of a file that hold something; its holes are passed over."""
    end = os.fstat(file.fileno()).st_size
    at = 0
    while at < end:
        try:
            at = os.lseek(file.fileno(), at, os.SEEK_DATA) // BLOCK * BLOCK
        except OSError:  # ENXIO: nothing but a hole is left
            return
        block = os.pread(file.fileno(), BLOCK, at)
        yield at // BLOCK, block.ljust(BLOCK, b"\0")
        at += BLOCK


def _export(
    size_bytes: int, blocks: Blocks, path: Path, format: DiskFormat, on_progress: Progress
) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}") as folder:
        made = Path(folder, "raw")
        with made.open("wb") as file:
            file.truncate(size_bytes)
            for number, block in blocks.items():
                os.pwrite(file.fileno(), block[: size_bytes - number * BLOCK], number * BLOCK)
        on_progress(0, size_bytes)
        if format is DiskFormat.QCOW2:
            raw, made = made, Path(folder, "qcow2")
            convert.convert(
                raw, DiskFormat.RAW, made, format, size_bytes=size_bytes, on_progress=on_progress
            )
        on_progress(size_bytes, size_bytes)
        made.rename(path)
