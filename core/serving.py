"""Files of ours by HTTP, whole or a part: what a broken download needs to go on.

Source: RFC 9110, sections 13 and 14; one range at a time. Memory stays flat: a chunk is read
when the one before has been taken.
"""

import asyncio
import logging
import os
import re
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header

logger = logging.getLogger(__name__)

CHUNK = 512 << 10
#: A download outlives the right to it by no more than this.
RECHECK_S = 5.0
PARTIAL, UNSATISFIABLE = 206, 416
#: Of other forms, and of several ranges at once, the whole is sent: RFC 9110, 14.2.
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that does not change. ``sha256`` is hexadecimal."""

    path: Path
    name: str
    content_type: str
    sha256: str


def answer(request: HttpRequest, file: File, *, may_go_on: Callable[[], bool]) -> HttpResponseBase:
    """The file, or what was asked of it.

    ``may_go_on`` is asked now and then while it is sent: False cuts the connection.

    Raises:
        FileNotFoundError: it is gone.
    """
    fd = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        about = os.fstat(fd)
        headers = _headers(file, about)
        etag, changed = headers["ETag"], int(about.st_mtime)
        if known := get_conditional_response(request, etag=etag, last_modified=changed):
            return _closing(fd, known)
        part = _part(request, about.st_size, etag, headers["Last-Modified"])
        if part is None:
            headers = {"Content-Range": f"bytes */{about.st_size}"}
            return _closing(fd, HttpResponse(status=UNSATISFIABLE, headers=headers))
        return _sent(request, fd, part, about.st_size, headers, _Leave(may_go_on))
    except BaseException:
        os.close(fd)
        raise


def _closing(fd: int, response: HttpResponse) -> HttpResponse:
    os.close(fd)
    return response


def _headers(file: File, about: os.stat_result) -> dict[str, str]:
    digest = b64encode(bytes.fromhex(file.sha256)).decode("ascii")
    return {
        "Content-Type": file.content_type,
        "Content-Disposition": content_disposition_header(True, file.name) or "attachment",
        "ETag": f'"{file.sha256}"',
        "Last-Modified": formatdate(int(about.st_mtime), usegmt=True),
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{digest}:",
        # Packed on the way, it would be other bytes with the same checksum.
        "Cache-Control": "private, no-transform",
    }


def _part(request: HttpRequest, size: int, etag: str, last_modified: str) -> tuple[int, int] | None:
    """First byte and end of what is wanted; None: there is no such part."""
    wanted = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    condition = request.headers.get("If-Range", "")
    if not wanted or wanted[0] == "bytes=-" or condition not in ("", etag, last_modified):
        return 0, size
    first, last = wanted.groups()
    if not first:  # the last so many bytes
        count = min(int(last), size)
        return (size - count, size) if count else None
    if last and int(last) < int(first):
        return 0, size
    if int(first) >= size:
        return None
    return int(first), min(int(last) + 1, size) if last else size


def _sent(
    request: HttpRequest,
    fd: int,
    part: tuple[int, int],
    size: int,
    headers: dict[str, str],
    leave: "_Leave",
) -> HttpResponseBase:
    first, end = part
    headers["Content-Length"] = str(end - first)
    status = 200
    if (first, end) != (0, size):
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        status = PARTIAL
    if request.method == "HEAD":
        return _closing(fd, HttpResponse(status=status, headers=headers))
    is_async = isinstance(request, ASGIRequest)
    send = _chunks_by_and_by if is_async else _chunks
    chunks = send(fd, first, end, leave)
    response = StreamingHttpResponse(chunks, status=status, headers=headers)
    response._resource_closers.append(_Closer(fd))  # type: ignore[attr-defined]
    return response


class _Closer:
    """Closes a descriptor once, whether anything of it was sent or not."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __call__(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class _Leave:
    """Leave to go on, asked for anew every now and then."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._asked = time.monotonic()

    def is_over(self) -> bool:
        close_old_connections()
        try:
            is_over = not self._ask()
        finally:
            close_old_connections()
        if is_over:
            logger.info("download.cut")
        return is_over

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self._asked < RECHECK_S:
            return False
        self._asked = now
        return True


def _chunks(fd: int, at: int, end: int, leave: _Leave) -> Iterator[bytes]:
    while at < end and (chunk := os.pread(fd, min(CHUNK, end - at), at)):
        yield chunk
        at += len(chunk)
        if leave.is_due() and leave.is_over():
            raise ConnectionAbortedError


async def _chunks_by_and_by(fd: int, at: int, end: int, leave: _Leave) -> AsyncIterator[bytes]:
    is_over = sync_to_async(leave.is_over, thread_sensitive=False)
    while at < end and (chunk := await asyncio.to_thread(os.pread, fd, min(CHUNK, end - at), at)):
        yield chunk
        at += len(chunk)
        if leave.is_due() and await is_over():
            # As if who asks had hung up: Django closes the file, the server the connection.
            raise asyncio.CancelledError
