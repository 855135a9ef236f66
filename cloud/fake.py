"""A cloud in memory, for tests. It passes the same contract as the real ones.

Drivers with the same ``world`` see the same cloud, as processes of one site do. Time
does not pass in it: each look (``get_vm``, ``list_vms``) takes every machine one step
further, so a test sees every phase and waits for none.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from time import time

from cloud import cards, seeds
from cloud.driver import Progress
from cloud.errors import CloudBusy, CloudError, CloudRefused, CloudUnavailable, NotFound
from cloud.fake_networks import FakeNetworks
from cloud.fake_plugs import FakeHotPlug, FakePlugs
from cloud.fake_saving import FakeSaving
from cloud.fake_volumes import NO_COPY_ON_WRITE, FakeVolume, FakeVolumes
from cloud.local import images, inspect
from cloud.types import (
    Capabilities,
    Capacity,
    ConsoleEndpoint,
    ConsoleKind,
    Endpoint,
    ImageInfo,
    ImageSource,
    Nic,
    VmInfo,
    VmPhase,
    VmSpec,
    VmUsage,
)

P = VmPhase

#: Where a machine goes by itself at each look.
NEXT = {P.QUEUED: P.BOOTING, P.BOOTING: P.RUNNING, P.STOPPING: P.STOPPED}
WAITING = (P.QUEUED, P.STAGING)
ALIVE = (P.BOOTING, P.RUNNING, P.STOPPING)
LARGEST_VCPUS = 8
MEMORY_MIB = 64 * 1024
DISK_BYTES = 1 << 40
CHUNK = 1 << 20
FIRST_PORT = 20000


@dataclass(slots=True)
class FakeVm:
    spec: VmSpec
    token: str
    ports: tuple[int, ...]
    phase: VmPhase
    message: str = ""
    ignores_power_button: bool = False
    is_held: bool = False
    looks: int = 0
    log: bytes = b""
    sockets: dict[ConsoleKind, Path] = field(default_factory=dict)
    uid: int | None = None
    plugs: FakePlugs = field(default_factory=FakePlugs)
    nics: tuple[Nic, ...] = ()
    held_cards: set[str] = field(default_factory=set)
    root: FakeVolume | None = None  # of one that boots from an image, once it has started


@dataclass(slots=True)
class World:
    """What one fake cloud holds. ``calls`` names every driver call, in order."""

    images: dict[str, ImageInfo] = field(default_factory=dict)
    vms: dict[str, FakeVm] = field(default_factory=dict)
    volumes: dict[str, FakeVolume] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    failures: deque[CloudError] = field(default_factory=deque)
    lost_answers: int = 0
    changes: list[str] = field(default_factory=list)
    next_port: int = FIRST_PORT
    lock: threading.RLock = field(default_factory=threading.RLock)
    news: threading.Condition = field(default_factory=threading.Condition)


_worlds: dict[str, World] = {}
_making = threading.Lock()


class FakeCloud(FakeVolumes, FakeHotPlug, FakeSaving, FakeNetworks):
    """The driver contract, and handles for tests to make things go wrong."""

    def __init__(
        self,
        *,
        world: str = "default",
        public_host: str = "127.0.0.1",
        reserves_before_image: bool = True,
        timeout_s: float = 1.0,
    ) -> None:
        with _making:
            self.world = _worlds.setdefault(world, World())
        self.name = world
        self.timeout_s = timeout_s
        self._public_host = public_host
        self._reserves_before_image = reserves_before_image

    # Handles for tests ---------------------------------------------------------

    def fail_next(self, *errors: CloudError) -> None:
        """The next calls raise these, one each, and do nothing."""
        self.world.failures.extend(errors)

    def lose_next_answer(self) -> None:
        """The next call does its work, and its answer never arrives."""
        self.world.lost_answers += 1

    def reset(self) -> None:
        """An empty world, for every driver that has this name."""
        fresh = World()
        with self.world.lock:
            for each in fields(World):
                if each.name not in ("lock", "news"):
                    setattr(self.world, each.name, getattr(fresh, each.name))

    def set_phase(self, ref: str, phase: VmPhase, message: str = "") -> None:
        """Something happened to the machine: it crashed, halted, was found again."""
        vm = self._vm(ref)
        if phase not in WAITING:
            self._make_root(vm)
        vm.phase, vm.message = phase, message
        self._tell(ref)

    def hold(self, ref: str, *, on: bool = True) -> None:
        """Keep a machine in the phase it is in, however often it is looked at."""
        self._vm(ref).is_held = on

    def ignore_power_button(self, ref: str, *, on: bool = True) -> None:
        self._vm(ref).ignores_power_button = on

    def put_image(self, token: str, *, size_bytes: int = 1 << 20) -> ImageInfo:
        """Have an image without importing a file."""
        info = ImageInfo(
            ref=token, token=token, size_bytes=size_bytes, virtual_size_bytes=2 * size_bytes
        )
        self.world.images[token] = info
        return info

    def print_on_console(self, ref: str, text: bytes) -> None:
        self._vm(ref).log += text

    def serve_console(
        self, ref: str, kind: ConsoleKind, path: Path, *, uid: int | None = None
    ) -> None:
        """Say that the console of a machine is reached at ``path``, served by user ``uid``."""
        self._vm(ref).sockets[kind] = path
        self._vm(ref).uid = uid

    # The contract --------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        self.world.calls.append("capabilities")
        return Capabilities(
            engine="a fake cloud in memory",
            lacks={"copy_on_write": NO_COPY_ON_WRITE},
            reserves_before_image=self._reserves_before_image,
            consoles=(ConsoleKind.SCREEN, ConsoleKind.SERIAL),
        )

    def capacity(self) -> Capacity:
        with _Call(self, "capacity"):
            return Capacity(
                largest_vcpus=LARGEST_VCPUS,
                largest_memory_mib=MEMORY_MIB,
                free_memory_mib=self._free_memory_mib(),
                free_disk_bytes=DISK_BYTES,
                machines=sum(vm.phase in ALIVE for vm in self.world.vms.values()),
            )

    def find_vm(self, token: str) -> VmInfo | None:
        with _Call(self, "find_vm"):
            vm = self.world.vms.get(token)
            return self._info(vm) if vm else None

    def create_vm(self, spec: VmSpec, *, token: str) -> VmInfo:
        with _Call(self, "create_vm"):
            if token not in self.world.vms:
                self._check(spec)
                self._make(spec, token)
                self._tell(token)
            return self._info(self._vm(token))

    def get_vm(self, ref: str) -> VmInfo:
        with _Call(self, "get_vm"):
            vm = self._vm(ref)
            self._step(vm)
            return self._info(vm)

    def list_vms(self) -> Iterable[VmInfo]:
        with _Call(self, "list_vms"):
            for vm in self.world.vms.values():
                self._step(vm)
            return [self._info(vm) for vm in self.world.vms.values()]

    def start_vm(self, ref: str) -> None:
        with _Call(self, "start_vm"):
            vm = self._vm(ref)
            if vm.phase in (P.STOPPED, P.UNKNOWN, P.FAILED):
                self.set_phase(ref, P.QUEUED)

    def stop_vm(self, ref: str) -> None:
        with _Call(self, "stop_vm"):
            vm = self._vm(ref)
            if vm.phase in (P.RUNNING, P.BOOTING) and not vm.ignores_power_button:
                self.set_phase(ref, P.STOPPING)
            elif vm.phase in (*WAITING, P.UNKNOWN):
                self._end(vm)

    def power_off_vm(self, ref: str) -> None:
        with _Call(self, "power_off_vm"):
            vm = self._vm(ref)
            if vm.phase not in (P.STOPPED, P.FAILED):
                self._end(vm)

    def reboot_vm(self, ref: str) -> None:
        with _Call(self, "reboot_vm"):
            if self._vm(ref).phase not in ALIVE:
                raise CloudBusy("It is not running, so it cannot be rebooted.")
            self._tell(ref)

    def delete_vm(self, ref: str) -> None:
        with _Call(self, "delete_vm"):
            if vm := self.world.vms.pop(ref, None):
                self._release_all(vm.spec, vm.plugs, ref)
                self._tell(ref)

    def watch(self, stop: Callable[[], bool]) -> Iterator[str]:
        seen = len(self.world.changes)
        while not stop():
            with self.world.news:
                if len(self.world.changes) == seen:
                    self.world.news.wait(timeout=0.1)
            new, seen = self.world.changes[seen:], len(self.world.changes)
            yield from new or [""]

    def console(self, ref: str, kind: ConsoleKind) -> ConsoleEndpoint:
        with _Call(self, "console"):
            vm = self._vm(ref)
            if vm.phase not in ALIVE:
                raise CloudBusy("It is not running, so it has no console now.")
            path = vm.sockets.get(kind, Path("/nonexistent") / ref / kind)
            backlog = vm.log if kind is ConsoleKind.SERIAL else b""
            return ConsoleEndpoint(kind=kind, unix_path=path, peer_uid=vm.uid, backlog=backlog)

    def console_log(self, ref: str, *, max_bytes: int) -> bytes:
        with _Call(self, "console_log"):
            return self._vm(ref).log[-max_bytes:]

    def usage(self, refs: Iterable[str]) -> Mapping[str, VmUsage]:
        with _Call(self, "usage"):
            found = ((ref, self.world.vms.get(ref)) for ref in refs)
            return {ref: _usage(vm) for ref, vm in found if vm and vm.phase in ALIVE}

    def find_image(self, token: str) -> ImageInfo | None:
        with _Call(self, "find_image"):
            return self.world.images.get(token)

    def import_image(self, source: ImageSource, *, token: str, on_progress: Progress) -> ImageInfo:
        with _Call(self, "import_image"):
            if known := self.world.images.get(token):
                on_progress(known.size_bytes, known.size_bytes)
                return known
            _verify(source, on_progress)
            return self.put_image(token, size_bytes=source.size_bytes)

    def delete_image(self, ref: str) -> None:
        with _Call(self, "delete_image"):
            self.world.images.pop(ref, None)

    # Inside --------------------------------------------------------------------

    def _call(self, name: str) -> AbstractContextManager[None]:
        return _Call(self, name)

    def _volumes(self) -> dict[str, FakeVolume]:
        return self.world.volumes

    def _spec(self, ref: str) -> VmSpec:
        return self._vm(ref).spec

    def _plugs(self, ref: str) -> FakePlugs:
        return self._vm(ref).plugs

    def _networks(self) -> set[str]:
        return self.world.networks

    def _vms(self) -> dict[str, FakeVm]:
        return self.world.vms

    def _is_alive(self, ref: str) -> bool:
        return self._vm(ref).phase in ALIVE

    def _is_waiting(self, ref: str) -> bool:
        return self._vm(ref).phase in WAITING

    def _root(self, ref: str) -> FakeVolume | None:
        vm = self._vm(ref)
        return self._volume(vm.spec.root_volume) if vm.spec.root_volume else vm.root

    def _make_root(self, vm: FakeVm) -> None:
        if vm.root is None and not vm.spec.root_volume:
            image = self.world.images.get(vm.spec.image)
            vm.root = FakeVolume("", image.virtual_size_bytes if image else CHUNK)

    def _end(self, vm: FakeVm) -> None:
        """From now on it is off, whether or not it ever ran."""
        vm.phase, vm.message = P.STOPPED, ""
        self._tell(vm.token)

    def _check(self, spec: VmSpec) -> None:
        if not 1 <= spec.vcpus <= LARGEST_VCPUS:
            raise CloudRefused(
                f"It asks for {spec.vcpus} CPUs; this site gives 1 to {LARGEST_VCPUS}."
            )
        if not 1 <= spec.memory_mib <= MEMORY_MIB:
            raise CloudRefused(
                f"It asks for {spec.memory_mib} MiB of memory; this site gives 1 to {MEMORY_MIB}."
            )
        if bool(spec.image) == bool(spec.root_volume):
            raise CloudRefused("It boots from an image or from a disk.")
        if problem := cards.problem(spec.nics) or seeds.problem(spec):
            raise CloudRefused(problem)
        if self._awaits_image(spec) and not self._reserves_before_image:
            raise CloudBusy("Its image is not there yet.")

    def _awaits_image(self, spec: VmSpec) -> bool:
        return not spec.root_volume and spec.image not in self.world.images

    def _make(self, spec: VmSpec, token: str) -> None:
        self.world.vms[token] = self._new(spec, token)
        try:
            self._join_all(spec, token)
            self._claim_all(spec, token)
        except CloudError:
            del self.world.vms[token]
            raise

    def _new(self, spec: VmSpec, token: str) -> FakeVm:
        first = self.world.next_port
        self.world.next_port += len(spec.inbound_ports)
        ports = tuple(range(first, self.world.next_port))
        vm = FakeVm(spec=spec, token=token, ports=ports, phase=P.QUEUED)
        if self._awaits_image(spec):
            vm.phase, vm.message = P.STAGING, "Waits for its image."
        return vm

    def _vm(self, ref: str) -> FakeVm:
        try:
            return self.world.vms[ref]
        except KeyError:
            raise NotFound("There is no such machine.", detail=ref) from None

    def _free_memory_mib(self) -> int:
        alive = (vm for vm in self.world.vms.values() if vm.phase in ALIVE)
        return max(0, MEMORY_MIB - sum(vm.spec.memory_mib for vm in alive))

    def _step(self, vm: FakeVm) -> None:
        vm.looks += 1
        if vm.is_held:
            return
        if vm.phase is P.STAGING and not self._awaits_image(vm.spec):
            self.set_phase(vm.token, P.QUEUED)
        elif vm.phase is P.QUEUED and vm.spec.memory_mib > self._free_memory_mib():
            free = self._free_memory_mib()
            vm.message = (
                f"Waits for memory: it needs {vm.spec.memory_mib} MiB and {free} MiB are free."
            )
        elif vm.phase in NEXT:
            self.set_phase(vm.token, NEXT[vm.phase])
            vm.log += f"{vm.phase}\r\n".encode()

    def _info(self, vm: FakeVm) -> VmInfo:
        endpoints = tuple(
            Endpoint(guest_port=guest, host=self._public_host, port=port)
            for guest, port in zip(vm.spec.inbound_ports, vm.ports, strict=True)
        )
        return VmInfo(
            ref=vm.token,
            token=vm.token,
            phase=vm.phase,
            message=vm.message,
            endpoints=endpoints,
            disks=vm.plugs.shown(vm.spec),
            nics=vm.nics,
        )

    def _tell(self, ref: str) -> None:
        with self.world.news:
            self.world.changes.append(ref)
            self.world.news.notify_all()


class _Call:
    """One driver call: alone in its world, written down, and failing when told to."""

    def __init__(self, cloud: FakeCloud, name: str) -> None:
        self._world = cloud.world
        self._name = name

    def __enter__(self) -> None:
        self._world.lock.acquire()
        self._world.calls.append(self._name)
        if self._world.failures:
            error = self._world.failures.popleft()
            self._world.lock.release()
            raise error

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        is_lost = bool(self._world.lost_answers) and kind is None
        self._world.lost_answers -= is_lost
        self._world.lock.release()
        if is_lost:
            raise CloudUnavailable("The cloud did not answer in time.")


def _usage(vm: FakeVm) -> VmUsage:
    return VmUsage(
        ref=vm.token,
        at=datetime.fromtimestamp(time(), UTC),
        cpu_s=0.1 * vm.looks,
        memory_bytes=vm.spec.memory_mib << 20,
        disk_read_bytes=4096 * vm.looks,
        disk_write_bytes=1024 * vm.looks,
        volumes=vm.plugs.usage(vm.spec, vm.looks),
        net_rx_bytes=100 * vm.looks,
        net_tx_bytes=200 * vm.looks,
    )


def _verify(source: ImageSource, on_progress: Progress) -> None:
    if not source.is_verified and not {*source.checksums} - {"md5"}:
        raise CloudRefused("The image's entry states no checksum that it could be verified by.")
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in source.checksums}
    done = 0
    try:
        with source.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                done += len(chunk)
                for digest in digests.values():
                    digest.update(chunk)
                on_progress(min(done, source.size_bytes), source.size_bytes)
    except FileNotFoundError as error:
        raise CloudRefused("The image file cannot be read.", detail=repr(error)) from error
    images.verify(source, done, {name: digest.hexdigest() for name, digest in digests.items()})
    inspect.judge(source.path, source.format)
