"""The launch page: refused, hurried, without script and without a mouse."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import BOOT_S, END_S, Site
from tests.journeys.windows import Window
from tests.people import Person

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]


def open_launch(window: Window, owner: Person) -> Page:
    return window.goto(f"/vms/launch/?image={owner.image()}")


def machines_of(site: Site, owner: Person) -> int:
    ((number,),) = site.portal.rows(
        "SELECT count(*) FROM vms_vm JOIN registration_user u ON u.id = owner_id"
        " WHERE username = ?", owner.username,
    )  # fmt: skip
    return int(number)


def test_a_refused_form_keeps_what_was_typed_and_leads_to_the_fault(site: Site):
    owner = site.person("fred")
    window = site.window(owner)
    page = open_launch(window, owner)
    page.locator("[name=name]").fill("Кот и \u202eсобака 🐈")  # noqa: RUF001
    page.get_by_role("radio", name="t1.micro").check()
    page.get_by_text("Advanced").click()
    page.get_by_label("Memory (MiB)").fill("7")
    page.locator("#context-fold > summary").click()
    page.locator("#context-literal > summary").click()
    page.locator("[name=user_data]").fill("rm -rf /  # no shebang")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        window.button("Launch").click()
    assert answer.value.status == 422
    summary = page.get_by_role("alert").filter(has_text="please correct this")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("Memory (MiB)")
    expect(page.get_by_label("Memory (MiB)")).to_have_value("7")
    expect(page.get_by_label("Memory (MiB)")).to_be_visible()
    expect(page.locator("[name=user_data]")).to_have_value("rm -rf /  # no shebang")
    expect(page.get_by_role("radio", name="t1.micro")).to_be_checked()
    window.shot("launch-refused")
    summary.get_by_role("link", name="Memory (MiB)").click()
    expect(page.get_by_label("Memory (MiB)")).to_be_focused()
    assert machines_of(site, owner) == 0


def test_pressing_launch_twice_makes_one_machine(site: Site):
    owner = site.person("dora")
    window = site.window(owner)
    page = open_launch(window, owner)
    window.button("Launch").dblclick()
    expect(page.locator("#machine")).to_be_visible()
    assert machines_of(site, owner) == 1

    once = {"launch_key": str(uuid.uuid4()), "image": owner.image()}
    owner.token()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: owner.order(**once), range(4)))
    assert {answer.status_code for answer in answers} == {302}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert machines_of(site, owner) == 2


def test_it_works_without_script(site: Site):
    owner = site.person("nils")
    window = site.window(owner, java_script_enabled=False)
    page = open_launch(window, owner)
    window.button("Launch").click()
    vm = window.lands_at("/vms/")
    site.until(vm, "running", within_s=BOOT_S)
    page.reload()
    window.state("Running")
    expect(page.locator(".copy-value").first).to_contain_text("ssh -p")
    window.button("Kill").click()
    site.until(vm, "done", within_s=END_S)
    page.goto("/vms/?state=done")
    row = page.locator(f"#vm-{vm}")
    expect(row.locator("[data-state-word]")).to_have_text("Done")


def tab_to(page: Page, name: str, *, most: int = 60) -> None:
    """Press Tab until the focused thing is called so."""
    script = "document.activeElement.innerText || document.activeElement.name || ''"
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(script).strip().startswith(name):
            outline = page.evaluate(
                "(() => { const s = getComputedStyle(document.activeElement);"
                " return s.outlineStyle !== 'none' || s.boxShadow !== 'none'; })()"
            )
            assert outline, f"{name} shows no focus"
            return
    pytest.fail(f"Tab does not reach {name!r}")


def test_it_works_without_a_mouse(site: Site):
    owner = site.person("kay")
    window = site.window(owner)
    page = window.goto("/")
    tab_to(page, "Skip to the content")
    tab_to(page, "Marketplace")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Marketplace")
    tab_to(page, "Launch")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Launch a machine")
    tab_to(page, "type_name")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("radio", name="t1.micro")).to_be_checked()
    tab_to(page, "Launch")
    page.keyboard.press("Enter")
    expect(page.locator("#machine")).to_be_visible()
    window.state("Running", within_s=BOOT_S)
    tab_to(page, "Kill")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-dialog")).to_be_visible()
    expect(window.button("Cancel")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    window.state("Done", within_s=END_S)
