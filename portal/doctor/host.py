"""Checks of this computer: QEMU, KVM, disk, clock, ports."""

import ctypes
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from cloud.local import accel, ports
from portal.doctor.check import Check, fault, ok, warning

OLDEST_QEMU = (7, 2)
GIB = 1 << 30
DISK_FAULT_BYTES = GIB
DISK_WARNING_BYTES = 10 * GIB
#: Every tenth port of the machines' range is tried.
PORT_STEP = 10
#: adjtimex(2): the kernel believes its clock to be off.
STA_UNSYNC = 0x40

_INSTALL_QEMU = "apt-get install qemu-system-x86 qemu-utils"


def embedded() -> list[dict[str, Any]]:
    """Options of the clouds that run on this computer."""
    known: dict[str, dict[str, Any]] = settings.CLOUDS
    local = [cloud for cloud in known.values() if cloud["DRIVER"].startswith("cloud.local.")]
    return [cloud.get("OPTIONS", {}) for cloud in local]


def qemu() -> Iterator[Check]:
    if not embedded():
        return
    for program in ("qemu-system-x86_64", "qemu-img"):
        yield _program(program)


def _program(program: str) -> Check:
    name = "QEMU" if program.startswith("qemu-system") else "QEMU disk tools"
    if not shutil.which(program):
        return fault(name, f"{program} is not installed.", _INSTALL_QEMU)
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as exc:
        return fault(name, f"{program} does not run: {exc}", _INSTALL_QEMU)
    found = re.search(r"version (\d+)\.(\d+)", answer)
    if not found:
        return fault(name, f"{program} does not say its version.", _INSTALL_QEMU)
    version = (int(found[1]), int(found[2]))
    if version < OLDEST_QEMU:
        wanted = ".".join(map(str, OLDEST_QEMU))
        return fault(name, f"{program} is {found[1]}.{found[2]}, too old.", f"Install {wanted}.")
    return ok(name, f"{program} {found[1]}.{found[2]}")


def acceleration() -> Iterator[Check]:
    name = "KVM"
    for options in embedded():
        try:
            found = accel.choose(Path(options["home"]))
        except OSError as exc:
            yield fault(name, f"KVM could not be tried: {exc}", "See QEMU and permissions here.")
            continue
        if found.name == "kvm":
            yield ok(name, "Machines run with hardware virtualization.")
        else:
            yield warning(name, _no_kvm(), _KVM_FIX)


_KVM_FIX = (
    "Switch virtualization (VT-x, AMD-V) on in the firmware, or nested virtualization on the"
    " host that runs this one, and let the portal's user open /dev/kvm: adduser USER kvm"
)


def _no_kvm() -> str:
    why = (
        "a trial guest did not run under it"
        if Path("/dev/kvm").exists()
        else "there is no /dev/kvm"
    )
    return f"Machines are emulated, which is several times slower: {why}."


def disk_space() -> Iterator[Check]:
    name = "Disk space"
    try:
        free = shutil.disk_usage(settings.PORTAL_HOME).free
    except OSError as exc:
        yield fault(name, f"{settings.PORTAL_HOME}: {exc}", "Create it, or set PORTAL_HOME.")
        return
    sentence = f"{free / GIB:.1f} GiB free in {settings.PORTAL_HOME}."
    fix = "Delete images and machines that nobody needs, or move PORTAL_HOME to a larger disk."
    if free < DISK_FAULT_BYTES:
        yield fault(name, f"{sentence} No machine starts below 1 GiB.", fix)
    elif free < DISK_WARNING_BYTES:
        yield warning(name, sentence, fix)
    else:
        yield ok(name, sentence)


def clock() -> Iterator[Check]:
    name = "Time"
    fix = "Run a time service: apt-get install systemd-timesyncd"
    newest = (settings.BASE_DIR / "portal" / "settings.py").stat().st_mtime
    if time.time() < newest - 60:
        yield fault(name, "The clock is behind: the portal's own files are newer.", fix)
    elif not _is_synchronized():
        yield warning(name, "The kernel does not know whether its clock is right.", fix)
    else:
        yield ok(name, "The clock is synchronized.")


def _is_synchronized() -> bool:
    """Whether adjtimex(2) calls the clock synchronized; only asked, nothing is set."""
    timex = (ctypes.c_long * 64)()  # more than struct timex; mode 0 asks
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    status = ctypes.cast(timex, ctypes.POINTER(ctypes.c_int))[10]  # after five longs
    return state >= 0 and not status & STA_UNSYNC


def web_port(timeout_s: float = 5.0) -> Iterator[Check]:
    name = "Web port"
    host, port = settings.PORTAL_HOST, settings.PORTAL_PORT
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    answer = _ask(shown, port, timeout_s)
    if b'"ok"' in answer:
        yield ok(name, f"The portal answers on {shown} port {port}.")
    elif answer:
        yield fault(
            name,
            f"Something else answers on {shown} port {port}.",
            "Stop it, or set PORTAL_PORT to another port.",
        )
    elif ports.is_free(host, port):
        yield warning(name, f"Nobody listens on {host} port {port}.", "Start the portal.")
    else:
        yield fault(
            name,
            f"{host} port {port} is taken, or is not an address of this computer.",
            "Stop what uses it (ss -ltnp), or set PORTAL_HOST and PORTAL_PORT.",
        )


def _ask(host: str, port: int, timeout_s: float) -> bytes:
    """What /healthz answers; empty if nobody listens."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return connection.makefile("rb").read(4096) or b"?"
    except ConnectionRefusedError:
        return b""
    except OSError:
        return b"?"


def machine_ports() -> Iterator[Check]:
    for options in embedded():
        first, last = options.get("ports", (20000, 29999))
        tried = range(first, last + 1, PORT_STEP)
        address = options.get("bind_address", "127.0.0.1")
        free = sum(ports.is_free(address, port) for port in tried)
        yield judged(f"of ports {first} to {last} of {address}", free / len(tried))


def judged(where: str, share: float) -> Check:
    name = "Machine ports"
    sentence = f"About {share:.0%} {where} are free for machines."
    fix = "Choose another range with the cloud's option `ports` in portal/settings.py."
    if share == 0:
        return fault(name, sentence, fix)
    return warning(name, sentence, fix) if share < 0.1 else ok(name, sentence)
