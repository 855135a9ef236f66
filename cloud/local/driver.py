"""The embedded engine: QEMU on this machine, without any service of its own.

Everything it knows is in files under ``home``; QEMU processes outlive every process of
the portal and are found again from there. Any number of drivers may work on one site at
once. Calls are synchronous and run an event loop of their own: from a coroutine, call
them in a thread.

Where the contract leaves a choice:

- A machine waits for its image (STAGING) and for room or a boot lane (QUEUED); every
  call that looks at the site also moves the queue on.
- RUNNING is when QEMU runs the guest; a machine in a lane is RUNNING already.
- A QEMU that runs but does not answer within ``timeout_s`` is UNKNOWN, as is a paused
  one: it should run, and does not. Both come back by themselves when the cause goes.
- ``stop_vm`` presses the power button again at each call; a machine that ignored it for
  90 s is RUNNING again. A machine that is not started yet, or whose process is gone, is
  STOPPED at once.
- ``reboot_vm`` presses Ctrl-Alt-Del, which asks the guest politely; asked again within a
  minute, it resets.
"""

import functools
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from cloud.driver import Progress
from cloud.errors import CloudUnavailable, NotFound
from cloud.local import (
    accel,
    attach,
    console,
    images,
    lanes,
    machine,
    networks,
    nics,
    phases,
    power,
    process,
    saving,
    store,
    usage,
    volumes,
    watch,
)
from cloud.local.edge import edge, translated
from cloud.local.machine import Machine
from cloud.local.site import Site
from cloud.local.store import VolumeCalls
from cloud.types import (
    Capabilities,
    Capacity,
    ConsoleEndpoint,
    ConsoleKind,
    ImageInfo,
    ImageSource,
    NetworkInfo,
    Nic,
    VmInfo,
    VmSpec,
    VmUsage,
)

GIB = 1 << 30

LACKS = {
    "ide": (
        "IDE disks are not offered: this engine's machines have an AHCI controller, which"
        " cloud kernels do not drive. Use virtio or SCSI."
    ),
    "outbound_network": (
        "Machines cannot open connections to the outside: their network would also reach"
        " this host's own services."
    ),
}


