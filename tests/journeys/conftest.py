"""People, browsers and machines of the journeys."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from conftest import wait_for
from tests.journeys.windows import Window
from tests.people import Person
from tests.running import RunningPortal
from tests.seeds import dashed

BOOT_S = 90
END_S = 60
_numbers = count(1)


@dataclass(frozen=True)
class Key:
    private: Path
    public: str


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    """A key pair of somebody's own, made by ssh-keygen."""
    private = tmp_path_factory.mktemp("keys") / "id_ed25519"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", private], check=True
    )
    return Key(private, private.with_suffix(".pub").read_text().strip())


class Site:
    """The running portal as the journeys use it: people, their windows, their machines."""

    def __init__(self, portal: RunningPortal, browser: Browser, key: Key) -> None:
        self.portal = portal
        self.browser = browser
        self.key = key
        self._open: list[Window] = []
        self._people: dict[str, Person] = {}

    def person(self, username: str) -> Person:
        """Somebody with an account and a default key, always the same for a name."""
        if username not in self._people:
            person = self.portal.member(username)
            person.add_key(self.key.public)
            self._people[username] = person
        return self._people[username]

    @property
    def people(self) -> list[Person]:
        return list(self._people.values())

    def administrator(self) -> Person:
        if "admin" not in self._people:
            self._people["admin"] = self.portal.administrator()
        return self._people["admin"]

    def window(self, person: Person | None = None, **options: Any) -> Window:
        """A browser of its own, where ``person`` is signed in already."""
        context = self.browser.new_context(
            base_url=self.portal.url, color_scheme=options.pop("color_scheme", "light"), **options
        )
        context.set_default_timeout(15_000)
        if person is not None:
            name, value = person.cookie()
            context.add_cookies([{"name": name, "value": value, "url": self.portal.url}])
        window = Window(context)
        self._open.append(window)
        return window

    def running(self, owner: Person, **answers: Any) -> str:
        """A machine of ``owner`` that runs; its UUID."""
        vm = owner.launch(**answers)
        self.until(vm, "running")
        return vm

    def until(self, vm: str, *states: str, within_s: float = BOOT_S) -> str:
        """Wait until the machine is in one of these states; which."""
        wait_for(lambda: self.portal.state(vm) in states, within_s=within_s)
        return self.portal.state(vm)

    def name(self) -> str:
        """A name that no other machine of these tests has."""
        return f"machine-{next(_numbers)}"

    def close_windows(self) -> list[str]:
        """Close every window; what their consoles complained of."""
        said = [line for window in self._open for line in window.close()]
        self._open.clear()
        return said

    def end_machines(self) -> None:
        """Kill whatever is alive."""
        administrator = self.administrator()
        for vm in self._alive():
            administrator.ask(vm, "kill")
        wait_for(lambda: not self._alive(), within_s=END_S)

    def _alive(self) -> list[str]:
        rows = self.portal.rows("SELECT uuid FROM vms_vm WHERE state != 'done'")
        return [dashed(uuid) for (uuid,) in rows]


@pytest.fixture(scope="session")
def _site(portal: RunningPortal, browser: Browser, key: Key) -> Iterator[Site]:
    site = Site(portal, browser, key)
    yield site
    for person in site.people:
        person.close()


@pytest.fixture
def site(_site: Site, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The site, with no machine and no open window before and after each test."""
    yield _site
    said = _site.close_windows()
    _site.end_machines()
    assert not said, said
