"""The site: where the engine keeps everything, and how much of the host it may use."""

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from cloud.errors import CloudRefused

#: What a QEMU process takes beside its guest's memory (measured: engine.md, section 8).
OVERHEAD_MIB = 96

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Options of one embedded engine; two sites with the same ``home`` are the same site."""

    home: Path
    public_host: str
    bind_address: str
    ports: tuple[int, int]  # first and last TCP port that machines may be given
    memory_reserve_mib: int  # never given to machines
    disk_floor_bytes: int  # no machine starts and no image comes in below this much free
    boot_lanes: int
    timeout_s: float
    run_as: str  # "auto": a user of its own for each machine when we are root; "self": ours

    @property
    def machines(self) -> Path:
        return self.home / "machines"

    @property
    def images(self) -> Path:
        return self.home / "images"

    @property
    def volumes(self) -> Path:
        return self.home / "volumes"

    @property
    def networks(self) -> Path:
        return self.home / "networks"

    @property
    def queue(self) -> Path:
        return self.home / "queue"

    @property
    def lanes(self) -> Path:
        return self.home / "lanes"

    @property
    def locks(self) -> Path:
        return self.home / "locks"

    def make(self) -> None:
        """Create the directories. Machines' users may search images/ and machines/ only."""
        for folder in (self.home, self.volumes, self.networks, self.queue, self.lanes, self.locks):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.machines, self.images):
            folder.mkdir(mode=0o711, exist_ok=True)

    def largest_memory_mib(self) -> int:
        return max(0, host_memory_mib() - self.memory_reserve_mib - OVERHEAD_MIB)

    def free_disk_bytes(self) -> int:
        """Bytes that machines and images may still take."""
        place = self.home if self.home.exists() else Path("/")
        about = os.statvfs(place)
        return max(0, about.f_bavail * about.f_frsize - self.disk_floor_bytes)


def host_memory_mib() -> int:
    """The host's memory, or what its container may use of it."""
    total = memory_mib("MemTotal")
    for limit in _CGROUP_LIMITS:
        try:
            value = limit.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value.isdecimal():
            total = min(total, int(value) >> 20)
    return total


def memory_mib(field: str) -> int:
    """A line of /proc/meminfo, in MiB."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1]) // 1024
    return 0


def image_name(token: str) -> str:
    """``token`` as a file name.

    Raises:
        CloudRefused: it is not an image identifier.
    """
    if not _TOKEN.fullmatch(token):
        raise CloudRefused("An image is named by its identifier: letters, digits, - and _.")
    return token


def is_machine_name(token: str) -> bool:
    """Only UUIDs become directories, so nothing a person types can be a path."""
    try:
        return str(uuid.UUID(token)) == token
    except ValueError:
        return False
