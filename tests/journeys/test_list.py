"""The list of machines changes by itself, and leaves alone what the person does."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import BOOT_S, END_S, Site

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]


def row(page: Page, vm: str) -> Locator:
    return page.locator(f"#vm-{vm}")


def shows(page: Page, vm: str, state: str, *, within_s: float = BOOT_S) -> None:
    word = row(page, vm).locator("[data-state-word]")
    expect(word).to_have_text(state, timeout=within_s * 1000)


def test_another_tab_sees_a_launch_and_keeps_focus_choice_and_place(site: Site):
    owner = site.person("lisa")
    first = site.running(owner, name=site.name())
    window = site.window(owner, viewport={"width": 390, "height": 420})
    page = window.goto("/vms/")
    window.is_live()
    untouched = window.stay()
    box = row(page, first).get_by_role("checkbox")
    box.check()
    row(page, first).locator("details.menu summary").click()
    search = page.get_by_label("Search machines")
    search.fill("half a tho")
    search.evaluate("field => field.setSelectionRange(2, 5)")
    page.evaluate("scrollTo(0, 150)")
    place = page.evaluate("scrollY")
    assert place

    launcher = window.tab()
    launcher.goto(f"/vms/launch/?image={owner.image()}")
    launcher.locator("[name=name]").fill("seen from afar")
    launcher.get_by_role("button", name="Launch", exact=True).click()
    expect(launcher.locator("#machine")).to_be_visible()
    second = launcher.url.strip("/").rpartition("/")[2]

    shows(page, second, "Running")
    untouched()
    expect(box).to_be_checked()
    expect(row(page, first).locator("details.menu")).to_have_attribute("open", "")
    expect(search).to_have_value("half a tho")
    expect(search).to_be_focused()
    assert page.evaluate("[document.activeElement.selectionStart, scrollY]") == [2, place]
    window.shot("machines-narrow")


def test_a_selection_is_killed_together(site: Site):
    owner = site.person("lisa")
    vms = [site.running(owner, name=site.name()) for _ in range(3)]
    window = site.window(owner)
    page = window.goto("/vms/")
    window.is_live()
    bar = page.get_by_role("form", name="Selected machines")
    expect(bar).to_be_hidden()
    for vm in vms[:2]:
        row(page, vm).get_by_role("checkbox").check()
    expect(bar).to_contain_text("2 selected")
    window.shot("machines")
    window.button("Kill", inside=bar).click()
    window.confirm()
    expect(page.get_by_text("asked of 2 machines")).to_be_visible()
    for vm in vms[:2]:
        site.until(vm, "done", within_s=END_S)
    shows(page, vms[2], "Running")
    page.goto("/vms/?state=done")
    for vm in vms[:2]:
        shows(page, vm, "Done")
    assert len(site.portal.leftovers().processes) == 1


def test_a_row_is_killed_in_place(site: Site):
    owner = site.person("lisa")
    vm = site.running(owner, name=site.name())
    window = site.window(owner)
    page = window.goto("/vms/?state=all")
    window.is_live()
    untouched = window.stay()
    row(page, vm).locator("details.menu summary").click()
    row(page, vm).get_by_role("button", name="Kill").click()
    expect(page.locator("#confirm-title")).to_contain_text("machine-")
    window.confirm()
    shows(page, vm, "Done", within_s=END_S)
    untouched()
