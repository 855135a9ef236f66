"""Results outlive machines: a disk goes from one machine to the next, into the bin and back."""

import hashlib
import re
from io import BytesIO
from pathlib import Path

import pycdlib
import pytest
from playwright.sync_api import Locator, expect

from conftest import wait_for
from tests.journeys.conftest import BOOT_S, Key, Site
from tests.journeys.guest import Guest
from tests.journeys.windows import Window
from tests.seeds import dashed

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

ATTACH_S = DETACH_S = 60
FILE_MIB = 20


def make_disk(window: Window, tag: str, size_gib: int = 1) -> str:
    """Fill in the form of a new disk; its UUID, once it is available."""
    page = window.goto("/volumes/new/")
    page.get_by_label("Size (GiB)").fill(str(size_gib))
    page.get_by_label("Tag").fill(tag)
    window.shot("disk-new")
    window.button("Make the disk").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(tag)
    disk_state(window, "Available")
    return window.lands_at("/volumes/")


def disk_state(window: Window, word: str, *, within_s: float = 30) -> None:
    """Wait until the disk's page shows this state, without being asked."""
    shown = window.page.locator("#disk [data-state-word]").first
    expect(shown).to_have_text(word, timeout=within_s * 1000)


def attach(window: Window, disk: str, machine: str) -> Locator:
    """From the disk's page, to the machine of this name; the panel with its lines."""
    page = window.goto(f"/volumes/{disk}/")
    window.link("Attach to a machine").click()
    page.get_by_role("radio", name=re.compile(f"^{machine}")).check()
    window.shot("disk-attach")
    window.button("Attach").click()
    expect(page.get_by_text("Attached", exact=True).first).to_be_visible(timeout=ATTACH_S * 1000)
    return page.locator(".plug").first


def lines(window: Window, start: str) -> str:
    """The line that begins so, of those that the page offers to copy."""
    found = window.page.locator(".copy-value").filter(has_text=re.compile(f"^{start} ")).first
    return found.inner_text().replace("\n", " ")


def detach(window: Window, disk: str) -> None:
    window.goto(f"/volumes/{disk}/")
    untouched = window.stay()
    window.button("Detach", exact=False).first.click()
    expect(window.page.locator("#confirm-dialog")).to_contain_text("Unmount it")
    window.confirm()
    disk_state(window, "Available", within_s=DETACH_S)
    untouched()


def guest(window: Window, vm: str, key: Key) -> Guest:
    window.goto(f"/vms/{vm}/")
    return Guest(window, key.private)


def test_a_file_goes_from_machine_to_machine_and_through_the_bin(site: Site, key: Key):
    person = site.person("drift")
    first, second = site.name(), site.name()
    vms = [site.running(person, name=name, keys=key_of(site, "drift")) for name in (first, second)]
    window = site.window(person)
    disk = make_disk(window, "drifting")

    attach(window, disk, first)
    window.shot("disk-attached")
    made, mkdir, mount, unmount = (
        lines(window, word) for word in ("mkfs.ext4", "mkdir", "mount", "umount")
    )
    inside = guest(window, vms[0], key)
    do(inside, f"{made} && {mkdir} && {mount}")
    where = mount.split()[-1]
    do(inside, f"dd if=/dev/urandom of={where}/file bs=1M count={FILE_MIB} && sync")
    written = do(inside, f"sha256sum {where}/file").split()[0]
    assert len(written) == 64
    do(inside, unmount)
    detach(window, disk)

    attach(window, disk, second)
    assert read_back(guest(window, vms[1], key), mkdir, mount, unmount) == written
    detach(window, disk)

    bin_and_back(window, disk)
    attach(window, disk, first)
    assert read_back(guest(window, vms[0], key), mkdir, mount, unmount) == written


def key_of(site: Site, username: str) -> str:
    """The id of the one key of somebody, as the launch form names it."""
    ((pk,),) = site.portal.rows(
        "SELECT k.id FROM registration_sshkey k JOIN registration_user u ON u.id = k.owner_id "
        "WHERE u.username = ?",
        username,
    )
    return str(pk)


def do(inside: Guest, command: str) -> str:
    """Run it in the machine, where it must succeed; what it printed."""
    wait_for(inside.answers, within_s=BOOT_S, every_s=0.5)
    done = inside.try_(command)
    assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
    return done.stdout


