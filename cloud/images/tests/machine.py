"""A real QEMU machine for tests: the golden command line, a NoCloud seed, SSH, QMP."""

import io
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pycdlib

T = TypeVar("T")

BOOT_S = 90.0


def wait_for(look: Callable[[], T | None], *, what: str, within_s: float = BOOT_S) -> T:
    """Return the first true answer of ``look``, or fail after ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {within_s} s"
        time.sleep(0.02)  # noqa: TID251 - the deadline wait of this suite
    return found


def write_seed(path: Path, *, meta_data: str, user_data: bytes) -> None:
    iso = pycdlib.PyCdlib()
    iso.new(joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, data) in enumerate(
        (("meta-data", meta_data.encode()), ("user-data", user_data))
    ):
        iso.add_fp(
            io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}"
        )
    iso.write(str(path))
    iso.close()


def _drain(line: socket.socket) -> None:
    with suppress(OSError):
        while line.recv(4096):
            continue


@dataclass
class Machine:
    """``with Machine(...) as m``: booting on entry, no process left on exit."""

    home: Path
    image: Path
    key: Path
    meta_data: str
    user_data: bytes = b""
    memory_mib: int = 128
    disk_bytes: int = 0
    root_bus: str = "virtio"
    seed: bool = True
    process: subprocess.Popen[bytes] | None = None
    extra_disks: list[Path] = field(default_factory=list)
    port: int = 0
    started_at: float = 0.0

    def __enter__(self) -> "Machine":
        self.home.mkdir(exist_ok=True)
        root = self.home / "root.qcow2"
        if not root.exists():
            subprocess.run(
                ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                 self.image.resolve(), root, *([str(self.disk_bytes)] if self.disk_bytes else [])],
                check=True,
            )  # fmt: skip
        write_seed(self.home / "seed.iso", meta_data=self.meta_data, user_data=self.user_data)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        (self.home / "qmp").unlink(missing_ok=True)
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.argv(), stdin=subprocess.DEVNULL, stdout=(self.home / "qemu.out").open("ab"),
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_for(self._has_monitor, what="the monitor", within_s=10)
        users = self.qmp("human-monitor-command", {"command-line": "info usernet"})
        forwards = re.findall(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", users)
        self.port = int(forwards[0])

    def _has_monitor(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.home / "qemu.out").read_text()
        with suppress(ConnectionRefusedError, FileNotFoundError):
            self.qmp("query-status")
            return True
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def argv(self) -> list[str]:
        """Source: measured command line of the embedded engine, QEMU 7.2."""
        home = self.home
        root_device = {
            "virtio": "virtio-blk-pci,drive=root,id=rootdev,bootindex=1,serial=root",
            "scsi": "scsi-hd,drive=root,id=rootdev,bootindex=1,serial=root,bus=scsi0.0",
        }[self.root_bus]
        argv = [
            "nice", "-n", "5", "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-machine", "q35,vmport=off,smm=off,hpet=off", "-accel", "tcg,thread=multi,tb-size=32",
            "-cpu", "max", "-m", str(self.memory_mib), "-smp", "1", "-rtc", "base=utc",
            "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-no-shutdown", "-qmp", f"unix:{home}/qmp,server=on,wait=off",
            "-chardev", f"socket,id=con,path={home}/console,server=on,wait=off,"
            f"logfile={home}/console.log,logappend=on",
            "-serial", "chardev:con", "-vga", "std", "-display", "none", "-vnc", f"unix:{home}/vnc",
            "-device", "pcie-root-port,id=rp0,chassis=1,slot=1",
            "-device", "virtio-scsi-pci,id=scsi0", "-device", "virtio-rng-pci",
            "-blockdev", self._blockdev("root", "qcow2", home / "root.qcow2"),
            "-device", root_device,
            "-netdev", "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22",
            "-device", "virtio-net-pci,netdev=net0,id=nic0,mac=52:54:00:12:34:56,romfile=",
        ]  # fmt: skip
        if self.seed:
            argv += ["-blockdev", self._blockdev("seed", "raw", home / "seed.iso", read_only=True)]
            argv += ["-device", "virtio-blk-pci,drive=seed,id=seeddev,serial=cidata"]
        for number, disk in enumerate(self.extra_disks):
            node = f"extra{number}"
            argv += ["-blockdev", self._blockdev(node, "raw", disk)]
            argv += ["-device", f"virtio-blk-pci,drive={node},id={node}dev"]
        return argv

    @staticmethod
    def _blockdev(node: str, driver: str, path: Path, *, read_only: bool = False) -> str:
        return json.dumps(
            {
                "driver": driver,
                "node-name": node,
                "read-only": read_only,
                "file": {"driver": "file", "filename": str(path)},
            }
        )

    def qmp(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10)
            monitor.connect(str(self.home / "qmp"))
            stream = monitor.makefile("rw")
            stream.readline()
            for asked in (
                {"execute": "qmp_capabilities"},
                {"execute": command, "arguments": arguments or {}},
            ):
                stream.write(json.dumps(asked) + "\n")
                stream.flush()
                answer: dict[str, Any] = {}
                while not answer.keys() & {"return", "error"}:
                    answer = json.loads(stream.readline())
        assert "error" not in answer, answer
        return answer["return"]

    # What the guest shows ---------------------------------------------------------

    def console_log(self) -> str:
        path = self.home / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_line(self, text: str, *, within_s: float = BOOT_S) -> None:
        wait_for(lambda: text in self.console_log(), what=repr(text), within_s=within_s)

    def wait_for_ssh(self, *, within_s: float = BOOT_S, patience_s: float = 0.3) -> float:
        """Return the seconds from the start of QEMU to the SSH banner.

        ``patience_s`` is how long one connection waits. OpenSSH without KVM needs seconds
        for its banner: to hang up earlier makes it begin again, for ever.
        """
        wait_for(lambda: self._has_banner(patience_s), what="the SSH banner", within_s=within_s)
        return time.monotonic() - self.started_at

    def _has_banner(self, patience_s: float) -> bool:
        address = ("127.0.0.1", self.port)
        with suppress(OSError), socket.create_connection(address, patience_s) as link:
            link.settimeout(patience_s)
            return link.recv(4) == b"SSH-"
        return False

    def ssh_options(self, key: Path | None = None) -> list[str]:
        return [
            "-F", "none", "-i", str(key or self.key), "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30",
        ]  # fmt: skip

    def ssh(self, command: str, *, key: Path | None = None, user: str = "root") -> str:
        done = subprocess.run(
            ["ssh", *self.ssh_options(key), "-p", str(self.port), f"{user}@127.0.0.1", command],
            check=False, capture_output=True, text=True, timeout=BOOT_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def serial(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.home / "console"))
            # A client that does not read stops the guest's output, and then the guest.
            reader = threading.Thread(target=_drain, args=(line,), daemon=True)
            reader.start()
            yield line
            line.shutdown(socket.SHUT_RDWR)
            reader.join()

    # What is done to it -----------------------------------------------------------

    def press_power_button(self) -> None:
        self.qmp("system_powerdown")

    def wait_until_off(self, *, within_s: float = 30) -> float:
        began = time.monotonic()
        wait_for(
            lambda: self.qmp("query-status")["status"] == "shutdown",
            what="power off",
            within_s=within_s,
        )
        return time.monotonic() - began

    def plug(self, name: str, path: Path) -> None:
        node = json.loads(self._blockdev(name, "raw", path))
        self.qmp("blockdev-add", node)
        self.qmp(
            "device_add",
            {"driver": "scsi-hd", "id": f"{name}dev", "drive": name, "bus": "scsi0.0",
             "serial": name},
        )  # fmt: skip

    def unplug(self, name: str) -> None:
        self.qmp("device_del", {"id": f"{name}dev"})
