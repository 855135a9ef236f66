"""Pages that change by themselves, and leave alone what the person is doing."""

import pytest
from playwright.sync_api import expect

from conftest import wait_for

pytestmark = [pytest.mark.journeys]


def row(uuid: str, state: str, *, name: str = "") -> str:
    return (
        f'<tr id="vm-{uuid}" data-live="vm:{uuid}" data-live-src="/row/{uuid}/"'
        f' data-live-name="{name or uuid}" data-verbs="kill"><td>'
        f'<input type="checkbox" name="vm" value="{uuid}" form="bulk"></td><td>'
        f'<span data-state="{state}"><span data-state-word>{state}</span></span>'
        f"<details><summary>More</summary>Words</details><input class=note></td></tr>"
    )


def table(*rows: str) -> str:
    return (
        '<div id="list" data-live-list="vm" data-live-src="/list/"><table><tbody>'
        f"{''.join(rows)}</tbody></table></div>"
    )


def opened(site, page, *rows: str) -> None:
    page.goto(site.show(table(*rows)))
    expect(page.locator(".live-status")).to_have_text("Live")


def test_a_change_appears_and_nothing_else_moves(site, page):
    opened(site, page, row("a", "Boot"), row("b", "Boot"))
    page.locator("#vm-a [type=checkbox]").check()
    page.locator("#vm-a summary").click()
    page.locator("#vm-a .note").fill("half a thought")
    page.locator("#vm-a .note").focus()
    site.pages["/row/a/"] = row("a", "Running")
    site.changed("a")
    expect(page.locator("#vm-a [data-state]")).to_have_text("Running")
    expect(page.locator("#vm-b [data-state]")).to_have_text("Boot")
    expect(page.locator("#vm-a [type=checkbox]")).to_be_checked()
    expect(page.locator("#vm-a details")).to_have_attribute("open", "")
    expect(page.locator("#vm-a .note")).to_have_value("half a thought")
    expect(page.locator("#vm-a .note")).to_be_focused()


def test_a_change_of_state_is_announced_once(site, page):
    opened(site, page, row("a", "Boot", name="alpha"))
    site.pages["/row/a/"] = row("a", "Running", name="alpha")
    site.changed("a")
    expect(page.locator("#announcer")).to_have_text("alpha: Running")


def test_a_new_row_makes_its_list_look_again(site, page):
    opened(site, page, row("a", "Boot"))
    page.locator("#vm-a [type=checkbox]").check()
    site.pages["/list/"] = table(row("new", "Pending"), row("a", "Boot"))
    site.changed("new")
    expect(page.locator("#vm-new")).to_be_visible()
    expect(page.locator("#vm-a [type=checkbox]")).to_be_checked()
    expect(page.locator("#vm-new [type=checkbox]")).not_to_be_checked()


def test_a_row_that_is_gone_leaves_the_page(site, page):
    opened(site, page, row("a", "Boot"), row("b", "Boot"))
    site.changed("a")
    expect(page.locator("#vm-a")).to_have_count(0)
    expect(page.locator("#vm-b")).to_be_visible()


def test_a_reset_fetches_everything_anew(site, page):
    opened(site, page, row("a", "Boot"))
    site.pages["/list/"] = table(row("a", "Failed"))
    site.tell("reset")
    expect(page.locator("#vm-a [data-state]")).to_have_text("Failed")


def test_without_a_stream_the_page_looks_by_itself_and_says_so(site, page):
    site.is_streaming = False
    page.clock.install()
    page.goto(site.show(table(row("a", "Boot"))))
    site.pages["/list/"] = table(row("a", "Running"))
    for _ in range(4):
        page.clock.run_for(5_000)
    expect(page.locator("#vm-a [data-state]")).to_have_text("Running")
    expect(page.locator(".live-status")).to_have_text("Looking every 10 s")


def test_a_cut_stream_comes_back(site, page):
    opened(site, page, row("a", "Boot"))
    site.streams.pop().put("")
    site.pages["/row/a/"] = row("a", "Running")
    wait_for(lambda: site.streams)
    site.changed("a")
    expect(page.locator("#vm-a [data-state]")).to_have_text("Running")


def test_an_element_may_ask_to_be_looked_at(site, page):
    page.clock.install()
    page.goto(site.show('<p id="n" data-live-src="/n/" data-live-every="2">one</p>'))
    site.pages["/n/"] = '<p id="n" data-live-src="/n/" data-live-every="2">two</p>'
    page.clock.run_for(3_000)
    expect(page.locator("#n")).to_have_text("two")
