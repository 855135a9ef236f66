"""What every part of the contract's tests says."""

import time
import uuid
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_AGAIN_S = 0.05


def until(is_so: Callable[[], T], *, within_s: float = 10.0, what: str = "") -> T:
    """Look again and again until ``is_so()`` is true, and return its answer."""
    deadline = time.monotonic() + within_s
    while not (answer := is_so()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or is_so}"
        time.sleep(LOOK_AGAIN_S)  # noqa: TID251
    return answer


def quiet(done: int, in_all: int) -> None:
    """A progress callback for whom nothing is interesting."""


def new_token() -> str:
    return str(uuid.uuid4())
