"""Bytes that machines' users have sent and received, which QEMU itself does not count.

A machine's network is its forwarded ports, so what passes is what the kernel counts on
the connections to them (payload of TCP; sock_diag(7), ``tcp_info`` of linux/tcp.h). A
closed connection takes its counters with it: the watcher of the site hears of each one
that ends, if it may (CAP_NET_ADMIN), and else looks every other second, so that only
connections shorter than that are missed. ``traffic.json`` holds what has been seen.
"""

import contextlib
import json
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cloud.errors import CloudBusy
from cloud.local import files
from cloud.local.machine import Record, records
from cloud.local.site import Site

Bytes = tuple[int, int]  # received by the guest, sent by the guest

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE = (2, 3)  # NLMSG_ERROR, NLMSG_DONE
_INFO = 2  # INET_DIAG_INFO
_WITH_DATA = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11  # not listening, not waiting
_GROUPS = {socket.AF_INET: 1, socket.AF_INET6: 4}  # SKNLGRP_*_TCP_DESTROY as bits
_HEAD = struct.Struct("=IHHII")
_ACKED_RECEIVED = struct.Struct("=QQ")
_ACKED_AT = 120
_BUFFER = 1 << 16
_BACKLOG = 4 << 20
#: A connection that is not there for so many looks in a row has ended unheard.
_LOOKS_MISSED = 2


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection on this host: our port, the kernel's cookie for it, its bytes."""

    port: int
    cookie: int
    received: int
    sent: int


@dataclass(slots=True)
class Book:
    """What one machine has passed since its start ``since``, in bytes."""

    since: float
    closed: list[int] = field(default_factory=lambda: [0, 0])
    open: dict[str, list[int]] = field(default_factory=dict)  # cookie -> in, out, looks missed

    def close(self, cookie: str, last: Bytes) -> None:
        self.open.pop(cookie, None)
        self.closed[0] += last[0]
        self.closed[1] += last[1]

    def total(self) -> Bytes:
        return (
            self.closed[0] + sum(seen[0] for seen in self.open.values()),
            self.closed[1] + sum(seen[1] for seen in self.open.values()),
        )


Books = dict[str, Book]


def measure(site: Site) -> dict[str, Bytes]:
    """Bytes by token, of all running machines. Empty where the kernel does not tell."""
    running = [record for record in records(site) if record.is_alive]
    try:
        with files.locked(site.locks / "traffic", wait_s=0, busy="a watcher keeps the books"):
            return {token: book.total() for token, book in _keep(site, running, []).items()}
    except CloudBusy:
        books = _load(site)
    except OSError:
        return {}
    with contextlib.suppress(OSError):
        account(books, running, connections(_family(site)), [])
    return {token: book.total() for token, book in books.items()}


class Meter:
    """Keeps the books for as long as it lives; one to a site.

    Raises:
        CloudBusy: somebody else keeps them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stack = contextlib.ExitStack()
        lock = files.locked(site.locks / "traffic", wait_s=0, busy="the books are kept")
        self._stack.enter_context(lock)
        self._ends: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._ends = self._stack.enter_context(_ends(_family(site)))

    def look(self, running: Iterable[Record]) -> None:
        """Write down what has passed. Raises: OSError."""
        _keep(self._site, list(running), list(_ended(self._ends)))

    def close(self) -> None:
        self._stack.close()


def account(
    books: Books,
    running: Iterable[Record],
    now: Iterable[Connection],
    ended: Iterable[Connection],
) -> None:
    """Bring ``books`` up to date with the connections there are and those that ended."""
    owner: dict[int, Book] = {}
    alive = {record.token: record for record in running}
    for token in books.keys() - alive.keys():
        del books[token]
    for token, record in alive.items():
        if token not in books or books[token].since != record.started_at:
            books[token] = Book(record.started_at)
        owner |= dict.fromkeys(record.ports.values(), books[token])
    for one in ended:
        if book := owner.get(one.port):
            book.close(str(one.cookie), (one.received, one.sent))
    for book in owner.values():
        for seen in book.open.values():
            seen[2] += 1
    for one in now:
        if book := owner.get(one.port):
            book.open[str(one.cookie)] = [one.received, one.sent, 0]
    for book in owner.values():
        for cookie, seen in list(book.open.items()):
            if seen[2] >= _LOOKS_MISSED:
                book.close(cookie, (seen[0], seen[1]))


def connections(family: int) -> Iterator[Connection]:
    """Every TCP connection of this host that carries data. Raises: OSError."""
    ask = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _WITH_DATA)
    ask = ask.ljust(56, b"\0")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as line:
        line.settimeout(2)
        line.send(_HEAD.pack(_HEAD.size + len(ask), _BY_FAMILY, _DUMP, 1, 0) + ask)
        while True:
            for kind, message in _messages(line.recv(_BUFFER)):
                if kind in _DONE:
                    return
                yield from _connection(message)


def _ends(family: int) -> socket.socket:
    """A line on which the kernel tells of each TCP connection that ends."""
    line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
    try:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BACKLOG)
        line.setblocking(False)
        line.bind((0, _GROUPS[socket.AddressFamily(family)]))
    except OSError:
        line.close()
        raise
    return line


def _ended(line: socket.socket | None) -> Iterator[Connection]:
    while line is not None:
        try:
            data = line.recv(_BUFFER)
        except OSError:
            return  # nothing more, or more than fits: the looks make up for it
        for _, message in _messages(data):
            yield from _connection(message)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEAD.size:
        size, kind, *_ = _HEAD.unpack_from(data)
        yield kind, data[_HEAD.size : size]
        data = data[(size + 3) & ~3 :]


def _connection(message: bytes) -> Iterator[Connection]:
    """The connection of an ``inet_diag_msg``, if it comes with its ``tcp_info``."""
    (port,) = struct.unpack_from(">H", message, 4)
    (cookie,) = struct.unpack_from("=Q", message, 44)
    attributes = message[72:]
    while len(attributes) >= 4:
        size, kind = struct.unpack_from("=HH", attributes)
        if kind == _INFO and size >= 4 + _ACKED_AT + _ACKED_RECEIVED.size:
            sent, received = _ACKED_RECEIVED.unpack_from(attributes, 4 + _ACKED_AT)
            yield Connection(port, cookie, received, sent)
        attributes = attributes[max(4, (size + 3) & ~3) :]


def _keep(site: Site, running: list[Record], ended: list[Connection]) -> Books:
    books = _load(site)
    before = _dump(books)
    account(books, running, connections(_family(site)), ended)
    after = _dump(books)
    if after != before:
        files.write(site.home / "traffic.json", after, durable=False)
    return books


def _dump(books: Books) -> bytes:
    return json.dumps(
        {token: [book.since, book.closed, book.open] for token, book in books.items()}
    ).encode()


def _load(site: Site) -> Books:
    try:
        raw = json.loads((site.home / "traffic.json").read_bytes())
        return {token: Book(*fields) for token, fields in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _family(site: Site) -> int:
    return socket.AF_INET6 if ":" in site.bind_address else socket.AF_INET
