"""The demo image, built once for all tests that boot it."""

import subprocess
from pathlib import Path

import pytest

from cloud.images import BuiltImage, mini

#: Shared by every run on this machine: packages are fetched once.
CACHE_DIR = Path("/tmp/portal-test-debs")  # noqa: S108 - what is in it is verified at each use


@pytest.fixture(scope="session")
def demo_image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    return mini.build(tmp_path_factory.mktemp("image") / "demo.qcow2", cache_dir=CACHE_DIR)


@pytest.fixture(scope="session")
def ssh_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("keys")
    keys = {kind: directory / kind for kind in ("ed25519", "rsa", "ecdsa")}
    for kind, path in keys.items():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"test {kind}", "-f", path],
            check=True,
        )
    return keys
