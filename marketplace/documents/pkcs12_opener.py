"""Run by ``pkcs12`` in a process of its own: opens one file, within limits."""

import json
import resource
import sys
from base64 import b64decode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

LONGEST_CPU_S = 2
LARGEST_MEMORY_BYTES = 1 << 30


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_CPU_S, LONGEST_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY_BYTES, LARGEST_MEMORY_BYTES))
    asked = json.load(sys.stdin)
    try:
        password = asked["password"].encode()
        found = pkcs12.load_pkcs12(b64decode(asked["data"]), password or None)
        key = (
            found.key
            and found.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        )
        held = [found.cert, *found.additional_certs] if found.cert else []
        certificates = [one.certificate.public_bytes(Encoding.PEM).decode() for one in held]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return 1
    json.dump({"key": key, "certificates": certificates}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
