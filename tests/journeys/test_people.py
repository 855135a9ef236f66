"""What administrators do with accounts, in a browser: look, act for, shut out, hand over."""

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Site
from tests.journeys.test_looks import anybody, look_at_all
from tests.journeys.windows import Window

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

WHY = "They cannot find their machine."


def administrators(site: Site) -> Window:
    """A window where an administrator has signed in just now."""
    return site.window(site.portal.administrator())


def user(site: Site, name: str) -> str:
    return f"/users/{site.portal.account(name)}/"


def test_the_pages_can_be_read_by_everybody(site: Site):
    owner = site.person("mia")
    site.portal.person("paula").register()
    site.running(owner, name="a machine with a long name " + "x" * 40)
    theirs = user(site, "mia")
    look_at_all(
        anybody(site, site.administrator()),
        {
            "/users/": "users",
            "/users/?q=nobody-is-called-so": "",
            theirs: "user",
            f"{theirs}close/": "user-close",
            user(site, "paula"): "user-waiting",
            "/usage/": "usage",
            "/usage/?period=days&first=2020-01-01&until=2020-01-31": "usage-empty",
        },
    )
    look_at_all(anybody(site, owner), {"/profile/usage/": "my-usage"})


def test_an_administrator_acts_for_somebody_until_they_stop(site: Site):
    owner = site.person("mia")
    vm = site.running(owner, name="lost")
    window = administrators(site)
    page = window.goto(user(site, "mia"))
    page.get_by_text("Act as mia…").click()
    page.get_by_label("Why?").first.fill(WHY)
    window.button("Act as mia").click()
    banner = page.get_by_role("region", name="You act for somebody else")
    expect(banner).to_contain_text("You act as mia")
    page.goto(f"/vms/{vm}/")
    expect(banner).to_be_visible()
    window.shot("acting")
    window.is_live()
    window.button("Stop acting").click()
    expect(banner).to_have_count(0)
    expect(page.get_by_text("You are yourself again")).to_be_visible()
    expect(page.get_by_role("cell", name=WHY)).to_be_visible()


def test_who_is_shut_out_is_out_while_the_page_is_open(site: Site):
    person = site.portal.member("shaun")
    theirs = site.window(person)
    page = theirs.goto("/vms/")
    theirs.is_live()
    window = administrators(site)
    window.goto(user(site, "shaun"))
    window.page.get_by_text("Suspend…").click()
    window.page.locator("#id_suspend-reason").fill("A machine of yours sends spam.")
    window.button("Suspend").click()
    expect(window.page.get_by_text("is suspended; they were told why")).to_be_visible()
    expect(page.locator("[data-live-status]")).not_to_have_text("Live")
    page.reload()
    expect(page.get_by_label("User name or e-mail address")).to_be_visible()
    window.button("Resume the account").click()
    expect(window.page.get_by_text("is active again")).to_be_visible()


def test_machines_go_to_somebody_else_with_the_account(site: Site):
    leaver = site.portal.member("leo")
    heir = site.person("mia")
    vm = site.running(leaver, name="inherited")
    window = administrators(site)
    page = window.goto(user(site, "leo"))
    window.link("Close the account…").click()
    expect(page.get_by_text("1 machine: inherited (Running)")).to_be_visible()
    page.get_by_label("Why?").fill("He has left.")
    page.get_by_label("Hand it over to somebody else").check()
    page.get_by_label("User name of who takes over").fill("mia")
    page.get_by_label("User name of the account to close").fill("leo")
    window.button("Close this account").click()
    expect(page.get_by_text("is closed; they were told why")).to_be_visible()
    inherited = site.window(heir).goto(f"/vms/{vm}/")
    expect(inherited.get_by_role("heading", name="inherited")).to_be_visible()
    assert site.portal.state(vm) == "running"
