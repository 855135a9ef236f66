import base64
import subprocess
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.caller import Caller, called
from core.errors import Refused
from core.models import Event
from registration import actions, keys
from registration.models import SshKey
from registration.tests.factories import SshKeyFactory


def line(private) -> str:
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return f"{public.decode()} alice@laptop"


ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA_2048 = rsa.generate_private_key(65537, 2048)
GOOD = [
    line(ED25519),
    line(RSA_2048),
    line(ec.generate_private_key(ec.SECP256R1())),
    line(ec.generate_private_key(ec.SECP384R1())),
    line(ec.generate_private_key(ec.SECP521R1())),
]


def security_key() -> str:
    """As a FIDO token makes it; no library writes one without the token."""
    raw = ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    parts = (b"sk-ssh-ed25519@openssh.com", raw, b"ssh:")
    blob = b"".join(len(part).to_bytes(4) + part for part in parts)
    return f"sk-ssh-ed25519@openssh.com {base64.b64encode(blob).decode()} token"


@pytest.mark.parametrize("text", [*GOOD, security_key()], ids=lambda text: text[:20])
def test_a_good_key_is_kept_as_it_is(text):
    assert keys.read(f"\n  {text}\r\n").line == text


@pytest.mark.parametrize("text", GOOD, ids=lambda text: text[:20])
def test_the_fingerprint_is_what_ssh_keygen_prints(text, tmp_path):
    file = tmp_path / "key.pub"
    file.write_text(f"{text}\n")
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", file], capture_output=True, text=True, check=True
    )
    assert keys.read(text).fingerprint == said.stdout.split()[1]


@pytest.mark.parametrize("text", GOOD, ids=lambda text: text[:20])
def test_the_format_of_putty_becomes_the_same_key(text, tmp_path):
    file = tmp_path / "key.pub"
    file.write_text(f"{text}\n")
    said = subprocess.run(
        ["ssh-keygen", "-e", "-f", file], capture_output=True, text=True, check=True
    )
    assert keys.read(said.stdout).blob == keys.read(text).blob


def test_the_comment_of_putty_may_go_on_over_lines():
    data = line(ED25519).split()[1]
    block = (
        "---- BEGIN SSH2 PUBLIC KEY ----\r\n"
        'Comment: "alice at \\\r\nhome"\r\n'
        f"{data[:40]}\r\n{data[40:]}\r\n---- END SSH2 PUBLIC KEY ----\r\n"
    )
    assert keys.read(block).comment == "alice at home"


def test_a_key_that_a_terminal_wrapped_is_joined():
    text = line(ED25519)
    assert keys.read(f"{text[:40]}\n{text[40:]}").line == text
    assert keys.read(text.replace(" ", "\n", 1)).line == text


def test_a_comment_cannot_bring_a_second_line():
    key = keys.read(f"{line(ED25519)}\u2028command=evil\x1b[2J")
    assert key.line.endswith("alice@laptop command=evil [2J")


def private_pem() -> str:
    return ED25519.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


REFUSED = {
    "key_empty": lambda: " \n ",
    "key_too_long": lambda: "ssh-rsa " + "A" * 20_000,
    "key_private": private_pem,
    "key_several": lambda: f"{GOOD[0]}\n{GOOD[1]}",
    "key_options": lambda: f'no-pty,command="true" {GOOD[0]}',
    "key_type": lambda: "ssh-ed448 AAAA alice",
    "key_weak": lambda: line(rsa.generate_private_key(65537, 1024)),  # noqa: S505
    "key_broken": lambda: GOOD[0][:50],
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_no_good_key_is_refused_with_its_own_code(code):
    with pytest.raises(Refused) as refused:
        keys.read(REFUSED[code]())
    assert (refused.value.code, refused.value.field) == (code, "public_key")


@pytest.mark.parametrize(
    "text",
    [
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPublic-Lines: 2\n",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    ],
)
def test_every_kind_of_private_key_is_sent_back_with_a_warning(text):
    with pytest.raises(Refused, match="private key") as refused:
        keys.read(text)
    assert refused.value.code == "key_private"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"ssh-rsa {GOOD[0].split()[1]}", "key_broken"),
        ("hello", "key_broken"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "key_type"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "key_broken"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nComment: x\n!!!", "key_broken"),
    ],
    ids=["another kind's bytes", "no key", "a certificate", "cut short", "no base64"],
)
def test_near_misses_are_refused(text, code):
    with pytest.raises(Refused) as refused:
        keys.read(text)
    assert refused.value.code == code


