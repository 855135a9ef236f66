"""The fake keeps the contract, and breaks it when a test tells it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.errors import CloudBusy, CloudUnavailable
from cloud.fake import FakeCloud
from cloud.tests.conformance import DriverContract, a_qcow2_head, a_source, new_token
from cloud.types import ImageSource, VmPhase, VmSpec


class TestFakeCloud(DriverContract):
    @pytest.fixture
    def driver(self) -> Iterator[FakeCloud]:
        cloud = FakeCloud(world="conformance")
        cloud.reset()
        yield cloud
        cloud.reset()

    @pytest.fixture
    def twin(self, driver: FakeCloud) -> FakeCloud:
        return FakeCloud(world=driver.name)

    @pytest.fixture
    def source(self, tmp_path: Path) -> ImageSource:
        path = tmp_path / "image.qcow2"
        path.write_bytes(a_qcow2_head().ljust(256 << 10, b"\0"))
        return a_source(path)

    def hold_fast(self, driver: FakeCloud, vm: str, volume: str, *, on: bool = True) -> None:
        driver.refuse_detach(vm, volume, on=on)

    def hold_card(self, driver: FakeCloud, vm: str, mac: str, *, on: bool = True) -> None:
        driver.refuse_nic_detach(vm, mac, on=on)


class TestFakeCloudThatNeedsTheImageFirst(TestFakeCloud):
    @pytest.fixture
    def driver(self) -> Iterator[FakeCloud]:
        cloud = FakeCloud(world="image-first", reserves_before_image=False)
        cloud.reset()
        yield cloud
        cloud.reset()

    @pytest.fixture
    def twin(self, driver: FakeCloud) -> FakeCloud:
        return FakeCloud(world=driver.name, reserves_before_image=False)


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    cloud = FakeCloud(world="handles")
    cloud.reset()
    cloud.put_image("image")
    yield cloud
    cloud.reset()


def a_machine(cloud: FakeCloud, **changes: object) -> str:
    spec = VmSpec(name="m", vcpus=1, memory_mib=128, image="image")
    return cloud.create_vm(spec, token=new_token()).ref


def test_each_look_is_one_step(cloud: FakeCloud) -> None:
    ref = a_machine(cloud)
    phases = [cloud.get_vm(ref).phase for _ in range(3)]
    assert phases == [VmPhase.BOOTING, VmPhase.RUNNING, VmPhase.RUNNING]


def test_told_to_fail_it_fails_in_order_and_does_nothing(cloud: FakeCloud) -> None:
    cloud.fail_next(CloudBusy("full"), CloudUnavailable("away"))
    with pytest.raises(CloudBusy):
        a_machine(cloud)
    with pytest.raises(CloudUnavailable):
        cloud.list_vms()
    assert cloud.list_vms() == []


def test_a_lost_answer_is_work_that_was_done(cloud: FakeCloud) -> None:
    cloud.lose_next_answer()
    with pytest.raises(CloudUnavailable):
        a_machine(cloud)
    assert len(list(cloud.list_vms())) == 1


def test_a_held_machine_stays_where_it_is(cloud: FakeCloud) -> None:
    ref = a_machine(cloud)
    cloud.hold(ref)
    assert cloud.get_vm(ref).phase is VmPhase.QUEUED
    cloud.hold(ref, on=False)
    assert cloud.get_vm(ref).phase is VmPhase.BOOTING


def test_a_guest_may_ignore_the_power_button(cloud: FakeCloud) -> None:
    ref = a_machine(cloud)
    cloud.set_phase(ref, VmPhase.RUNNING)
    cloud.ignore_power_button(ref)
    cloud.stop_vm(ref)
    assert cloud.get_vm(ref).phase is VmPhase.RUNNING


def test_it_remembers_what_it_was_asked(cloud: FakeCloud) -> None:
    a_machine(cloud)
    cloud.usage([])
    assert cloud.world.calls == ["create_vm", "usage"]
