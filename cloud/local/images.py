"""The cache of bootable images: verified once, never written again, checked at each use."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from cloud.diskfiles.digests import Digests, difference
from cloud.diskfiles.packing import SparseWriter
from cloud.driver import Progress
from cloud.errors import CloudBusy, CloudRefused
from cloud.local import files, inspect
from cloud.local.site import Site, image_name
from cloud.types import ImageFormat, ImageInfo, ImageSource

CHUNK = 1 << 20
BLOCK = 512
PROGRESS_EVERY_S = 0.5
PARTIAL = ".part-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """What we know of an image file, to notice that somebody changed it."""

    token: str
    format: ImageFormat
    size_bytes: int
    virtual_size_bytes: int
    sha256: str
    mtime_ns: int
    inode: int
    used_bytes: int | None = None  # a hole takes no room

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Cached":
        """Raises: ValueError, KeyError or TypeError when it is not a record."""
        raw = json.loads(text)
        return cls(**raw | {"format": ImageFormat(raw["format"])})

    def info(self) -> ImageInfo:
        return ImageInfo(
            ref=self.token,
            token=self.token,
            size_bytes=self.size_bytes,
            virtual_size_bytes=self.virtual_size_bytes,
            used_bytes=self.used_bytes,
        )


def path_of(site: Site, cached: Cached) -> Path:
    return site.images / f"{cached.token}.{cached.format}"


def find(site: Site, token: str) -> Cached | None:
    """The image, sound on disk. A damaged one is thrown out, to be imported again."""
    record = site.images / f"{image_name(token)}.json"
    try:
        cached = Cached.from_json(record.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        record.unlink(missing_ok=True)
        return None
    path = path_of(site, cached)
    if is_sound(path, cached):
        return _remembered(record, cached, path)
    delete(site, token)
    return None


def _remembered(record: Path, cached: Cached, path: Path) -> Cached:
    """The same after a move to another disk, so that the bytes are not read at each look."""
    about = path.stat()
    if (about.st_mtime_ns, about.st_ino) == (cached.mtime_ns, cached.inode):
        return cached
    now = replace(cached, mtime_ns=about.st_mtime_ns, inode=about.st_ino)
    with contextlib.suppress(OSError):  # a full disk: the bytes are read once more
        files.write(record, now.to_json())
    return now


def is_sound(path: Path, cached: Cached) -> bool:
    """Whether the bytes are the ones that were verified; read again only if in doubt."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return False
    seen = (about.st_size, about.st_mtime_ns, about.st_ino)
    if seen == (cached.size_bytes, cached.mtime_ns, cached.inode):
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == cached.sha256


def delete(site: Site, ref: str) -> None:
    """Forget an image. Machines keep their own link to its bytes."""
    name = image_name(ref)
    (site.images / f"{name}.json").unlink(missing_ok=True)
    for kind in ImageFormat:
        (site.images / f"{name}.{kind}").unlink(missing_ok=True)


def add(site: Site, source: ImageSource, *, token: str, on_progress: Progress) -> Cached:
    """Take, verify, inspect, publish: in that order, so that a reader sees all or nothing.

    Raises:
        CloudRefused: it is not what ``source`` says, or names other files.
        CloudBusy: somebody imports it now, or the disk is full.
    """
    name = image_name(token)
    site.make()
    with _alone(site, name):
        if cached := find(site, name):
            on_progress(cached.size_bytes, cached.size_bytes)
            return cached
        partial = site.images / f"{PARTIAL}{name}"
        try:
            return _add(site, source, name, partial, on_progress)
        finally:
            partial.unlink(missing_ok=True)


def _alone(site: Site, token: str) -> contextlib.AbstractContextManager[None]:
    busy = "This image is being imported now. Wait for it."
    return files.locked(site.locks / f"image-{token}", wait_s=0, busy=busy)


def _add(
    site: Site, source: ImageSource, name: str, partial: Path, on_progress: Progress
) -> Cached:
    sha256 = _take(site, source, partial, on_progress)
    virtual_size_bytes = inspect.check(partial, source.format)
    about = partial.stat()
    cached = Cached(
        token=name,
        format=source.format,
        size_bytes=about.st_size,
        virtual_size_bytes=virtual_size_bytes,
        sha256=sha256,
        mtime_ns=about.st_mtime_ns,
        inode=about.st_ino,
        used_bytes=about.st_blocks * BLOCK,
    )
    partial.rename(path_of(site, cached))
    files.write(site.images / f"{name}.json", cached.to_json())
    return cached


