"""Persistent disks: not offered by this engine yet, and it says so."""

from typing import BinaryIO, NoReturn

from cloud.driver import Progress
from cloud.errors import Unsupported
from cloud.types import VolumeInfo

SENTENCE = (
    "Persistent disks are not offered by this engine yet. Keep what you need by copying it"
    " off the machine before you end it."
)
CALLS = (
    "find_volume",
    "create_volume",
    "import_volume",
    "export_volume",
    "copy_volume",
    "get_volume",
    "delete_volume",
    "save_root_disk",
    "attach_volume",
    "detach_volume",
)


def _refuse() -> NoReturn:
    raise Unsupported(SENTENCE)


class NoVolumes:
    """The contract's volume calls, each refused with one sentence."""

    def find_volume(self, token: str) -> VolumeInfo | None:
        _refuse()

    def create_volume(self, size_bytes: int, *, token: str) -> VolumeInfo:
        _refuse()

    def import_volume(
        self, source: BinaryIO, *, size_bytes: int, token: str, on_progress: Progress
    ) -> VolumeInfo:
        _refuse()

    def export_volume(self, ref: str, sink: BinaryIO, *, on_progress: Progress) -> None:
        _refuse()

    def copy_volume(self, ref: str, *, token: str, on_progress: Progress) -> VolumeInfo:
        _refuse()

    def get_volume(self, ref: str) -> VolumeInfo:
        _refuse()

    def delete_volume(self, ref: str) -> None:
        _refuse()

    def save_root_disk(self, vm_ref: str, *, token: str, on_progress: Progress) -> VolumeInfo:
        _refuse()

    def attach_volume(self, vm_ref: str, volume_ref: str, *, read_only: bool) -> None:
        _refuse()

    def detach_volume(self, vm_ref: str, volume_ref: str) -> None:
        _refuse()