def test_dsa_is_refused_as_too_weak():
    with pytest.raises(Refused, match="DSA") as refused:
        keys.read("ssh-dss AAAAB3NzaC1kc3M= alice")
    assert refused.value.code == "key_weak"


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_whatever_is_pasted_is_read_or_refused(text):
    for attempt in (text, f"ssh-ed25519 {text}", f"---- BEGIN SSH2 PUBLIC KEY ----\n{text}"):
        with suppress(Refused):
            assert "\n" not in keys.read(attempt).line


# From a file, and on the page ----------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_file_is_read_whoever_wrote_it(encoding):
    content = f"{GOOD[0]}\r\n".encode(encoding)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    assert keys.read(keys.read_file(mark + content)).line == GOOD[0]


@pytest.mark.parametrize(
    ("content", "code"), [(b"\xff\x00\xfe", "key_broken"), (b"x" * 40_000, "key_too_long")]
)
def test_a_file_that_is_no_text_or_too_large_is_refused(content, code):
    with pytest.raises(Refused) as refused:
        keys.read_file(content)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *zip(
            GOOD,
            ["Ed25519", "RSA, 2048 bits", "ECDSA, 256 bits", "ECDSA, 384 bits", "ECDSA, 521 bits"],
            strict=True,
        ),
        (security_key(), "Ed25519 security key"),
    ],
    ids=lambda text: text[:20],
)
def test_a_key_is_described_as_ssh_keygen_does(text, kind):
    assert keys.describe(text) == kind


def test_a_weak_key_is_refused_with_its_numbers():
    weak = line(rsa.generate_private_key(65537, 1024))  # noqa: S505
    with pytest.raises(Refused, match=r"has 1024 bits; 2048 to 16384 are accepted"):
        keys.read(weak)


@pytest.fixture
def page(alice, signed_in):
    return signed_in(alice)


def upload(client, content: bytes, **fields):
    file = SimpleUploadedFile("id.pub", content)
    return client.post("/profile/keys/add/", {"public_key": "", "file": file, **fields})


@pytest.mark.django_db
def test_a_key_is_added_by_its_file(page, alice):
    assert upload(page, GOOD[0].encode(), name="laptop").status_code == 302
    key = SshKey.objects.get(owner=alice)
    assert (key.name, key.public_key, key.added_from) == ("laptop", GOOD[0], "127.0.0.1")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (private_pem().encode(), "This is a private key"),
        (b"x" * 100_000, "at most 16384"),
        (b"\0\0\0", "not a whole public key"),
        (b"", "Paste the text of a public key"),
    ],
)
def test_a_file_that_is_no_key_is_refused_and_not_shown_again(page, content, sentence):
    answer = upload(page, content)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert "OPENSSH PRIVATE KEY" not in answer.text
    assert not SshKey.objects.exists()


@pytest.mark.django_db
def test_a_private_key_that_was_pasted_is_not_shown_again(page):
    answer = page.post("/profile/keys/add/", {"public_key": private_pem()})
    assert answer.status_code == 422
    assert "It was not kept here" in answer.text
    assert "OPENSSH PRIVATE KEY" not in answer.text


@pytest.mark.django_db
def test_a_key_is_renamed_and_the_change_is_told(page, alice):
    key = actions.add_key(owner=alice, text=GOOD[0], name="laptop")
    path = f"/profile/keys/{key.uuid}/rename/"
    assert "keeps its name" in page.post(path, {"name": " \n "}, follow=True).text
    page.post(path, {"name": "  old \n laptop "})
    key.refresh_from_db()
    assert (key.name, key.public_key) == ("old laptop", GOOD[0])
    change = Event.objects.get(verb="key_renamed").detail
    assert (change["before"], change["after"]) == ({"name": "laptop"}, {"name": "old laptop"})


@pytest.mark.django_db
def test_another_persons_key_cannot_be_renamed(page):
    key = SshKeyFactory(name="theirs")
    assert page.post(f"/profile/keys/{key.uuid}/rename/", {"name": "mine"}).status_code == 404
    assert SshKey.objects.get().name == "theirs"


@pytest.mark.django_db
def test_the_page_tells_which_machine_was_given_a_key_last(page, alice):
    key = actions.add_key(owner=alice, text=GOOD[0])
    actions.add_key(owner=alice, text=GOOD[1])
    actions.note_use_of_keys(owner=alice, lines=[key.public_key], machine="galaxy fit")
    text = page.get("/profile/keys/").text
    assert "Given to galaxy fit" in text
    assert "No machine was given it" in text


@pytest.mark.django_db
def test_an_administrator_who_acts_for_somebody_adds_no_key(alice, admin):
    acting = Caller(door="page", administrator=admin.pk, acts_as=alice.pk)
    with called(acting), pytest.raises(Refused) as refused:
        actions.add_key(owner=alice, text=GOOD[0])
    assert refused.value.code == "acting"
