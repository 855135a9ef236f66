import pytest

from core.errors import Refused
from registration import names


@pytest.mark.parametrize("text", ["abc", "Jane_42", "x" * 20, "___"])
def test_word_characters_make_a_user_name(text):
    assert names.username(f" {text}\n") == text


@pytest.mark.parametrize(
    "text", ["", "ab", "x" * 21, "jane doe", "jané", "jane-doe", "a@b", "abc\n1"]
)
def test_other_user_names_are_refused(text):
    with pytest.raises(Refused, match="3 to 20") as refused:
        names.username(text)
    assert (refused.value.code, refused.value.field) == ("username_invalid", "username")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" Jane.Doe@Example.ORG ", "Jane.Doe@example.org"),
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_an_address_is_kept_so_that_it_compares(text, kept):
    assert names.email(text) == kept


@pytest.mark.parametrize(
    "text",
    ["", "jane", "@example.org", "jane@", "a@b@example.org", '"a@b"@example.org', "a b@c.org",
     "jane@" + "a" * 80 + ".org", "x" * 250 + "@example.org", "jane@example.org\nBcc: all@x.org"],
)  # fmt: skip
def test_other_addresses_are_refused(text):
    with pytest.raises(Refused, match="@") as refused:
        names.email(text)
    assert refused.value.code == "email_invalid"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("CN=Jane Doe,O=LAL,C=FR", "CN=Jane Doe,O=LAL,C=FR"),
        (" cn=Jane Doe, o=LAL , c=FR", "CN=Jane Doe,O=LAL,C=FR"),
        ("CN=Doe\\, Jane,DC=org", "CN=Doe\\, Jane,DC=org"),
        ("emailAddress=j@x.org,CN=Jane", "emailAddress=j@x.org,CN=Jane"),
        ("E=j@x.org,CN=Jane", "emailAddress=j@x.org,CN=Jane"),
        ("CN=\\C3\\A9", "CN=é"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_a_distinguished_name_is_written_one_way(text, kept):
    assert names.x500_dn(text) == kept
    assert names.x500_dn(kept) == kept


@pytest.mark.parametrize("text", ["/C=FR/CN=Jane", "Jane", "CN=", "CN=a\nb", "C=France", "=x", ","])
def test_what_is_no_distinguished_name_is_refused(text):
    with pytest.raises(Refused) as refused:
        names.x500_dn(text)
    assert refused.value.code == "x500_dn_invalid"


@pytest.mark.parametrize("rule", [names.given_name, names.family_name])
def test_a_persons_name_may_be_in_any_script_but_not_empty_or_endless(rule):
    assert rule("  Ольга \n Петрова ") == "Ольга Петрова"
    for text in ("", " \n", "x" * 101):
        with pytest.raises(Refused):
            rule(text)


def test_direction_marks_cannot_disguise_a_name():
    assert names.given_name("Jane\u202eeoD") == "Jane eoD"


def test_a_long_message_is_refused_with_its_length():
    with pytest.raises(Refused, match="2001") as refused:
        names.message("x" * 2001)
    assert refused.value.code == "message_too_long"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" jane@EXÄMPLE.org ", "jane@xn--exmple-cua.org"),
        ("jane@example.org", "jane@example.org"),
        ("Jane", "Jane"),
        ("jane@..", "jane@.."),
        ("a@b@c", "a@b@c"),
        ("", ""),
    ],
)
def test_what_is_typed_to_sign_in_is_compared_as_it_is_kept(typed, kept):
    assert names.login(typed) == kept
