import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.identifiers import (
    identifier_of,
    is_identifier,
    is_provisional,
    provisional_identifier_of,
    sha1_of,
)

KNOWN = [
    ("c319bbd5afc0a22ba3eaed0507c39383ec28eeff", "MMZu9WvwKIro-rtBQfDk4PsKO7_"),
    ("1104f3e30c030f8b93f220b04131032dddf51f21", "BEE8-MMAw-Lk_IgsEExAy3d9R8h"),
    ("137510490f881c7ceffb8b8f6fac7726d223e5db", "BN1EEkPiBx87_uLj2-sdybSI-Xb"),
    ("639ac4915da045efa809bd02b2609d9d3f932e85", "GOaxJFdoEXvqAm9ArJgnZ0_ky6F"),
    ("f716f46361137f9814643484f16c4ab4656bb49b", "PcW9GNhE3-YFGQ0hPFsSrRla7Sb"),
]


@pytest.mark.parametrize(("sha1", "identifier"), KNOWN)
def test_identifiers_of_published_images_come_out_as_published(sha1, identifier):
    assert identifier_of(sha1) == identifier
    assert sha1_of(identifier) == sha1


@given(st.binary(min_size=20, max_size=20))
def test_every_sha1_survives_the_round_trip(digest):
    identifier = identifier_of(digest.hex())
    assert is_identifier(identifier)
    assert sha1_of(identifier) == digest.hex()


@given(st.binary(min_size=20, max_size=20))
def test_an_identifier_is_the_number_in_base_64(digest):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = int.from_bytes(digest)
    digits = ""
    for _ in range(27):
        number, digit = divmod(number, 64)
        digits = alphabet[digit] + digits
    assert identifier_of(digest.hex()) == digits


def test_small_digests_keep_their_leading_zeros():
    sha1 = "0" * 39 + "1"
    assert sha1_of(identifier_of(sha1)) == sha1


def test_upper_case_digests_name_the_same_image():
    sha1, identifier = KNOWN[0]
    assert identifier_of(sha1.upper()) == identifier


@pytest.mark.parametrize("text", ["", "0" * 39, "0" * 41, "g" * 40, "0" * 40 + "\n"])
def test_what_is_no_sha1_has_no_identifier(text):
    with pytest.raises(ValueError, match="40 hexadecimal"):
        identifier_of(text)


@pytest.mark.parametrize(
    "text",
    ["", "A" * 26, "A" * 28, "Q" + "A" * 26, "A" * 26 + "+", "A" * 27 + "\n", "../" + "A" * 24],
)
def test_what_is_no_identifier_stands_for_nothing(text):
    assert not is_identifier(text)
    with pytest.raises(ValueError, match="27"):
        sha1_of(text)


@given(st.one_of(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64)))
def test_a_provisional_identifier_is_never_that_of_an_image(digest):
    identifier = provisional_identifier_of(digest.hex())
    assert len(identifier) == 27
    assert is_provisional(identifier)
    assert not is_identifier(identifier)
    assert not is_provisional(identifier_of(digest[:20].hex()))


@pytest.mark.parametrize("text", ["", "0" * 40, "0" * 63, "g" * 64, "0" * 64 + "\n"])
def test_nothing_else_makes_a_provisional_identifier(text):
    with pytest.raises(ValueError, match="64 hexadecimal"):
        provisional_identifier_of(text)
