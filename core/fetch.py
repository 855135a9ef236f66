"""The one way to an address that a person typed: every hop is checked, every limit holds.

A portal stands inside a site's network, where an address can lead to what only insiders may
see. So a name is resolved here, each of its addresses is judged, and the connection is made
to a judged address and no other. Redirects are followed by hand, by the same rules.
"""

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

from core import sizes

MOST_HOPS = 5
CONNECT_S = 10.0
READ_S = 30.0
#: What is taken from a connection at a time, if so much is there: each time costs the same.
READ_BYTES = 1 << 20
#: A server that sends less of a file than this, on average over ``PACE_S``, is hung up on.
SLOWEST_BYTES_S = 16 << 10
PACE_S = 60.0
#: Behind other ports, public addresses too have what was never meant for strangers.
WEB_PORTS = {"http": 80, "https": 443}
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_PRINTED = re.compile(r"[\x21-\x7e]+")
_SERVER = re.compile(r"[\w.-]+|[0-9a-f:.]+", re.ASCII)
_ASK = " An administrator can allow it (PORTAL_FETCH_NETWORKS)."
_REDIRECTS = (301, 302, 303, 307, 308)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Called with (offset, piece): what to write, and where in the file it belongs.
Sink = Callable[[int, bytes], None]


class Unfetchable(Exception):
    """``str(error)`` is a sentence for who typed the address. ``is_passing``: try again later."""

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the server said before the bytes.

    ``offset`` is where its bytes begin: 0 if it sends everything, whatever was asked for.
    ``length`` is that of the whole file, None if it does not say. ``validator`` names this
    version of it (an ETag, or its date), for going on later.
    """

    offset: int
    length: int | None
    validator: str


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Raises: ValueError: one of them is no network ("10.1.0.0/16")."""
    return tuple(ipaddress.ip_network(word) for word in words)


def check(url: str, ports: Collection[int] = ()) -> SplitResult:
    """The parts of an address that may be fetched, as far as it can be told by looking at it.

    ``ports``: those that this site lets people fetch from, besides the web's own.

    Raises:
        Unfetchable: a sentence naming what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Unfetchable("This is not an address.") from error
    if _BLANK.search(url):
        raise Unfetchable("An address has no blanks in it: write %20.")
    if not _PRINTED.fullmatch(url):
        raise Unfetchable("An address has no letters but a to z: copy it from the browser's bar.")
    if parts.scheme not in WEB_PORTS or not parts.hostname:
        raise Unfetchable("An address begins with https:// or http://, and names a server.")
    if parts.username is not None or parts.password is not None:
        raise Unfetchable(
            "An address with a user name or password in it is not fetched: it would be shown to "
            "whoever sees the disk. Give a link that needs none."
        )
    if not _SERVER.fullmatch(parts.hostname):
        raise Unfetchable("The name of the server has characters that no server's name has.")
    if port is not None and port not in {*WEB_PORTS.values(), *ports}:
        known = ", ".join(str(one) for one in sorted({*WEB_PORTS.values(), *ports}))
        raise Unfetchable(
            f"Port {port} is not fetched from; these are: {known}. An administrator can allow more "
            "(PORTAL_FETCH_PORTS)."
        )
    return parts


def fetch(
    url: str,
    sink: Sink,
    *,
    offset: int = 0,
    validator: str = "",
    most_bytes: int,
    allowed: Sequence[Network] = (),
    ports: Collection[int] = (),
    accept: str = "*/*",
    on_head: Callable[[Head], None] = lambda _head: None,
) -> Head:
    """Fetch what is at ``url`` from ``offset`` on, if it is still the version ``validator``.

    ``on_head`` is called once, before the first byte; raising from it or from ``sink`` ends
    the transfer. ``most_bytes`` bounds the whole file; ``allowed`` are private networks, and
    ``ports`` those besides the web's, that this site lets people fetch from. ``accept``: the
    media types that are wanted, where a server has several forms of it.

    Raises:
        Unfetchable: ``is_passing`` if another try, from where this one ended, may succeed.
    """
    pace = _Pace()
    for _ in range(MOST_HOPS + 1):
        parts = check(url, ports)
        headers = _headers(parts, offset, validator, accept)
        with asked("GET", parts, headers, Judge(allowed, pace)) as answer:
            if answer.status in _REDIRECTS:
                url = _next_hop(url, answer)
                continue
            head = _head(answer, offset)
            if head.length is not None and head.length > most_bytes:
                raise Unfetchable(_too_large(most_bytes))
            on_head(head)
            if answer.status != 416:
                _pour(answer, head, sink, most_bytes, pace)
            return head
    raise Unfetchable(f"It redirects more than {MOST_HOPS} times.")


def _headers(parts: SplitResult, offset: int, validator: str, accept: str) -> list[tuple[str, str]]:
    headers = [
        ("Host", parts.netloc),
        ("User-Agent", "StratusLab-Portal"),
        ("Accept", accept),
        ("Accept-Encoding", "identity"),
    ]
    if offset and validator:
        headers += [("Range", f"bytes={offset}-"), ("If-Range", validator)]
    return headers


@contextmanager
def asked(
    method: str,
    parts: SplitResult,
    headers: list[tuple[str, str]],
    judge: "Judge",
    *,
    content: bytes | None = None,
    wait_s: float = READ_S,
) -> Iterator[httpcore.Response]:
    """The server's answer, its head read; ``judge`` says which addresses may be asked.

    Raises: Unfetchable.
    """
    connect_s = min(CONNECT_S, wait_s)
    limits = {"connect": connect_s, "read": wait_s, "write": wait_s, "pool": connect_s}
    with (
        _translated(),
        httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=judge
        ) as pool,
        pool.stream(
            method, parts._replace(fragment="").geturl(), headers=headers, content=content,
            extensions={"timeout": limits},
        ) as answer,
    ):  # fmt: skip
        yield answer


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        if doubt := _doubt(error):
            raise Unfetchable(
                f"The server's certificate is not valid: {doubt.verify_message}."
            ) from error
        raise Unfetchable("The server does not answer, or hung up.", is_passing=True) from error
    except (httpcore.UnsupportedProtocol, UnicodeError, ValueError) as error:
        raise Unfetchable("This is not an address.") from error


def _doubt(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """What TLS had against the server's certificate, if that is behind ``error``."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _next_hop(url: str, answer: httpcore.Response) -> str:
    where = _header(answer, b"location")
    if not where:
        raise Unfetchable("The server redirects to nowhere.")
    there = urljoin(url, where)
    if url.startswith("https:") and not there.startswith("https:"):
        raise Unfetchable("The server redirects from https to an address without encryption.")
    return there