def read_back(inside: Guest, mkdir: str, mount: str, unmount: str) -> str:
    where = mount.split()[-1]
    found = do(inside, f"{mkdir} && {mount} && sha256sum {where}/file")
    do(inside, unmount)
    return found.split()[0]


def bin_and_back(window: Window, disk: str) -> None:
    """Delete it by typing its tag, find it in the bin, and take it out again."""
    page = window.goto(f"/volumes/{disk}/")
    window.link("Delete", exact=False).first.click()
    page.get_by_role("textbox").last.fill("drifting")
    window.shot("disk-delete")
    window.button("Delete drifting", exact=False).click()
    page.wait_for_url(re.compile(r"/volumes/(\?.*)?$"))
    window.goto("/volumes/bin/")
    window.shot("disk-bin")
    row = page.get_by_role("row").filter(has_text="drifting")
    row.get_by_role("button", name="Restore").click()
    window.goto(f"/volumes/{disk}/")
    disk_state(window, "Available")


def test_a_writer_is_alone_and_readers_are_many(site: Site, key: Key):
    person = site.person("daan")
    names = [site.name(), site.name()]
    for name in names:
        site.running(person, name=name)
    window = site.window(person)
    disk = make_disk(window, "shared data")
    attach(window, disk, names[0])
    page = window.goto(f"/volumes/{disk}/attach/")
    expect(page.locator("main")).to_contain_text(names[0])
    expect(window.button("Attach")).to_have_count(0)

    detach(window, disk)
    for name in names:
        page = window.goto(f"/volumes/{disk}/attach/")
        page.get_by_role("radio", name=re.compile("^Read only")).check()
        page.get_by_role("radio", name=re.compile(f"^{name}")).check()
        window.button("Attach").click()
        expect(page.locator("main")).to_contain_text(name)
    window.goto(f"/volumes/{disk}/")
    attached = page.locator("#disk-machines").get_by_text("Attached", exact=True)
    expect(attached).to_have_count(2, timeout=ATTACH_S * 1000)


def test_an_iso_is_found_by_its_label(site: Site, key: Key, tmp_path: Path):
    content = b"forty-two\n" * 1000
    person = site.person("dina")
    vm = site.running(person, name=site.name(), keys=key_of(site, "dina"))
    window = site.window(person)
    page = window.goto("/volumes/upload/")
    iso = make_iso(tmp_path / "skymap.iso", content)
    page.locator("input[type=file]").set_input_files(iso)
    window.button("Upload", exact=False).first.click()
    disk = str(wait_for(lambda: disk_of(site, "skymap"), within_s=60))
    # Leaving the page while bytes are on their way would stop the upload.
    expect(page.get_by_text("Available", exact=True).first).to_be_visible(timeout=120_000)
    window.goto(f"/volumes/{disk}/")
    disk_state(window, "Available", within_s=60)
    expect(page.locator("main")).to_contain_text("Read-only data")
    expect(page.locator("main")).to_contain_text(hashlib.sha256(iso.read_bytes()).hexdigest())

    page = window.goto(f"/vms/{vm}/disks/")
    page.get_by_role("checkbox", name=re.compile("skymap")).check()
    window.button("Attach").click()
    expect(page.get_by_text("Attached", exact=True).first).to_be_visible(timeout=ATTACH_S * 1000)
    inside = guest(window, vm, key)
    assert 'LABEL="SURVEY"' in do(inside, "blkid")
    found = do(
        inside,
        "mkdir -p /mnt/x && mount -t iso9660 -o ro $(blkid | grep SURVEY | cut -d: -f1) /mnt/x && "
        "sha256sum /mnt/x/data.txt",
    )
    assert found.split()[0] == hashlib.sha256(content).hexdigest()


def make_iso(path: Path, content: bytes) -> Path:
    """An ISO 9660 with the label SURVEY and one file."""
    iso = pycdlib.PyCdlib()
    iso.new(vol_ident="SURVEY", rock_ridge="1.09")
    iso.add_fp(BytesIO(content), len(content), "/DATA.TXT;1", rr_name="data.txt")
    iso.write(str(path))
    iso.close()
    return path


def disk_of(site: Site, tag: str) -> str:
    rows = site.portal.rows("SELECT uuid FROM volumes_volume WHERE tag = ?", tag)
    return dashed(rows[0][0]) if rows else ""
