"""One machine's directory: what was asked for, what became of it, and its lock.

::

    machines/<token>/machine.json   ours, the only truth about the machine
                     base.json      which image its disk is built on
                     life           locked by its QEMU while that lives
                     qemu.out       what QEMU said, since its last start
                     run/           its QEMU's own: disks, sockets, console log
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from cloud.errors import CloudError, CloudUnavailable, NotFound
from cloud.local import files, process
from cloud.local.process import Process
from cloud.local.site import Site, is_machine_name
from cloud.types import ContextMethod, DiskBus, Endpoint, Nic, Plug, VmSpec

TRASH = ".trash-"
NEW = ".new-"
LOCK = "vm-"
NO_SUCH = "There is no such machine."


class Stage(StrEnum):
    """What the engine decided last. What the guest does is asked of its QEMU."""

    QUEUED = "queued"  # waits for its image, room or a boot lane
    STARTED = "started"  # QEMU was, or is being, started
    STOPPED = "stopped"  # powered off; no process
    FAILED = "failed"  # it cannot start; ``reason`` says why


class Hold(StrEnum):
    """How far a volume is on its way into a machine that runs, or out of it."""

    COMING = "coming"  # about to be plugged in
    IN = "in"  # plugged in; of a machine that is off: will be when it starts
    LEAVING = "leaving"  # about to be unplugged


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugged:
    """A volume that a machine holds.

    ``slot`` is its SCSI target, the same for as long as the machine holds it; ``letter``
    counts the guest's SCSI disks in the order in which it has likely named them.
    """

    volume: str
    read_only: bool
    slot: int
    letter: int
    hold: Hold = Hold.IN

    @property
    def is_shown(self) -> bool:
        """One that leaves may still be there; one that comes may never have arrived."""
        return self.hold is not Hold.COMING


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card on a private network; ``slot`` numbers the port that it sits in."""

    nic: Nic
    slot: int
    hold: Hold = Hold.IN


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What ``machine.json`` holds. Times are seconds since the epoch."""

    token: str
    spec: VmSpec
    ports: dict[int, int]  # guest port -> host port
    uid: int | None  # whom its QEMU runs as; None: as we do
    created_at: float
    queued_at: float
    stage: Stage = Stage.QUEUED
    reason: str = ""
    plugs: tuple[Plugged, ...] = ()  # by slot
    cards: tuple[Card, ...] = ()
    prepared: bool = False  # its disks are made
    started_at: float = 0.0
    stop_asked_at: float = 0.0
    reboot_asked_at: float = 0.0
    process: Process = field(default_factory=lambda: Process(0, 0, ""))

    @property
    def is_alive(self) -> bool:
        return self.stage is Stage.STARTED and process.is_alive(self.process)

    @property
    def volumes(self) -> dict[str, bool]:
        """Every volume that it holds, and whether only to read it."""
        root = {self.spec.root_volume: False} if self.spec.root_volume else {}
        return root | {plug.volume: plug.read_only for plug in self.plugs}

    def plug(self, volume: str) -> Plugged | None:
        return next((plug for plug in self.plugs if plug.volume == volume), None)

    @property
    def networks(self) -> set[str]:
        return {card.nic.network for card in self.cards}

    def card(self, mac: str) -> Card | None:
        return next((card for card in self.cards if card.nic.mac == mac), None)

    def endpoints(self, host: str) -> tuple[Endpoint, ...]:
        return tuple(
            Endpoint(guest_port=guest, host=host, port=port) for guest, port in self.ports.items()
        )

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Record":
        """Raises: ValueError, KeyError, TypeError or AttributeError when it is not a record."""
        raw: dict[str, Any] = json.loads(text)
        spec = raw["spec"]
        spec["inbound_ports"] = tuple(spec["inbound_ports"])
        spec["ssh_keys"] = tuple(spec["ssh_keys"])
        spec["disk_bus"] = DiskBus(spec["disk_bus"])
        spec["volumes"] = tuple(Plug(**plug) for plug in spec.get("volumes", ()))
        spec["volatile_bytes"] = tuple(spec.get("volatile_bytes", ()))
        spec["nics"] = tuple(Nic(**nic) for nic in spec.get("nics", ()))
        spec["context_method"] = ContextMethod(spec.get("context_method", "cloud-init"))
        raw["spec"] = VmSpec(**spec)
        raw["stage"] = Stage(raw["stage"])
        raw["plugs"] = tuple(
            Plugged(**plug | {"hold": Hold(plug["hold"])}) for plug in raw.get("plugs", ())
        )
        raw["cards"] = tuple(
            Card(nic=Nic(**card["nic"]), slot=card["slot"], hold=Hold(card["hold"]))
            for card in raw.get("cards", ())
        )
        raw["ports"] = {int(guest): int(port) for guest, port in raw["ports"].items()}
        raw["process"] = Process(**raw["process"])
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class Machine:
    """The files of one machine. Remembers nothing but where they are."""

    site: Site
    token: str

    @property
    def folder(self) -> Path:
        return self.site.machines / self.token

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def output(self) -> Path:
        return self.folder / "qemu.out"

    @property
    def life(self) -> Path:
        """A file that the machine's QEMU keeps locked for as long as it lives."""
        return self.folder / "life"

    @property
    def base_record(self) -> Path:
        """What is known of the image under its root disk."""
        return self.folder / "base.json"

    def load(self) -> Record:
        """Raises: NotFound: there is no such machine, or it was deleted."""
        record = self.find()
        if record is None:
            raise NotFound(NO_SUCH, detail=self.token)
        return record

    def find(self) -> Record | None:
        """Its record, or None.

        Raises:
            CloudUnavailable: the record on disk is damaged.
        """
        if not is_machine_name(self.token):
            return None
        try:
            return Record.from_json((self.folder / "machine.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CloudUnavailable(
                "This machine's record on disk is damaged. An administrator can help.",
                detail=f"{self.folder}: {error!r}",
            ) from error

    def save(self, record: Record, **changes: Any) -> Record:
        """Write the record with ``changes``; every watcher of the site will notice."""
        record = replace(record, **changes)
        files.write(self.folder / "machine.json", record.to_json())
        return record

    @contextlib.contextmanager
    def locked(self, *, wait_s: float | None = None) -> Iterator[None]:
        """Be the only one who changes this machine.

        Raises:
            NotFound: the token is no machine's name.
            CloudBusy: somebody else is at it.
        """
        if not is_machine_name(self.token):
            raise NotFound(NO_SUCH, detail=self.token)
        self.site.make()
        path = self.site.locks / f"{LOCK}{self.token}"
        wait_s = self.site.timeout_s if wait_s is None else wait_s
        with files.locked(path, wait_s=wait_s, busy="Something else is being done to it now."):
            yield
            if not self.folder.exists():
                path.unlink(missing_ok=True)

    def make(self, record: Record) -> None:
        """Bring it into being, whole or not at all. Call it with the lock held."""
        self.forget_half_made()
        new = self.site.machines / f"{NEW}{self.token}"
        new.mkdir(mode=0o711)
        files.write(new / "machine.json", record.to_json())
        new.rename(self.folder)

    def unmake(self) -> None:
        """Remove every file. Call it with the lock held and no process left."""
        trash = self.site.machines / f"{TRASH}{self.token}-{time.time_ns()}"
        files.remove(self.folder, trash)
        self.forget_half_made()

    def forget_half_made(self) -> None:
        """Remove what a killed ``make`` left. Call it with the lock held."""
        new = self.site.machines / f"{NEW}{self.token}"
        files.remove(new, new)

    def touch(self) -> None:
        """Tell every watcher that something about this machine has changed."""
        os.utime(self.folder / "machine.json")


def every(site: Site) -> Iterator[Machine]:
    """All machines of the site."""
    return (Machine(site, name) for name in files.names(site.machines))


def records(site: Site) -> Iterator[Record]:
    """The readable records of all machines."""
    for machine in every(site):
        with contextlib.suppress(CloudUnavailable):
            if record := machine.find():
                yield record


def sweep(site: Site) -> None:
    """Remove what killed processes left half made or half removed."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(site.machines):
            if name.startswith(TRASH):
                files.remove(site.machines / name, site.machines / name)
            elif name.startswith(NEW):
                half_made = Machine(site, name.removeprefix(NEW))
                with contextlib.suppress(CloudError), half_made.locked(wait_s=0):
                    half_made.forget_half_made()
    for name in files.names(site.locks):
        gone = Machine(site, name.removeprefix(LOCK))
        if name.startswith(LOCK) and not gone.folder.exists():
            with contextlib.suppress(CloudError), gone.locked(wait_s=0):
                pass  # letting go removes the lock of a machine that is no more
    for folder in (site.home, site.queue, site.lanes, site.images, site.networks):
        files.sweep(folder)
