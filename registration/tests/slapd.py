"""A real slapd on a port of its own, with StratusLab's layout of people and groups."""

import dataclasses
import datetime
import ipaddress
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ldap
import ldap.modlist
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conftest import wait_for
from registration.identities.directory import Directory

SUFFIX = "o=cloud"
USERS, GROUPS = f"ou=users,{SUFFIX}", f"ou=groups,{SUFFIX}"
ACCESS = f"cn=cloud-access,{GROUPS}"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "the-bind-password"
READER, READER_PASSWORD = f"cn=portal,{SUFFIX}", "the-reader-password"
PASSWORD = "directory battery staple"

CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {home}/slapd.pid
argsfile {home}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {home}/ca.pem
TLSCertificateFile {home}/server.pem
TLSCertificateKeyFile {home}/server.key
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {home}/data
dbnosync
"""


@dataclass
class Slapd:
    home: Path
    port: int
    tls_port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ca_file(self) -> str:
        return str(self.home / "ca.pem")

    def start(self) -> None:
        slapd = shutil.which("slapd") or "/usr/sbin/slapd"
        doors = f"{self.url}/ {self.tls_url}/"
        argv = [slapd, "-f", str(self.home / "slapd.conf"), "-h", doors, "-d", "0"]
        self.process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        wait_for(self._answers)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    @contextmanager
    def administered(self) -> Iterator["ldap.ldapobject.LDAPObject"]:
        connection = ldap.initialize(f"ldap://127.0.0.1:{self.port}")
        connection.simple_bind_s(ADMIN, ADMIN_PASSWORD)
        yield connection
        connection.unbind_s()

    def clean(self) -> None:
        """Nobody but the reader; an empty group (whose first member is nobody, as ever)."""
        with self.administered() as connection:
            with suppress(ldap.NO_SUCH_OBJECT):
                rows = connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, attrlist=["1.1"])
                for dn, _ in sorted(rows, key=lambda row: -row[0].count(",")):
                    connection.delete_s(dn)
            self._add(connection, SUFFIX, objectClass=["organization"], o=["cloud"])
            for dn in (USERS, GROUPS):
                self._add(connection, dn, objectClass=["organizationalUnit"])
            self._add(
                connection,
                READER,
                objectClass=["organizationalRole", "simpleSecurityObject"],
                userPassword=[READER_PASSWORD],
            )
            self._add(
                connection,
                ACCESS,
                objectClass=["groupOfUniqueNames"],
                uniqueMember=[f"cn=dummy,{SUFFIX}"],
            )

    def _add(self, connection, dn: str, **attributes: list[str]) -> None:
        entry = {name: [text.encode() for text in texts] for name, texts in attributes.items()}
        connection.add_s(dn, ldap.modlist.addModlist(entry))

    def add(self, uid: str, /, **changes: list[str]) -> str:
        """Somebody with a password; their DN."""
        dn = f"uid={ldap.dn.escape_dn_chars(uid)},{USERS}"
        entry = {
            "objectClass": ["inetOrgPerson"],
            "uid": [uid],
            "cn": [f"{uid.title()} Liddell"],
            "givenName": [uid.title()],
            "sn": ["Liddell"],
            "mail": [f"{uid}@example.org"],
            "userPassword": [PASSWORD],
        } | changes
        with self.administered() as connection:
            self._add(connection, dn, **{name: texts for name, texts in entry.items() if texts})
        return dn

    def change(self, dn: str, **attributes: list[str]) -> None:
        with self.administered() as connection:
            changes = [
                (ldap.MOD_REPLACE, name, [text.encode() for text in texts])
                for name, texts in attributes.items()
            ]
            connection.modify_s(dn, changes)

    def rename(self, dn: str, name: str) -> None:
        with self.administered() as connection:
            connection.rename_s(dn, name)

    def remove(self, dn: str) -> None:
        with self.administered() as connection:
            connection.delete_s(dn)

    def let_in(self, dn: str) -> None:
        with self.administered() as connection:
            connection.modify_s(ACCESS, [(ldap.MOD_ADD, "uniqueMember", [dn.encode()])])


@contextmanager
def running(home: Path) -> Iterator[Slapd]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        server = Slapd(home, one.getsockname()[1], other.getsockname()[1])
    (home / "data").mkdir()
    make_certificates(home)
    conf = CONF.format(
        home=home, suffix=SUFFIX, admin=ADMIN, password=ADMIN_PASSWORD, reader=READER
    )
    (home / "slapd.conf").write_text(conf)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def make_certificates(home: Path) -> None:
    """An authority of our own, and a certificate of it for this computer."""
    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "directory")])
    ca = (
        _certificate(issuer, issuer, authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([here])
    own = (
        _certificate(subject, issuer, key)
        .add_extension(names, critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (home / "ca.pem").write_bytes(ca.public_bytes(pem))
    (home / "server.pem").write_bytes(own.public_bytes(pem))
    (home / "server.key").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def _certificate(subject: x509.Name, issuer: x509.Name, key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251  (slapd's clock, not a test's)
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
    )


# Fixtures --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def running_slapd(tmp_path_factory) -> Iterator[Slapd]:
    with running(tmp_path_factory.mktemp("slapd")) as server:
        yield server


@pytest.fixture
def server(running_slapd, settings) -> Slapd:
    """Without people, known to the portal."""
    running_slapd.clean()
    settings.PORTAL_LDAP = Directory(
        url=running_slapd.url,
        name="the lab's directory",
        bind_dn=READER,
        bind_password=READER_PASSWORD,
        user_base=USERS,
        ca_file=running_slapd.ca_file,
    )
    return running_slapd


@pytest.fixture
def change(settings) -> Callable[..., None]:
    """Change what the portal is told of the directory."""

    def change(**fields) -> None:
        settings.PORTAL_LDAP = dataclasses.replace(settings.PORTAL_LDAP, **fields)

    return change
