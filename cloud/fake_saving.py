"""The fake cloud's root disks: what machines that boot from an image have written."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from cloud.diskfiles.digests import Digests
from cloud.driver import Progress
from cloud.errors import CloudBusy, CloudRefused
from cloud.fake_volumes import BLOCK, FakeVolume, put
from cloud.types import SavedDisk

#: A larger disk has blank checksums, as of an engine that did not read the bytes: zeros cost too.
LARGEST_SUMMED_BYTES = 256 << 20
_ZEROS = bytes(BLOCK)


class FakeSaving(ABC):
    """The contract's call that saves a root disk, and handles for tests."""

    @abstractmethod
    def _call(self, name: str) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _volumes(self) -> dict[str, FakeVolume]: ...

    @abstractmethod
    def _root(self, ref: str) -> FakeVolume | None:
        """A machine's root disk; None: it has never started.

        Raises:
            NotFound: there is no such machine.
        """

    @abstractmethod
    def _is_waiting(self, ref: str) -> bool: ...

    # Handles for tests ---------------------------------------------------------

    def write_root_disk(self, ref: str, data: bytes, *, at: int = 0) -> None:
        """What a guest does that has started."""
        put(self._must_have_root(ref), data, at)

    # The contract --------------------------------------------------------------

    def save_root_disk(self, vm_ref: str, *, token: str, on_progress: Progress) -> SavedDisk:
        with self._call("save_root_disk"):
            if token not in self._volumes():
                root = self._must_have_root(vm_ref)
                on_progress(0, root.size_bytes)
                copy = FakeVolume(token, root.size_bytes, dict(root.blocks))
                copy.saved = _sums(copy)
                self._volumes()[token] = copy
            volume = self._volumes()[token]
            on_progress(volume.size_bytes, volume.size_bytes)
            return SavedDisk(volume=volume.info(), **volume.saved)

    # Inside --------------------------------------------------------------------

    def _must_have_root(self, ref: str) -> FakeVolume:
        root = self._root(ref)
        if self._is_waiting(ref):
            raise CloudBusy("The machine waits for its start. Save it when it runs, or is off.")
        if root is None:
            raise CloudRefused("The machine has never started, so it has no disk to save.")
        return root


def _sums(volume: FakeVolume) -> dict[str, str]:
    """Hexadecimal, by the names of ``hashlib``."""
    if volume.size_bytes > LARGEST_SUMMED_BYTES:
        return {}
    with Digests() as digests:
        for at in range(0, volume.size_bytes, BLOCK):
            block = volume.blocks.get(at // BLOCK, _ZEROS)
            digests.update(block[: volume.size_bytes - at])
        return digests.found()
