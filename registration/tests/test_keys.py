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
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from registration import keys


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


@given(st.text(max_size=300))
def test_whatever_is_pasted_is_read_or_refused(text):
    for attempt in (text, f"ssh-ed25519 {text}", f"---- BEGIN SSH2 PUBLIC KEY ----\n{text}"):
        with suppress(Refused):
            assert "\n" not in keys.read(attempt).line
