"""A site small enough to steer from a test: our bundles, our policy, pages made to measure."""

import queue
import threading
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = "; ".join(
    f"{name} {' '.join(values)}"
    for name, values in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items()
)
PERSON = SimpleNamespace(
    is_authenticated=True,
    is_staff=False,
    username="alice",
    get_username=lambda: "alice",
    get_full_name=lambda: "Alice Martin",
    email="alice@example.org",
)


@dataclass
class Site:
    """``pages`` maps a path to HTML (or a status and HTML); posts and events are recorded."""

    pages: dict[str, str | tuple[int, str]] = field(default_factory=dict)
    posts: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    streams: list["queue.Queue[str]"] = field(default_factory=list)
    is_streaming: bool = True
    url: str = ""

    def show(self, content: str, path: str = "/") -> str:
        """Put ``content`` into the real frame at ``path``; gives the page's address."""
        page = render_to_string("tests_page.html", {"user": PERSON, "inner": mark_safe(content)})  # noqa: S308
        self.pages[path] = page
        return self.url + path

    def tell(self, event: str, data: str = "{}") -> None:
        """Send an event to every open page."""
        for stream in self.streams:
            stream.put(f"id: 1-0\nevent: {event}\ndata: {data}\n\n")

    def changed(self, uuid: str, kind: str = "vm") -> None:
        self.tell("changed", f'{{"kind": "{kind}", "uuid": "{uuid}"}}')


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/live/":
            self.stream()
        elif path.startswith("/static/"):
            file = Path(settings.BASE_DIR) / path.lstrip("/")
            self.answer(200, file.read_bytes(), TYPES[file.suffix])
        else:
            self.page(path)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        self.server.site.posts.append((self.path, fields(self.headers, body)))
        self.page(self.path)

    def page(self, path: str) -> None:
        found = self.server.site.pages.get(path, (404, ""))
        status, html = found if isinstance(found, tuple) else (200, found)
        self.answer(status, html.encode(), "text/html; charset=utf-8")

    def answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        if not self.server.site.is_streaming:
            return self.answer(503, b"", "text/plain")
        events: queue.Queue[str] = queue.Queue()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": open\n\n")
        self.wfile.flush()
        self.server.site.streams.append(events)
        while text := events.get():
            self.wfile.write(text.encode())
            self.wfile.flush()
        self.close_connection = True
        return None


def fields(headers: Message, body: bytes) -> dict[str, list[str]]:
    """The fields of a posted form, in either of the two encodings of browsers."""
    if headers.get_content_type() != "multipart/form-data":
        return parse_qs(body.decode())
    found: dict[str, list[str]] = {}
    for part in body.split(f"--{headers.get_boundary()}".encode())[1:-1]:
        head, _, value = part.strip(b"\r\n").partition(b"\r\n\r\n")
        name = head.split(b'name="')[1].split(b'"')[0].decode()
        found.setdefault(name, []).append(value.decode())
    return found


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # The browser leaves when it likes; a cut connection is no fault of the site.
    site: Site

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def serve() -> Server:
    server = Server(("127.0.0.1", 0), Handler)
    server.site = Site(url=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    return server
