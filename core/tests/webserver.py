"""A real web server on loopback, for tests of what is fetched."""

import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4096  # 1 MiB

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A real web server on loopback; ``answers`` by path, ``asked`` what came."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(
                    {"path": self.path, **{k.lower(): v for k, v in self.headers.items()}}
                )
                outer.answers[self.path](self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                headers = {k.lower(): v for k, v in self.headers.items()}
                outer.asked.append({"path": self.path, "body": body, **headers})
                outer.answers[self.path](self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer((host, port), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str, *, scheme: str = "http") -> str:
        return f"{scheme}://{self.http.server_address[0]!s}:{self.http.server_port}{path}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        lengths = {"content_length": str(len(body))} | headers
        for name, value in lengths.items():
            if value:
                request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        with suppress(ConnectionError):  # it may have heard enough
            request.wfile.write(body)

    return answer


def ranged(request: BaseHTTPRequestHandler) -> None:
    """A file of one version, that can be asked for from anywhere."""
    begins = int(request.headers.get("Range", "bytes=0-")[6:-1])
    if request.headers.get("If-Range", '"v1"') != '"v1"' or not begins:
        return says(200, CONTENT, etag='"v1"')(request)
    span = f"bytes {begins}-{len(CONTENT) - 1}/{len(CONTENT)}"
    return says(206, CONTENT[begins:], content_range=span, etag='"v1"')(request)
