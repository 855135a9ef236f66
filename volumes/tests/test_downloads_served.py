"""Downloads through the real engine and a real web process: whole, resumed, and of flat memory."""

import hashlib
import http.client
import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from cloud.local.driver import LocalDriver
from cloud.tests.contract import quiet
from cloud.types import DiskFormat, VolumeSource
from conftest import LIVES, _forget_clouds, wait_for
from core.machine import due, tick
from registration import actions as people
from registration.models import Scope, User
from registration.states import AccountState
from registration.tests.factories import UserFactory
from volumes import outgoing
from volumes.actions import ask_download, remove_download
from volumes.models import Export, ExportFormat
from volumes.states import ExportState
from volumes.tests.factories import ExportFactory, ShareFactory, VolumeFactory
from volumes.tests.uploading import Server

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

MIB = 1 << 20


@pytest.fixture
def downloads(settings, tmp_path):
    settings.PORTAL_DOWNLOADS = tmp_path / "downloads"
    return settings.PORTAL_DOWNLOADS


@pytest.fixture
def engine(settings, tmp_path):
    options = {"home": tmp_path / "cloud", "disk_floor_bytes": 0}
    settings.CLOUDS = {"local": {"DRIVER": "cloud.local.driver.LocalDriver", "OPTIONS": options}}
    _forget_clouds()
    yield LocalDriver(**options)
    _forget_clouds()


@pytest.fixture
def server(downloads, tmp_path):
    one = Server(tmp_path / "arrivals", PORTAL_DOWNLOADS=str(downloads))
    one.start()
    yield one
    one.end()


def work() -> None:
    """What workers do, until nothing is due."""
    for model, steps in LIVES:
        model.objects.exclude(next_tick_at=None).update(next_tick_at=timezone.now())
        for row in due(model.objects.all()):
            tick(row, steps)


def token_of(user) -> str:
    _, secret = people.create_token(
        owner=user, name="laptop", scope=Scope.READ, expires_at=timezone.now() + timedelta(days=1)
    )
    return secret


@pytest.mark.parametrize("format", ExportFormat.values)
def test_a_disk_of_the_engine_comes_back_byte_for_byte(engine, downloads, tmp_path, format):
    raw = tmp_path / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(16 * MIB)
        file.seek(5 * MIB)
        file.write(os.urandom(3 * MIB))
    volume = VolumeFactory(size_bytes=16 * MIB)
    engine.import_volume(
        VolumeSource(path=raw, format=DiskFormat.RAW, size_bytes=16 * MIB),
        token=volume.token, on_progress=quiet,
    )  # fmt: skip
    export = ask_download(volume, by=volume.owner, format=format)

    def is_ready() -> bool:
        work()
        export.refresh_from_db()
        assert export.state != ExportState.FAILED, export.reason
        return export.state == ExportState.READY

    wait_for(is_ready, within_s=30)
    got = outgoing.file(export)
    assert hashlib.sha256(got.read_bytes()).hexdigest() == export.sha256
    again = tmp_path / "again.raw"
    unpack = {
        "raw": ["cp", str(got), str(again)],
        "raw.gz": ["sh", "-c", f"gzip -dc {got} > {again}"],
        "raw.zst": ["zstd", "-qdc", str(got), "-o", str(again)],
        "qcow2": ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(got), str(again)],
    }
    subprocess.run(unpack[format], check=True)
    assert again.read_bytes() == raw.read_bytes()


@pytest.fixture
def ready(downloads):
    """A download of 300 MiB that is ready."""
    export = ExportFactory(
        owner=UserFactory(),
        state=ExportState.READY,
        format=ExportFormat.RAW,
        expires_at=timezone.now() + timedelta(hours=1),
    )
    Export.objects.filter(pk=export.pk).update(owner=export.volume.owner)
    export.refresh_from_db()
    outgoing.make(export)
    digest = hashlib.sha256()
    with outgoing.file(export).open("wb") as file:
        for _ in range(300):
            block = os.urandom(MIB)
            digest.update(block)
            file.write(block)
    export.sha256, export.size_bytes = digest.hexdigest(), 300 * MIB
    export.save()
    return export


def curl(server: Server, export: Export, secret: str, out: Path, *more: str) -> list[str]:
    """The line that the page shows, as somebody runs it."""
    url = f"http://127.0.0.1:{server.port}/volumes/downloads/{export.uuid}/"
    headers = ["-H", f"Authorization: Bearer {secret}"]
    return ["curl", "-sS", "-f", "-C", "-", *headers, "-o", str(out), *more, url]


@pytest.mark.faults
def test_a_download_that_breaks_goes_on_where_it_was(server, ready, tmp_path):
    secret, out = token_of(ready.owner), tmp_path / "out"
    cut = subprocess.Popen(curl(server, ready, secret, out, "--limit-rate", "30M"))
    wait_for(lambda: out.exists() and out.stat().st_size > 5 * MIB, within_s=30)
    server.end(signal.SIGKILL)
    assert cut.wait(30) != 0
    had = out.stat().st_size
    assert had < ready.size_bytes
    server.start()
    subprocess.run(curl(server, ready, secret, out), check=True)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == ready.sha256


@pytest.mark.parametrize("end", ["share", "token", "account", "download"])
def test_a_download_ends_with_the_right_to_it(server, ready, tmp_path, end):
    reader = UserFactory()
    share = ShareFactory(volume=ready.volume, user=reader)
    Export.objects.filter(pk=ready.pk).update(owner=reader)
    ready.refresh_from_db()
    secret, out = token_of(reader), tmp_path / "out"
    going = subprocess.Popen(curl(server, ready, secret, out, "--limit-rate", "4M"))
    wait_for(lambda: out.exists() and out.stat().st_size > MIB, within_s=30)
    match end:
        case "share":
            share.delete()
        case "token":
            reader.api_tokens.update(revoked_at=timezone.now())
        case "account":
            User.objects.filter(pk=reader.pk).update(state=AccountState.SUSPENDED)
        case "download":
            remove_download(ready, by=reader)
    assert going.wait(60) == 18  # the rest did not come
    assert out.stat().st_size < ready.size_bytes


def test_the_memory_of_the_web_process_stays_flat(server, ready, tmp_path):
    secret = token_of(ready.owner)
    subprocess.run(curl(server, ready, secret, tmp_path / "warm"), check=True)
    before = server.rss_bytes()
    slow = [_slow_reader(server, ready, secret) for _ in range(5)]
    peak = before
    for _ in range(3):
        subprocess.run(curl(server, ready, secret, tmp_path / "fast"), check=True)
        (tmp_path / "fast").unlink()
        peak = max(peak, server.rss_bytes())
    for connection in slow:
        connection.close()
    assert peak - before < 100 * MIB


def _slow_reader(server: Server, export: Export, secret: str) -> http.client.HTTPConnection:
    """Somebody who asks for it all, and takes a little."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": f"Bearer {secret}"}
    connection.request("GET", f"/volumes/downloads/{export.uuid}/", headers=headers)
    assert connection.getresponse().read(1000)
    return connection
