"""Images on a web server of the tests' own, which holds back what they are told to wait for."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from core.tests.webserver import Server
from tests.faults import guests
from tests.processes import free_port
from tests.running import CHECKOUT, RunningPortal, clean_environment

PORT = free_port()
#: What a portal has to be started with, so that it fetches from here.
ENV = {"PORTAL_FETCH_NETWORKS": "127.0.0.0/8", "PORTAL_FETCH_PORTS": str(PORT)}
CHUNK = 1 << 20

ADD = """
import django, json, sys
django.setup()
from datetime import timedelta
from django.utils import timezone
from marketplace.identifiers import identifier_of
from marketplace.models import Entry
said, now = json.loads(sys.argv[1]), timezone.now()
entry = Entry.objects.create(
    identifier=identifier_of(said["sha1"]), created_at=now.replace(microsecond=0),
    valid_until=now + timedelta(days=1), endorser_email="mallory@example.org", format="raw", **said)
print(entry.identifier)
"""


class Images:
    """``held`` keeps the second half of a file back until it is set."""

    def __init__(self, place: Path) -> None:
        self.server = Server(port=PORT)
        self.held = threading.Event()
        self._place = place

    def add(self, portal: RunningPortal, name: str, *, size_bytes: int, packed: bool) -> str:
        """List a guest of ``size_bytes`` that lies on this server; its identifier."""
        raw = self._place / name
        guests.write(raw, name=name, size_bytes=size_bytes)
        with raw.open("r+b") as file:  # data, so that there is something to move
            file.seek(1 << 20)
            file.write(os.urandom(1 << 20) * (size_bytes // 2 >> 20))
        said = {"title": name, "size_bytes": size_bytes, "locations": [self.server.url(f"/{name}")]}
        for algorithm in ("sha1", "sha256", "sha512"):
            with raw.open("rb") as file:
                said[algorithm] = hashlib.file_digest(file, algorithm).hexdigest()
        sent = raw
        if packed:
            sent = raw.with_suffix(".gz")
            sent.write_bytes(gzip.compress(raw.read_bytes(), 1))
            said["compression"] = "gz"
        self.server.answers[f"/{name}"] = lambda request: self._send(request, sent)
        done = subprocess.run(
            [sys.executable, "-c", ADD, json.dumps(said)],
            cwd=CHECKOUT,
            env={**clean_environment(), "PORTAL_HOME": str(portal.home),
                 "DJANGO_SETTINGS_MODULE": "portal.settings"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.split()[-1]

    def _send(self, request: BaseHTTPRequestHandler, path: Path) -> None:
        size = path.stat().st_size
        begins = int(request.headers.get("Range", "bytes=0-")[6:-1])
        request.send_response(206 if begins else 200)
        request.send_header("ETag", '"v1"')
        request.send_header("Content-Length", str(size - begins))
        if begins:
            request.send_header("Content-Range", f"bytes {begins}-{size - 1}/{size}")
        request.end_headers()
        with path.open("rb") as file, suppress(OSError):
            file.seek(begins)
            while chunk := file.read(CHUNK):
                if file.tell() > size // 2:
                    self.held.wait(60)
                request.wfile.write(chunk)

    def close(self) -> None:
        self.held.set()
        self.server.close()
