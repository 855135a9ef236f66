"""A machine becomes an image that others start from."""

import email
import re
from email.message import Message

import pytest
from playwright.sync_api import expect

from conftest import wait_for
from tests.journeys.conftest import Key, Site
from tests.journeys.guest import Guest
from tests.journeys.test_disks import key_of
from tests.journeys.windows import Window

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

TITLE = "Linux with a lighthouse"
RUNNING_S = 180
SAVED_S = 240
TOLD_S = 60
LOOKED_S = 180
IMAGE = {
    "save_image": "on",
    "image_title": TITLE,
    "image_comment": "A small Linux that knows where the lighthouse is.",
    "image_author": "Noemi Tester",
    "image_version": "1.3",
}


def test_a_machine_is_saved_launched_published_and_found(site: Site, key: Key):
    noemi = site.person("noemi")
    window = site.window(noemi)
    address = site.portal.rows("SELECT email FROM registration_user WHERE username = 'noemi'")[0][0]
    keys = key_of(site, "noemi")
    vm = site.running(noemi, name=site.name(), keys=keys, **IMAGE, image_email=address)
    page = window.goto(f"/vms/{vm}/")
    guest = Guest(window, key.private)
    guest.run("echo 54.18 > /root/lighthouse && rm -f /etc/dropbear/*_host_key && sync")

    save(window)
    letter = mail_to(site, address)
    identifier = re.search(r"New image created (\S+)", letter["subject"])
    assert identifier, letter["subject"]
    draft = next(part for part in letter.walk() if part.get_filename())
    assert f"<dcterms:identifier>{identifier[1]}<" in draft.get_payload(decode=True).decode()

    window.link("Launch a machine from it").click()
    window.shot("launch-saved-image")
    window.button("Launch").click()
    window.lands_at("/vms/")
    window.state("Running", within_s=RUNNING_S)
    assert Guest(window, key.private).run("cat /root/lighthouse") == "54.18\n"

    window.goto(f"/vms/{vm}/")
    window.link("Its entry", exact=True).click()
    window.shot("entry-temporary")
    extend(window)
    publish(window)
    others = site.window(site.person("otto"))
    page = others.goto("/marketplace/?q=lighthouse")
    page.get_by_role("link", name=TITLE).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(TITLE)
    others.shot("entry-saved-image")


def save(window: Window) -> None:
    """Shut down and save, and watch it to its end without touching the page."""
    page = window.page
    page.reload()
    window.is_live()
    untouched = window.stay()
    window.button("Shut down and save", exact=False).first.click()
    expect(page.locator("#confirm-dialog")).to_contain_text(TITLE)
    window.shot("save")
    window.confirm()
    window.state("Epilog", within_s=SAVED_S)
    window.shot("epilog")
    window.state("Done", within_s=SAVED_S)
    untouched()
    window.shot("saved")


def mail_to(site: Site, address: str) -> Message:
    """The mail that tells of the new image."""
    folder = site.portal.home / "mails"

    def found() -> Message | None:
        for file in folder.rglob("*"):
            if file.is_file() and b"New image created" in file.read_bytes():
                letter = email.message_from_bytes(file.read_bytes())
                if address in str(letter["to"]):
                    return letter
        return None

    return wait_for(found, within_s=TOLD_S, every_s=0.5)


def extend(window: Window) -> None:
    window.link("Extend", exact=False).first.click()
    window.shot("extend-saved-image")
    window.button("Extend", exact=False).first.click()
    expect(window.page.get_by_role("heading", level=1)).to_contain_text(TITLE)


def publish(window: Window) -> None:
    """The report is read first; there is nothing in it that somebody left."""
    window.link("Who may read it", exact=False).first.click()
    path = window.lands("/readers/")

    def is_looked_into() -> bool:
        page = window.goto(path)
        return "The portal looks into" not in page.locator("main").inner_text()

    wait_for(is_looked_into, within_s=LOOKED_S, every_s=1)
    page = window.page
    page.get_by_role("radio", name=re.compile("^everybody")).check()
    knows = page.get_by_label("I have read what was found", exact=False)
    if knows.count():
        knows.check()
    window.shot("publish-saved-image")
    window.button("Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(TITLE)
