"""A client of a network block device, as far as reading one from end to end and writing one needs.

The other end is a ``qemu-nbd`` over bytes that a guest wrote, so its answers are checked. Source:
doc/proto.md of the NetworkBlockDevice project: fixed newstyle, structured replies, in order of
their coming.
"""

import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: One request reads so much. With ``_AHEAD``, all that is kept in memory.
PIECE = 1 << 20
_AHEAD = 4
#: So many writes may be on their way before their answers are looked at.
_BEHIND = 8
_LOOK_EVERY_S = 0.25

_SERVER_MAGIC = b"NBDMAGICIHAVEOPT"
_OPTION_MAGIC = b"IHAVEOPT"
_OPTION_REPLY = struct.Struct(">QIII")
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_GO, _STRUCTURED_REPLY = 7, 8
_ACK, _INFO = 1, 3
_INFO_EXPORT = 0
_LONGEST_OPTION = 64 << 10

_REQUEST = struct.Struct(">IHHQQI")
_REQUEST_MAGIC = 0x25609513
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)
_SIMPLE = struct.Struct(">IIQ")
_SIMPLE_MAGIC = 0x67446698
_CHUNK_REST = struct.Struct(">I")
_CHUNK = struct.Struct(">IHHQ")
_CHUNK_MAGIC = 0x668E33EF
_DONE = 1
_NONE, _DATA, _HOLE = range(3)
_IS_ERROR = 1 << 15
_LONGEST_ERROR = 6 + 64 + 4096


class Broken(Exception):
    """The other end is gone, or speaks another language."""


class Failed(Exception):
    """The other end could not do it. ``errno`` is that of Linux for what the protocol names."""

    def __init__(self, errno: int) -> None:
        super().__init__(f"error {errno}")
        self.errno = errno


@dataclass(slots=True)
class _Asked:
    """A piece that was asked for. ``data`` is None as long as it is nothing but zeros."""

    cookie: int
    at: int
    length: int
    data: bytearray | None = None
    has: int = 0  # bytes of which something was said
    is_done: bool = False


