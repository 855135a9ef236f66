"""Three sums in one pass."""

import hashlib
import threading

import pytest

from cloud.diskfiles.digests import LENGTHS, Digests
from cloud.diskfiles.identifiers import identifier_of


def test_all_three_are_those_of_the_standard_library():
    pieces = [b"", b"stratuslab", bytes(1 << 20), b"\xff" * 12345]
    with Digests() as digests:
        for piece in pieces:
            digests.update(piece)
        found = digests.found()
    whole = b"".join(pieces)
    assert found == {name: hashlib.new(name, whole).hexdigest() for name in LENGTHS}
    assert {name: len(value) for name, value in found.items()} == LENGTHS


def test_an_image_is_named_by_its_sha1():
    with Digests() as digests:
        digests.update(b"hello stratuslab\n")
        assert identifier_of(digests.found()["sha1"]) == "PcW9GNhE3-YFGQ0hPFsSrRla7Sb"


def test_no_thread_is_left_when_something_breaks_in_between():
    before = threading.active_count()

    def broken() -> None:
        with Digests() as digests:
            for _ in range(50):
                digests.update(bytes(1 << 20))
            raise ValueError("cut")

    with pytest.raises(ValueError, match="cut"):
        broken()
    assert threading.active_count() == before
