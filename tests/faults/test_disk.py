"""A full disk stops what needs room, and nothing else: least of all making room."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from cloud.errors import CloudBusy
from cloud.local import process
from cloud.local.driver import LocalDriver
from cloud.tests.conformance import IMAGE, a_source, new_token, quiet
from cloud.tests.real import a_driver, a_spec, end_all, run, wait, wait_for_login
from cloud.types import VmPhase
from tests.faults.disks import disk, full

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root"),
]

SIZE = "96m"


@pytest.fixture
def small_disk():
    """A disk of its own with next to no room."""
    place = Path(tempfile.mkdtemp(prefix="small-disk-"))
    place.chmod(0o711)
    with disk(place / "cloud", SIZE):
        yield place / "cloud"
        end_all(place / "cloud")
    shutil.rmtree(place)


@pytest.fixture
def small(small_disk, demo_image) -> LocalDriver:
    driver = a_driver(small_disk, boot_lanes=1)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    return driver


def test_on_a_full_disk_machines_are_seen_and_killed_and_the_others_wait(small, small_disk):
    one, other = run(small), small.create_vm(a_spec(), token=new_token())
    wait_for_login(small, one.ref)
    wait(small, other.ref, VmPhase.RUNNING)
    third = small.create_vm(a_spec(), token=new_token())
    assert third.phase is VmPhase.QUEUED
    small.delete_vm(other.ref)
    with full(small_disk, SIZE):
        wait_for_login(small, one.ref)
        assert {info.ref for info in small.list_vms()} == {one.ref, third.ref}
        assert small.get_vm(third.ref).phase is VmPhase.QUEUED
        small.delete_vm(one.ref)
        assert small.find_vm(one.ref) is None
        assert not process.find(one.ref, life=small_disk)
    wait(small, third.ref, VmPhase.RUNNING)


def test_an_import_onto_a_full_disk_is_put_off_and_leaves_nothing(small, small_disk, demo_image):
    small.delete_image(IMAGE)
    with full(small_disk, SIZE), pytest.raises(CloudBusy, match="disk"):
        small.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    assert list((small_disk / "images").iterdir()) == []
    small.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)


def test_a_disk_that_fills_while_a_machine_is_made_makes_it_later(small, small_disk):
    token = new_token()
    with full(small_disk, SIZE):
        with pytest.raises(CloudBusy):
            small.create_vm(a_spec(), token=token)
        assert small.find_vm(token) is None
    wait(small, small.create_vm(a_spec(), token=token).ref, VmPhase.RUNNING)
    assert len(process.find(token, life=small_disk)) == 1