class Client:
    """One connection. ``on_tick`` is called while nothing comes; what it raises ends the wait."""

    def __init__(self, sock: socket.socket, *, on_tick: Callable[[], None]) -> None:
        self._sock = sock
        self._on_tick = on_tick
        self._cookie = 0
        self._writes = 0
        self.is_broken = False
        sock.settimeout(_LOOK_EVERY_S)
        self.size_bytes = self._negotiate()

    # The handshake -------------------------------------------------------------

    def _negotiate(self) -> int:
        """The size of the export with the name ""."""
        greeting = self._receive(len(_SERVER_MAGIC) + 2)
        if not greeting.startswith(_SERVER_MAGIC) or not greeting[-1] & _FIXED_NEWSTYLE:
            raise self._broken("not a server of the newstyle")
        self._send(struct.pack(">I", _FIXED_NEWSTYLE | greeting[-1] & _NO_ZEROES))
        self._option(_STRUCTURED_REPLY, b"")
        told = self._option(_GO, struct.pack(">IH", 0, 0))
        sizes = [info for info in told if info[:2] == struct.pack(">H", _INFO_EXPORT)]
        if not sizes or len(sizes[0]) < 10:  # its kind, and the size
            raise self._broken("an export without a size")
        (size_bytes,) = struct.unpack_from(">Q", sizes[0], 2)
        return int(size_bytes)

    def _option(self, option: int, data: bytes) -> list[bytes]:
        """Ask for an option; what is said of it before it is granted."""
        self._send(_OPTION_MAGIC + struct.pack(">II", option, len(data)) + data)
        told: list[bytes] = []
        while True:
            magic, about, kind, length = _OPTION_REPLY.unpack(self._receive(_OPTION_REPLY.size))
            if magic != _OPTION_REPLY_MAGIC or about != option or length > _LONGEST_OPTION:
                raise self._broken(f"an answer to another question ({magic:#x}, {about})")
            said = bytes(self._receive(length))
            if kind == _ACK:
                return told
            if kind != _INFO:
                raise self._broken(f"option {option} was refused: {kind:#x} {said!r}")
            told.append(said)

    # Reading -------------------------------------------------------------------

    def pieces(self) -> Iterator[tuple[int, bytearray | None]]:
        """The whole disk in order: length and bytes of each piece; None: it is zeros.

        Raises:
            Failed: something of it cannot be read. Broken.
        """
        asked: deque[_Asked] = deque()
        at = 0
        while asked or at < self.size_bytes:
            while at < self.size_bytes and len(asked) < _AHEAD:
                asked.append(self._ask(at, min(PIECE, self.size_bytes - at)))
                at += asked[-1].length
            while not asked[0].is_done:
                self._hear({one.cookie: one for one in asked})
            first = asked.popleft()
            yield first.length, first.data

    def _ask(self, at: int, length: int) -> _Asked:
        return _Asked(self._request(_READ, at, length), at, length)

    def _hear(self, asked: dict[int, _Asked]) -> None:
        """One chunk of one answer."""
        magic, flags, kind, cookie = _CHUNK.unpack(self._receive(_CHUNK.size))
        if magic != _CHUNK_MAGIC or cookie not in asked:
            raise self._broken(f"an answer to nothing ({magic:#x})")
        (length,) = _CHUNK_REST.unpack(self._receive(_CHUNK_REST.size))
        one = asked[cookie]
        if kind & _IS_ERROR:
            raise Failed(self._error(length))
        if kind == _DATA:
            self._take(one, length)
        elif kind == _HOLE:
            at, zeros = struct.unpack(">QI", self._receive(self._must_be(length, 12)))
            self._must_be_within(one, at, zeros)
            one.has += zeros
        elif kind != _NONE or length:
            raise self._broken(f"a chunk of kind {kind}")
        if flags & _DONE:
            one.is_done = True
            if one.has != one.length:
                raise self._broken(f"{one.has} of {one.length} bytes")

    def _take(self, one: _Asked, length: int) -> None:
        if length <= 8:  # where they go
            raise self._broken("a chunk without bytes")
        (at,) = struct.unpack(">Q", self._receive(8))
        length -= 8
        self._must_be_within(one, at, length)
        if one.data is None:
            one.data = bytearray(one.length)
        self._receive_into(memoryview(one.data)[at - one.at :][:length])
        one.has += length

    def _error(self, length: int) -> int:
        if not 6 <= length <= _LONGEST_ERROR:  # a number and an empty text
            raise self._broken(f"an error of {length} bytes")
        (number,) = struct.unpack_from(">I", self._receive(length))
        return int(number)

    # Writing -------------------------------------------------------------------

    def write(self, at: int, data: memoryview) -> None:
        """Raises: Failed: this, or one that was asked for before, could not be written. Broken."""
        self._request(_WRITE, at, len(data))
        self._send(data)
        self._writes += 1
        while self._writes > _BEHIND:
            self._acknowledge()

    def flush(self) -> None:
        """Have all that was written on disk. Raises: Failed. Broken."""
        self._request(_FLUSH, 0, 0)
        self._writes += 1
        while self._writes:
            self._acknowledge()

    def _acknowledge(self) -> None:
        """One answer, of either kind: a server chooses for all but reads."""
        self._writes -= 1
        head = self._receive(_SIMPLE.size)
        magic, number, _ = _SIMPLE.unpack(head)
        if magic == _SIMPLE_MAGIC:
            if number:
                raise Failed(number)
            return
        _, flags, kind, _ = _CHUNK.unpack(head)
        (length,) = _CHUNK_REST.unpack(self._receive(_CHUNK_REST.size))
        if magic == _CHUNK_MAGIC and kind & _IS_ERROR:
            raise Failed(self._error(length))
        if magic != _CHUNK_MAGIC or kind != _NONE or length or not flags & _DONE:
            raise self._broken(f"an answer to nothing ({magic:#x})")

    def disconnect(self) -> None:
        """Say goodbye; the server ends when it has closed its file."""
        self._request(_DISCONNECT, 0, 0)

    # Bytes ---------------------------------------------------------------------

    def _request(self, kind: int, at: int, length: int) -> int:
        self._cookie += 1
        self._send(_REQUEST.pack(_REQUEST_MAGIC, 0, kind, self._cookie, at, length))
        return self._cookie

    def _broken(self, why: str) -> Broken:
        self.is_broken = True
        return Broken(why)

    def _must_be(self, length: int, wanted: int) -> int:
        if length != wanted:
            raise self._broken(f"{length} bytes instead of {wanted}")
        return wanted

    def _must_be_within(self, one: _Asked, at: int, length: int) -> None:
        if at < one.at or at + length > one.at + one.length:
            raise self._broken(f"bytes {at} to {at + length} that nobody asked for")

    def _send(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except TimeoutError:
                self._on_tick()
            except OSError as error:
                raise self._broken(repr(error)) from error

    def _receive(self, length: int) -> bytearray:
        data = bytearray(length)
        self._receive_into(memoryview(data))
        return data

    def _receive_into(self, left: memoryview) -> None:
        while left:
            try:
                got = self._sock.recv_into(left)
            except TimeoutError:
                self._on_tick()
                continue
            except OSError as error:
                raise self._broken(repr(error)) from error
            if not got:
                raise self._broken("it hung up")
            left = left[got:]
