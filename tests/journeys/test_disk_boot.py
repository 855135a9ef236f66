"""A machine lives on a disk that its owner keeps: it boots from it, and the disk outlives it."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from conftest import wait_for
from tests.journeys.conftest import END_S, Key, Site
from tests.journeys.test_disks import disk_of, disk_state, do, guest
from tests.journeys.windows import Window

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

RUNNING_S = 90


def test_what_a_machine_writes_to_its_disk_is_there_for_the_next(site: Site, key: Key):
    window = site.window(site.person("bootes"))
    disk = upload_demo_image(site, window)

    first = launch_as_it_comes(window, disk)
    do(guest(window, first, key), "echo kept > /root/file && sync")
    window.goto(f"/volumes/{disk}/")
    disk_state(window, "In use")
    kill(site, window, first)
    window.goto(f"/volumes/{disk}/")
    disk_state(window, "Available")

    second = launch_as_it_comes(window, disk)
    assert second != first
    assert do(guest(window, second, key), "cat /root/file") == "kept\n"


def demo_file(site: Site) -> Path:
    """The file of the demo image: others are larger."""
    return min((site.portal.home / "images").glob("*.qcow2"), key=lambda path: path.stat().st_size)


def upload_demo_image(site: Site, window: Window) -> str:
    """The image of the demo machine as a disk of one's own that boots; its UUID."""
    image = demo_file(site)
    page = window.goto("/volumes/upload/")
    page.locator("input[type=file]").set_input_files(image)
    card = page.locator("li.upload").filter(has_text=image.name)
    card.get_by_label("Tag").fill("mine to boot")
    card.get_by_label("What it is").select_option("MACHINE_IMAGE_LIVE")
    card.get_by_role("button", name="Upload", exact=False).click()
    disk = str(wait_for(lambda: disk_of(site, "mine to boot"), within_s=60))
    # The card gives way to the row of the disk, which follows it until it is there.
    expect(page.get_by_text("Available", exact=True).first).to_be_visible(timeout=120_000)
    return disk


def launch_as_it_comes(window: Window, disk: str) -> str:
    """From the disk's page, nothing changed in the form; the UUID of the machine that runs."""
    page = window.goto(f"/volumes/{disk}/")
    window.link("Launch a machine", exact=False).first.click()
    expect(page.locator("main")).to_contain_text("From the disk mine to boot")
    window.shot("launch-from-disk")
    window.button("Launch").click()
    vm = window.lands_at("/vms/")
    window.state("Running", within_s=RUNNING_S)
    return vm


def kill(site: Site, window: Window, vm: str) -> None:
    window.goto(f"/vms/{vm}/")
    window.button("Kill", exact=False).first.click()
    window.confirm()
    site.until(vm, "done", within_s=END_S)
