"""From a disk of one's own to an image that others start from, and to the end of it."""

import re

import pytest
from playwright.sync_api import expect

from conftest import wait_for
from tests.journeys.conftest import Key, Site
from tests.journeys.guest import Guest
from tests.journeys.test_disk_boot import demo_file
from tests.journeys.test_disks import disk_of
from tests.journeys.windows import Window

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

RUNNING_S = 180
MEASURED_S = 120
LEARNT_S = 120


def test_an_image_is_built_signed_published_found_launched_and_deprecated(site: Site, key: Key):
    window = site.window(site.person("ingrid"))
    tag = site.name()
    title = f"Linux for soundings, {tag}"
    upload_demo_image(site, window, tag)
    draft(window, tag, title)
    entry = sign(window, title)

    visitor = site.window()
    assert find(visitor, "soundings linux", title) == entry
    expect(visitor.page.locator("main")).to_contain_text("Ingrid Tester")
    visitor.shot("entry-visitor")

    launch(window, key, title)
    correct(visitor, title)
    deprecate(window, entry)
    refuse(window, entry)
    visitor.goto(entry)
    expect(visitor.page.locator("main")).to_contain_text("deprecated", ignore_case=True)
    visitor.goto("/marketplace/?status=deprecated&q=soundings")
    visitor.shot("catalogue-deprecated")
    expect(visitor.page.get_by_role("link", name=title).first).to_be_visible()


def upload_demo_image(site: Site, window: Window, tag: str) -> None:
    image = demo_file(site)
    page = window.goto("/volumes/upload/")
    page.locator("input[type=file]").set_input_files(image)
    card = page.locator("li.upload").filter(has_text=image.name)
    card.get_by_label("Tag").fill(tag)
    card.get_by_role("button", name="Upload", exact=False).click()
    wait_for(lambda: disk_of(site, tag), within_s=60)
    expect(page.get_by_text("Available", exact=True).first).to_be_visible(timeout=120_000)


def draft(window: Window, tag: str, title: str) -> None:
    """Build metadata from the disk, and say what it is."""
    page = window.goto("/marketplace/build/")
    window.shot("build")
    disks = page.get_by_role("combobox", name=re.compile("^Disk"))
    disks.select_option(
        disks.get_by_role("option", name=re.compile(rf"{tag}\b")).get_attribute("value")
    )
    window.button("Go on with this disk").click()
    page.get_by_label("Title").fill(title)
    page.get_by_label("Description").fill("A small Linux that measures depths. It logs in as root.")
    page.get_by_label("Operating system").fill("Debian")
    page.get_by_label("Its version").fill("12")
    page.get_by_label("Architecture").fill("x86_64")
    page.get_by_label("Least memory (MiB)").fill("128")
    expect(page.locator("#draft-preview")).to_contain_text(title, timeout=MEASURED_S * 1000)
    window.shot("draft")
    window.button("Go on: sign and publish…").click()


def sign(window: Window, title: str) -> str:
    """With a key that the portal makes and keeps; where the entry is."""
    page = window.page
    window.link("have one made").click()
    window.button("Make a key and keep it").click()
    window.lands("/sign/")
    read_report(window)
    window.shot("sign")
    window.button("Sign and publish").click()
    entry = window.lands(r"/metadata/[\w-]{27}.*")
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    window.shot("entry-own")
    return entry


def read_report(window: Window) -> None:
    """What is left of its maker in the disk is looked for before everybody has it."""
    page = window.page

    def is_looked_into() -> bool:
        page.reload()
        return "The portal looks into" not in page.locator("main").inner_text()

    wait_for(is_looked_into, within_s=MEASURED_S, every_s=1)
    knows = page.get_by_label("I have read what was found", exact=False)
    if knows.count():
        knows.check()


def find(window: Window, words: str, title: str) -> str:
    page = window.goto("/marketplace/")
    page.get_by_role("searchbox").first.fill(words)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=title).first.click()
    entry = window.lands(r"/metadata/[\w-]{27}.*")
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    return entry


def correct(window: Window, title: str) -> None:
    """A word that is nearly right finds it too, once the words of new entries are learnt."""

    def is_corrected() -> bool:
        page = window.goto("/marketplace/?q=sondings")
        return "instead" in page.locator("main").inner_text()

    wait_for(is_corrected, within_s=LEARNT_S, every_s=2)
    expect(window.page.get_by_role("link", name=title).first).to_be_visible()
    window.shot("catalogue-corrected")


def launch(window: Window, key: Key, title: str) -> None:
    window.goto("/marketplace/?q=soundings")
    card = window.page.locator(".image-card").filter(has_text=title)
    window.link("Launch", inside=card, exact=False).click()
    window.shot("launch-own-image")
    window.button("Launch").click()
    window.lands_at("/vms/")
    window.state("Running", within_s=RUNNING_S)
    assert "Linux" in Guest(window, key.private).run("uname -a")


def deprecate(window: Window, entry: str) -> None:
    window.goto(entry)
    window.link("Deprecate", exact=False).click()
    window.page.get_by_label("Reason", exact=False).fill("Its soundings are wrong.")
    window.shot("deprecate")
    window.button("Deprecate", exact=False).click()
    expect(window.page.locator("main")).to_contain_text("Its soundings are wrong.")
    window.shot("entry-deprecated")


def refuse(window: Window, entry: str) -> None:
    """Whoever still has the address of the launch page is told why not."""
    ((identifier,),) = [re.findall(r"/metadata/([\w-]{27})", entry)]
    window.goto(f"/vms/launch/?image={identifier}")
    expect(window.page.locator("main")).to_contain_text("Its soundings are wrong.")
    window.shot("launch-refused")
