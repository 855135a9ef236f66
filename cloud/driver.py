"""What the portal needs from a cloud.

1. *Ask, don't wait.* A call returns once the request is accepted, within
   ``timeout_s``; progress is seen later through ``get_vm`` and ``list_vms``.
   The calls that move bytes are the exception: they say how far they are through
   ``on_progress``, at least once a second.
2. *Harmless to repeat.* Stopping a stopped machine, creating what a token already
   names and deleting what is gone all return quietly.
3. *Five errors.* Only :mod:`cloud.errors` leaves a driver.
4. *Nothing remembered.* Two drivers built with the same options see the same
   cloud. Every process may build its own.

``cloud/tests/conformance.py`` holds these rules as tests; a driver is done when it
passes them. The portal names a thing before asking for it, with a ``token``: if the
answer is lost, ``find_*(token)`` finds the thing again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from cloud.types import (
    Capabilities,
    Capacity,
    ConsoleEndpoint,
    ConsoleKind,
    DiskFormat,
    ImageInfo,
    ImageSource,
    NetworkInfo,
    Nic,
    SavedDisk,
    VmInfo,
    VmSpec,
    VmUsage,
    VolumeInfo,
    VolumeSource,
)

#: Called with (bytes done, bytes in all), at least once a second, by calls that move
#: bytes. Raising from it abandons the transfer and leaves nothing behind.
Progress = Callable[[int, int], None]


class CloudDriver(Protocol):
    timeout_s: float

    def capabilities(self) -> Capabilities:
        """What this engine offers; cheap, and the same until the engine changes."""

    def capacity(self) -> Capacity:
        """What the site has and has left, now."""

    # Machines ------------------------------------------------------------------

    def find_vm(self, token: str) -> VmInfo | None:
        """The machine that was asked for with ``token``, if any."""

    def create_vm(self, spec: VmSpec, *, token: str) -> VmInfo:
        """Ask for a machine. Its ``endpoints`` are known at once where the engine can.

        Raises:
            CloudRefused: it would never fit, its image is damaged, or there is no such volume or
                network.
            CloudBusy: not now: the site is full, somebody else has one of its volumes, or
                (where ``reserves_before_image`` is false) the image is not there yet. The
                sentence says which.
        """

    def get_vm(self, ref: str) -> VmInfo:
        """What the engine says about one machine, now.

        Raises:
            NotFound: no such machine, or it was deleted.
        """

    def list_vms(self) -> Iterable[VmInfo]:
        """Every machine of ours, in one sweep of the engine."""

    def start_vm(self, ref: str) -> None:
        """Start a machine that is STOPPED or UNKNOWN, from its own disk. Seen later.

        Raises:
            NotFound, CloudRefused, CloudBusy: as for ``create_vm``.
        """

    def stop_vm(self, ref: str) -> None:
        """Press the power button (ACPI). A guest may ignore it; seen later as STOPPED.

        A machine that is QUEUED or STAGING leaves the queue and is STOPPED at once: it
        does not start when there is room. Quiet for one that is STOPPED or FAILED.
        """

    def power_off_vm(self, ref: str) -> None:
        """Pull the plug: what the guest has not written is lost. Seen later as STOPPED.

        Its disks stay: it can be started, saved or deleted. Quiet for one that is off; one that
        is QUEUED or STAGING leaves the queue, as for ``stop_vm``.

        Raises:
            NotFound. Unsupported.
        """

    def reboot_vm(self, ref: str) -> None:
        """Restart the guest: asked politely where the engine can, else reset."""

    def delete_vm(self, ref: str) -> None:
        """Pull the plug and remove every trace: process, disk, ports. Quiet if gone."""

    def watch(self, stop: Callable[[], bool]) -> Iterator[str]:
        """Yield the ``ref`` of each machine that has just changed, until ``stop()``.

        A courtesy, not a promise: what it misses the sweep finds. Yields ``""`` at
        least once a second so that the caller can leave.

        Raises:
            Unsupported: the engine tells nobody; sweep it.
        """

    # What a running machine shows ----------------------------------------------

    def console(self, ref: str, kind: ConsoleKind) -> ConsoleEndpoint:
        """Where the gateway connects.

        Raises:
            NotFound: no such machine. CloudBusy: it is not running. Unsupported.
        """

    def console_log(self, ref: str, *, max_bytes: int) -> bytes:
        """The last ``max_bytes`` that the serial line printed, as they came."""

    def usage(self, refs: Iterable[str]) -> Mapping[str, VmUsage]:
        """Counters by ref; machines that do not run are absent. One call for all."""

    # Images --------------------------------------------------------------------

    def find_image(self, token: str) -> ImageInfo | None:
        """The image that was imported under ``token``, verified and bootable."""

    def import_image(self, source: ImageSource, *, token: str, on_progress: Progress) -> ImageInfo:
        """Verify every checksum, and keep as bootable under ``token``.

        What the portal has verified need not be summed again, but must be of its size and
        format all the same. Quiet, whatever ``source`` is, if there is one.

        Raises:
            CloudRefused: size, checksum or format are not what ``source`` says, no checksum is
                stated, or the file names other files (backing file, external data). Nothing is
                kept.
            CloudBusy: somebody is importing this token now, or the disk is full.
        """

    def delete_image(self, ref: str) -> None:
        """Forget a cached image. Machines that run from it go on. Quiet if gone."""

    # Volumes -------------------------------------------------------------------
    #
    # A volume is a disk that outlives machines. One that is plugged into a machine to be
    # written to is that machine's alone; plugged in read-only, it may be in many.

    def find_volume(self, token: str) -> VolumeInfo | None:
        """The volume that was asked for with ``token``, whole and ready; None until then."""

    def get_volume(self, ref: str) -> VolumeInfo:
        """Raises: NotFound."""

    def list_volumes(self) -> Iterable[VolumeInfo]:
        """Every volume of ours, in one sweep of the engine."""

    def create_volume(self, size_bytes: int, *, token: str) -> VolumeInfo:
        """An empty volume; sparse where the engine can. ``size_bytes``: a multiple of 512.

        Raises:
            CloudRefused: that is not a size. CloudBusy: the site is full.
        """

    def import_volume(
        self, source: VolumeSource, *, token: str, on_progress: Progress
    ) -> VolumeInfo:
        """A volume with the disk that is in a file. The file is left alone.

        Raises:
            CloudRefused: it is not what ``source`` says, is damaged, or names other files.
                Nothing is kept.
            CloudBusy: somebody is importing this token now, or the site is full.
        """

    def copy_volume(
        self, ref: str, *, token: str, snapshot: str = "", on_progress: Progress
    ) -> VolumeInfo:
        """An independent volume that begins as this one is now, or was at ``snapshot``.

        Copy-on-write where the engine can; ``capabilities().lacks["copy_on_write"]`` says why
        not. Snapshots are not copied.

        Raises:
            NotFound. CloudBusy: it is being written to by a machine, or by somebody else.
        """

    def export_volume(
        self, ref: str, path: Path, format: DiskFormat, *, snapshot: str = "", on_progress: Progress
    ) -> None:
        """Write the disk to a new file at ``path``, whole or not at all: RAW (sparse) or QCOW2.

        Raises:
            NotFound. CloudBusy: it is being written to by a machine, somebody exports to this
                folder now, or the disk is full. Unsupported: another format.
        """

    def grow_volume(self, ref: str, size_bytes: int) -> VolumeInfo:
        """Make it larger, plugged in or not. Quiet if it has this size.

        Raises:
            NotFound. CloudRefused: that would make it smaller. CloudBusy.
        """

    def delete_volume(self, ref: str) -> None:
        """Remove it, with its snapshots. Quiet if gone. Raises: CloudBusy: it is plugged in."""

    def create_snapshot(self, ref: str, *, token: str) -> None:
        """Keep what the volume holds now, under ``token``. Quiet if there is one.

        Of a volume that a machine writes to, it is what a power failure would have left.

        Raises: NotFound. CloudBusy.
        """

    def restore_snapshot(self, ref: str, *, token: str) -> None:
        """Have the volume hold again what it did then; what came later is lost.

        Raises: NotFound: no such volume or snapshot. CloudBusy: it is plugged in.
        """

    def delete_snapshot(self, ref: str, *, token: str) -> None:
        """Forget a snapshot. Quiet if gone. Raises: CloudBusy."""

    def attach_volume(self, vm_ref: str, volume_ref: str, *, read_only: bool) -> None:
        """Plug it into a machine, running or off; seen later in ``VmInfo.disks``. Quiet if it is.

        Its serial number in the guest is its token. It stays plugged in when the machine is
        restarted, until it is detached or the machine deleted.

        Raises:
            NotFound: which of the two, says the sentence.
            CloudBusy: another machine has it to write to, or this one is to write and others
                have it; or this one has it the other way, or is being changed.
            CloudRefused: the machine has no room for another disk.
        """

    def detach_volume(self, vm_ref: str, volume_ref: str, *, force: bool = False) -> None:
        """Unplug it; seen later in ``VmInfo.disks``. Quiet if it is not plugged in, or is gone.

        Raises:
            CloudRefused: the machine boots from it.
            CloudBusy: the guest has not let go of it: it is still plugged in, and works. With
                ``force`` it is unplugged all the same, and what was not written is lost.
        """

    def save_root_disk(self, vm_ref: str, *, token: str, on_progress: Progress) -> SavedDisk:
        """A machine's root disk as a new independent volume, whether it boots from an image or
        from a volume; neither the machine nor its image is needed by it any more.

        Of a machine that is off: what the disk holds. Of one that runs: what a power failure
        would have left. A machine that is off does not start meanwhile; deleting it does no harm.
        Asked again with a ``token`` that is saved, it returns the same at once, with the checksums
        of then; ``volume`` is as it is now. A token that names a volume which was made otherwise
        returns that, with blank checksums.

        Raises:
            NotFound: no such machine, and no such volume. Unsupported.
            CloudRefused: it has never started, so it has no disk.
            CloudFull: there is no room for it; nothing was written.
            CloudBusy: somebody saves this token or this machine now, or the machine waits for
                its start.
        """

    # Private networks ------------------------------------------------------------
    #
    # A private network is a wire between machines, and leads nowhere else: who is not on it
    # neither hears it nor is heard. It has no addresses; machines are told theirs (``Nic``).

    def find_network(self, token: str) -> NetworkInfo | None:
        """The network that was asked for with ``token``, if any."""

    def list_networks(self) -> Iterable[NetworkInfo]:
        """Every network of ours."""

    def create_network(self, *, token: str) -> NetworkInfo:
        """A network with nobody on it.

        Raises:
            CloudRefused: that is no token. CloudBusy. Unsupported.
        """

    def delete_network(self, ref: str) -> None:
        """Remove it. Quiet if gone. Raises: CloudBusy: machines are on it, running or off."""

    def attach_nic(self, vm_ref: str, nic: Nic) -> None:
        """Give a machine a card, running or off; seen later in ``VmInfo.nics``. Quiet if it has.

        It stays when the machine is restarted. Only then is the guest told the card's address:
        in one that runs, somebody has to set it.

        Raises:
            NotFound: no such machine, or network: the sentence says which.
            CloudRefused: it is no card (``cloud.cards``), the machine has no room for another, or
                another card on that network has its hardware address.
            CloudBusy: the machine has this card on another network, or is being changed.
            Unsupported.
        """

    def detach_nic(self, vm_ref: str, mac: str) -> None:
        """Take a card out; seen later in ``VmInfo.nics``. Quiet if it is not there, or is gone.

        Raises:
            CloudBusy: the guest has not let go of it: it is still there, but its wire is cut.
        """
