"""Uploads in a real browser, through whatever breaks on the way."""

import hashlib
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, expect

from conftest import wait_for
from tests.journeys.conftest import Site
from tests.journeys.relay import Relay
from tests.journeys.test_looks import EVERYTHING, anybody, complaints, look_at_all
from tests.journeys.windows import Window

pytestmark = [pytest.mark.journeys]

MIB = 1 << 20
#: Without end for a loopback: so that there is time to break something.
SLOW = 25 * MIB
INTAKE_S = 180
#: What a browser notes of connections that we cut, and of a portal that we killed.
OF_THE_NETWORK = re.compile(r"net::ERR_|status of 5")


@pytest.fixture
def relay(site: Site) -> Iterator[Relay]:
    line = Relay(site.portal.port)
    yield line
    said = site.close_windows()
    line.close()
    assert not [text for text in said if not OF_THE_NETWORK.search(text)], said


def disk_file(path: Path, mib: int, *, seed: int = 1) -> str:
    """A sparse file with something of random now and then; its SHA-256."""
    dice = random.Random(seed)
    with path.open("wb") as file:
        for at in range(0, mib, 7):
            file.seek(at * MIB)
            file.write(dice.randbytes(MIB // 2))
        file.truncate(mib * MIB)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload_page(site: Site, relay: Relay, username: str) -> Window:
    window = site.window(site.person(username))
    window.goto(f"{relay.url}/volumes/upload/")
    return window


def choose(window: Window, *files: Path) -> None:
    window.page.locator("[data-files]").set_input_files(files)


def card(window: Window, name: str) -> Locator:
    return window.page.locator("li.upload").filter(has_text=name)


def percent(row: Locator) -> float:
    return 100 * float(row.locator("progress").evaluate("bar => bar.value / bar.max"))


def reach(row: Locator, at: float, within_s: float = 60) -> None:
    wait_for(lambda: percent(row) >= at, within_s=within_s, every_s=0.05)


def states(site: Site, tag: str) -> list[str]:
    rows = site.portal.rows("SELECT state FROM volumes_volume WHERE tag = ? ORDER BY id", tag)
    return [state for (state,) in rows]


def until(site: Site, tag: str, *wanted: str, within_s: float = INTAKE_S) -> str:
    wait_for(lambda: states(site, tag)[-1:][0] in wanted, within_s=within_s)
    return states(site, tag)[-1]


def landed(site: Site) -> set[str]:
    """Names of the files of uploads that are not over."""
    return set(os.listdir(site.portal.home / "arrivals"))


def test_an_upload_survives_cut_lines_and_killed_processes(site: Site, relay: Relay, tmp_path):
    file = tmp_path / "results.img"
    sha256 = disk_file(file, 300)
    of_others = landed(site)
    window = upload_page(site, relay, "uma")
    relay.bytes_per_s = SLOW
    choose(window, file)
    row = card(window, "results.img")
    expect(row.get_by_label("Tag")).to_have_value("results")
    row.get_by_text("More").click()
    row.get_by_label("SHA-256 that it must have").fill(sha256)
    window.shot("upload-draft")
    row.get_by_role("button", name="Upload results.img").click()
    untouched = window.stay()

    reach(row, 10)
    assert relay.cut()
    reach(row, 30)
    relay.is_open = False
    assert relay.cut()
    expect(row.locator("[data-words]")).to_contain_text("Trying again")
    relay.is_open = True
    reach(row, 50)
    window.shot("upload-sending")
    site.portal.kill("web")
    site.portal.wait_until_up()
    relay.bytes_per_s = 1 << 40

    until(site, "results", "unpacking", "converting", within_s=90)
    site.portal.kill("worker")
    until(site, "results", "available", "failed")
    row = card(window, "results.img")
    expect(row.locator("[data-state-word]")).to_have_text("Available", timeout=30_000)
    untouched()
    window.shot("upload-done")
    ((state, found, size),) = site.portal.rows(
        "SELECT state, sha256, content_bytes FROM volumes_volume WHERE tag = 'results'"
    )
    assert (state, found, size) == ("available", sha256, 300 * MIB)
    assert landed(site) <= of_others


def test_another_browser_goes_on_with_the_same_file_and_no_other(
    site: Site, relay: Relay, tmp_path
):
    file = tmp_path / "survey.img"
    sha256 = disk_file(file, 64)
    first = upload_page(site, relay, "ula")
    relay.bytes_per_s = 8 * MIB
    choose(first, file)
    card(first, "survey.img").get_by_role("button", name="Upload survey.img").click()
    reach(card(first, "survey.img"), 25)
    first.context.close()  # the laptop is closed
    wait_for(lambda: site.portal.rows("SELECT 1 FROM volumes_volume WHERE bytes_done > 0"))

    relay.bytes_per_s = 1 << 40
    second = upload_page(site, relay, "ula")
    row = card(second, "survey.img")
    expect(row).to_contain_text("Choose the same file again to go on where it ended")
    second.shot("upload-unfinished")

    other = tmp_path / "elsewhere" / "survey.img"
    other.parent.mkdir()
    disk_file(other, 64, seed=2)
    choose(second, other)
    new = second.page.locator("li.upload").filter(has_text="a disk of its own")
    expect(new).to_be_visible()
    new.get_by_role("button", name="Cancel survey.img").click()
    expect(new).to_have_count(0)

    choose(second, file)
    until(site, "survey", "available", "failed")
    assert states(site, "survey") == ["available"]
    ((found,),) = site.portal.rows("SELECT sha256 FROM volumes_volume WHERE tag = 'survey'")
    assert found == sha256
    expect(card(second, "survey.img").locator("[data-state-word]")).to_have_text("Available")


def test_uploads_are_paused_resumed_and_cancelled_two_at_a_time(site: Site, relay: Relay, tmp_path):
    files = [tmp_path / f"part-{number}.img" for number in range(3)]
    for number, file in enumerate(files):
        disk_file(file, 32, seed=number)
    of_others = landed(site)
    window = upload_page(site, relay, "ursula")
    relay.bytes_per_s = MIB
    choose(window, *files)
    window.shot("upload-several")
    window.button("Upload all 3 files").click()
    sending = window.page.locator("li.upload").filter(has=window.page.get_by_text("Uploading"))
    expect(sending).to_have_count(2)
    waiting = window.page.locator("li.upload").filter(has_text="Waits for its turn")
    expect(waiting).to_have_count(1)

    one, two, three = (card(window, file.name) for file in files)
    reach(one, 5)
    one.get_by_role("button", name="Pause part-0.img").click()
    expect(one).to_contain_text("Paused")
    expect(one.get_by_role("button", name="Resume part-0.img")).to_be_focused()
    expect(waiting).to_have_count(0)  # its place was free
    stands = percent(one)

    two.get_by_role("button", name="Cancel part-1.img").click()
    expect(window.page.locator("#confirm-dialog")).to_contain_text("part-1.img")
    window.confirm()
    expect(two.locator("[data-state-word]")).to_have_text("Failed", timeout=30_000)
    expect(two).to_contain_text("Cancelled by its owner")
    two.get_by_role("button", name="Dismiss part-1").click()
    expect(two).to_have_count(0)

    assert percent(one) == stands
    relay.bytes_per_s = 1 << 40
    one.get_by_role("button", name="Resume part-0.img").click()
    for row in (one, three):
        expect(row.locator("[data-state-word]")).to_have_text("Available", timeout=60_000)
    assert [*states(site, "part-0"), *states(site, "part-2")] == ["available", "available"]
    wait_for(lambda: landed(site) <= of_others)


def test_the_page_is_whole_on_a_telephone_and_without_script(site: Site, tmp_path: Path):
    look_at_all(anybody(site, site.person("uma")), {"/volumes/upload/": "upload"})
    telephone = site.window(site.person("uma"), viewport={"width": 390, "height": 844})
    telephone.goto("/volumes/upload/")
    (tmp_path / ("A long name of a file " + "x" * 60 + ".img")).write_bytes(b"data")
    choose(telephone, *tmp_path.iterdir())
    telephone.page.get_by_text("More", exact=True).click()
    telephone.page.get_by_text("Upload from a terminal").click()
    telephone.shot("upload-narrow")
    assert telephone.evaluate("document.documentElement.scrollWidth") <= 390
    telephone.page.evaluate(AXE_SCRIPT)
    assert not list(complaints(telephone.page, EVERYTHING, "upload"))
    plain = site.window(site.person("uma"), java_script_enabled=False)
    plain.goto("/volumes/upload/")
    expect(plain.page.get_by_text("Uploading from this page needs JavaScript")).to_be_visible()
    plain.page.locator("summary", has_text="Upload from a terminal").click()
    expect(plain.page.get_by_text("Upload-Length")).to_be_visible()
