"""A real browser before a small site of the test's own."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.front.site import Site, serve


@pytest.fixture
def site(settings) -> Iterator[Site]:
    templates = deepcopy(settings.TEMPLATES)
    templates[0]["DIRS"].append(Path(__file__).with_name("templates"))
    settings.TEMPLATES = templates
    server = serve()
    yield server.site
    for stream in server.site.streams:
        stream.put("")
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A page whose console stays silent: no error, no violation of the policy."""
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: line.type == "error" and said.append(line.text))
    yield page
    context.close()
    assert not [line for line in said if "status of 4" not in line and "status of 5" not in line]
