"""Fixtures of tests that need a real browser, or the whole portal running."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.running import RunningPortal, running_portal

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextlib.contextmanager
def home_of_its_own() -> Iterator[Path]:
    """A short path: Unix sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="portal-run-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def portal() -> Iterator[RunningPortal]:
    """One running portal, shared by every test that changes nothing but its own things."""
    with home_of_its_own() as home, running_portal(home) as portal:
        yield portal
        assert not portal.leftovers(), portal.leftovers()
