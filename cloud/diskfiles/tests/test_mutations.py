"""Sound files with random bytes changed: judged or refused, never a crash."""

import random
import time

import pytest

from cloud.diskfiles import headers, packing
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.tests import samples
from cloud.diskfiles.tests.samples import KINDS
from cloud.diskfiles.tests.test_packing import PACK

SECONDS = 2.0
ROUNDS = 400
#: Where numbers are that tools act upon, in one format or another.
HEADS = (0, 512, 1024, 64 << 10, 128 << 10, 192 << 10, 256 << 10, 1 << 20, 2 << 20, 3 << 20)
ODD = (0, 1, 0x7F, 0x80, 0xFF)


def mutated(content: bytes, some: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(some.randint(1, 6)):
        at = (some.choice(HEADS) + some.randrange(600)) % len(changed)
        length = some.choice((1, 1, 2, 4, 8))
        value = some.choice((some.choice(ODD), some.randrange(256)))
        changed[at : at + length] = bytes([value]) * len(changed[at : at + length])
    if some.random() < 0.2:
        del changed[some.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_head_is_judged_or_refused(tmp_path, kind):
    content = samples.make(tmp_path, kind, samples.disk(1 << 20)).read_bytes()
    path = tmp_path / "mutated"
    some = random.Random(f"{kind} 1")
    deadline = time.monotonic() + SECONDS
    refused = 0
    for _ in range(ROUNDS):
        path.write_bytes(mutated(content, some))
        began = time.monotonic()
        try:
            found = headers.inspect(path, largest_bytes=1 << 40)
            assert 512 <= found.size_bytes <= 1 << 40
        except FileRefused:
            refused += 1
        assert time.monotonic() - began < 5
        if time.monotonic() > deadline:
            break
    assert refused or kind == "raw"


@pytest.mark.slow
@pytest.mark.parametrize("kind", PACK)
def test_a_changed_packed_file_is_unpacked_or_refused(tmp_path, kind: Packing):
    content = PACK[kind](samples.disk(64 << 10))
    path = tmp_path / "mutated"
    some = random.Random(f"{kind} 1")
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        path.write_bytes(mutated(content, some))
        packing.says_bytes(path, kind)
        try:
            with path.open("rb") as file:
                assert sum(map(len, packing.unpacked(file, kind))) < 1 << 30
        except FileRefused:
            continue
