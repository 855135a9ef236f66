"""The contract of plugging volumes in and out as tests: a mixin of ``DriverContract``.

A subclass says with ``hold_fast`` how one of its guests comes not to let go of a disk.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudError, CloudRefused, NotFound
from cloud.tests.contract import new_token, quiet, until
from cloud.types import Disk, DiskBus, DiskFormat, Plug, VmInfo, VmPhase, VmSpec

GIB = 1 << 30
P = VmPhase
NOBODY = "00000000-0000-4000-8000-000000000000"


class PlugContract:
    """Every rule of ``cloud/driver.py`` about plugging volumes in that holds on any cloud."""

    PATIENCE_S: float

    def spec(self, image: str, **changes: object) -> VmSpec:
        raise NotImplementedError

    def run(self, driver: CloudDriver, spec: VmSpec) -> VmInfo:
        raise NotImplementedError

    def wait(self, driver: CloudDriver, ref: str, *phases: VmPhase) -> VmInfo:
        raise NotImplementedError

    def power_off(self, driver: CloudDriver, ref: str) -> VmInfo:
        raise NotImplementedError

    def hold_fast(self, driver: CloudDriver, vm: str, volume: str, *, on: bool = True) -> None:
        """Have the guest not let go of a disk, or do it again."""
        raise NotImplementedError

    # What every test says ------------------------------------------------------

    @pytest.fixture
    def a_volume(self, driver: CloudDriver) -> str:
        return self.new_volume(driver)

    @pytest.fixture
    def off(self, driver: CloudDriver, running: VmInfo) -> VmInfo:
        return self.power_off(driver, running.ref)

    def new_volume(self, driver: CloudDriver) -> str:
        return driver.create_volume(GIB, token=new_token()).ref

    def attach(
        self, driver: CloudDriver, vm: VmInfo, volume: str, *, read_only: bool = False
    ) -> Disk:
        driver.attach_volume(vm.ref, volume, read_only=read_only)
        return until(lambda: self.plugged(driver, vm, volume), within_s=self.PATIENCE_S)

    def detach(self, driver: CloudDriver, vm: VmInfo, volume: str, *, force: bool = False) -> None:
        """Ask until the guest has let go: one that is just booting looks at its disks."""

        def is_asked() -> bool:
            with suppress(CloudBusy):
                driver.detach_volume(vm.ref, volume, force=force)
                return True
            return False

        until(is_asked, within_s=self.PATIENCE_S, what="the guest lets go")
        until(lambda: not self.plugged(driver, vm, volume), within_s=self.PATIENCE_S)

    def plugged(self, driver: CloudDriver, vm: VmInfo, volume: str) -> Disk | None:
        disks = driver.get_vm(vm.ref).disks
        assert len({disk.volume for disk in disks}) == len(disks)
        return next((disk for disk in disks if disk.volume == volume), None)

    # In and out ----------------------------------------------------------------

    def test_a_volume_is_plugged_into_a_running_machine_and_out_again(
        self, driver: CloudDriver, twin: CloudDriver, running: VmInfo, a_volume: str
    ) -> None:
        assert running.disks == ()
        disk = self.attach(driver, running, a_volume)
        assert disk.device.startswith("/dev/")
        assert not disk.stable_path or disk.stable_path.startswith("/dev/disk/by-id/")
        assert not disk.read_only
        assert twin.get_vm(running.ref).disks == (disk,)
        assert [info.disks for info in twin.list_vms()] == [(disk,)]
        self.detach(twin, running, a_volume)
        assert driver.get_vm(running.ref).disks == ()

    def test_plugging_in_and_out_is_harmless_to_repeat(
        self, driver: CloudDriver, twin: CloudDriver, running: VmInfo, a_volume: str
    ) -> None:
        driver.detach_volume(running.ref, a_volume)
        disk = self.attach(driver, running, a_volume)
        assert self.attach(twin, running, a_volume) == disk
        self.detach(driver, running, a_volume)
        driver.detach_volume(running.ref, a_volume)
        twin.detach_volume(running.ref, a_volume, force=True)
        assert self.attach(twin, running, a_volume).volume == a_volume

    def test_several_disks_have_several_names(self, driver: CloudDriver, running: VmInfo) -> None:
        volumes = [self.new_volume(driver) for _ in range(3)]
        disks = [self.attach(driver, running, volume) for volume in volumes]
        assert len({disk.device for disk in disks}) == 3
        assert {disk.volume for disk in driver.get_vm(running.ref).disks} == set(volumes)
        self.detach(driver, running, volumes[1])
        assert self.attach(driver, running, volumes[1]).device == disks[1].device

    def test_a_machine_that_is_off_takes_disks_and_gives_them_back(
        self, driver: CloudDriver, off: VmInfo
    ) -> None:
        kept, given_back = self.new_volume(driver), self.new_volume(driver)
        self.attach(driver, off, kept)
        self.attach(driver, off, given_back, read_only=True)
        self.detach(driver, off, given_back)
        driver.start_vm(off.ref)
        started = self.wait(driver, off.ref, P.RUNNING)
        assert [disk.volume for disk in started.disks] == [kept]
        self.detach(driver, off, kept)

    def test_a_disk_stays_when_its_machine_is_stopped_and_started(
        self, driver: CloudDriver, running: VmInfo, a_volume: str
    ) -> None:
        self.attach(driver, running, a_volume)
        off = self.power_off(driver, running.ref)
        assert [disk.volume for disk in off.disks] == [a_volume]
        with pytest.raises(CloudBusy):
            driver.delete_volume(a_volume)
        driver.start_vm(off.ref)
        started = self.wait(driver, off.ref, P.RUNNING)
        assert [disk.volume for disk in started.disks] == [a_volume]

    def test_a_machine_can_have_disks_from_the_start(self, driver: CloudDriver, image: str) -> None:
        written, read = self.new_volume(driver), self.new_volume(driver)
        plugs = (Plug(volume=written), Plug(volume=read, read_only=True))
        vm = self.run(driver, self.spec(image, volumes=plugs))
        assert {disk.volume: disk.read_only for disk in vm.disks} == {written: False, read: True}
        for volume in (written, read):
            self.detach(driver, vm, volume)
        assert driver.get_vm(vm.ref).disks == ()

    def test_disks_of_a_machine_that_is_deleted_are_free(
        self, driver: CloudDriver, image: str, running: VmInfo
    ) -> None:
        volumes = [self.new_volume(driver) for _ in range(2)]
        vm = self.run(driver, self.spec(image, volumes=(Plug(volume=volumes[0]),)))
        self.attach(driver, vm, volumes[1])
        driver.delete_vm(vm.ref)
        for volume in volumes:
            assert self.attach(driver, running, volume)
            self.detach(driver, running, volume)
            driver.delete_volume(volume)

    def test_a_disk_that_is_in_a_machine_is_not_deleted_or_put_back(
        self, driver: CloudDriver, running: VmInfo, a_volume: str
    ) -> None:
        snapshot = new_token()
        driver.create_snapshot(a_volume, token=snapshot)
        self.attach(driver, running, a_volume, read_only=True)
        refused = [
            lambda: driver.delete_volume(a_volume),
            lambda: driver.restore_snapshot(a_volume, token=snapshot),
        ]
        for ask in refused:
            with pytest.raises(CloudBusy):
                ask()
        self.detach(driver, running, a_volume)
        driver.restore_snapshot(a_volume, token=snapshot)
        driver.delete_volume(a_volume)

    def test_a_disk_that_a_machine_writes_to_is_not_copied(
        self, driver: CloudDriver, running: VmInfo, a_volume: str, tmp_path: Path
    ) -> None:
        self.attach(driver, running, a_volume)
        with pytest.raises(CloudBusy):
            driver.copy_volume(a_volume, token=new_token(), on_progress=quiet)
        with pytest.raises(CloudBusy):
            driver.export_volume(a_volume, tmp_path / "out", DiskFormat.RAW, on_progress=quiet)
        assert list(tmp_path.glob("*out*")) == []

    # Who may have it -----------------------------------------------------------

    def test_a_disk_to_write_to_is_in_one_machine_only(
        self, driver: CloudDriver, twin: CloudDriver, running: VmInfo, image: str, a_volume: str
    ) -> None:
        other = self.run(driver, self.spec(image))
        self.attach(driver, running, a_volume)
        for read_only in (False, True):
            with pytest.raises(CloudBusy):
                twin.attach_volume(other.ref, a_volume, read_only=read_only)
            spec = self.spec(image, volumes=(Plug(volume=a_volume, read_only=read_only),))
            with pytest.raises(CloudBusy):
                driver.create_vm(spec, token=new_token())
        assert driver.get_vm(other.ref).disks == ()
        self.detach(driver, running, a_volume)
        assert self.attach(driver, other, a_volume)

    def test_a_disk_to_read_is_in_many_machines_at_once(
        self, driver: CloudDriver, running: VmInfo, image: str, a_volume: str
    ) -> None:
        plugs = (Plug(volume=a_volume, read_only=True),)
        others = [self.run(driver, self.spec(image, volumes=plugs)) for _ in range(2)]
        assert self.attach(driver, running, a_volume, read_only=True).read_only
        with pytest.raises(CloudBusy):
            driver.attach_volume(running.ref, a_volume, read_only=False)
        for vm in others:
            assert [disk.read_only for disk in driver.get_vm(vm.ref).disks] == [True]
            self.detach(driver, vm, a_volume)
        self.detach(driver, running, a_volume)
        assert not self.attach(driver, running, a_volume).read_only

    def test_of_many_that_want_to_write_at_once_one_may(
        self, driver: CloudDriver, twin: CloudDriver, image: str, a_volume: str
    ) -> None:
        vms = [driver.create_vm(self.spec(image), token=new_token()) for _ in range(4)]

        def ask(n: int) -> bool:
            try:
                (driver, twin)[n % 2].attach_volume(vms[n].ref, a_volume, read_only=False)
            except CloudError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(ask, range(4)))
        holding = [bool(driver.get_vm(vm.ref).disks) for vm in vms]
        assert won == holding
        assert sum(won) == 1

    def test_a_machine_has_room_for_only_so_many(self, driver: CloudDriver, off: VmInfo) -> None:
        attached: list[str] = []
        volume = self.new_volume(driver)

        def fill() -> None:
            nonlocal volume
            while len(attached) < 1000:
                driver.attach_volume(off.ref, volume, read_only=False)
                attached.append(volume)
                volume = self.new_volume(driver)

        with pytest.raises(CloudRefused, match=r"\d"):
            fill()
        assert len(attached) >= 16
        assert [disk.volume for disk in driver.get_vm(off.ref).disks] == attached
        self.detach(driver, off, attached[0])
        assert self.attach(driver, off, volume)

    # A guest that does not let go ----------------------------------------------

    def test_a_guest_that_does_not_let_go_keeps_its_disk_unless_forced(
        self, driver: CloudDriver, running: VmInfo, image: str, a_volume: str
    ) -> None:
        disk = self.attach(driver, running, a_volume)
        self.hold_fast(driver, running.ref, a_volume)
        for _ in range(2):
            with pytest.raises(CloudBusy):
                driver.detach_volume(running.ref, a_volume)
        assert driver.get_vm(running.ref).disks == (disk,)
        with pytest.raises(CloudBusy):
            driver.attach_volume(self.run(driver, self.spec(image)).ref, a_volume, read_only=False)
        driver.detach_volume(running.ref, a_volume, force=True)
        until(lambda: not driver.get_vm(running.ref).disks, within_s=self.PATIENCE_S)

    def test_a_guest_that_lets_go_at_last_gives_its_disk(
        self, driver: CloudDriver, running: VmInfo, a_volume: str
    ) -> None:
        self.attach(driver, running, a_volume)
        self.hold_fast(driver, running.ref, a_volume)
        with pytest.raises(CloudBusy):
            driver.detach_volume(running.ref, a_volume)
        self.hold_fast(driver, running.ref, a_volume, on=False)
        self.detach(driver, running, a_volume)

    # Strangers -----------------------------------------------------------------

    @pytest.mark.parametrize("stranger", [NOBODY, "", "../..", "a\0b", "x" * 300])
    def test_strangers_are_not_found_and_detaching_them_is_quiet(
        self, driver: CloudDriver, running: VmInfo, a_volume: str, stranger: str
    ) -> None:
        with pytest.raises(NotFound, match="machine"):
            driver.attach_volume(stranger, a_volume, read_only=False)
        with pytest.raises(NotFound, match="disk"):
            driver.attach_volume(running.ref, stranger, read_only=True)
        driver.detach_volume(stranger, a_volume)
        driver.detach_volume(running.ref, stranger, force=True)
        assert driver.get_vm(running.ref).disks == ()

    def test_a_machine_with_a_disk_that_is_not_there_is_refused(
        self, driver: CloudDriver, image: str, a_volume: str
    ) -> None:
        for plugs in ((NOBODY,), (a_volume, NOBODY), (a_volume, a_volume)):
            token = new_token()
            spec = self.spec(image, volumes=tuple(Plug(volume=ref) for ref in plugs))
            with pytest.raises(CloudRefused):
                driver.create_vm(spec, token=token)
            assert driver.find_vm(token) is None
        driver.delete_volume(a_volume)

    # Machines that boot from a volume, and volatile disks ------------------------

    @pytest.mark.parametrize("bus", [DiskBus.VIRTIO, DiskBus.SCSI])
    def test_a_machine_boots_from_a_volume_which_outlives_it(
        self, driver: CloudDriver, a_volume: str, bus: DiskBus
    ) -> None:
        if bus not in driver.capabilities().disk_buses:
            return
        other = self.new_volume(driver)
        plain = self.spec("", root_volume=a_volume, disk_bus=bus)
        vm = self.run(driver, plain)
        assert [disk.volume for disk in vm.disks] == [a_volume]
        assert self.attach(driver, vm, other).device != vm.disks[0].device
        with pytest.raises(CloudBusy):
            driver.create_vm(plain, token=new_token())
        with pytest.raises(CloudBusy):
            driver.delete_volume(a_volume)
        with pytest.raises(CloudRefused):
            driver.detach_volume(vm.ref, a_volume, force=True)
        driver.delete_vm(vm.ref)
        until(lambda: driver.find_vm(vm.token) is None, within_s=self.PATIENCE_S)
        assert driver.get_volume(a_volume).size_bytes == GIB
        driver.delete_volume(a_volume)

    def test_a_machine_boots_from_an_image_or_a_volume_and_not_from_both(
        self, driver: CloudDriver, image: str, a_volume: str
    ) -> None:
        for spec in (self.spec(image, root_volume=a_volume), self.spec("")):
            with pytest.raises(CloudRefused):
                driver.create_vm(spec, token=new_token())
        driver.delete_volume(a_volume)

    def test_volatile_disks_come_before_the_others_and_are_no_volumes(
        self, driver: CloudDriver, image: str, a_volume: str
    ) -> None:
        sizes = (GIB, 512)
        vm = self.run(driver, self.spec(image, volatile_bytes=sizes))
        assert vm.disks == ()
        plain = self.run(driver, self.spec(image))
        there = self.attach(driver, vm, a_volume).device
        self.detach(driver, vm, a_volume)
        assert self.attach(driver, plain, a_volume).device < there
        assert [volume.ref for volume in driver.list_volumes()] == [a_volume]

    # What they do ----------------------------------------------------------------

    def test_usage_tells_of_each_disk_that_is_plugged_in(
        self, driver: CloudDriver, running: VmInfo, a_volume: str
    ) -> None:
        assert driver.usage([running.ref])[running.ref].volumes == {}
        self.attach(driver, running, a_volume)
        used = driver.usage([running.ref])[running.ref].volumes
        assert set(used) == {a_volume}
        assert used[a_volume].read_bytes >= 0
        assert used[a_volume].write_bytes >= 0
        self.detach(driver, running, a_volume)
        assert driver.usage([running.ref])[running.ref].volumes == {}
