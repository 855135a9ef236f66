"""A browser window whose clicks are counted and whose console must stay silent."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

SHOTS = Path(__file__).resolve().parents[2] / "test-results" / "shots"
#: Chromium notes every answer from 400 on as an error; a refused form is a 422.
EXPECTED = "Failed to load resource: the server responded with a status of 4"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MARK = "window.untouched = true"


class Window:
    """One browser of one person: ``page`` is its tab in front."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.said: list[str] = []
        self.clicks = 0
        self.page = self.tab()

    def tab(self) -> Page:
        """Open another tab."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self._note(page, str(error)))
        page.on("console", lambda line: line.type == "error" and self._note(page, line.text))
        return page

    def _note(self, page: Page, text: str) -> None:
        if not text.startswith(EXPECTED):
            self.said.append(f"{page.url}: {text}")

    def goto(self, path: str) -> Page:
        self.page.goto(path)
        return self.page

    def click(self, locator: Locator) -> None:
        """Click, and count it."""
        self.clicks += 1
        locator.click()

    def button(self, name: str, *, inside: Locator | None = None, exact: bool = True) -> Locator:
        return (inside or self.page.locator("body")).get_by_role("button", name=name, exact=exact)

    def link(self, name: str, *, inside: Locator | None = None, exact: bool = True) -> Locator:
        return (inside or self.page.locator("body")).get_by_role("link", name=name, exact=exact)

    def lands(self, path: str) -> str:
        """Wait until the page in front is one whose address ends like this pattern; its address.

        A click may return before the browser has left the page, so whoever reads the address or
        loads the page again after one asks here first.
        """
        self.page.wait_for_url(re.compile(f"{path}$"))
        return self.page.url

    def lands_at(self, path: str) -> str:
        """The UUID at the end of the address, once the page is below ``path``."""
        return self.lands(f"{path}{UUID}/").strip("/").rpartition("/")[2]

    def confirm(self) -> None:
        """Say yes to the question that is open."""
        self.click(self.page.locator("#confirm-act"))

    def is_live(self, page: Page | None = None) -> None:
        """Wait until changes arrive by themselves."""
        expect((page or self.page).locator("[data-live-status]")).to_have_text("Live")

    def stay(self, page: Page | None = None) -> Callable[[], None]:
        """Mark the page; the answer asserts that it was neither reloaded nor left."""
        page = page or self.page
        page.evaluate(_MARK)

        def check() -> None:
            assert page.evaluate("window.untouched === true"), f"{page.url} was reloaded"

        return check

    def state(self, word: str, *, within_s: float = 15, page: Page | None = None) -> None:
        """Wait until the machine's page shows this state."""
        shown = (page or self.page).locator("#machine .machine-head [data-state-word]")
        expect(shown).to_have_text(word, timeout=within_s * 1000)

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("scrollTo(0, 0)")  # the bar on top is sticky
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def evaluate(self, script: str, *arguments: Any) -> Any:
        return self.page.evaluate(script, *arguments)

    def close(self) -> list[str]:
        """Close it; what its console complained of."""
        self.context.close()
        return self.said
