"""Signers from PKCS#12 files, as browsers and grid tools keep them.

The file says how often its password is to be hashed, and may say two thousand million times: it is
opened by a process of its own that is given a few seconds.
"""

import json
import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from marketplace.documents.certificates import SMALLEST_NEW_KEY
from marketplace.documents.model import Signer
from marketplace.documents.reading import refuse

LARGEST_BYTES = 256 << 10
LONGEST_S = 10
#: Beside the signer's own.
MOST_CERTIFICATES = 9

#: A SEQUENCE that begins with the version 3, whatever its length. Source: RFC 7292, 4.
_PFX = re.compile(rb"\x30(?:[\x00-\x7f]|\x80|\x81.|\x82..|\x83...|\x84....)\x02\x01\x03", re.S)
_OPENER = Path(__file__).with_name("pkcs12_opener.py")


def read_pkcs12(data: bytes, password: str) -> Signer:
    """The key and the certificates in a file. Nothing is kept.

    Raises:
        Broken: ``pkcs12``: not such a file; ``password``: it does not open with this one; ``key``,
            ``certificate``: what is inside cannot sign.
    """
    if not data or len(data) > LARGEST_BYTES:
        refuse("pkcs12", "", f"A PKCS#12 file has from 1 to {LARGEST_BYTES:,} bytes.")
    found = _opened(data, password)
    key = load_pem_private_key(found["key"].encode(), None)
    if not isinstance(key, RSAPrivateKey | DSAPrivateKey):
        refuse("key", "", "The key in the file is neither RSA nor DSA.")
    if key.key_size < SMALLEST_NEW_KEY:
        refuse("key", "", f"The key in the file has {key.key_size:,} bits; from "
               f"{SMALLEST_NEW_KEY:,} on it may sign.")  # fmt: skip
    certificate, *chain = [
        x509.load_pem_x509_certificate(pem.encode()) for pem in found["certificates"]
    ]
    if certificate.public_key() != key.public_key():
        refuse("key", "", "The key and the certificate in the file do not belong together.")
    return Signer(key=key, certificate=certificate, chain=tuple(chain[:MOST_CERTIFICATES]))


def _refuse_closed(data: bytes) -> NoReturn:
    """Raises: Broken: ``password``, ``pkcs12``."""
    if data.lstrip().startswith(b"-----BEGIN"):
        refuse(
            "pkcs12", "", "This is a certificate or a key as text (PEM). A PKCS#12 file has both; "
            "openssl pkcs12 -export -in cert.pem -inkey key.pem -out me.p12 makes one.",
        )  # fmt: skip
    if not _PFX.match(data):
        refuse("pkcs12", "", "This is not a PKCS#12 file; those end with .p12 or .pfx.")
    refuse(
        "password", "", "The password is wrong: the file is a PKCS#12 file, and does not open with "
        "it. Choose the file again as well.",
    )  # fmt: skip


def _opened(data: bytes, password: str) -> dict[str, str]:
    asked = json.dumps({"data": b64encode(data).decode(), "password": password})
    try:
        done = subprocess.run(
            [sys.executable, "-I", _OPENER],
            input=asked.encode(),
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
        )
        is_late = done.returncode < 0  # it is ended when its time is over
    except subprocess.TimeoutExpired:
        is_late = True
    if is_late:
        refuse("pkcs12", "", "To open the file takes too long. Export it again, as PKCS#12.")
    if done.returncode != 0:
        _refuse_closed(data)
    found = json.loads(done.stdout)
    if not found["key"] or not found["certificates"]:
        what = "private key" if not found["key"] else "certificate of the key"
        refuse("pkcs12", "", f"The file has no {what}.")
    return dict(found)
