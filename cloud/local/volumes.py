"""The volumes of a site: disks that outlive machines.

::

    volumes/<token>/disk.qcow2   the disk: always qcow2 and always written by us, so that one
                                 whose guest pretends otherwise stays what it is. Its head is
                                 the only record of its size and its snapshots
                    plugs/       which machines have it (see ``plugs``)
                    reading, looking   locked by who reads it for long (see ``reading``)
                    saved.json   checksums, of one that was a machine's root disk (see ``saving``)
                    saving       locked while a machine that boots from it is saved
    volumes/.new-<token>/        becomes a volume by its last step, or nothing
    volumes/.trash-<token>-<ns>/ was one

Whoever changes a volume holds its lock (``plugs.locked``).
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud.diskfiles import child, convert
from cloud.errors import CloudBusy, CloudError, CloudFull, CloudRefused, CloudUnavailable, NotFound
from cloud.local import files, plugs, qcow2, qmp, reading
from cloud.local.machine import Machine
from cloud.local.plugs import Holder
from cloud.local.site import Site, is_machine_name
from cloud.types import DiskFormat, VolumeInfo

DISK = "disk.qcow2"
NEW = ".new-"
TRASH = ".trash-"
SECTOR = 512
LARGEST_BYTES = qcow2.LARGEST_BYTES
NO_SUCH = "There is no such disk."
DAMAGED = "This disk's file is damaged. An administrator can help."
#: A snapshot that is nobody's: of a machine's root disk, while it is saved (see ``saving``).
BEING_SAVED = "being-saved"
#: Beside what the disk holds, for the tables that a change writes.
_TABLES_BYTES = 1 << 30
_LONGEST_EDIT_CPU_S = 600


@dataclass(frozen=True, slots=True)
class Volume:
    """The files of one volume. Remembers nothing but where they are."""

    site: Site
    token: str

    @property
    def folder(self) -> Path:
        return self.site.volumes / self.token

    @property
    def disk(self) -> Path:
        return plugs.disk_path(self.site, self.token)

    def find(self) -> VolumeInfo | None:
        """What is known of it; None: there is no such volume.

        Raises:
            CloudUnavailable: its file is damaged.
        """
        if not is_machine_name(self.token):
            return None
        try:
            head, about = qcow2.read(self.disk), self.disk.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (qcow2.Damaged, OSError) as error:
            raise CloudUnavailable(DAMAGED, detail=f"{self.disk}: {error}") from error
        return VolumeInfo(
            ref=self.token,
            token=self.token,
            size_bytes=head.size_bytes,
            used_bytes=about.st_blocks * SECTOR,
            snapshots=tuple(name for name in head.snapshots if name != BEING_SAVED),
        )

    def load(self) -> VolumeInfo:
        """Raises: NotFound. CloudUnavailable."""
        info = self.find()
        if info is None:
            raise NotFound(NO_SUCH, detail=self.token)
        return info

    @contextlib.contextmanager
    def locked(self, *, wait_s: float | None = None) -> Iterator[None]:
        """Be the only one who changes it.

        Raises:
            NotFound: this is no volume's name. CloudBusy: somebody else is at it.
        """
        if not is_machine_name(self.token):
            raise NotFound(NO_SUCH, detail=self.token)
        with plugs.locked(self.site, self.token, wait_s=wait_s):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[Holder | None]:
        """Be the only one who changes it, and know the machine that writes to it, if any.

        That machine neither starts nor ends meanwhile. Its lock comes first, as everywhere.

        Raises:
            NotFound. CloudBusy.
        """
        with contextlib.ExitStack() as stack:
            if writer := self._writer():
                stack.enter_context(Machine(self.site, writer.vm).locked())
            stack.enter_context(self.locked())
            self.load()
            now = _writing(plugs.holders(self.site, self.token))
            if (now and now.vm) != (writer and writer.vm):
                raise CloudBusy(plugs.BUSY)
            yield now

    def _writer(self) -> Holder | None:
        with self.locked():
            return _writing(plugs.holders(self.site, self.token))

    @contextlib.contextmanager
    def read(self, snapshot: str) -> Iterator[VolumeInfo]:
        """Have nobody write to it, or remove ``snapshot``, while its bytes are read.

        Raises:
            NotFound. CloudBusy: a machine has it to write to.
        """
        with contextlib.ExitStack() as stack, contextlib.ExitStack() as held:
            held.enter_context(self.locked())
            info = self.load()
            if snapshot and snapshot not in info.snapshots:
                raise NotFound("This disk has no such snapshot.", detail=snapshot)
            if not snapshot and _writing(plugs.holders(self.site, self.token)):
                raise CloudBusy(
                    "A machine has this disk to write to. Detach it, or take one of its snapshots."
                )
            mark = reading.THEN if snapshot else reading.NOW
            stack.enter_context(reading.marked(self.site, self.token, mark))
            held.close()
            yield info


def _writing(holders: Sequence[Holder]) -> Holder | None:
    return next((one for one in holders if not one.read_only), None)


def every(site: Site) -> Iterator[VolumeInfo]:
    """All volumes of the site; a damaged one says so in its message."""
    for name in files.names(site.volumes):
        try:
            info = Volume(site, name).find()
        except CloudUnavailable as error:
            info = VolumeInfo(ref=name, token=name, size_bytes=0, message=str(error))
        if info:
            yield info


# Coming and going -----------------------------------------------------------------------


@contextlib.contextmanager
def making(site: Site, token: str, *, wait_s: float | None = None) -> Iterator[Path | None]:
    """An empty directory that becomes the volume ``token`` at the end; None: there is one.

    Raises:
        CloudRefused: that is no name. CloudBusy: somebody is making it now.
    """
    if not is_machine_name(token):
        raise CloudRefused("A disk is named by a UUID.", detail=token)
    volume = Volume(site, token)
    new = site.volumes / f"{NEW}{token}"
    with volume.locked(wait_s=wait_s):
        if volume.find():
            yield None
            return
        files.remove(new, new)
        new.mkdir(mode=0o700)
        try:
            yield new
            _sync(new)
            new.rename(volume.folder)
            _sync(site.volumes)
        finally:
            files.remove(new, new)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def create(site: Site, size_bytes: int, *, token: str) -> None:
    """An empty volume. Quiet if it is there."""
    must_be_a_size(size_bytes)
    with making(site, token) as new:
        if new is None:
            return
        if not site.free_disk_bytes():
            raise CloudFull(full(site))
        empty(new / DISK, size_bytes)


def empty(disk: Path, size_bytes: int) -> None:
    """A new file with an empty disk in it."""
    fd = os.open(disk, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _change(fd, ["create", "-q", "-f", "qcow2", child.path_of(fd), str(size_bytes)])
        os.fsync(fd)
    finally:
        os.close(fd)


def must_be_a_size(size_bytes: int) -> None:
    """Raises: CloudRefused."""
    if size_bytes % SECTOR or not 0 < size_bytes <= LARGEST_BYTES:
        raise CloudRefused(
            f"A disk has a multiple of {SECTOR} bytes, at most {LARGEST_BYTES >> 30} GiB;"
            f" {size_bytes} is no such size."
        )


def full(site: Site) -> str:
    return (
        f"The site keeps {site.disk_floor_bytes >> 20} MiB of its disk free and has less than that"
        " left. Try again when disks, machines or images have been removed."
    )


def delete(site: Site, ref: str) -> None:
    """Remove a volume with its snapshots. Quiet if gone."""
    volume = Volume(site, ref)
    if not is_machine_name(ref) or not volume.folder.exists():
        return
    with volume.locked():
        plugs.refuse_if_held(site, ref)
        reading.refuse_if_read(site, ref, reading.NOW, reading.THEN)
        files.remove(volume.folder, site.volumes / f"{TRASH}{ref}-{time.time_ns()}")


def sweep(site: Site) -> None:
    """Remove what killed processes left half made or half removed."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(site.volumes):
            if name.startswith(TRASH):
                files.remove(site.volumes / name, site.volumes / name)
            elif name.startswith(NEW):
                half_made = Volume(site, name.removeprefix(NEW))
                with contextlib.suppress(CloudError), half_made.locked(wait_s=0):
                    files.remove(site.volumes / name, site.volumes / name)
    for name in files.names(site.locks):
        gone = Volume(site, name.removeprefix(plugs.LOCK))
        if name.startswith(plugs.LOCK) and not gone.folder.exists():
            with contextlib.suppress(CloudError), gone.locked(wait_s=0):
                pass  # letting go removes the lock of a volume that is no more


