"""Images of one's own by packages and scripts: in the demo image, and in a real Debian."""

import hashlib
import re
import subprocess
import sys
import uuid
from io import BytesIO
from pathlib import Path

import pycdlib
import pytest
from playwright.sync_api import expect

from cloud.images import debian
from cloud.local.driver import LocalDriver
from cloud.tests.real import CACHE
from cloud.types import DiskFormat
from conftest import wait_for
from tests.builders import Builder, upload
from tests.journeys.conftest import Site
from tests.journeys.guest import Guest
from tests.people import Person
from tests.running import CHECKOUT, RunningPortal, clean_environment

pytestmark = [pytest.mark.journeys, pytest.mark.qemu]

#: From the order to the end, on a shared machine without KVM.
DEMO_S = 240
DEBIAN_S = 1500
SECRET = uuid.uuid4().hex
RECIPE = f"""mkdir -p /srv/web
echo kept >/srv/web/index.html
echo {SECRET} >/srv/secret
sync
for i in 1 2 3 4 5; do echo round $i; sleep 1; done
"""


def test_an_image_is_made_by_steps_and_launched(site: Site, tmp_path: Path):
    ada = site.person("ada")
    window = site.window(ada)
    page = window.goto(f"/vms/builds/new/?image={ada.image()}")
    page.get_by_label("Title").fill("Web server")
    page.get_by_label("Comment").fill("With a page.")
    page.get_by_label("Recipe", exact=True).fill(RECIPE)
    window.button("Another script").click()
    first = page.locator("[data-script]").first
    first.get_by_label("A file").set_input_files(
        {"name": "check.sh", "mimeType": "text/plain",
         "buffer": b'#!/bin/sh\ntest "$1" = "a b" && cat /srv/web/index.html\n'}
    )  # fmt: skip
    first.get_by_label("Arguments").fill("'a b'")
    page.get_by_label("Removed at the end").fill(
        "/srv/secret\n/etc/dropbear/*_host_key\n/root/.ssh/authorized_keys"
    )
    window.shot("build-new")
    window.button("Create the image").click()
    build = window.lands_at("/vms/builds/")
    window.is_live()
    unmoved = window.stay()
    shown = page.locator("#build .machine-head [data-state-word]").first
    expect(page.locator("[data-console-log]").last).to_contain_text(
        "round 2", timeout=DEMO_S * 1000
    )
    window.shot("build-working")
    expect(shown).to_have_text("Done", timeout=DEMO_S * 1000)
    unmoved()
    window.shot("build-done")
    builder = Builder(site.portal, ada)
    assert [step[:3] for step in builder.steps(build)] == [
        ("Recipe", "done", 0), ("Script check.sh", "done", 0), ("Clean up", "done", 0),
    ]  # fmt: skip
    assert "removed /srv/secret" in builder.log(build)

    window.link("Web server").last.click()
    entry = window.lands(r"/metadata/[\w-]{27}.*")
    identifier = entry.partition("/metadata/")[2][:27]
    assert SECRET.encode() not in bytes_of(site, build, tmp_path)
    vm = site.running(ada, image=identifier, keys=_key(site))
    window.goto(f"/vms/{vm}/")
    guest = Guest(window, site.key.private)
    assert guest.run("cat /srv/web/index.html; ls /srv") == "kept\nweb\n"


def bytes_of(site: Site, build: str, place: Path) -> bytes:
    """What the saved disk holds, all of it."""
    rows = site.portal.rows(
        "SELECT d.cloud_ref FROM volumes_volume d JOIN vms_saving s ON s.volume_id = d.id "
        "JOIN vms_build b ON b.vm_id = s.vm_id WHERE b.uuid = ?",
        build.replace("-", ""),
    )
    target = place / "saved.raw"
    engine = LocalDriver(home=site.portal.home / "cloud")
    engine.export_volume(rows[0][0], target, DiskFormat.RAW, on_progress=lambda *_: None)
    return target.read_bytes()


def test_what_fails_never_ends_or_reboots_is_told_with_its_step(site: Site):
    ada = site.person("ada")
    builder = Builder(site.portal, ada)
    fails = builder.order("echo first\n", "echo this is why >&2\nexit 7\n", "echo never\n")
    reboots = builder.order("echo bye\nreboot\nsleep 600\n")
    never = builder.order("echo waiting\nsleep 600\n", step_minutes="1")
    assert builder.ends(fails, "failed", within_s=DEMO_S) == (
        "Step 2 (Script s2) ended with exit status 7."
    )
    states = [step[1] for step in builder.steps(fails)]
    assert states == ["done", "failed", "skipped", "skipped"]
    assert builder.steps(fails)[1][2:] == (7, "this is why")
    assert builder.machine(fails)[1] == "running"
    assert builder.saving(fails) == "dropped"

    assert builder.ends(reboots, "failed", within_s=DEMO_S) == (
        "The machine started anew during step 1 (Script s1); the steps that are left cannot be "
        "taken."
    )
    assert "bye" in builder.steps(reboots)[0][3]
    reason = builder.ends(never, "failed", within_s=DEMO_S)
    assert reason == "Step 1 (Script s1) did not end within 1 minute, and was stopped."

    window = site.window(ada)
    page = window.goto(f"/vms/builds/{fails}/")
    expect(page.get_by_text("this is why").first).to_be_visible()
    window.shot("build-failed")
    window.button("End its machine").click()
    window.confirm()
    expect(page.get_by_role("button", name="End its machine")).to_have_count(0, timeout=60_000)
    wait_for(lambda: builder.machine(fails)[1] == "done", within_s=60)
    expect(page.locator("#build [data-state-word]").first).to_have_text("Failed")
    assert "this is why" in builder.log(fails)
    window.link("Try again…").click()
    expect(page.get_by_label("Or its text").nth(1)).to_have_value("echo this is why >&2\nexit 7\n")


