import hashlib
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.utils import timezone

from cloud.images import BuiltImage
from marketplace import certificates
from marketplace.actions import keys
from marketplace.models import Entry, SigningKey
from marketplace.tests.factories import EntryFactory
from marketplace.trusting import pem_of
from registration import sealing
from registration.models import User


@pytest.fixture
def home(settings, tmp_path: Path) -> Path:
    settings.PORTAL_HOME = tmp_path
    (tmp_path / "images").mkdir()
    return tmp_path


@pytest.fixture(scope="session")
def qcow2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real image file of one megabyte."""
    path = tmp_path_factory.mktemp("qcow2") / "tiny.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    return path


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    """Making one takes a second; whose it is makes no difference to a test."""
    return certificates.new_private_key()


@pytest.fixture
def site_key(db, private_key: rsa.RSAPrivateKey) -> SigningKey:
    """The site's own key, as its first use would make it."""
    until = (timezone.now() + keys.SITE_KEY_FOR).replace(microsecond=0)
    made = certificates.site_certificate(private_key, site=settings.PORTAL_SITE_NAME, until=until)
    return SigningKey.objects.create(
        slot=keys.SITE_SLOT,
        email=keys.site_address(),
        certificate=pem_of(made),
        sealed=sealing.seal(certificates.pem_of_key(private_key)),
        subject=made.subject.rfc4514_string(),
        fingerprint=made.fingerprint(hashes.SHA256()).hex(),
        not_after=made.not_valid_after_utc,
    )


@pytest.fixture
def entry(db, home: Path, qcow2: Path) -> Entry:
    """An entry whose real file is where it belongs."""
    content = qcow2.read_bytes()
    entry = EntryFactory(content=content, official=True, title="Tiny")
    (home / "images" / entry.file_name).write_bytes(content)
    return entry


@pytest.fixture
def builder(qcow2: Path):
    """Builds "images" at once: a real qcow2 file, told apart by bytes after its end."""

    def build(target: Path, *, cache_dir: Path, report=print) -> BuiltImage:
        content = qcow2.read_bytes() + said.salt
        target.write_bytes(content)
        report("built it")
        said.builds += 1
        return BuiltImage(
            path=target, format="qcow2", size_bytes=len(content), virtual_size_bytes=1 << 20,
            sha1=hashlib.sha1(content).hexdigest(),  # noqa: S324
            sha256=hashlib.sha256(content).hexdigest(),
            sha512=hashlib.sha512(content).hexdigest(),
            os="Linux", os_version="1.0", version="1.0", title="Demo Linux 1.0",
            description="A small Linux. For tests.", packages=(("busybox-static", "1.35"),),
        )  # fmt: skip

    said = SimpleNamespace(build=build, builds=0, salt=b"")
    return said


@pytest.fixture
def alice(db) -> User:
    return _user("alice")


@pytest.fixture
def bob(db) -> User:
    return _user("bob")


def _user(name: str) -> User:
    return User.objects.create(
        username=name, email=f"{name}@example.org", state="active", policy_version=1
    )


@pytest.fixture
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are made in a fraction of the time, for tests that are about something else."""
    monkeypatch.setattr("marketplace.certificates.KEY_BITS", 2048)
