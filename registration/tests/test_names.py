import pytest

from core.errors import Refused
from registration import names
from registration.actions import groups


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
     "jane@" + "a" * 80 + ".org", "x" * 250 + "@example.org", '"a\x0bb"@example.org',
     '"ab"@example.org', "jane@example.org\nBcc: all@x.org"],
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


@pytest.mark.parametrize("rule", [names.given_name, names.family_name, groups.group_name])
@pytest.mark.parametrize(
    "text",
    ["Jane\u202eeoD", "Ja\u2066ne\u2069", "Ja\u200bne", "\u200b\u200b\u200b", "Jane\ufeff",
     "J\0ane", "Ja\u200dne", "\u200dJane", "Jane\u200c", "\u3164\u3164\u3164", "Ja\u00adne",
     "Jane\u200f", "\u2800\u2800\u2800"],
)  # fmt: skip
def test_what_cannot_be_seen_cannot_disguise_a_name(rule, text):
    with pytest.raises(Refused, match=r"cannot be seen \(U\+") as refused:
        rule(text)
    assert refused.value.code.endswith("_name_invalid")


@pytest.mark.parametrize("text", ["---", "...", "12 34", "\u0301\u0301"])
def test_a_persons_name_has_a_letter(text):
    with pytest.raises(Refused, match="Write your given name"):
        names.given_name(text)


@pytest.mark.parametrize(
    "text", ["\u0645\u06cc\u200c\u062e", "ක්\u200dෂ", "Nguyễn Văn", "Anne-Łuksza"]
)
def test_joiners_stay_where_their_script_needs_them(text):
    assert names.given_name(text) == text


def test_a_message_shows_all_that_is_in_it():
    kept = "Galaxies.\n\tThe 👩\u200d🔬 of the lab."
    assert names.message(kept.replace("\n", "\r\n")) == kept
    with pytest.raises(Refused, match=r"U\+202E right-to-left override") as refused:
        names.message("Pay \u202e001")
    assert (refused.value.code, refused.value.field) == ("message_invalid", "message")


def test_what_is_looked_for_is_never_refused():
    assert names.one_line("Ja\u202ene\u200b  Doe") == "Ja ne Doe"


@pytest.mark.parametrize("text", ["admin", "ROOT", "StratusLab", "operator", "boss", "Boss"])
def test_reserved_user_names_are_nobodys(text, settings):
    settings.PORTAL_RESERVED_NAMES = ["boss"]
    with pytest.raises(Refused, match="reserved") as refused:
        names.username(text)
    assert (refused.value.code, refused.value.field) == ("username_reserved", "username")
    assert names.username(text, may_be_reserved=True) == text
    assert names.username(f"{text}_2") == f"{text}_2"


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
