"""The fake cloud's plugs: by the embedded engine's rules, and a guest that may hold on."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from cloud.errors import CloudBusy, CloudRefused, NotFound
from cloud.fake_volumes import FakeVolume
from cloud.local import disks
from cloud.types import Disk, DiskBus, VmSpec, VolumeUsage


@dataclass(slots=True)
class FakePlugs:
    """What one machine has plugged in: volume -> whether only to read it, and its letter."""

    read_only: dict[str, bool] = field(default_factory=dict)
    letters: dict[str, int] = field(default_factory=dict)
    held_fast: set[str] = field(default_factory=set)

    def shown(self, spec: VmSpec) -> tuple[Disk, ...]:
        return (*_root(spec), *(self._disk(volume) for volume in self.read_only))

    def _disk(self, volume: str) -> Disk:
        return Disk(
            volume=volume,
            device=disks.device(self.letters[volume]),
            stable_path=disks.scsi_path(volume),
            read_only=self.read_only[volume],
        )

    def usage(self, spec: VmSpec, looks: int) -> Mapping[str, VolumeUsage]:
        return {
            volume: VolumeUsage(
                read_bytes=4096 * looks, write_bytes=0 if read_only else 1024 * looks
            )
            for volume, read_only in wanted(spec, self.read_only).items()
        }


def wanted(spec: VmSpec, plugs: Mapping[str, bool]) -> dict[str, bool]:
    """Every volume of a machine, and whether only to read it."""
    return ({spec.root_volume: False} if spec.root_volume else {}) | dict(plugs)


def _root(spec: VmSpec) -> Iterable[Disk]:
    if spec.root_volume and spec.disk_bus is DiskBus.SCSI:
        path = disks.scsi_path(spec.root_volume)
        yield Disk(volume=spec.root_volume, device=disks.device(0), stable_path=path)
    elif spec.root_volume:
        path = disks.virtio_path(spec.root_volume)
        yield Disk(volume=spec.root_volume, device="/dev/vda", stable_path=path)


class FakeHotPlug(ABC):
    """The contract's two calls that plug volumes in and out, and a handle for tests."""

    @abstractmethod
    def _call(self, name: str) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _volume(self, ref: str) -> FakeVolume: ...

    @abstractmethod
    def _volumes(self) -> dict[str, FakeVolume]: ...

    @abstractmethod
    def _spec(self, ref: str) -> VmSpec:
        """Raises: NotFound: there is no such machine."""

    @abstractmethod
    def _plugs(self, ref: str) -> FakePlugs: ...

    @abstractmethod
    def _is_alive(self, ref: str) -> bool: ...

    @abstractmethod
    def _tell(self, ref: str) -> None: ...

    # Handles for tests ---------------------------------------------------------

    def refuse_detach(self, vm: str, volume: str, *, on: bool = True) -> None:
        """Have a guest that does not let go of a disk, as long as its machine runs."""
        held_fast = self._plugs(vm).held_fast
        (held_fast.add if on else held_fast.discard)(volume)

    # The contract --------------------------------------------------------------

    def attach_volume(self, vm_ref: str, volume_ref: str, *, read_only: bool) -> None:
        with self._call("attach_volume"):
            spec, plugs = self._spec(vm_ref), self._plugs(vm_ref)
            held = wanted(spec, plugs.read_only)
            if volume_ref in held:
                if volume_ref != spec.root_volume and held[volume_ref] != read_only:
                    raise CloudBusy("This machine has the disk the other way. Detach it first.")
                return
            self._claim(spec, vm_ref, volume_ref, read_only=read_only)
            self._tell(vm_ref)

    def detach_volume(self, vm_ref: str, volume_ref: str, *, force: bool = False) -> None:
        with self._call("detach_volume"):
            try:
                spec, plugs = self._spec(vm_ref), self._plugs(vm_ref)
            except NotFound:
                return
            if volume_ref and volume_ref == spec.root_volume:
                raise CloudRefused("The machine boots from this disk, so it keeps it.")
            if volume_ref not in plugs.read_only:
                if held := self._volumes().get(volume_ref):
                    held.holders.pop(vm_ref, None)
                return
            if volume_ref in plugs.held_fast and self._is_alive(vm_ref) and not force:
                raise CloudBusy("The guest is still using this disk. Unmount it there first.")
            self._volume(volume_ref).holders.pop(vm_ref, None)
            plugs.held_fast.discard(volume_ref)
            del plugs.read_only[volume_ref], plugs.letters[volume_ref]
            self._tell(vm_ref)

    # Inside --------------------------------------------------------------------

    def _claim_all(self, spec: VmSpec, vm: str) -> None:
        """All volumes of a machine that is being made, or none.

        Raises:
            CloudRefused: there is no such disk. CloudBusy: somebody else has one.
        """
        asked = [plug.volume for plug in spec.volumes] + [spec.root_volume] * bool(spec.root_volume)
        if len(set(asked)) < len(asked):
            raise CloudRefused("A disk is plugged in once.")
        for plug in spec.volumes:
            self._check_claim(vm, plug.volume, read_only=plug.read_only)
        if spec.root_volume:
            self._check_claim(vm, spec.root_volume, read_only=False)
            self._volume(spec.root_volume).holders[vm] = False
        for plug in spec.volumes:
            self._claim(spec, vm, plug.volume, read_only=plug.read_only)

    def _check_claim(self, vm: str, volume: str, *, read_only: bool) -> None:
        try:
            self._must_be_free(vm, volume, read_only=read_only)
        except NotFound as error:
            raise CloudRefused("One of its disks does not exist any more.") from error

    def _must_be_free(self, vm: str, volume: str, *, read_only: bool) -> None:
        others = {ref: how for ref, how in self._volume(volume).holders.items() if ref != vm}
        if others and not (read_only and all(others.values())):
            raise CloudBusy("Another machine has this disk. Detach it there first.")

    def _claim(self, spec: VmSpec, vm: str, volume: str, *, read_only: bool) -> None:
        self._must_be_free(vm, volume, read_only=read_only)
        plugs = self._plugs(vm)
        first = (spec.disk_bus is DiskBus.SCSI) + len(spec.volatile_bytes)
        if first + len(plugs.read_only) >= disks.MOST:
            raise CloudRefused(f"A machine has room for {disks.MOST} disks. Detach one first.")
        taken = set(plugs.letters.values())
        letter = next(n for n in range(first, disks.MOST) if n not in taken)
        plugs.read_only[volume], plugs.letters[volume] = read_only, letter
        self._volume(volume).holders[vm] = read_only

    def _release_all(self, spec: VmSpec, plugs: FakePlugs, vm: str) -> None:
        for volume in wanted(spec, plugs.read_only):
            self._volume(volume).holders.pop(vm, None)
