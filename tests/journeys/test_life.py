"""What a machine goes through between Running and Done, on its page and inside it."""

import pytest
from playwright.sync_api import expect

from conftest import wait_for
from tests.journeys.conftest import BOOT_S, END_S, Key, Site
from tests.journeys.guest import Guest

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

#: How long a page may take to notice that a guest has halted itself.
NOTICED_S = 5


def test_it_halts_starts_again_reboots_and_is_shut_down(site: Site, key: Key):
    owner = site.person("lena")
    vm = owner.launch(new_key=key.public, name="Lena's machine <b>")
    window = site.window(owner)
    window.goto(f"/vms/{vm}/")
    window.is_live()
    untouched = window.stay()
    window.state("Running", within_s=BOOT_S)
    guest = Guest(window, key.private)
    guest.run("echo kept >/root/note; sync")

    guest.run("poweroff", loses_connection=True)
    wait_for(lambda: "Power down" in owner.log(vm), within_s=BOOT_S, every_s=0.1)
    window.state("Unknown", within_s=NOTICED_S)
    expect(window.page.locator("#machine")).to_contain_text("It still holds its memory")
    window.shot("machine-unknown")

    window.button("Start again").click()
    window.state("Running", within_s=BOOT_S)
    assert guest.run("cat /root/note") == "kept\n"

    first_boot = guest.run("cat /proc/sys/kernel/random/boot_id")
    window.button("Reboot").click()
    wait_for(
        lambda: guest.run("cat /proc/sys/kernel/random/boot_id") != first_boot, within_s=BOOT_S
    )
    window.state("Running", within_s=BOOT_S)

    window.button("Shut down").click()
    window.confirm()
    window.state("Done", within_s=END_S)
    untouched()
    window.page.locator("#history summary").click()
    history = window.page.locator("#history")
    for change in ("Asked for", "running → unknown", "unknown → boot", "running → shutdown"):
        expect(history).to_contain_text(change)
    assert not site.portal.leftovers()