def _take(site: Site, source: ImageSource, partial: Path, on_progress: Progress) -> str:
    """Have the source's bytes at ``partial``, read-only and on disk; their SHA-256.

    Raises:
        CloudRefused: size or a checksum differ. CloudBusy: the disk is full.
    """
    if not source.is_verified and not {*source.checksums} - {"md5"}:
        raise CloudRefused("The image's entry states no checksum that it could be verified by.")
    partial.unlink(missing_ok=True)
    with _opened(source.path) as file:
        if source.is_verified and source.sha256 and _shared(source, partial):
            on_progress(source.size_bytes, source.size_bytes)
            return source.sha256.lower()
        about = os.fstat(file.fileno())
        _check_room(site, min(about.st_size, about.st_blocks * BLOCK))
        return _copy(file, partial, source, on_progress)


def _shared(source: ImageSource, partial: Path) -> bool:
    """Give the file itself another name, so that no byte is copied; False: not from there."""
    try:
        os.link(source.path, partial, follow_symlinks=False)
    except OSError:  # another file system
        return False
    fd = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        verify_size(source, os.fstat(fd).st_size)
        os.fchmod(fd, 0o444)
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _check_room(site: Site, size_bytes: int) -> None:
    free = site.free_disk_bytes()
    if size_bytes > free:
        raise CloudBusy(
            f"The image takes {size_bytes >> 20} MiB and the site has {free >> 20} MiB of disk"
            " left. Try again when machines or images have been removed."
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise CloudRefused("The image file cannot be read.", detail=repr(error)) from error
    with file:
        yield file


def _copy(file: BinaryIO, partial: Path, source: ImageSource, on_progress: Progress) -> str:
    """Copy to ``partial``, in which zeros take no room; return its SHA-256.

    Raises:
        CloudRefused: size or a checksum differ.
    """
    stated = {} if source.is_verified else source.checksums
    told_at = 0.0
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    with open(fd, "wb") as copy, Digests({*stated, "sha256"}) as digests:
        writer = SparseWriter(copy)
        while writer.written <= source.size_bytes and (chunk := file.read(CHUNK)):
            digests.update(chunk)
            writer.write(chunk)
            if time.monotonic() - told_at > PROGRESS_EVERY_S:
                on_progress(min(writer.written, source.size_bytes), source.size_bytes)
                told_at = time.monotonic()
        writer.finish()
        found = digests.found()
    verify(source, writer.written, found)
    on_progress(writer.written, source.size_bytes)
    return found["sha256"]


def verify(source: ImageSource, size_bytes: int, found: dict[str, str]) -> None:
    """Compare with what was promised; ``found`` has hexadecimal digests by algorithm.

    Raises:
        CloudRefused: the sentence names both values.
    """
    verify_size(source, size_bytes)
    if not source.is_verified and (differs := difference(source.checksums, found)):
        raise CloudRefused(f"The image is not the one of its entry: {differs}.")


def verify_size(source: ImageSource, size_bytes: int) -> None:
    """Raises: CloudRefused."""
    if size_bytes != source.size_bytes:
        got = f"more than {source.size_bytes}" if size_bytes > source.size_bytes else size_bytes
        raise CloudRefused(
            f"The image is not the one of its entry: expected {source.size_bytes} bytes, got {got}."
        )


def sweep(site: Site) -> None:
    """Remove what killed imports and removals left: a copy without its record is no image."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(site.images):
            token, _, kind = name.removeprefix(PARTIAL).partition(".")
            if name.startswith(PARTIAL) or (token and kind in set(ImageFormat)):
                with contextlib.suppress(CloudBusy), _alone(site, token):
                    if name.startswith(PARTIAL) or find(site, token) is None:
                        (site.images / name).unlink(missing_ok=True)


def link(site: Site, cached: Cached, to: Path) -> None:
    """Give a machine the image's bytes under a name of its own, whatever the cache does."""
    try:
        os.link(path_of(site, cached), to)
    except OSError:
        shutil.copy2(path_of(site, cached), to)
