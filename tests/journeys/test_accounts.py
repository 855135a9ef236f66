"""Journeys of accounts: asking, confirming, being let in or not, and making a key."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from conftest import wait_for
from tests import post
from tests.journeys.conftest import Site
from tests.journeys.entrance import (
    address_of,
    administrator,
    approve,
    confirm_address,
    fill_in_sign_in,
    register,
    request_of,
    sign_in,
)

pytestmark = pytest.mark.journeys

REASON = "Please register with the address of your institute."


def public_half(private: Path) -> str:
    """The type and the bytes of the public key, as ssh-keygen reads it from the private one."""
    private.chmod(0o600)
    answer = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", private], check=True, capture_output=True, text=True
    )
    return " ".join(answer.stdout.split()[:2])


def test_from_the_form_to_a_key_made_in_the_browser(site: Site, tmp_path: Path):
    newcomer = site.window(accept_downloads=True)
    register(newcomer, "nico")
    confirm_address(site, newcomer, "nico")
    approve(site, "nico")
    letter = wait_for(lambda: mail_about(site, "nico", "active"))
    assert "sign in" in letter.lower()

    sign_in(newcomer, "nico")
    page = newcomer.goto("/profile/keys/")
    with page.expect_download() as download:
        newcomer.button("Make a key pair in this browser").click()
    private = tmp_path / "portal_ed25519"
    download.value.save_as(private)
    newcomer.button("Add this key").click()
    row = page.get_by_role("row").filter(has_text="SHA256:")
    expect(row).to_have_count(1)
    newcomer.shot("key-made")
    ((kept,),) = site.portal.rows(
        "SELECT public_key FROM registration_sshkey k JOIN registration_user u "
        "ON u.id = k.owner_id WHERE u.username = 'nico'"
    )
    assert kept.startswith(public_half(private))
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", private], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    expect(row).to_contain_text(fingerprint)


def test_who_is_rejected_reads_why_and_applies_again(site: Site):
    newcomer = site.window()
    register(newcomer, "rita")
    confirm_address(site, newcomer, "rita")
    boss = administrator(site)
    row = request_of(boss, "rita")
    untouched = boss.stay()
    row.get_by_text("Reject…").click()
    row.get_by_label("Why?").fill(REASON)
    boss.shot("reject")
    row.get_by_role("button", name="Reject", exact=True).click()
    expect(row.locator("[data-state-word]")).to_have_text("Rejected")
    untouched()
    assert REASON in wait_for(lambda: mail_about(site, "rita", "not accepted"))

    page = fill_in_sign_in(newcomer, "rita")
    expect(page).to_have_url(re.compile("/register/standing/"))
    expect(page.locator("#content")).to_contain_text(REASON)
    newcomer.shot("standing-rejected")
    newcomer.link("Apply again").click()
    page.get_by_label("Message to the administrator").fill("Now with my institute's address.")
    newcomer.shot("apply-again")
    newcomer.button("Apply again").click()
    expect(page.locator("#standing [data-state-word]")).to_have_text("Waiting")
    newcomer.shot("standing-again")
    page.goto("/vms/")
    expect(page).to_have_url(re.compile("/login/"))

    again = request_of(boss, "rita")
    expect(again.locator("[data-state-word]")).to_have_text("Waiting")
    again.get_by_role("button", name="Approve").first.click()
    expect(again.locator("[data-state-word]")).to_have_text("Active")
    sign_in(newcomer, "rita")


def test_a_person_withdraws_and_the_badge_of_the_administrators_follows(site: Site):
    boss = administrator(site)
    boss.goto("/")
    boss.is_live()
    untouched = boss.stay()
    badge = boss.page.locator("#waiting")
    before = waiting_in(badge)

    newcomer = site.window()
    register(newcomer, "wanda")
    confirm_address(site, newcomer, "wanda")
    wait_for(lambda: waiting_in(badge) == before + 1)
    fill_in_sign_in(newcomer, "wanda")
    newcomer.shot("standing-waiting")
    newcomer.button("Withdraw").first.click()
    newcomer.confirm()
    expect(newcomer.page.locator("#standing [data-state-word]")).to_have_text("Withdrawn")
    wait_for(lambda: waiting_in(badge) == before)
    untouched()


def waiting_in(badge: Locator) -> int:
    """The number in the bar; 0 when there is none."""
    number = re.match(r"\d+", badge.inner_text())
    return int(number[0]) if number else 0


def mail_about(site: Site, username: str, words: str) -> str:
    """The text of the latest mail to somebody whose subject has these words, or ""."""
    for mail in post.letters(site.portal.home, address_of(username)):
        body = mail.get_body(("plain",))
        if words in mail["Subject"] and body:
            return str(body.get_content())
    return ""
