"""Faults that a person may meet, as that person sees them on the running portal."""

import os
import signal
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import wait_for
from tests.faults.disks import full
from tests.faults.shaken import Shaken, stored

pytestmark = pytest.mark.faults

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="making a disk small takes root")


def port_of(shaken: Shaken, vm: str) -> int:
    sql = "SELECT json_extract(endpoints, '$[0].port') FROM vms_vm WHERE uuid = ?"
    ((port,),) = shaken.portal.rows(sql, stored(vm))
    return port


def image_file(shaken: Shaken, image: str) -> Path:
    (path,) = (shaken.portal.home / "images").glob(f"{shaken.images[image]}.*")
    return path


def flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_ten_identical_orders_at_once_are_one_machine(shaken):
    key = str(uuid.uuid4())
    with ThreadPoolExecutor(10) as pool:
        made = set(pool.map(lambda _: shaken.launch("tiny", launch_key=key), range(10)))
    (vm,) = made
    shaken.reaches(vm, "running")
    shaken.is_whole(vm, runs=True)


def test_a_kill_during_prolog_is_done_at_once_and_the_copy_goes_on_for_others(shaken):
    shaken.forget_image("large")
    vm, other = shaken.launch("large"), shaken.launch("large")
    shaken.reaches(vm, "prolog")
    wait_for(lambda: shaken.copies("large"))
    shaken.ask(vm, "kill")
    shaken.reaches(vm, "done", within_s=5)
    shaken.is_whole(vm, runs=False)
    shaken.reaches(other, "running")


def test_a_damaged_image_file_fails_the_machine_with_its_reason_until_it_is_mended(shaken):
    shaken.forget_image("tiny")
    flip_a_byte(image_file(shaken, "tiny"))
    vm = shaken.launch("tiny")
    shaken.reaches(vm, "failed")
    assert "SHA-256 expected" in shaken.row(vm)[1]
    shaken.is_whole(vm, runs=False)
    shaken.ask(vm, "kill")
    shaken.reaches(vm, "done")
    flip_a_byte(image_file(shaken, "tiny"))
    shaken.is_whole(shaken.run("tiny"), runs=True)


def test_a_damaged_copy_in_the_engine_is_copied_anew(shaken):
    shaken.run("tiny")
    (copy,) = (shaken.portal.home / "cloud" / "images").glob(f"{shaken.images['tiny']}.raw")
    copy.chmod(0o600)
    flip_a_byte(copy)
    vm = shaken.launch("tiny")
    shaken.reaches(vm, "running")
    shaken.is_whole(vm, runs=True)


def test_a_port_that_a_stranger_has_taken_is_replaced_on_the_page(shaken):
    vm = shaken.run("tiny")
    before = port_of(shaken, vm)
    (pid,) = shaken.qemus(vm)
    os.kill(pid, signal.SIGKILL)
    shaken.reaches(vm, "unknown", within_s=5)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", before))
        stranger.listen()
        shaken.ask(vm, "start")
        shaken.reaches(vm, "running")
    after = port_of(shaken, vm)
    assert after != before
    assert str(after) in shaken.person.get(f"/vms/{vm}/").text


@NEEDS_ROOT
def test_a_full_disk_keeps_a_machine_waiting_and_says_so(shaken):
    running = shaken.run("tiny")
    with full(shaken.portal.home / "cloud"):
        vm = shaken.launch("tiny")
        wait_for(lambda: "disk" in shaken.person.get(f"/vms/{vm}/").text, within_s=10)
        assert shaken.state(vm) == "pending"
        shaken.ask(running, "kill")
        shaken.reaches(running, "done")
        shaken.is_whole(running, runs=False)
    shaken.reaches(vm, "running")
    shaken.is_whole(vm, runs=True)


def test_a_click_while_redis_is_away_is_answered_at_once(shaken):
    vm = shaken.run("tiny")
    os.kill(shaken.portal.keeper("redis"), signal.SIGSTOP)  # nobody starts it again
    try:
        shaken.portal.kill("redis")
        began = time.monotonic()
        shaken.ask(vm, "kill")
        assert shaken.person.get(f"/vms/{vm}/").status_code == 200
        assert time.monotonic() - began < 2
    finally:
        os.kill(shaken.portal.keeper("redis"), signal.SIGCONT)
    shaken.reaches(vm, "done")


def test_a_worker_that_stands_still_is_not_missed_when_it_goes_on(shaken):
    """Its lease has run out by then, and machines were killed under its hands."""
    shaken.forget_image("large")
    vm = shaken.launch("large")
    shaken.reaches(vm, "prolog")
    wait_for(lambda: shaken.copies("large"))
    shaken.pause_worker()
    shaken.ask(vm, "kill")
    late = "SELECT 1 FROM marketplace_imagefile WHERE lease_until < strftime('%Y-%m-%d %H:%M:%f')"
    wait_for(lambda: shaken.portal.rows(late), within_s=15)
    shaken.resume_worker()
    shaken.reaches(vm, "done")
    again = shaken.launch("large")
    shaken.reaches(again, "running")
    shaken.is_whole(again, runs=True)


def test_the_worker_lives_on_when_redis_dies_with_bells_in_its_hands(shaken):
    """Readiness of a guest without SSH is looked at every second: bells are always due."""
    vms = [shaken.run("tiny") for _ in range(4)]
    worker = shaken.portal.pids("worker")
    for _ in range(2):
        shaken.comes_back("redis", shaken.portal.kill("redis"))
        for vm in vms:
            shaken.ask(vm, "reboot")
            shaken.reaches(vm, "running")
    assert shaken.portal.pids("worker") == worker


def test_a_portal_that_is_killed_outright_starts_again_and_finds_its_machines(shaken):
    vm, ending = shaken.run("tiny"), shaken.run("tiny")
    before = shaken.qemus(vm)
    shaken.pause_worker()
    shaken.ask(ending, "kill")
    shaken.kill_outright()
    shaken.portal.start()
    shaken.reaches(ending, "done")
    assert shaken.state(vm) == "running"
    assert shaken.qemus(vm) == before
    shaken.is_whole(vm, runs=True)
    shaken.is_whole(ending, runs=False)
