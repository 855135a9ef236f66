"""A full disk stops what needs room, and nothing else: least of all making room."""

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from cloud.errors import CloudBusy
from cloud.local import process
from cloud.local.driver import LocalDriver
from cloud.tests.conformance import IMAGE, a_source, new_token, quiet
from cloud.tests.test_local import a_driver, a_spec, end_all, run, wait, wait_for_login
from cloud.types import VmPhase

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root"),
]

SIZE_MIB = 96


@pytest.fixture
def small_disk():
    """A disk of its own with next to no room."""
    place = Path(tempfile.mkdtemp(prefix="small-disk-"))
    place.chmod(0o711)
    options = f"size={SIZE_MIB}m,mode=711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "portal-test", place], check=True)
    yield place
    end_all(place / "cloud")
    subprocess.run(["umount", place], check=True)
    place.rmdir()


@pytest.fixture
def small(small_disk, demo_image) -> LocalDriver:
    driver = a_driver(small_disk / "cloud", boot_lanes=1)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    return driver


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    assert os.statvfs(disk).f_bavail == 0
    return ballast


def test_on_a_full_disk_machines_are_seen_and_killed_and_the_others_wait(small, small_disk):
    one, other = run(small), small.create_vm(a_spec(), token=new_token())
    wait_for_login(small, one.ref)
    wait(small, other.ref, VmPhase.RUNNING)
    third = small.create_vm(a_spec(), token=new_token())
    assert third.phase is VmPhase.QUEUED
    small.delete_vm(other.ref)
    ballast = fill(small_disk)
    wait_for_login(small, one.ref)
    assert {info.ref for info in small.list_vms()} == {one.ref, third.ref}
    assert small.get_vm(third.ref).phase is VmPhase.QUEUED
    small.delete_vm(one.ref)
    fill(small_disk)
    assert small.find_vm(one.ref) is None
    assert not process.find(one.ref, life=small_disk)
    ballast.unlink()
    wait(small, third.ref, VmPhase.RUNNING)


def test_an_import_onto_a_full_disk_is_put_off_and_leaves_nothing(small, small_disk, demo_image):
    small.delete_image(IMAGE)
    ballast = fill(small_disk)
    with pytest.raises(CloudBusy, match="disk"):
        small.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    images = small_disk / "cloud" / "images"
    assert list(images.iterdir()) == []
    ballast.unlink()
    small.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)


def test_a_disk_that_fills_while_a_machine_is_made_makes_it_later(small, small_disk):
    ballast = fill(small_disk)
    token = new_token()
    with pytest.raises(CloudBusy):
        small.create_vm(a_spec(), token=token)
    assert small.find_vm(token) is None
    ballast.unlink()
    wait(small, small.create_vm(a_spec(), token=token).ref, VmPhase.RUNNING)
    assert len(process.find(token, life=small_disk)) == 1
