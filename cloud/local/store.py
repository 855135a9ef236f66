"""The contract's calls for volumes, but for plugging them in (see ``cloud.driver``)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cloud.driver import Progress
from cloud.local import saving, snapshots, transfers, volumes
from cloud.local.edge import edge
from cloud.local.machine import Machine
from cloud.local.site import Site
from cloud.local.volumes import Volume
from cloud.types import DiskFormat, SavedDisk, VolumeInfo, VolumeSource


def lacks(site: Site) -> Mapping[str, str]:
    """What this site's volumes lack, in sentences."""
    return {} if transfers.shares_blocks(site) else {"copy_on_write": transfers.NOT_SHARED}


class VolumeCalls:
    """Where the contract leaves a choice: a snapshot goes back to the size that the disk had."""

    _site: Site

    @edge
    def find_volume(self, token: str) -> VolumeInfo | None:
        return Volume(self._site, token).find()

    @edge
    def get_volume(self, ref: str) -> VolumeInfo:
        return Volume(self._site, ref).load()

    @edge
    def list_volumes(self) -> Iterable[VolumeInfo]:
        volumes.sweep(self._site)
        return list(volumes.every(self._site))

    @edge
    def create_volume(self, size_bytes: int, *, token: str) -> VolumeInfo:
        volumes.create(self._site, size_bytes, token=token)
        return Volume(self._site, token).load()

    @edge
    def import_volume(
        self, source: VolumeSource, *, token: str, on_progress: Progress
    ) -> VolumeInfo:
        transfers.add(self._site, source, token=token, on_progress=on_progress)
        return Volume(self._site, token).load()

    @edge
    def copy_volume(
        self, ref: str, *, token: str, snapshot: str = "", on_progress: Progress
    ) -> VolumeInfo:
        transfers.copy(self._site, ref, token=token, snapshot=snapshot, on_progress=on_progress)
        return Volume(self._site, token).load()

    @edge
    def export_volume(
        self, ref: str, path: Path, format: DiskFormat, *, snapshot: str = "", on_progress: Progress
    ) -> None:
        transfers.export(
            self._site, ref, path, format, snapshot=snapshot, on_progress=on_progress
        )  # fmt: skip

    @edge
    def grow_volume(self, ref: str, size_bytes: int) -> VolumeInfo:
        volumes.grow(self._site, ref, size_bytes)
        return Volume(self._site, ref).load()

    @edge
    def delete_volume(self, ref: str) -> None:
        volumes.delete(self._site, ref)

    @edge
    def create_snapshot(self, ref: str, *, token: str) -> None:
        snapshots.create(self._site, ref, token=token)

    @edge
    def restore_snapshot(self, ref: str, *, token: str) -> None:
        snapshots.restore(self._site, ref, token=token)

    @edge
    def delete_snapshot(self, ref: str, *, token: str) -> None:
        snapshots.delete(self._site, ref, token=token)

    @edge
    def save_root_disk(self, vm_ref: str, *, token: str, on_progress: Progress) -> SavedDisk:
        return saving.save(Machine(self._site, vm_ref), token=token, on_progress=on_progress)
