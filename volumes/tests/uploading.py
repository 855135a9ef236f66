"""A real web process on the tests' database, and a client that speaks tus by hand."""

import base64
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from conftest import wait_for
from registration import actions
from registration.models import Scope

CHECKOUT = Path(__file__).resolve().parents[2]
PATH = "/volumes/uploads/"
BODY = {"Content-Type": "application/offset+octet-stream"}


class Server:
    """``uvicorn portal.asgi`` in a process of its own; it can be killed and started again."""

    def __init__(self, arrivals: Path, **env: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "DATABASE_URL": _database_url(),
            "PORTAL_SECRET_KEY": settings.SECRET_KEY,
            "PORTAL_ARRIVALS": str(arrivals),
            "PORTAL_LOG_LEVEL": "WARNING",
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1",
             "--port", str(self.port), "--log-level", "warning",
             "--timeout-graceful-shutdown", "2"],
            cwd=CHECKOUT, env=self._env,
        )  # fmt: skip
        wait_for(self._answers, within_s=30)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "The web process ended."
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(15)
        self.process = None

    def rss_bytes(self) -> int:
        """What the web process holds in memory now."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError


def _database_url() -> str:
    about = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{about['NAME']}"
    return (
        f"postgresql://{about['USER']}:{about['PASSWORD']}@/{about['NAME']}"
        f"?host={about['HOST']}&port={about['PORT']}"
    )


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()

    @property
    def offset(self) -> int:
        return int(self.headers["Upload-Offset"])

    @property
    def path(self) -> str:
        return self.headers["Location"]

    def __repr__(self) -> str:
        return f"{self.status} {self.text!r}"


class Uploader:
    """Somebody who uploads: by the session of ``user``, by a token, or as nobody."""

    def __init__(self, server: Server, user=None, *, token: str = "") -> None:
        self.server = server
        self.proof: dict[str, str] = {}
        if token:
            self.proof = {"Authorization": f"Bearer {token}"}
        elif user is not None:
            client = Client()
            client.force_login(user)
            session = client.cookies[settings.SESSION_COOKIE_NAME].value
            csrf = "x" * 32
            self.proof = {
                "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}; "
                f"{settings.CSRF_COOKIE_NAME}={csrf}",
                "X-CSRFToken": csrf,
            }

    def headers(self, more: Mapping[str, str | None] = {}) -> dict[str, str]:
        """Say None for a header that is left out."""
        known = {"Tus-Resumable": "1.0.0", **self.proof, **more}
        return {name: value for name, value in known.items() if value is not None}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)

    def ask(self, method: str, path: str, body=None, **headers: str | None) -> Answer:
        """``headers`` are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body=body, headers=self.headers(named))
            return Answer(connection.getresponse())

    def begin(self, length: int, body=None, **said: str) -> Answer:
        pairs = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items()
        )
        more = {"Content_Type": BODY["Content-Type"]} if body is not None else {}
        return self.ask(
            "POST", PATH, body, Upload_Length=str(length), Upload_Metadata=pairs, **more
        )

    def append(self, path: str, offset: int, body, **headers: str | None) -> Answer:
        return self.ask(
            "PATCH", path, body,
            **{"Upload_Offset": str(offset), "Content_Type": BODY["Content-Type"], **headers},
        )  # fmt: skip

    def offset(self, path: str) -> int:
        answer = self.ask("HEAD", path)
        assert answer.status == 200, answer
        return answer.offset

    @contextlib.contextmanager
    def appending(self, path: str, offset: int, length: int) -> Iterator[socket.socket]:
        """A connection in the middle of its body; the bytes are sent by hand."""
        lines = [
            f"PATCH {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.server.port}",
            *(
                f"{name}: {value}"
                for name, value in self.headers(
                    {"Upload-Offset": str(offset), "Content-Length": str(length), **BODY}
                ).items()
            ),
        ]
        with socket.create_connection(("127.0.0.1", self.server.port), 30) as line:
            line.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            yield line


def token_of(user, scope: str = Scope.WRITE) -> str:
    _, text = actions.create_token(
        owner=user, name=f"token {time.monotonic_ns()}", scope=scope,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    return text
