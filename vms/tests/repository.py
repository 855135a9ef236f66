"""A repository of Debian's packages on a disk: guests of the embedded engine reach no mirror."""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import pycdlib

from cloud.images import disk
from cloud.tests.real import CACHE

LABEL = "REPO"
#: By which a guest has it as its only source of packages, from its first moments on.
CONFIG = """#cloud-config
bootcmd:
  - mkdir -p /mnt/repo
  - grep -q ' /mnt/repo ' /proc/mounts || mount -o ro LABEL=REPO /mnt/repo
  - rm -f /etc/apt/sources.list
  - echo 'deb [trusted=yes] file:/mnt/repo ./' >/etc/apt/sources.list.d/repo.list
apt:
  preserve_sources_list: true
"""


def a_disk(image: Path, packages: Iterable[str]) -> bytes:
    """An ISO 9660 with these packages, and with all that ``image`` lacks for them.

    They come from the mirrors that apt on this machine knows.
    """
    with tempfile.TemporaryDirectory() as name:
        return _written(_fetched(_status(image, Path(name)), packages))


def _status(image: Path, place: Path) -> Path:
    """What the image has installed, as dpkg keeps it."""
    raw, root, status = place / "disk.raw", place / "root.ext4", place / "status"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    skip = ["bs=1M", f"skip={disk.ROOT_START // disk.MIB}", "conv=sparse", "status=none"]
    subprocess.run(["dd", f"if={raw}", f"of={root}", *skip], check=True)
    subprocess.run(
        ["debugfs", "-R", f"dump /var/lib/dpkg/status {status}", root],
        check=True, capture_output=True,
    )  # fmt: skip
    return status


def _fetched(status: Path, packages: Iterable[str]) -> list[Path]:
    names = sorted(packages)
    mark = hashlib.sha256(status.read_bytes() + " ".join(names).encode()).hexdigest()[:16]
    kept = CACHE / "repositories" / mark
    (kept / "partial").mkdir(parents=True, exist_ok=True)
    options = {"Dir::State::status": status, "Dir::Cache::archives": kept, "Debug::NoLocking": 1}
    subprocess.run(
        ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items()),
         "install", "-y", "--no-install-recommends", "--download-only", *names],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return sorted(kept.glob("*.deb"))


def _written(packages: list[Path]) -> bytes:
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    files = {f"p{number}.deb": path.read_bytes() for number, path in enumerate(packages)}
    index = "".join(
        _entry(path, name, content)
        for path, (name, content) in zip(packages, files.items(), strict=True)
    )
    for name, content in {**files, "Packages": index.encode()}.items():
        short = f"/{name.upper()}{'' if '.' in name else '.'};1"
        iso.add_fp(
            BytesIO(content), len(content), short, rr_name=name, joliet_path=f"/{name}"
        )  # fmt: skip
    done = BytesIO()
    iso.write_fp(done)
    iso.close()
    return done.getvalue()


def _entry(path: Path, name: str, content: bytes) -> str:
    fields = subprocess.run(
        ["dpkg-deb", "-f", path], check=True, capture_output=True, text=True
    ).stdout
    digest = hashlib.sha256(content).hexdigest()
    return f"{fields}Filename: ./{name}\nSize: {len(content)}\nSHA256: {digest}\n\n"