# Changing -------------------------------------------------------------------------------


def grow(site: Site, ref: str, size_bytes: int) -> None:
    """Make a volume larger. Quiet if it has this size."""
    must_be_a_size(size_bytes)
    volume = Volume(site, ref)
    with volume.alone() as writer:
        info = volume.load()
        if size_bytes < info.size_bytes:
            raise CloudRefused(
                f"This disk has {info.size_bytes} bytes; it can grow, and not shrink to"
                f" {size_bytes}."
            )
        if size_bytes == info.size_bytes:
            return
        if writer and writer.run:
            more = size_bytes - info.size_bytes
            let_grow(volume, writer, more)
            ask(volume, writer, "block_resize", **{"node-name": writer.node, "size": size_bytes})
        else:
            reading.refuse_if_read(site, ref, reading.NOW)
            edit(volume, "resize", "-q", after=[str(size_bytes)])


def let_grow(volume: Volume, writer: Holder, more_bytes: int) -> None:
    """Let the QEMU that writes to a volume make its file so much larger.

    Raises:
        CloudBusy: only root may, and we are not.
    """
    try:
        plugs.make_room(writer, plugs.file_bytes(volume.disk) + more_bytes)
    except PermissionError as error:
        raise CloudBusy(
            "This site cannot do that while a machine runs. Shut the machine down first.",
            detail=repr(error),
        ) from error


