"""What a metadata document says, as values. Source: stratuslab.md chapter 6."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.dsa import DSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """Who vouches, since when (aware, whole seconds). Names are RFC 2253 strings."""

    created: datetime
    email: str
    subject: str
    issuers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """One ``rdf:Description``. Blank or None: the document does not say.

    ``checksums`` by StratusLab's names ("SHA-1"), lower-case hex; ``size_bytes`` and they are of
    the unpacked image. ``locations`` are URIs. ``others`` are elements that we do not know, each
    as the XML it came as: they are written again.
    """

    identifier: str
    size_bytes: int
    checksums: Mapping[str, str]
    endorsement: Endorsement | None = None
    type: str = "base"
    kind: str = "machine"
    os: str = ""
    os_version: str = ""
    os_arch: str = ""
    version: str = ""
    serial_number: int | None = None
    compression: str = ""  # "gz", "bz2", "xz", "zst"
    format: str = ""  # "raw", "qcow2", …
    creator: str = ""
    created: datetime | None = None
    valid: datetime | None = None
    title: str = ""
    alternative: str = ""
    description: str = ""
    publisher: str = ""
    locations: tuple[str, ...] = ()
    hypervisor: str = ""
    disks_bus: str = ""
    inbound_ports: tuple[int, ...] = ()
    outbound_ports: tuple[int, ...] = ()
    icmp: tuple[int, ...] = ()
    deprecated: str | None = None  # the reason; None: it is not deprecated
    replaces: str = ""
    is_replaced_by: str = ""
    is_version_of: str = ""
    # Of this portal's own namespace, which others ignore.
    default_user: str = ""
    min_memory_mib: int = 0
    virtual_size_bytes: int | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One broken rule. ``element`` as written in documents ("dcterms:valid")."""

    code: str
    element: str
    sentence: str
    line: int | None = None


class Broken(ValueError):
    """A document that breaks rules; ``problems`` names each of them."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(" ".join(problem.sentence for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """What signs: a private key, its certificate, and those that lead to an authority."""

    key: RSAPrivateKey | DSAPrivateKey
    certificate: Certificate
    chain: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a valid signature says. Whether the certificate is trusted is the site's to say."""

    certificate: Certificate
    chain: tuple[Certificate, ...] = ()  # others that came with it
    algorithm: str = ""  # "rsa-sha256"
    subject: str = ""  # RFC 2253
    issuer: str = ""
    fingerprint: str = ""  # SHA-256 of the certificate, hex
    emails: tuple[str, ...] = field(default=())  # of its subjectAltName
