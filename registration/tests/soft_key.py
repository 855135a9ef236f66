"""A security key made of software: what a browser would send, without a browser."""

import hashlib
import json
import secrets
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestedCredentialData, AuthenticatorData

HOST = "localhost"
ORIGIN = f"http://{HOST}"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class SoftKey:
    """``asks``: whether it asks for a PIN each time."""

    def __init__(self, *, asks: bool = True, origin: str = ORIGIN) -> None:
        self.asks = asks
        self.origin = origin
        self.id = secrets.token_bytes(16)
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.handle = ""

    def _flags(self) -> int:
        return PRESENT | (VERIFIED if self.asks else 0)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        data = {"type": f"webauthn.{kind}", "challenge": challenge, "origin": self.origin}
        return json.dumps(data).encode()

    def _answer(self, response: dict[str, bytes | str]) -> dict[str, Any]:
        key = websafe_encode(self.id)
        said = {
            name: websafe_encode(value) if isinstance(value, bytes) else value
            for name, value in response.items()
        }
        return {
            "id": key,
            "rawId": key,
            "type": "public-key",
            "clientExtensionResults": {"credProps": {"rk": self.asks}},
            "response": said,
        }

    def create(self, options: str) -> str:
        """What ``navigator.credentials.create`` answers, in JSON."""
        asked = json.loads(options)
        self.handle = asked["user"]["id"]
        public = ES256.from_cryptography_key(self.private.public_key())
        data = AuthenticatorData.create(
            hashlib.sha256(asked["rp"]["id"].encode()).digest(),
            self._flags() | ATTESTED,
            0,
            AttestedCredentialData.create(b"\0" * 16, self.id, public),
        )
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": bytes(data)})
        client_data = self._client_data("create", asked["challenge"])
        return json.dumps(
            self._answer({"clientDataJSON": client_data, "attestationObject": attestation})
        )

    def sign(self, options: str) -> str:
        """What ``navigator.credentials.get`` answers, in JSON."""
        asked = json.loads(options)
        data = AuthenticatorData.create(
            hashlib.sha256(asked["rpId"].encode()).digest(), self._flags(), 1
        )
        client_data = self._client_data("get", asked["challenge"])
        signed = bytes(data) + hashlib.sha256(client_data).digest()
        return json.dumps(
            self._answer(
                {
                    "clientDataJSON": client_data,
                    "authenticatorData": bytes(data),
                    "signature": self.private.sign(signed, ec.ECDSA(SHA256())),
                    "userHandle": websafe_encode(websafe_decode(self.handle)),
                }
            )
        )


def passkey_of(user: Any, *, name: str = "Phone") -> Authenticator:
    """A passkey that ``user`` has added before."""
    asked = {"user": {"id": ""}, "rp": {"id": HOST}, "challenge": "AA"}
    data = {"name": name, "credential": json.loads(SoftKey().create(json.dumps(asked)))}
    row: Authenticator = Authenticator.objects.create(user=user, type="webauthn", data=data)
    return row