def ask(volume: Volume, writer: Holder, command: str, **arguments: object) -> None:
    """Ask the QEMU that has the volume open to change it.

    Raises:
        CloudBusy: it says no, or does not answer.
    """
    if writer.run is None:
        raise CloudBusy(plugs.BUSY)
    try:
        qmp.ask(writer.run, command, timeout_s=volume.site.timeout_s, **arguments)
    except qmp.NoAnswer as error:
        raise CloudBusy(
            "The machine that has this disk could not do that now. Try again.", detail=repr(error)
        ) from error


def edit(volume: Volume, *command: str, after: Sequence[str] = ()) -> None:
    """Have qemu-img change a volume that no process has open. Call it alone with the volume.

    Raises:
        CloudBusy: a machine has the file open, or the disk is full. CloudUnavailable.
    """
    edit_file(volume.disk, *command, after=after)


def edit_file(disk: Path, *command: str, after: Sequence[str] = ()) -> None:
    fd = os.open(disk, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        edit_opened(fd, *command, after=after)
    finally:
        os.close(fd)


def edit_opened(fd: int, *command: str, after: Sequence[str] = (), uid: int | None = None) -> None:
    """As ``edit_file``, of a file that is open already. ``uid``: whose it is, if not ours."""
    _change(fd, [*command, convert.named(fd, DiskFormat.QCOW2), *after], uid=uid)
    os.fsync(fd)


def _change(fd: int, command: Sequence[str], *, uid: int | None = None) -> None:
    """Run qemu-img as the owner of a file, or as one that a file of ours is lent to."""
    about = os.fstat(fd)
    user = child.new_uid() if uid is None else uid
    try:
        if user is not None:
            os.fchown(fd, user, user)
        ended = child.run(
            ["qemu-img", *command],
            uid=user,
            limits=child.Limits(
                cpu_s=_LONGEST_EDIT_CPU_S, file_bytes=about.st_size + _TABLES_BYTES
            ),
            files=[fd],
            on_output=_ignore,
            on_tick=_nothing,
        )
    finally:
        if user is not None:
            os.fchown(fd, about.st_uid, about.st_gid)
    _must_have_ended_well(ended)


def _must_have_ended_well(ended: child.Ended) -> None:
    if ended.code == 0:
        return
    detail = f"qemu-img ended with {ended.code}: {ended.words}"
    if "No space left on device" in ended.words:
        raise CloudFull("The site's disk is full. Try again later.", detail=detail)
    if child.OUT_OF_THREADS in ended.words:
        raise CloudBusy("The site is too busy for this now. Try again later.", detail=detail)
    if "Failed to get" in ended.words:
        raise CloudBusy("A running machine reads from this disk. Detach it first.", detail=detail)
    raise CloudUnavailable(DAMAGED, detail=detail)


def _ignore(said: bytes) -> None:
    """What it prints when all is well is of no interest."""


def _nothing() -> None:
    """Nobody waits for news of a short change."""
