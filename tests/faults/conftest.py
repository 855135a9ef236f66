"""A site of the engine without a portal, and a portal that may be shaken."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.tests.conftest import demo_image, home
from cloud.tests.real import driver
from tests.faults import guests
from tests.faults import images as web
from tests.faults.disks import disk
from tests.faults.shaken import Shaken
from tests.running import running_portal

__all__ = ["demo_image", "driver", "home"]

MIB = 1 << 20
#: Its copying takes seconds, and each byte of it is hashed thrice.
LARGE_BYTES = 512 * MIB


@pytest.fixture(scope="session")
def shaken_portal() -> Iterator[Shaken]:
    """A portal of these tests' own: what they do to it is no guest's idea of calm."""
    home = Path(tempfile.mkdtemp(prefix="portal-faults-"))
    home.chmod(0o711)  # machines run as somebody else and must reach their files
    held = ("MACHINES", "VCPUS", "MEMORY_MIB", "IMAGES")
    quotas = {f"PORTAL_QUOTA_{name}": "100000" for name in held}
    with disk(home / "cloud"), running_portal(home, env=quotas | web.ENV) as portal:
        person = portal.member("mallory")
        images = {"demo": person.image()}
        for name, size_bytes in {"tiny": MIB, "large": LARGE_BYTES}.items():
            images[name] = guests.publish(portal, name=name, size_bytes=size_bytes)
        yield Shaken(portal, person, images)
        person.close()
        if keep := os.environ.get("PORTAL_FAULTS_LOG"):
            shutil.copy(portal.home / "run.log", keep)


@pytest.fixture
def shaken(shaken_portal: Shaken) -> Iterator[Shaken]:
    yield shaken_portal
    shaken_portal.end_all()
