"""A machine's root disk, to be read: an overlay of its own on an image, or a volume.

The overlay's folder belongs to the user that the machine's QEMU runs as, which is not trusted:
what is opened there is looked at, and named to other programs by its descriptor.
"""

import contextlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud.diskfiles import serving
from cloud.errors import CloudRefused
from cloud.local import images, qcow2, reading, volumes
from cloud.local.machine import Machine, Record
from cloud.local.plugs import node_name
from cloud.local.site import Site
from cloud.local.volumes import Volume
from cloud.types import DiskFormat

DAMAGED = "The machine's disk is damaged, so it cannot be saved. An administrator can help."
MARK = "saving"


class Root(ABC):
    """One file of QEMU's, whose head nobody else has written."""

    @property
    @abstractmethod
    def site(self) -> Site: ...

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where its mark is: ours alone."""

    @property
    def mark(self) -> Path:
        return self.folder / MARK

    @property
    @abstractmethod
    def node(self) -> str:
        """Its name inside the machine's QEMU."""

    @abstractmethod
    def alone(self) -> contextlib.AbstractContextManager[Path | None]:
        """Be the only one who changes machine and disk; the monitor of its QEMU, if it lives.

        Raises:
            NotFound. CloudBusy.
        """

    @abstractmethod
    def opened(self, flags: int) -> contextlib.AbstractContextManager[int]:
        """Its file. Raises: CloudRefused: it is not the one that was made."""

    @abstractmethod
    def base(self) -> contextlib.AbstractContextManager[tuple[int, DiskFormat] | None]:
        """The image that it lies on, as it was verified. Raises: CloudRefused."""

    @abstractmethod
    def head(self, fd: int) -> qcow2.Head:
        """What the head of its opened file says. Raises: CloudRefused."""

    @abstractmethod
    def edit(self, fd: int, *command: str) -> None:
        """Have qemu-img change the opened file, while nobody else has it open."""

    @abstractmethod
    def being_read(self, mark: str) -> contextlib.AbstractContextManager[None]:
        """Keep it from being removed or changed. Call it alone with it."""


@dataclass(frozen=True, slots=True)
class Overlay(Root):
    """What a machine has written, on the image that it boots from."""

    one: Machine

    @property
    def site(self) -> Site:
        return self.one.site

    @property
    def folder(self) -> Path:
        return self.one.folder

    @property
    def node(self) -> str:
        return "root"

    @contextlib.contextmanager
    def alone(self) -> Iterator[Path | None]:
        with self.one.locked():
            yield self.one.run if self.one.load().is_alive else None

    @contextlib.contextmanager
    def opened(self, flags: int) -> Iterator[int]:
        uid = self.one.load().uid
        with _opened(self.one.run / "root.qcow2", flags) as fd:
            about = os.fstat(fd)
            is_its_own = uid is None or about.st_uid == uid
            if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or not is_its_own:
                raise CloudRefused(DAMAGED, detail=f"{self.one.run}: {about}")
            yield fd

    @contextlib.contextmanager
    def base(self) -> Iterator[tuple[int, DiskFormat]]:
        try:
            cached = images.Cached.from_json(self.one.base_record.read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CloudRefused(DAMAGED, detail=repr(error)) from error
        with _opened(self.one.run / f"base.{cached.format}", os.O_RDONLY) as fd:
            if not images.is_sound(_path(fd), cached):
                raise CloudRefused(DAMAGED, detail=f"{self.one.folder}: its base has changed")
            yield fd, DiskFormat(cached.format)

    def head(self, fd: int) -> qcow2.Head:
        return _head(fd, is_overlay=True)

    def edit(self, fd: int, *command: str) -> None:
        volumes.edit_opened(fd, *command, uid=self.one.load().uid)

    def being_read(self, mark: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@dataclass(frozen=True, slots=True)
class Booted(Root):
    """A volume that a machine boots from."""

    volume: Volume

    @property
    def site(self) -> Site:
        return self.volume.site

    @property
    def folder(self) -> Path:
        return self.volume.folder

    @property
    def node(self) -> str:
        return node_name(self.volume.token)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Path | None]:
        with self.volume.alone() as writer:
            yield writer.run if writer else None

    @contextlib.contextmanager
    def opened(self, flags: int) -> Iterator[int]:
        with _opened(self.volume.disk, flags) as fd:
            yield fd

    @contextlib.contextmanager
    def base(self) -> Iterator[None]:
        yield None

    def head(self, fd: int) -> qcow2.Head:
        return _head(fd, is_overlay=False)

    def edit(self, fd: int, *command: str) -> None:
        volumes.edit_opened(fd, *command)

    def being_read(self, mark: str) -> contextlib.AbstractContextManager[None]:
        return reading.marked(self.site, self.volume.token, mark)


def of(one: Machine, record: Record) -> Root:
    """The root disk of a machine."""
    token = record.spec.root_volume
    return Booted(Volume(one.site, token)) if token else Overlay(one)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Follows no link, and waits for nobody if it is a pipe."""
    try:
        fd = serving.opened(path, flags | os.O_NONBLOCK)
    except OSError as error:
        raise CloudRefused(DAMAGED, detail=repr(error)) from error
    try:
        yield fd
    finally:
        os.close(fd)


def _head(fd: int, *, is_overlay: bool) -> qcow2.Head:
    try:
        return qcow2.read(_path(fd), is_overlay=is_overlay)
    except qcow2.Damaged as error:
        raise CloudRefused(DAMAGED, detail=str(error)) from error


def _path(fd: int) -> Path:
    """Another description of the same file."""
    return Path("/proc/self/fd") / str(fd)
