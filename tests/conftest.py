"""Fixtures of tests that need the whole portal running."""

from collections.abc import Iterator

import pytest

from tests.running import RunningPortal, running_portal


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """One running portal, shared by every test that changes nothing but its own things."""
    home = tmp_path_factory.mktemp("portal")
    for folder in (home, *list(home.parents)[:2]):
        folder.chmod(0o711)  # machines run as somebody else and must reach their files
    with running_portal(home) as portal:
        yield portal
        assert not portal.leftovers(), portal.leftovers()