def _key(site: Site) -> str:
    ((pk,),) = site.portal.rows(
        "SELECT k.id FROM registration_sshkey k JOIN registration_user u ON u.id = k.owner_id "
        "WHERE u.username = 'ada'"
    )
    return str(pk)


# In a real Debian ------------------------------------------------------------------------

PUBLISH = """
import dataclasses, django, shutil, sys
django.setup()
from pathlib import Path
from cloud.images import debian
from cloud.images.built import measured
from django.conf import settings
from marketplace.actions import publish
path = Path(sys.argv[1])
size = debian.disk.ROOT_START + debian.ROOT_SIZE
built = measured(path, debian._profile(debian.VERSION), virtual_size_bytes=size, packages=())
entry, _ = publish(built, tag="debian-12")
shutil.copy(path, settings.PORTAL_HOME / "images" / entry.file_name)
print(entry.identifier)
"""

CONTROL = """Package: portal-greeting
Version: 1.0
Architecture: all
Maintainer: Tests <tests@example.org>
Description: Greets
"""


def publish_debian(portal: RunningPortal) -> str:
    """List Debian in the catalogue; the identifier of its image. It is built once a version."""
    path = CACHE / f"debian-{debian.VERSION}.qcow2"
    if not path.exists():
        debian.build(path, cache_dir=CACHE / "debs")
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(path)],
        cwd=CHECKOUT,
        env={**clean_environment(), "PORTAL_HOME": str(portal.home),
             "DJANGO_SETTINGS_MODULE": "portal.settings"},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()[-1]


def a_repository(place: Path) -> bytes:
    """An ISO 9660 labelled REPO with one package, as "deb file:… ./" reads it."""
    root = place / "portal-greeting"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(CONTROL)
    (root / "usr/share/greeting").mkdir(parents=True)
    (root / "usr/share/greeting/text").write_text("hello from a package\n")
    package = place / "portal-greeting_1.0_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", root, package],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    content = package.read_bytes()
    index = (
        f"{CONTROL}Filename: ./greeting.deb\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    ).encode()
    disk = pycdlib.PyCdlib()
    disk.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="REPO")
    for short, name, data in (("GREETING.DEB", "greeting.deb", content),
                              ("PACKAGES.", "Packages", index)):  # fmt: skip
        disk.add_fp(BytesIO(data), len(data), f"/{short};1", rr_name=name, joliet_path=f"/{name}")
    written = BytesIO()
    disk.write_fp(written)
    disk.close()
    return written.getvalue()


@pytest.mark.slow
def test_packages_are_installed_in_a_real_debian(site: Site, tmp_path: Path):
    ada = site.person("ada")
    image = publish_debian(site.portal)
    repository = ready_disk(site, ada, a_repository(tmp_path))
    builder = Builder(site.portal, ada)
    build = builder.order(
        "#!/bin/sh\ncat /usr/share/greeting/text\n",
        image=image,
        title="Debian with a greeting",
        prerecipe="mkdir -p /mnt/repo\nmount -o ro LABEL=REPO /mnt/repo\n"
        "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*\n",
        installer="apt",
        repositories="deb [trusted=yes] file:/mnt/repo ./",
        packages="portal-greeting",
        recipe="umount /mnt/repo\nrm /etc/apt/sources.list.d/extra.list\n",
        excludes="/etc/ssh/ssh_host_*\n/root/.ssh/authorized_keys\n/var/lib/cloud/instances/*",
        disks=f"{repository}:read",
        start_minutes="20",
    )
    builder.ends(build, "done", within_s=DEBIAN_S)
    assert [step[:3] for step in builder.steps(build)] == [
        (name, "done", 0)
        for name in ("Prerecipe", "Repositories", "Package index", "Packages", "Recipe",
                     "Script s1", "Clean up")
    ]  # fmt: skip
    log = builder.log(build)
    assert "Setting up portal-greeting (1.0)" in log
    assert "hello from a package" in log
    assert re.search(r"removed /etc/ssh/ssh_host_ed25519_key", log)


def ready_disk(site: Site, person: Person, content: bytes) -> str:
    disk = upload(person, content, tag="repo", file_format="raw")
    sql = "SELECT state FROM volumes_volume WHERE uuid = ?"
    wait_for(lambda: site.portal.rows(sql, disk.replace("-", "")) == [("available",)], within_s=60)
    return disk
