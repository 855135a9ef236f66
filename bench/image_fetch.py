"""An image of one GiB from a web server into the cloud, against what would be typed by hand."""

import hashlib
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from django.utils import timezone

from bench.figures import Figure, Section, spread, table
from cloud.local.driver import LocalDriver
from conftest import wait_for
from core.tests.webserver import Server
from marketplace import actions
from marketplace.identifiers import identifier_of
from marketplace.models import Entry, ImageFile
from marketplace.states import ImageState
from tests.processes import free_port
from tests.running import RunningPortal

MIB = 1 << 20
FILE_BYTES = 1024 * MIB
CHUNK = 8 * MIB
ROUNDS = 5
PORT = free_port()
#: What the portal has to be started with, so that it fetches from here.
ENV = {"PORTAL_FETCH_NETWORKS": "127.0.0.0/8", "PORTAL_FETCH_PORTS": str(PORT)}
SUMS = ("md5", "sha1", "sha256", "sha512")
HOW = f"""A qcow2 image with {FILE_BYTES // MIB} MiB of data that do not compress lies on a web
server on loopback that sends files by sendfile. *Portal*: from the wish for it until the row says
that the cloud has it; fetched, all four checksums that its entry states compared, inspected, and
imported, with everything on the disk (fsync). *By hand*: `curl | sha512sum` of the same address,
then `qemu-img convert` of the same file to qcow2, with its fsync. In turns."""


def measure(portal: RunningPortal) -> Section:
    place = portal.home / "bench-images"
    place.mkdir()
    server = Server(port=PORT)
    try:
        image = _make(place)
        server.answers["/image"] = _sending(image)
        url = server.url("/image")
        entry = _entry(image, url)
        by_hand, ours, parts = [], [], []
        for number in range(ROUNDS + 1):
            summed = _seconds(lambda: _summed(url))
            converted = _seconds(lambda: _converted(image, place / "out.qcow2"))
            took = _brought(portal, entry)
            if number:  # the first warms the page cache for both
                by_hand.append(summed + converted)
                parts.append((summed, converted))
                ours.append(took)
        _forget(portal, entry)
    finally:
        server.close()
        shutil.rmtree(place)
    return _section(ours, by_hand, parts)


def _make(place: Path) -> Path:
    raw, image = place / "raw", place / "image.qcow2"
    with raw.open("wb") as file:
        for _ in range(FILE_BYTES // CHUNK):
            file.write(os.urandom(CHUNK))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    raw.unlink()
    return image


def _sending(path: Path) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(path.stat().st_size))
        request.send_header("ETag", '"v1"')
        request.end_headers()
        request.wfile.flush()
        with path.open("rb") as file:
            request.connection.sendfile(file)

    return answer


def _entry(image: Path, url: str) -> Entry:
    sums = {}
    for name in SUMS:
        with image.open("rb") as file:
            sums[name] = hashlib.file_digest(file, name).hexdigest()
    now = timezone.now()
    return Entry.objects.create(
        identifier=identifier_of(sums["sha1"]),
        created_at=now.replace(microsecond=0),
        valid_until=now + timedelta(days=1),
        endorser_email="bench@example.org",
        title="bench",
        format="qcow2",
        size_bytes=image.stat().st_size,
        locations=[url],
        **sums,
    )


def _brought(portal: RunningPortal, entry: Entry) -> float:
    """Seconds until the cloud has it."""
    _forget(portal, entry)
    began = time.perf_counter()
    image = actions.ensure_image(entry, "local")
    wait_for(lambda: _is_ready(image.pk), within_s=120, every_s=0.05)
    return time.perf_counter() - began


def _is_ready(pk: int) -> bool:
    """A look that costs next to nothing: both cores are busy."""
    ((state, reason),) = ImageFile.objects.filter(pk=pk).values_list("state", "reason")
    assert state != ImageState.FAILED, reason
    return bool(state == ImageState.READY)


def _forget(portal: RunningPortal, entry: Entry) -> None:
    ImageFile.objects.filter(identifier=entry.identifier).delete()
    LocalDriver(home=portal.home / "cloud").delete_image(entry.identifier)


def _summed(url: str) -> None:
    with subprocess.Popen(["curl", "-sS", url], stdout=subprocess.PIPE) as curl:
        subprocess.run(["sha512sum"], stdin=curl.stdout, check=True, capture_output=True)
        assert curl.wait() == 0


def _converted(source: Path, target: Path) -> None:
    """Until its bytes are on the disk, as the engine's are."""
    argv = ["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", source, target]
    subprocess.run(argv, check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    target.unlink()


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _section(ours: list[float], by_hand: list[float], parts: list[tuple[float, float]]) -> Section:
    ratio = statistics.median(ours) / statistics.median(by_hand)
    rows = [
        ("portal: fetched, verified, imported", spread(ours)),
        ("curl | sha512sum", spread([summed for summed, _ in parts])),
        ("qemu-img convert", spread([converted for _, converted in parts])),
    ]
    return Section(
        title="Images from the web",
        how=HOW,
        figures=[
            Figure("fetch + verify + import of 1 GiB ÷ curl | sha512sum plus qemu-img convert",
                   ratio, "", 1.3),
        ],
        detail=table(("s", "median [least to most]"), rows),
    )  # fmt: skip