def _head(answer: httpcore.Response, offset: int) -> Head:
    """Raises: Unfetchable: the answer is no file."""
    status = answer.status
    if _header(answer, b"content-encoding") not in ("", "identity"):
        raise Unfetchable("The server packs what it sends although it was asked not to.")
    etag = _header(answer, b"etag")
    validator = etag if etag and not etag.startswith("W/") else _header(answer, b"last-modified")
    size = _header(answer, b"content-length")
    length = int(size) if size.isdecimal() else None
    if status == 200:
        return Head(offset=0, length=length, validator=validator)
    begins, whole = _content_range(_header(answer, b"content-range"))
    if status == 206 and begins == offset:
        return Head(offset=offset, length=whole, validator=validator)
    if status == 416 and whole == offset:  # we have all of it
        return Head(offset=offset, length=whole, validator=validator)
    if status in (408, 425, 429) or status >= 500:
        raise Unfetchable(f"The server answers {status}: not now.", is_passing=True)
    why = {404: " (there is no such file)", 401: " (it wants a password)", 403: " (forbidden)"}
    raise Unfetchable(f"The server answers {status}{why.get(status, '')} instead of a file.")


def _content_range(text: str) -> tuple[int | None, int | None]:
    """Where the bytes begin, and the length of the whole, of "bytes 5-9/10" or "bytes */10"."""
    unit, _, rest = text.partition(" ")
    span, _, whole = rest.partition("/")
    first = span.partition("-")[0]
    return (
        int(first) if unit == "bytes" and first.isdecimal() else None,
        int(whole) if unit == "bytes" and whole.isdecimal() else None,
    )


def _pour(
    answer: httpcore.Response, head: Head, sink: Sink, most_bytes: int, pace: "_Pace"
) -> None:
    at = head.offset
    for piece in _pieces(answer):
        if at + len(piece) > most_bytes:
            raise Unfetchable(_too_large(most_bytes))
        sink(at, piece)
        at += len(piece)
        pace.add(len(piece))
    if head.length is not None and at < head.length:
        raise Unfetchable("The server hung up before the end.", is_passing=True)


def _pieces(answer: httpcore.Response) -> Iterator[bytes]:
    """What is in the answer, as it comes; less than it states if the server hangs up.

    httpcore copies each byte four times. What has a stated length needs no reading of its own:
    past what came with the head, it is taken from the connection as it is.
    """
    pieces = answer.iter_stream()
    stated = _header(answer, b"content-length")
    if not stated.isdecimal() or _header(answer, b"transfer-encoding"):
        yield from pieces
        return
    left = int(stated)
    connection: httpcore.NetworkStream = answer.extensions["network_stream"]
    piece = next(pieces, b"")
    while piece:
        yield piece
        left -= len(piece)
        piece = connection.read(READ_BYTES, READ_S)[:left] if left else b""


