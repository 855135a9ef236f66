"""The driver contract as tests: a driver is done when its subclass passes.

A subclass gives the fixtures ``driver``, ``twin`` (another driver with the same options),
``source`` (a bootable image) and, where a guest must react, a longer ``PATIENCE_S``.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudError, CloudRefused, NotFound, Unsupported
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.image_conformance import IMAGE, ImageContract, a_qcow2_head, a_source
from cloud.tests.network_conformance import NetworkContract
from cloud.tests.plug_conformance import PlugContract
from cloud.tests.saving_conformance import SavingContract
from cloud.tests.volume_conformance import VolumeContract
from cloud.types import (
    ConsoleKind,
    ImageSource,
    VmInfo,
    VmPhase,
    VmSpec,
)

__all__ = ["IMAGE", "DriverContract", "a_qcow2_head", "a_source", "new_token", "quiet", "until"]

P = VmPhase


class DriverContract(ImageContract, VolumeContract, PlugContract, SavingContract, NetworkContract):
    """Every rule of ``cloud/driver.py`` that holds on any cloud."""

    PATIENCE_S = 20.0

    # What a subclass gives -----------------------------------------------------

    @pytest.fixture
    def driver(self) -> Iterator[CloudDriver]:
        raise NotImplementedError

    @pytest.fixture
    def twin(self, driver: CloudDriver) -> CloudDriver:
        raise NotImplementedError

    @pytest.fixture
    def source(self) -> ImageSource:
        raise NotImplementedError

    # What every test says ------------------------------------------------------

    @pytest.fixture
    def image(self, driver: CloudDriver, source: ImageSource) -> str:
        return driver.import_image(source, token=IMAGE, on_progress=quiet).token

    @pytest.fixture
    def running(self, driver: CloudDriver, image: str) -> VmInfo:
        return self.run(driver, self.spec(image))

    def spec(self, image: str, **changes: object) -> VmSpec:
        plain = VmSpec(name="alice's machine", vcpus=1, memory_mib=128, image=image)
        return replace(plain, **changes)

    def run(self, driver: CloudDriver, spec: VmSpec) -> VmInfo:
        ref = driver.create_vm(spec, token=new_token()).ref
        return self.wait(driver, ref, P.RUNNING)

    def wait(self, driver: CloudDriver, ref: str, *phases: VmPhase) -> VmInfo:
        def look() -> VmInfo | None:
            info = driver.get_vm(ref)
            assert info.phase is not P.FAILED or P.FAILED in phases, info.message
            return info if info.phase in phases else None

        return until(look, within_s=self.PATIENCE_S, what=f"{phases}")

    def power_off(self, driver: CloudDriver, ref: str) -> VmInfo:
        """Press the button until somebody listens."""

        def look() -> VmInfo | None:
            driver.stop_vm(ref)
            info = driver.get_vm(ref)
            return info if info.phase is P.STOPPED else None

        return until(look, within_s=self.PATIENCE_S, what="powered off")

    # What it offers ------------------------------------------------------------

    def test_it_says_what_it_is_and_what_it_lacks_in_sentences(
        self, driver: CloudDriver, twin: CloudDriver
    ) -> None:
        offered = driver.capabilities()
        assert offered.engine
        assert offered.disk_buses
        assert all(sentence.endswith(".") for sentence in offered.lacks.values())
        assert twin.capabilities() == offered

    def test_capacity_is_in_numbers_that_make_sense(self, driver: CloudDriver) -> None:
        capacity = driver.capacity()
        assert capacity.largest_vcpus >= 1
        assert capacity.largest_memory_mib > 0
        assert capacity.free_memory_mib >= 0
        assert capacity.free_disk_bytes >= 0
        assert capacity.machines == 0

    def test_a_running_machine_counts_in_the_capacity(
        self, driver: CloudDriver, running: VmInfo
    ) -> None:
        assert driver.capacity().machines == 1

    # Machines come -------------------------------------------------------------

    def test_a_machine_comes_up(self, driver: CloudDriver, image: str) -> None:
        token = new_token()
        info = driver.create_vm(self.spec(image), token=token)
        assert info.token == token
        assert info.phase in (P.QUEUED, P.STAGING, P.BOOTING, P.RUNNING)
        assert self.wait(driver, info.ref, P.RUNNING).token == token

    def test_its_token_finds_it_from_every_driver(
        self, driver: CloudDriver, twin: CloudDriver, image: str
    ) -> None:
        token = new_token()
        assert twin.find_vm(token) is None
        ref = driver.create_vm(self.spec(image), token=token).ref
        found = twin.find_vm(token)
        assert found is not None
        assert found.ref == ref
        assert [info.ref for info in twin.list_vms()] == [ref]

    def test_asking_twice_makes_one_machine(
        self, driver: CloudDriver, twin: CloudDriver, image: str
    ) -> None:
        token = new_token()
        first = driver.create_vm(self.spec(image), token=token)
        again = twin.create_vm(self.spec(image), token=token)
        assert again.ref == first.ref
        assert again.endpoints == first.endpoints
        assert len(list(driver.list_vms())) == 1

    def test_asking_from_many_threads_at_once_makes_one_machine(
        self, driver: CloudDriver, twin: CloudDriver, image: str
    ) -> None:
        token = new_token()

        def ask(n: int) -> str:
            one = (driver, twin)[n % 2]
            while True:
                with suppress(CloudBusy):
                    return one.create_vm(self.spec(image), token=token).ref

        with ThreadPoolExecutor(20) as pool:
            refs = set(pool.map(ask, range(20)))
        assert len(refs) == 1
        assert len(list(driver.list_vms())) == 1

    def test_every_inbound_port_has_an_endpoint_of_its_own(
        self, driver: CloudDriver, image: str
    ) -> None:
        spec = self.spec(image, inbound_ports=(22, 80))
        one, other = self.run(driver, spec), self.run(driver, spec)
        assert [endpoint.guest_port for endpoint in one.endpoints] == [22, 80]
        places = {(e.host, e.port) for e in (*one.endpoints, *other.endpoints)}
        assert len(places) == 4

    def test_endpoints_stay_the_same(self, driver: CloudDriver, running: VmInfo) -> None:
        assert driver.get_vm(running.ref).endpoints == running.endpoints

    def test_a_machine_without_inbound_ports_comes_up(
        self, driver: CloudDriver, image: str
    ) -> None:
        assert self.run(driver, self.spec(image, inbound_ports=())).endpoints == ()

    @pytest.mark.parametrize(
        "name", ['a,b=c"d\\', "Größe 機械 🖥", "../../etc/passwd", "a\nb: c\0", "-x", " " * 80]
    )
    def test_any_name_will_do(self, driver: CloudDriver, image: str, name: str) -> None:
        data = f"#!/bin/sh\necho '{name}'\n"
        spec = self.spec(image, name=name, user_data=data, ssh_keys=(f"ssh-ed25519 AAAA {name}",))
        assert self.run(driver, spec).phase is P.RUNNING

    def test_a_machine_may_be_asked_for_before_its_image_is_there(
        self, driver: CloudDriver, source: ImageSource
    ) -> None:
        token = new_token()
        if not driver.capabilities().reserves_before_image:
            with pytest.raises(CloudBusy):
                driver.create_vm(self.spec(IMAGE), token=token)
            return
        info = driver.create_vm(self.spec(IMAGE), token=token)
        assert info.phase is P.STAGING
        assert info.message
        assert driver.get_vm(info.ref).phase is P.STAGING
        driver.import_image(source, token=IMAGE, on_progress=quiet)
        assert self.wait(driver, info.ref, P.RUNNING).endpoints == info.endpoints

    @pytest.mark.parametrize(
        "too_much",
        [{"memory_mib": 1 << 30}, {"memory_mib": 0}, {"vcpus": 4096}, {"vcpus": 0}],
        ids=str,
    )
    def test_what_would_never_fit_is_refused_with_the_number(
        self, driver: CloudDriver, image: str, too_much: dict[str, int]
    ) -> None:
        token = new_token()
        with pytest.raises(CloudRefused, match=str(*too_much.values())):
            driver.create_vm(self.spec(image, **too_much), token=token)
        assert driver.find_vm(token) is None

    # Machines stop, start and go -----------------------------------------------

    def test_the_power_button_stops_it_and_start_brings_it_back(
        self, driver: CloudDriver, running: VmInfo
    ) -> None:
        stopped = self.power_off(driver, running.ref)
        assert stopped.endpoints == running.endpoints
        driver.stop_vm(running.ref)
        assert driver.get_vm(running.ref).phase is P.STOPPED
        driver.start_vm(running.ref)
        driver.start_vm(running.ref)
        self.wait(driver, running.ref, P.RUNNING)
        driver.start_vm(running.ref)
        assert driver.get_vm(running.ref).phase is P.RUNNING

    def test_a_machine_can_be_stopped_before_it_runs(
        self, driver: CloudDriver, source: ImageSource
    ) -> None:
        if not driver.capabilities().reserves_before_image:
            return
        ref = driver.create_vm(self.spec(IMAGE), token=new_token()).ref
        for _ in range(2):
            driver.stop_vm(ref)
            assert driver.get_vm(ref).phase is P.STOPPED
        driver.import_image(source, token=IMAGE, on_progress=quiet)
        assert [info.phase for info in driver.list_vms()] == [P.STOPPED]
        assert driver.get_vm(ref).phase is P.STOPPED
        assert driver.capacity().machines == 0
        driver.start_vm(ref)
        self.wait(driver, ref, P.RUNNING)

    def test_a_machine_stopped_in_the_queue_does_not_start_when_there_is_room(
        self, driver: CloudDriver, image: str
    ) -> None:
        half = self.spec(image, memory_mib=driver.capacity().largest_memory_mib // 2 + 200)
        first = self.run(driver, half)
        waiting = driver.create_vm(half, token=new_token())
        assert driver.get_vm(waiting.ref).phase is P.QUEUED
        for _ in range(2):
            driver.stop_vm(waiting.ref)
            assert driver.get_vm(waiting.ref).phase is P.STOPPED
        driver.delete_vm(first.ref)
        assert [info.phase for info in driver.list_vms()] == [P.STOPPED]
        assert driver.get_vm(waiting.ref).phase is P.STOPPED

    def test_a_reboot_leaves_it_running(self, driver: CloudDriver, running: VmInfo) -> None:
        driver.reboot_vm(running.ref)
        driver.reboot_vm(running.ref)
        self.wait(driver, running.ref, P.RUNNING)

    def test_what_does_not_run_cannot_be_rebooted(
        self, driver: CloudDriver, running: VmInfo
    ) -> None:
        self.power_off(driver, running.ref)
        with pytest.raises(CloudBusy):
            driver.reboot_vm(running.ref)

    def test_a_deleted_machine_is_gone_for_everybody(
        self, driver: CloudDriver, twin: CloudDriver, running: VmInfo
    ) -> None:
        twin.delete_vm(running.ref)
        until(lambda: driver.find_vm(running.token) is None, within_s=self.PATIENCE_S)
        with pytest.raises(NotFound):
            driver.get_vm(running.ref)
        assert list(driver.list_vms()) == []
        driver.delete_vm(running.ref)
        assert driver.capacity().machines == 0

    def test_a_machine_can_be_deleted_before_it_runs(self, driver: CloudDriver) -> None:
        if not driver.capabilities().reserves_before_image:
            return
        token = new_token()
        driver.delete_vm(driver.create_vm(self.spec(IMAGE), token=token).ref)
        assert driver.find_vm(token) is None

    def test_a_stopped_machine_can_be_deleted(self, driver: CloudDriver, running: VmInfo) -> None:
        self.power_off(driver, running.ref)
        driver.delete_vm(running.ref)
        assert driver.find_vm(running.token) is None

    def test_deleting_while_asking_leaves_one_truth(
        self, driver: CloudDriver, twin: CloudDriver, image: str
    ) -> None:
        token = new_token()

        def churn(n: int) -> None:
            with suppress(CloudError):
                if n % 3:
                    driver.create_vm(self.spec(image), token=token)
                else:
                    twin.delete_vm(token)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(churn, range(18)))
        twin.delete_vm(token)
        assert driver.find_vm(token) is None
        assert list(driver.list_vms()) == []

    @pytest.mark.parametrize(
        "ref",
        ["00000000-0000-4000-8000-000000000000", "", "no-such-machine", "../..", "a\0b", "x" * 300],
    )
    def test_a_stranger_is_not_found_and_deleting_it_is_quiet(
        self, driver: CloudDriver, ref: str
    ) -> None:
        asked: list[Callable[[], object]] = [
            lambda: driver.get_vm(ref),
            lambda: driver.start_vm(ref),
            lambda: driver.stop_vm(ref),
            lambda: driver.power_off_vm(ref),
            lambda: driver.reboot_vm(ref),
            lambda: driver.console(ref, ConsoleKind.SERIAL),
            lambda: driver.console_log(ref, max_bytes=10),
        ]
        for ask in asked:
            with pytest.raises(NotFound):
                ask()
        driver.delete_vm(ref)
        assert driver.find_vm(ref) is None
        assert driver.usage([ref]) == {}

    # What a running machine shows ----------------------------------------------

    def test_a_running_machine_has_the_consoles_that_were_promised(
        self, driver: CloudDriver, running: VmInfo
    ) -> None:
        for kind in driver.capabilities().consoles:
            console = driver.console(running.ref, kind)
            assert console.kind is kind
            assert console.unix_path.is_absolute()
            assert len(bytes(console.unix_path)) <= 107

    def test_a_stopped_machine_has_no_console(self, driver: CloudDriver, running: VmInfo) -> None:
        self.power_off(driver, running.ref)
        for kind in driver.capabilities().consoles:
            with pytest.raises(CloudBusy):
                driver.console(running.ref, kind)

    def test_the_console_log_ends_where_it_is_asked_to(
        self, driver: CloudDriver, running: VmInfo
    ) -> None:
        until(lambda: driver.console_log(running.ref, max_bytes=1000), within_s=self.PATIENCE_S)
        assert len(driver.console_log(running.ref, max_bytes=3)) == 3

    def test_usage_counts_up_for_those_that_run(
        self, driver: CloudDriver, image: str, running: VmInfo
    ) -> None:
        other = self.run(driver, self.spec(image))
        self.power_off(driver, other.ref)
        before = driver.usage([running.ref, other.ref])
        assert set(before) == {running.ref}
        assert before[running.ref].at.tzinfo is not None
        assert before[running.ref].memory_bytes > 0
        until(
            lambda: (
                driver.get_vm(running.ref)
                and driver.usage([running.ref])[running.ref].cpu_s > before[running.ref].cpu_s
            ),
            within_s=self.PATIENCE_S,
        )

    # Watching ------------------------------------------------------------------

    def test_a_watcher_hears_of_changes_within_a_second(
        self, driver: CloudDriver, twin: CloudDriver, image: str
    ) -> None:
        heard: list[tuple[float, str]] = []
        ended = threading.Event()

        thread = threading.Thread(target=self._listen, args=(twin, ended, heard))
        thread.start()
        try:
            until(lambda: heard or not thread.is_alive(), within_s=5)
            if not thread.is_alive():
                pytest.skip("this engine tells nobody")
            ref = self.run(driver, self.spec(image)).ref
            until(lambda: ref in [name for _, name in heard], within_s=3)
            pulled_at = time.monotonic()
            driver.delete_vm(ref)
            until(lambda: [at for at, name in heard if name == ref and at > pulled_at], within_s=1)
        finally:
            ended.set()
            thread.join(5)
        assert not thread.is_alive()

    @staticmethod
    def _listen(
        driver: CloudDriver, ended: threading.Event, heard: list[tuple[float, str]]
    ) -> None:
        with suppress(Unsupported):
            for ref in driver.watch(ended.is_set):
                heard.append((time.monotonic(), ref))  # noqa: PERF401 - read meanwhile

    # What it lacks -------------------------------------------------------------

    def test_what_is_lacking_is_refused_with_its_sentence(self, driver: CloudDriver) -> None:
        lacks = driver.capabilities().lacks
        token = new_token()
        calls: dict[str, Callable[[], object]] = {
            "save_root_disk": lambda: driver.save_root_disk(token, token=token, on_progress=quiet),
            "power_off_vm": lambda: driver.power_off_vm(token),
        }
        for name, call in calls.items():
            if name in lacks:
                with pytest.raises(Unsupported) as refusal:
                    call()
                assert str(refusal.value) == lacks[name]
