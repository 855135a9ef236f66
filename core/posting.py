"""A few bytes to an address that a person typed: the rules of ``core.fetch``, the other way.

No redirect is followed: what was written for one address is not handed on to another.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.fetch import Judge, Network, Unfetchable, asked, check

#: For everything together: the name, the connection, the bytes there and the answer back.
WHOLE_S = 15.0
#: How much of an answer is read.
ANSWER_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Answer:
    """``text`` is how the answer begins."""

    status: int
    text: str

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class _Until:
    """Whatever the server drips: at the end of our time we hang up."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def check(self) -> None:
        if time.monotonic() > self._until:
            raise Unfetchable(f"No whole answer came within {WHOLE_S:.0f} s.", is_passing=True)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: Sequence[Network] = (),
    ports: Collection[int] = (),
) -> Answer:
    """Send ``body`` to ``url`` once, and read how the answer begins.

    ``allowed`` and ``ports`` as in ``core.fetch.fetch``.

    Raises:
        Unfetchable: there is no answer; a sentence says why.
    """
    parts = check(url, ports)
    judge = Judge(allowed, _Until(WHOLE_S))
    sent = [
        ("Host", parts.netloc),
        ("User-Agent", "StratusLab-Portal"),
        ("Accept-Encoding", "identity"),
        ("Content-Length", str(len(body))),
        *headers.items(),
    ]
    with asked("POST", parts, sent, judge, content=body, wait_s=WHOLE_S / 3) as answer:
        piece = b""
        for more in answer.iter_stream():
            piece += more
            if len(piece) >= ANSWER_BYTES:
                break
        return Answer(answer.status, piece[:ANSWER_BYTES].decode("utf-8", "replace"))
