import pytest

from core.sizes import in_gib, in_words

GIB, MIB = 1 << 30, 1 << 20


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 GiB"),
        (512, "512 bytes"),
        (1536, "1.5 KiB"),
        (64 * MIB, "64 MiB"),
        (300 * MIB + MIB // 2, "300.5 MiB"),
        (GIB, "1 GiB"),
        (10 * GIB, "10 GiB"),
        (100 * GIB, "100 GiB"),
        (GIB + GIB // 4, "1.25 GiB"),
        (2048 * GIB, "2048 GiB"),
    ],
)
def test_a_size_is_said_in_the_unit_it_fills(size_bytes, words):
    assert in_words(size_bytes) == words


def test_a_number_of_gib_has_two_decimals_at_most():
    assert [in_gib(size) for size in (0, 300 * MIB, GIB, 100 * GIB)] == ["0", "0.29", "1", "100"]
