"""Signers from PKCS#12 files."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from marketplace.documents import Broken, read_pkcs12, sign, verify
from marketplace.tests.signing import (
    EXAMPLE,
    SIGNED_AT,
    alice,
    certificate,
    dsa_key,
    mallory,
    rsa_key,
)

PASSWORD = "secret"
pytestmark = pytest.mark.slow  # each is opened in a process of its own


def file_of(
    key, certificate: x509.Certificate | None, *, password: str = PASSWORD, chain=None
) -> bytes:
    how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"me", key, certificate, chain, how)


def test_who_has_the_password_signs():
    signer = alice("alice@example.org")
    data = file_of(signer.key, signer.certificate, chain=[mallory().certificate])
    found = read_pkcs12(data, "secret")
    assert (found.certificate, found.chain) == (signer.certificate, (mallory().certificate,))
    assert verify(sign(EXAMPLE, found, at=SIGNED_AT)).certificate == signer.certificate


def test_a_file_without_a_password_is_opened_without_one():
    found = read_pkcs12(file_of(dsa_key(), certificate(dsa_key()), password=""), "")
    assert found.certificate.public_key() == dsa_key().public_key()


def test_a_file_as_browsers_of_the_past_wrote_it_is_opened():
    old = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2048)
    old = old.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
    how = old.hmac_hash(hashes.SHA1()).build("pässword".encode())  # noqa: S303
    signer = alice()
    data = pkcs12.serialize_key_and_certificates(b"me", signer.key, signer.certificate, None, how)
    assert read_pkcs12(data, "pässword").certificate == signer.certificate


@pytest.mark.parametrize("password", ["wrong", "", "\ud800"])
def test_a_wrong_password_is_refused(password):
    with pytest.raises(Broken, match="The password is wrong: the file is a PKCS#12 file"):
        read_pkcs12(file_of(alice().key, alice().certificate), password)


def test_a_certificate_as_text_is_told_how_to_become_one():
    with pytest.raises(Broken, match=r"as text \(PEM\).*openssl pkcs12 -export"):
        read_pkcs12(alice().certificate.public_bytes(Encoding.PEM), "secret")


@pytest.mark.parametrize("data", [b"hello", EXAMPLE, b"0" * 1000])
def test_what_is_no_such_file_is_refused(data):
    with pytest.raises(Broken, match="not a PKCS#12 file"):
        read_pkcs12(data, "secret")


@pytest.mark.parametrize("data", [b"", b"0" * (257 << 10)])
def test_a_file_of_another_size_is_not_even_opened(data):
    with pytest.raises(Broken, match="from 1 to 262,144 bytes"):
        read_pkcs12(data, "secret")


def test_a_file_without_a_key_is_refused():
    data = pkcs12.serialize_key_and_certificates(
        b"me", None, None, [alice().certificate], BestAvailableEncryption(b"secret")
    )
    with pytest.raises(Broken, match="The file has no private key"):
        read_pkcs12(data, "secret")


def test_a_file_without_a_certificate_is_refused():
    with pytest.raises(Broken, match="The file has no certificate of the key"):
        read_pkcs12(file_of(alice().key, None), "secret")


def test_keys_that_may_not_sign_are_refused():
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Broken, match="neither RSA nor DSA"):
        read_pkcs12(file_of(other, certificate(other)), "secret")
    with pytest.raises(Broken, match="has 1,024 bits; from 2,048 on it may sign"):
        read_pkcs12(file_of(rsa_key(1024), certificate(rsa_key(1024))), "secret")


def test_a_file_that_asks_for_years_of_work_is_given_up():
    """How often the password is hashed is the file's to say, and the last that it says."""
    how = PrivateFormat.PKCS12.encryption_builder().hmac_hash(hashes.SHA256()).build(b"secret")
    signer = alice()
    data = bytearray(
        pkcs12.serialize_key_and_certificates(b"me", signer.key, signer.certificate, None, how)
    )
    checked = data.rindex(b"\x30\x41\x30\x31")  # a sequence of 65 bytes: the check and its rounds
    assert data[-4:-2] == b"\x02\x02"
    data[-4:] = b"\x02\x04\x7f\xff\xff\xff"  # two more bytes, in this and in the whole
    data[checked + 1] += 2
    data[2:4] = (int.from_bytes(data[2:4], "big") + 2).to_bytes(2, "big")
    with pytest.raises(Broken, match="takes too long"):
        read_pkcs12(bytes(data), "secret")