class Pace(Protocol):
    """How long a server may take."""

    def check(self) -> None:
        """Before every wait for more. Raises: Unfetchable: it took too long."""


class _Pace:
    """Keeps no server waiting on us for ever: whatever it drips, head, framing or file."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._bytes = 0

    def add(self, count: int) -> None:
        self._bytes += count

    def check(self) -> None:
        """Raises: Unfetchable: it has sent too little of the file."""
        now = time.monotonic()
        if now - self._since < PACE_S:
            return
        if self._bytes < SLOWEST_BYTES_S * PACE_S:
            raise Unfetchable(
                f"The server sends less than {SLOWEST_BYTES_S >> 10} KiB a second.",
                is_passing=True,
            )
        self._since, self._bytes = now, 0


class _Paced(httpcore.NetworkStream):
    """A connection that is looked at before every wait for more."""

    def __init__(self, inner: httpcore.NetworkStream, pace: Pace) -> None:
        self._inner = inner
        self._pace = pace

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._pace.check()
        return self._inner.read(max(max_bytes, READ_BYTES), timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Paced(self._inner.start_tls(ssl_context, server_hostname, timeout), self._pace)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _too_large(most_bytes: int) -> str:
    return f"The file is larger than the {sizes.in_words(most_bytes)} that this site takes."


def _header(answer: httpcore.Response, name: bytes) -> str:
    for key, value in answer.headers:
        if key.lower() == name:
            return str(value.decode("latin-1"))[:300]
    return ""


class Judge(httpcore.NetworkBackend):
    """Connects to public addresses only, and to private ones that the site allows."""

    def __init__(self, allowed: Sequence[Network], pace: Pace) -> None:
        self._allowed = allowed
        self._pace = pace
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        failure: Exception | None = None
        for address in self._resolve(host, port):
            try:
                stream = self._backend.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
                return _Paced(stream, self._pace)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("no sockets of this host")

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)

    def _resolve(self, host: str, port: int) -> list[Address]:
        """Raises: Unfetchable: no such name, or one of its addresses is not for us."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unfetchable(
                f"There is no server called {host[:100]}.", is_passing=True
            ) from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not may_reach(address, self._allowed):
                # Where clouds keep their secrets: nobody is led to ask for that one.
                way_out = "" if _inside(address).is_link_local else _ASK
                raise Unfetchable(
                    f"{host[:100]} is inside a private network, which the portal does not fetch "
                    f"from.{way_out}"
                )
            if is_own(address) and not _is_allowed(address, self._allowed):
                raise Unfetchable(f"{host[:100]} is the portal's own host: it has no files for it.")
        return list(dict.fromkeys(addresses))


def may_reach(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether a person may have the portal connect to ``address``."""
    return _is_allowed(address, allowed) or _is_public(_inside(address))


def is_own(address: Address) -> bool:
    """Whether ``address`` is one of this host, which would then be talked to from within."""
    nobodys = "192.0.2.1" if address.version == 4 else "2001:db8::1"
    return _is_bound(str(address)) and not _is_bound(nobodys)


def _is_bound(address: str) -> bool:
    """The kernel gives a host's own addresses away, and others only if it is told to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    return any(one in net for net in allowed for one in (address, _inside(address)))


def _is_public(address: Address) -> bool:
    """Python's own tables differ from version to version; here, what is not named is refused."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in net for net in _SPECIAL_4)
    if address.packed[8:12] in _ISATAP:
        return False
    return address in _UNICAST_6 and not any(address in net for net in _SPECIAL_6)


def _inside(address: Address) -> Address:
    """The IPv4 address that an IPv6 one is only another form of (mapped, NAT64), or itself."""
    if isinstance(address, ipaddress.IPv6Address) and any(address in net for net in _CARRIERS):
        return ipaddress.IPv4Address(address.packed[-4:])
    return address


_CARRIERS = networks(["::ffff:0:0/96", "64:ff9b::/96"])
#: Of IPv6, nothing else is given to anybody on the Internet.
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
#: Interface identifiers that have an IPv4 address in them, behind a tunnel: RFC 5214.
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
#: Source: IANA, IPv6 Special-Purpose Address Registry, as of October 2024, within 2000::/3:
#: protocol assignments (Teredo, ORCHID, benchmarks), documentation, 6to4, AS112.
_SPECIAL_6 = networks(["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"])
#: Source: IANA, IPv4 Special-Purpose Address Registry, the same; with multicast, class E and
#: what was withdrawn (6to4 relays).
_SPECIAL_4 = networks(
    [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    ]
)  # fmt: skip