class LocalDriver(VolumeCalls):
    """The driver contract on QEMU processes of this host (see ``cloud.driver``)."""

    def __init__(
        self,
        *,
        home: Path | str,
        public_host: str = "127.0.0.1",
        bind_address: str = "127.0.0.1",
        ports: tuple[int, int] = (20000, 29999),
        memory_reserve_mib: int = 1024,
        disk_floor_bytes: int = GIB,
        boot_lanes: int | None = None,
        timeout_s: float = 8.0,
        run_as: str = "auto",
    ) -> None:
        self.timeout_s = timeout_s
        self._site = Site(
            home=Path(home).absolute(),
            public_host=public_host,
            bind_address=bind_address,
            ports=(ports[0], ports[1]),
            memory_reserve_mib=memory_reserve_mib,
            disk_floor_bytes=disk_floor_bytes,
            boot_lanes=boot_lanes or os.cpu_count() or 1,
            timeout_s=timeout_s,
            run_as=run_as,
        )

    @edge
    def capabilities(self) -> Capabilities:
        """See the contract. The first call after the host's boot tries KVM: at most 1 s."""
        chosen = accel.choose(self._site.home)
        return Capabilities(
            engine=f"QEMU {_qemu_version()} on this machine ({chosen.name.upper()})",
            lacks={**LACKS, **store.lacks(self._site), **networks.lacks()},
            reserves_before_image=True,
            consoles=(ConsoleKind.SCREEN, ConsoleKind.SERIAL),
            disk_buses=power.DISK_BUSES,
            architectures=("x86_64",),
        )

    @edge
    def capacity(self) -> Capacity:
        site = self._site
        return Capacity(
            largest_vcpus=os.cpu_count() or 1,
            largest_memory_mib=site.largest_memory_mib(),
            free_memory_mib=lanes.free_memory_mib(site),
            free_disk_bytes=site.free_disk_bytes(),
            machines=sum(record.is_alive for record in machine.records(site)),
        )

    # Machines ------------------------------------------------------------------

    @edge
    def find_vm(self, token: str) -> VmInfo | None:
        return self._look(token)

    @edge
    def create_vm(self, spec: VmSpec, *, token: str) -> VmInfo:
        power.create(self._site, spec, token=token)
        info = self._look(token)
        if info is None:
            raise NotFound("The machine was deleted while it was being made.")
        return info

    @edge
    def get_vm(self, ref: str) -> VmInfo:
        info = self._look(ref)
        if info is None:
            raise NotFound("There is no such machine.", detail=ref)
        return info

    @edge
    def list_vms(self) -> Iterable[VmInfo]:
        machine.sweep(self._site)
        images.sweep(self._site)
        volumes.sweep(self._site)
        saving.sweep(self._site)
        lanes.promote(self._site)
        for one in machine.every(self._site):
            attach.settle(one)
            nics.settle(one)
        return list(phases.look(machine.every(self._site)))

    @edge
    def start_vm(self, ref: str) -> None:
        power.start(Machine(self._site, ref))
        lanes.promote(self._site)

    @edge
    def stop_vm(self, ref: str) -> None:
        power.stop(Machine(self._site, ref))

    @edge
    def power_off_vm(self, ref: str) -> None:
        power.pull(Machine(self._site, ref))

    @edge
    def reboot_vm(self, ref: str) -> None:
        power.reboot(Machine(self._site, ref))

    @edge
    def delete_vm(self, ref: str) -> None:
        power.delete(Machine(self._site, ref))

    def watch(self, stop: Callable[[], bool]) -> Iterator[str]:
        """See the contract. Noticed within a second; any number of watchers may run."""
        try:
            yield from watch.watch(self._site, stop)
        except OSError as error:
            raise translated(error) from error

    def _look(self, ref: str) -> VmInfo | None:
        lanes.promote(self._site)
        return next(phases.look([Machine(self._site, ref)]), None)

    @edge
    def attach_volume(self, vm_ref: str, volume_ref: str, *, read_only: bool) -> None:
        attach.attach(Machine(self._site, vm_ref), volume_ref, read_only=read_only)

    @edge
    def detach_volume(self, vm_ref: str, volume_ref: str, *, force: bool = False) -> None:
        attach.detach(Machine(self._site, vm_ref), volume_ref, force=force)

    # Private networks ----------------------------------------------------------

    @edge
    def find_network(self, token: str) -> NetworkInfo | None:
        return networks.find(self._site, token)

    @edge
    def list_networks(self) -> Iterable[NetworkInfo]:
        return list(networks.every(self._site))

    @edge
    def create_network(self, *, token: str) -> NetworkInfo:
        networks.create(self._site, token)
        return NetworkInfo(ref=token, token=token)

    @edge
    def delete_network(self, ref: str) -> None:
        networks.delete(self._site, ref)

    @edge
    def attach_nic(self, vm_ref: str, nic: Nic) -> None:
        nics.attach(Machine(self._site, vm_ref), nic)

    @edge
    def detach_nic(self, vm_ref: str, mac: str) -> None:
        nics.detach(Machine(self._site, vm_ref), mac)

    # What a running machine shows ----------------------------------------------

    @edge
    def console(self, ref: str, kind: ConsoleKind) -> ConsoleEndpoint:
        return console.endpoint(Machine(self._site, ref), kind)

    @edge
    def console_log(self, ref: str, *, max_bytes: int) -> bytes:
        one = Machine(self._site, ref)
        one.load()
        return console.log(one, max_bytes)

    @edge
    def usage(self, refs: Iterable[str]) -> Mapping[str, VmUsage]:
        machines = [Machine(self._site, ref) for ref in refs]
        return usage.measure(self._site, machines)

    # Images --------------------------------------------------------------------

    @edge
    def find_image(self, token: str) -> ImageInfo | None:
        cached = images.find(self._site, token)
        return cached.info() if cached else None

    @edge
    def import_image(self, source: ImageSource, *, token: str, on_progress: Progress) -> ImageInfo:
        cached = images.add(self._site, source, token=token, on_progress=on_progress)
        lanes.promote(self._site)
        return cached.info()

    @edge
    def delete_image(self, ref: str) -> None:
        images.delete(self._site, ref)


@functools.cache
def _qemu_version() -> str:
    """The first line says "QEMU emulator version 7.2.22 (Debian ...)"."""
    try:
        said = subprocess.run(
            ["qemu-system-x86_64", "--version"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            env=process.ENVIRONMENT,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CloudUnavailable(
            "QEMU is not installed on this host (package qemu-system-x86).", detail=repr(error)
        ) from error
    return ".".join(said.split()[3].split(".")[:2])
