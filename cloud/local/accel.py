"""Whether KVM really runs guests here: asked by booting something, once per boot.

The file ``/dev/kvm`` proves nothing. A software KVM runs code and hangs real guests;
booting a sector through the BIOS tells it apart by time: 0.1 s against 3 s.
"""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cloud.local import files, process

DEADLINE_S = 1.0
#: mov al,0x15; out 0xf4,al; hlt; jmp: asks isa-debug-exit for exit code 0x15 * 2 + 1.
_CODE = bytes.fromhex("b015e6f4f4ebfd")
_EXIT_CODE = 43
_DEVICE = Path("/dev/kvm")
#: Memory of the guest up to (MiB), cache (MiB). A Debian at work needs 128; the demo image 32.
TB_CACHE_MIB = ((512, 32), (1536, 64))
LARGEST_TB_CACHE = 128


@dataclass(frozen=True, slots=True)
class Accel:
    name: str  # "kvm" or "tcg"
    gid: int | None = None  # group that may open /dev/kvm

    def argv(self, memory_mib: int) -> tuple[str, ...]:
        """QEMU's options; a large guest under TCG gets a large cache of translated code."""
        if self.name == "kvm":
            return ("-accel", "kvm", "-cpu", "host")
        size = next((mib for up_to, mib in TB_CACHE_MIB if memory_mib <= up_to), LARGEST_TB_CACHE)
        return ("-accel", f"tcg,thread=multi,tb-size={size}", "-cpu", "max")


def choose(home: Path) -> Accel:
    """KVM where it works, else TCG. Remembered in ``home`` until the host restarts."""
    memory = home / "accel.json"
    now = process.boot_id()
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        known = {}
    if known.get("boot_id") != now:
        known = {"boot_id": now, "kvm": kvm_works()}
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write(memory, json.dumps(known).encode())
    if known["kvm"] and _DEVICE.exists():
        return Accel("kvm", _DEVICE.stat().st_gid)
    return Accel("tcg")


def kvm_works(*, deadline_s: float = DEADLINE_S) -> bool:
    """Boot one sector under KVM, through the BIOS, within ``deadline_s``."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return False
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(_CODE.ljust(510, b"\0") + b"\x55\xaa")
        disk.flush()
        try:
            done = subprocess.run(
                _argv(disk.name),
                capture_output=True,
                timeout=deadline_s,
                check=False,
                env=process.ENVIRONMENT,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == _EXIT_CODE


def _argv(disk: str) -> list[str]:
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-accel", "kvm", "-cpu", "host", "-m", "16"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
        *("-drive", f"file={disk},format=raw,if=ide"),
    ]
