"""The engine's part of the Epilog: a machine's disk saved and summed, against doing so by hand."""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.figures import Figure, Section, spread, table
from cloud.errors import CloudBusy
from cloud.local.driver import LocalDriver
from cloud.local.machine import Machine
from cloud.types import ImageFormat, ImageSource, VmPhase, VmSpec
from conftest import wait_for

MIB = 1 << 20
WRITTEN_MIB = 1024
IMAGE_MIB = 128
CHUNK_MIB = 64
ROUNDS = 5
HOW = f"""A machine of the embedded engine has written {WRITTEN_MIB} MiB that do not compress on an
image of {IMAGE_MIB} MiB of the same kind, and is off. *Engine*: `save_root_disk`: a volume of its
own, with SHA-1, SHA-256 and SHA-512 of the disk, and all of it on the disk (fsync). *By hand*:
`qemu-img convert` of the overlay to a qcow2 file, with its fsync, and then `sha512sum` of the raw
bytes of the same disk, which lie ready in a file. In turns, in one run."""


def measure() -> Section:
    place = Path(tempfile.mkdtemp(prefix="portal-epilog-"))
    place.chmod(0o711)
    driver = LocalDriver(home=place / "cloud", disk_floor_bytes=MIB, memory_reserve_mib=0)
    vm = ""
    try:
        vm = _machine(driver, place)
        disk = Machine(driver._site, vm).run / "root.qcow2"
        raw = place / "raw"
        _convert(disk, raw, "raw")
        return _section(*_rounds(driver, vm, disk, raw))
    finally:
        if vm:
            driver.delete_vm(vm)
        shutil.rmtree(place, ignore_errors=True)


def _machine(driver: LocalDriver, place: Path) -> str:
    """A machine that is off, with its disk full of noise."""
    image = place / "image"
    _noise(image, IMAGE_MIB)
    os.truncate(image, (IMAGE_MIB + WRITTEN_MIB) * MIB)
    source = ImageSource(
        path=image,
        format=ImageFormat.RAW,
        size_bytes=image.stat().st_size,
        sha256=_said("sha256sum", image).split()[0],
    )
    token = driver.import_image(source, token=str(uuid4()), on_progress=_quiet).token
    spec = VmSpec(name="bench", vcpus=1, memory_mib=128, image=token)
    ref = driver.create_vm(spec, token=str(uuid4())).ref
    wait_for(lambda: driver.get_vm(ref).phase is VmPhase.RUNNING, within_s=30)
    with suppress(CloudBusy):
        driver.power_off_vm(ref)
    wait_for(lambda: driver.get_vm(ref).phase is VmPhase.STOPPED, within_s=30)
    _write(Machine(driver._site, ref).run / "root.qcow2", place / "noise")
    return ref


def _write(disk: Path, noise: Path) -> None:
    """What a guest would have written behind its image."""
    for at in range(IMAGE_MIB, IMAGE_MIB + WRITTEN_MIB, CHUNK_MIB):
        _noise(noise, CHUNK_MIB)
        _said("qemu-io", "-f", "qcow2", "-c", f"write -s {noise} {at}M {CHUNK_MIB}M", disk)
    noise.unlink()


def _noise(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))


def _rounds(
    driver: LocalDriver, vm: str, disk: Path, raw: Path
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of saving, of converting and of summing, round by round."""
    saved, converted, summed = [], [], []
    for number in range(ROUNDS + 1):
        token = str(uuid4())
        one = _seconds(lambda: _converted(disk, raw.with_name("out.qcow2")))
        other = _seconds(lambda: _said("sha512sum", raw))
        save = partial(driver.save_root_disk, vm, token=token, on_progress=_quiet)
        ours = _seconds(save)
        driver.delete_volume(token)
        if number:  # the first warms the page cache for both
            converted.append(one)
            summed.append(other)
            saved.append(ours)
    return saved, converted, summed


def _converted(source: Path, target: Path) -> None:
    _convert(source, target, "qcow2")
    with target.open("rb") as file:
        os.fsync(file.fileno())
    target.unlink()


def _convert(source: Path, target: Path, format: str) -> None:
    _said("qemu-img", "convert", "-f", "qcow2", "-O", format, source, target)


def _said(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _quiet(done: int, in_all: int) -> None:
    """Nobody waits for news."""


def _section(saved: list[float], converted: list[float], summed: list[float]) -> Section:
    by_hand = [one + other for one, other in zip(converted, summed, strict=True)]
    ratio = statistics.median(saved) / statistics.median(by_hand)
    rows = [
        ("engine: saved, with three checksums", spread(saved)),
        ("qemu-img convert", spread(converted)),
        ("sha512sum", spread(summed)),
    ]
    return Section(
        title="Epilog",
        how=HOW,
        figures=[
            Figure(f"saving a machine that has written {WRITTEN_MIB} MiB ÷ qemu-img convert plus"
                   " sha512sum", ratio, "", 1.3),
        ],
        detail=table(("s", "median [least to most]"), rows),
    )  # fmt: skip
