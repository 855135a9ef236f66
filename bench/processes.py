"""What processes of a running portal hold."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tests.processes import children, command_line


def family(pid: int) -> list[int]:
    """A process and everything it has started."""
    return [pid, *(member for child in children(pid) for member in family(child))]


def of_portal() -> list[int]:
    """Every process of the portal that we started, and none of its machines."""
    (main,) = [pid for pid in children(os.getpid()) if b"deploy/run.py" in command_line(pid)]
    return [pid for pid in family(main) if b"qemu-system" not in command_line(pid)]


def pss_mib(pids: Iterable[int]) -> float:
    """Memory in MiB, each shared page counted once among those who share it (proc(5), Pss)."""
    total_kib = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended
        total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kib / 1024


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, of threads that have ended too.

    The clock's id is made as glibc's clock_getcpuclockid(3) makes it: the pid, inverted, and
    2 for nanoseconds.
    """
    return time.clock_gettime((~pid << 3) | 2)
