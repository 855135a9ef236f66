"""What goes in and out of a driver: frozen values, with units in their names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path


class VmPhase(StrEnum):
    """What a cloud was last seen doing with a machine."""

    QUEUED = "queued"  # accepted; waits for room or for a boot lane
    STAGING = "staging"  # its disks are being prepared, or its image is on its way
    BOOTING = "booting"  # the hypervisor is starting it
    RUNNING = "running"  # the hypervisor runs it; the guest may still be booting
    STOPPING = "stopping"  # the power button was pressed
    STOPPED = "stopped"  # powered off, by the guest or on request; its disks are there
    FAILED = "failed"  # the engine gave up on it; ``message`` says why
    UNKNOWN = "unknown"  # it should run, and does not: its process or its host is gone


class ConsoleKind(StrEnum):
    SCREEN = "screen"  # RFB (VNC)
    SERIAL = "serial"  # raw bytes of the serial line


class DiskBus(StrEnum):
    VIRTIO = "virtio"
    SCSI = "scsi"
    IDE = "ide"


class ContextMethod(StrEnum):
    """How a machine learns about itself: which medium it gets (``cloud.seeds``)."""

    CLOUD_INIT = "cloud-init"  # NoCloud: a disk labelled "cidata"
    HEPIX = "one"  # OpenNebula and HEPiX: a disk labelled "_STRATUSLAB"


class ImageFormat(StrEnum):
    QCOW2 = "qcow2"
    RAW = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Bytes that are to become a bootable image, and what they must turn out to be.

    ``token`` of the image is its StratusLab identifier. Blank checksums are not checked, and
    one that is not MD5 must be there. ``is_verified``: the portal has found the bytes to be
    these, nobody writes to the file any more, and it is removed once the image is there; so a
    driver need not sum them, and may keep the file itself under a name of its own.
    """

    path: Path
    format: ImageFormat
    size_bytes: int
    md5: str = ""
    sha1: str = ""
    sha256: str = ""
    sha512: str = ""
    is_verified: bool = False

    @property
    def checksums(self) -> dict[str, str]:
        """Those that are stated, by the names of ``hashlib``."""
        stated = {name: getattr(self, name) for name in ("md5", "sha1", "sha256", "sha512")}
        return {name: value.lower() for name, value in stated.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    ref: str
    token: str
    size_bytes: int
    virtual_size_bytes: int
    used_bytes: int | None = None  # what the site keeps of it, where it can tell


class DiskFormat(StrEnum):
    """How a file lays a disk out, by the names of ``qemu-img -f``. An ISO 9660 is raw."""

    RAW = "raw"
    QCOW2 = "qcow2"
    VDI = "vdi"
    VMDK = "vmdk"
    VHD = "vpc"
    VHDX = "vhdx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """A volume to be plugged into a machine. ``volume`` is its ref."""

    volume: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A machine's card on a private network. The rules for it are in ``cloud.cards``."""

    network: str  # ref
    mac: str  # "0a:1b:2c:3d:4e:5f"; one of its own on that network
    address: str = ""  # that the guest is told to take ("10.77.3.2/24"); blank: none


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """A private network."""

    ref: str
    token: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSpec:
    """A machine to be made. Free text (``name``) may hold any character.

    It boots from ``image``, or from the volume ``root_volume`` (a ref), which it writes to and
    which outlives it; the other one is blank.
    """

    name: str
    vcpus: int
    memory_mib: int
    image: str = ""  # the image's *token*: it may still be on its way (see Capabilities)
    root_volume: str = ""
    volumes: tuple[Plug, ...] = ()  # plugged in from the start
    volatile_bytes: tuple[int, ...] = ()  # empty disks that end with the machine
    swap_mib: int = 0
    cpu_share: float = 1.0  # weight against other machines, 0.1 to 1.0 of a full share
    disk_bus: DiskBus = DiskBus.VIRTIO
    inbound_ports: tuple[int, ...] = (22,)  # TCP ports of the guest that users must reach
    ssh_keys: tuple[str, ...] = ()  # OpenSSH public keys, one line each
    nics: tuple[Nic, ...] = ()  # on private networks, beside the card with the forwarded ports
    context_method: ContextMethod = ContextMethod.CLOUD_INIT
    context: Mapping[str, str] = field(default_factory=dict)  # KEY=value pairs for the guest
    user_data: str = ""  # for cloud-init, passed on to the byte; may have some MiB
    hostname: str = ""  # RFC 1123 label


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where users reach one TCP port of the guest."""

    guest_port: int
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A volume plugged into a machine.

    ``device`` as the guest is likely to see it ("/dev/sda"), ``stable_path`` what follows from
    the volume's token wherever the guest runs udev ("/dev/disk/by-id/…"); blank: cannot be told.
    """

    volume: str  # ref
    device: str
    stable_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VmInfo:
    ref: str
    token: str
    phase: VmPhase
    message: str = ""  # the engine's reason, in words a user may read
    endpoints: tuple[Endpoint, ...] = ()
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()  # on private networks
    attributes: Mapping[str, str] = field(default_factory=dict)  # everything else worth showing


@dataclass(frozen=True, slots=True, kw_only=True)
class VmUsage:
    """Counters since the machine started. ``None``: this engine cannot tell."""

    ref: str
    at: datetime  # aware
    cpu_s: float
    memory_bytes: int
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    net_rx_bytes: int | None = None
    net_tx_bytes: int | None = None
    volumes: Mapping[str, "VolumeUsage"] = field(default_factory=dict)  # by ref


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeUsage:
    """What one machine has read from and written to one volume, since it was plugged in."""

    read_bytes: int
    write_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleEndpoint:
    """Where the console gateway connects. Never shown to a browser.

    ``backlog`` is text that was printed before now, for a serial line. Who connects
    compares ``peer_uid`` with the listener's user (``cloud.peer``); None: nothing to
    compare, as machines have no users of their own.
    """

    kind: ConsoleKind
    unix_path: Path
    peer_uid: int | None = None
    backlog: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSource:
    """A file that is to become a volume; the portal has inspected it (``cloud.diskfiles``).

    ``size_bytes`` is that of the disk in it; a driver refuses a file that has become another.
    """

    path: Path
    format: DiskFormat
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeInfo:
    """A volume. ``size_bytes`` is what a guest sees, ``used_bytes`` what the site keeps of it."""

    ref: str
    token: str
    size_bytes: int
    used_bytes: int | None = None
    snapshots: tuple[str, ...] = ()  # tokens, oldest first
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedDisk:
    """A machine's root disk that has become a volume.

    The checksums are of the disk as the guest sees it: raw, all ``size_bytes`` of it, in lower
    case hexadecimal. Blank: the engine did not read the bytes, and who needs them does.
    """

    volume: VolumeInfo
    sha1: str = ""
    sha256: str = ""
    sha512: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What this engine offers. ``lacks`` has, for each thing it does not, a sentence."""

    engine: str  # for people: "QEMU 7.2 on this machine (TCG)"
    lacks: Mapping[str, str]  # name of a driver call or feature -> why not, for the user
    reserves_before_image: bool  # create_vm may come before import_image has finished
    consoles: tuple[ConsoleKind, ...] = ()
    disk_buses: tuple[DiskBus, ...] = (DiskBus.VIRTIO,)
    architectures: tuple[str, ...] = ()  # of its machines ("x86_64"); empty: it cannot tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the site has, and what it has left, for the launch page."""

    largest_vcpus: int  # of one machine
    largest_memory_mib: int  # of one machine, on an empty site
    free_memory_mib: int
    free_disk_bytes: int
    machines: int  # that hold resources now
