"""Journey 1: from nothing to a machine and back to nothing, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import BOOT_S, Key, Site
from tests.journeys.entrance import approve, confirm_address, register, sign_in
from tests.journeys.guest import Guest
from tests.journeys.windows import Window
from tests.running import is_open

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

MOST_CLICKS_OF_A_RETURNING_USER = 3
MOST_CLICKS_OF_A_NEW_ACCOUNT = 6


def launch_from_home(window: Window) -> None:
    """Marketplace, Launch, Launch: what a returning user clicks."""
    window.click(window.link("Marketplace"))
    window.shot("marketplace")
    card = window.page.locator(".image-card").filter(has_text="Demo Linux").first
    window.click(card.get_by_role("link", name="Launch"))


def kill(site: Site, window: Window) -> None:
    """Kill it from its page: Done without a reload, and nothing is left of it."""
    vm = window.lands_at("/vms/")
    ((endpoints,),) = site.portal.rows(
        "SELECT endpoints FROM vms_vm WHERE uuid = ?", vm.replace("-", "")
    )
    ports = [int(port) for port in re.findall(r'"port": (\d+)', endpoints)]
    assert ports
    assert all(map(is_open, ports))
    untouched = window.stay()
    window.click(window.button("Kill"))
    expect(window.page.locator("#confirm-dialog")).to_contain_text("pulling its power cord")
    window.shot("kill")
    window.confirm()
    window.state("Done")
    untouched()
    expect(window.button("Kill")).to_have_count(0)
    assert not site.portal.leftovers(), site.portal.leftovers()
    assert not any(map(is_open, ports))


def test_a_returning_user_goes_from_home_to_a_machine_and_back(site: Site, key: Key):
    newcomer = site.window()
    register(newcomer, "nora")
    confirm_address(site, newcomer, "nora")
    approve(site, "nora")
    sign_in(newcomer, "nora")
    newcomer.goto("/profile/keys/")
    newcomer.page.get_by_label("SSH public key").fill(key.public)
    newcomer.button("Add this key").click()
    expect(newcomer.page.get_by_role("row").filter(has_text="laptop")).to_contain_text("SHA256:")
    newcomer.shot("keys")

    newcomer.goto("/")
    newcomer.shot("home")
    newcomer.clicks = 0
    launch_from_home(newcomer)
    newcomer.shot("launch")
    newcomer.click(newcomer.button("Launch"))
    expect(newcomer.page.locator("#machine")).to_be_visible()
    untouched = newcomer.stay()
    assert newcomer.clicks <= MOST_CLICKS_OF_A_RETURNING_USER
    newcomer.state("Running", within_s=BOOT_S)
    assert "Linux" in Guest(newcomer, key.private).run("uname -a")
    expect(newcomer.page.locator(".milestones .is-reached")).to_have_count(3, timeout=BOOT_S * 1000)
    untouched()
    newcomer.shot("machine")
    kill(site, newcomer)
    newcomer.shot("machine-done")


def test_a_new_account_makes_its_key_in_the_browser_while_launching(site: Site, tmp_path: Path):
    person = site.portal.member("noah")
    window = site.window(person, accept_downloads=True)
    window.goto("/")
    window.shot("home-new")
    launch_from_home(window)
    with window.page.expect_download() as download:
        window.click(window.button("Make a key pair in this browser"))
    private = tmp_path / "portal_ed25519"
    download.value.save_as(private)
    private.chmod(0o600)
    expect(window.page.get_by_label("Your SSH public key")).to_have_value(
        re.compile(r"^ssh-ed25519 AAAA")
    )
    window.shot("launch-new")
    window.click(window.button("Launch"))
    expect(window.page.locator("#machine")).to_be_visible()
    assert window.clicks <= MOST_CLICKS_OF_A_NEW_ACCOUNT
    window.state("Running", within_s=BOOT_S)
    assert "Linux" in Guest(window, private).run("uname -a")
    kill(site, window)
