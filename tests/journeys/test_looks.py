"""Every page, empty and full, light and dark, wide and narrow: readable by everybody."""

from collections.abc import Iterable

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from conftest import wait_for
from tests.journeys.conftest import BOOT_S, Site
from tests.journeys.windows import Window
from tests.people import Person

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
BAD = {"serious", "critical"}
#: The theme changes colours and nothing else.
COLOURS = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}}
EVERYTHING = {"resultTypes": ["violations"]}
_PAINTED = "() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))"
LONG = "Ein sehr langer Name ohne Ende " + "x" * 45


def complaints(page: Page, options: dict, where: str) -> Iterable[str]:
    """What axe finds; the page's own words for each place."""
    for violation in page.evaluate("options => axe.run(options)", options)["violations"]:
        if violation["impact"] in BAD:
            for node in violation["nodes"]:
                summary = " ".join(node["failureSummary"].split())
                yield f"{where}: {violation['id']}: {node['html'][:150]}: {summary}"


def look(window: Window, path: str, *, shot: str = "") -> list[str]:
    """Open a page once and look at it in four ways; what is wrong with it."""
    page = window.page
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    page.goto(path)
    page.evaluate(AXE_SCRIPT)
    wrong: list[str] = []
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
            page.evaluate(_PAINTED)
            where = f"{path} {size['width']} {scheme}"
            wrong += complaints(page, EVERYTHING if scheme == "light" else COLOURS, where)
            if shot:
                window.shot(f"{shot}-{size['width']}-{scheme}")
        beyond = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if beyond > 0:
            wrong.append(f"{path} {size['width']}: {beyond} pixels wider than the window")
    return wrong


def look_at_all(window: Window, paths: dict[str, str]) -> None:
    wrong = [line for path, shot in paths.items() for line in look(window, path, shot=shot)]
    assert not wrong, "\n".join(wrong)


def anybody(site: Site, person: Person | None = None) -> Window:
    """A window that moves nothing by itself, so that colours stand still."""
    return site.window(person, reduced_motion="reduce")


def test_pages_for_visitors(site: Site):
    image = site.person("axel").image()
    look_at_all(
        anybody(site),
        {
            "/": "welcome",
            "/marketplace/": "",
            "/marketplace/?q=nothing-is-called-so": "",
            f"/marketplace/metadata/{image}/": "image",
            "/login/": "sign-in",
            "/register/": "",
            "/register/sent/": "",
            "/reset/": "",
            "/reset/sent/": "",
            "/policies/": "",
            "/help/": "help",
            "/there-is-no-such-page/": "",
        },
    )


def test_pages_of_somebody_who_has_nothing(site: Site):
    person = site.portal.member("neil")
    look_at_all(
        anybody(site, person),
        {
            "/": "home-empty",
            "/vms/": "machines-empty",
            "/vms/?q=nothing": "",
            f"/vms/launch/?image={person.image()}": "launch",
            "/vms/types/": "",
            "/profile/": "",
            "/profile/keys/": "",
            "/profile/tokens/": "tokens",
            "/groups/": "groups-empty",
            "/groups/new/": "",
            "/help/api/": "",
            "/profile/password/": "",
            "/profile/email/": "new-address",
            "/profile/security/": "security",
            "/profile/sessions/": "sessions",
            "/profile/usage/": "usage-empty",
            "/profile/quota/ask/": "ask",
            "/profile/activity/": "activity",
            "/policies/agree/": "agree",
        },
    )


def test_pages_of_somebody_who_is_not_let_in(site: Site):
    person = site.portal.person("wanja")
    person.register()
    person.sign_in()
    window = anybody(site, person)
    waiting = {"/register/standing/": "standing-waits", "/register/standing/correct/": "correct"}
    look_at_all(window, waiting)
    person.post("/register/standing/withdraw/")
    withdrawn = {"/register/standing/": "standing-withdrawn", "/register/standing/again/": ""}
    look_at_all(window, withdrawn)


def test_pages_of_somebody_with_machines(site: Site):
    owner = site.person("mia")
    done = site.running(owner, name="was here")
    owner.ask(done, "kill")
    halted = site.running(owner, name=LONG, user_data="#!/bin/sh\npoweroff\n")
    running = site.running(owner, name="Zażółć gęślą jaźń")
    site.until(halted, "unknown", within_s=BOOT_S)
    site.until(done, "done")
    wait_for(lambda: "login:" in owner.log(running), within_s=BOOT_S, every_s=0.2)
    look_at_all(
        anybody(site, owner),
        {
            "/": "home-full",
            "/vms/?state=all": "machines-full",
            f"/vms/{running}/": "machine-running",
            f"/vms/{halted}/": "machine-halted",
            f"/vms/{done}/": "",
            f"/vms/{running}/console/?kind=serial": "",
            f"/vms/{running}/console/?kind=screen": "",
            f"/vms/{halted}/console/": "",
            f"/vms/launch/?image={owner.image()}": "",
            "/profile/keys/": "",
            "/profile/usage/": "usage-full",
            "/profile/activity/": "activity-full",
        },
    )


def test_pages_of_somebody_with_a_group(site: Site):
    owner = site.person("greta")
    answer = owner.post("/groups/new/", {"name": LONG[:40], "description": "x" * 200})
    group = answer.headers["location"]
    owner.post(f"{group}invite/", {"whom": site.person("mia").username})
    owner.post(f"{group}invite/", {"whom": "somebody@" + "long-" * 12 + "example.org"})
    look_at_all(anybody(site, owner), {"/groups/": "groups", group: "group"})


def test_pages_of_administrators(site: Site):
    for number in range(3):
        site.portal.person(f"applicant_{number}").register(public_key=site.key.public)
    waiting = site.portal.account("applicant_0")
    asker = site.person("willa")
    asker.post("/profile/quota/ask/", {"machines": "8", "message": "The course is larger."})
    member = site.portal.account("willa")
    admin = site.administrator()
    mail = next(
        word.partition('"')[0]
        for word in admin.get("/mails/").text.split('href="')
        if word.startswith("/mails/2")  # the name of a mail begins with its year
    )
    look_at_all(
        anybody(site, admin),
        {
            "/": "",
            "/registrations/": "registrations-full",
            "/registrations/?state=rejected&q=nobody": "",
            f"/users/{waiting}/": "user-waits",
            f"/users/{member}/": "user",
            f"/users/{member}/close/": "close",
            "/users/": "users",
            "/usage/": "report",
            "/registrations/wishes/": "wishes",
            "/registrations/wishes/?state=declined": "",
            "/registrations/rules/": "rules",
            "/registrations/reasons/": "reasons",
            "/mails/": "mails",
            mail: "mail",
            "/mails/texts/": "mail-texts",
            "/mails/texts/activated/": "mail-text",
            "/mails/undelivered/": "",
            "/policies/versions/": "policies",
            "/policies/versions/new/": "",
            "/policies/versions/missing/": "",
            "/audit/": "audit",
            "/audit/?q=nobody": "",
            "/doctor/": "doctor",
            "/vms/": "",
            "/vms/types/": "",
            "/vms/types/new/": "",
            "/vms/types/m1.small/": "",
        },
    )
