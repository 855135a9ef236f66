"""The contract of pulling plugs and saving root disks as tests: a mixin of ``DriverContract``."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import new
from pathlib import Path

import pytest

from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudRefused, NotFound
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.volume_conformance import Enough
from cloud.types import SavedDisk, VmInfo, VmPhase, VmSpec

P = VmPhase
IMAGE = "Kfake-image_identifier-0001"


class SavingContract:
    """Every rule of ``cloud/driver.py`` about them that holds on any cloud."""

    PATIENCE_S: float

    def spec(self, image: str, **changes: object) -> VmSpec:
        raise NotImplementedError

    def run(self, driver: CloudDriver, spec: VmSpec) -> VmInfo:
        raise NotImplementedError

    def wait(self, driver: CloudDriver, ref: str, *phases: VmPhase) -> VmInfo:
        raise NotImplementedError

    def bytes_of(self, driver: CloudDriver, ref: str, folder: Path, *, snapshot: str = "") -> bytes:
        raise NotImplementedError

    # What every test says ------------------------------------------------------

    @pytest.fixture
    def saves(self, driver: CloudDriver) -> None:
        """Skip where it cannot be done; that it says so is tested elsewhere."""
        if "save_root_disk" in driver.capabilities().lacks:
            pytest.skip("this engine does not save disks")

    @pytest.fixture
    def pulls(self, driver: CloudDriver) -> None:
        if "power_off_vm" in driver.capabilities().lacks:
            pytest.skip("this engine does not pull plugs")

    @pytest.fixture
    def unplugged(self, driver: CloudDriver, running: VmInfo, pulls: None) -> VmInfo:
        return self.pull(driver, running.ref)

    def pull(self, driver: CloudDriver, ref: str) -> VmInfo:
        driver.power_off_vm(ref)
        return self.wait(driver, ref, P.STOPPED)

    def save(self, driver: CloudDriver, ref: str) -> SavedDisk:
        return driver.save_root_disk(ref, token=new_token(), on_progress=quiet)

    def must_be_told(self, saved: SavedDisk, disk: bytes) -> None:
        """What is said of the disk is so; all its checksums are known, or none is."""
        assert saved.volume.size_bytes == len(disk)
        sums = {name: getattr(saved, name) for name in ("sha1", "sha256", "sha512")}
        if any(sums.values()):
            assert sums == {name: new(name, disk).hexdigest() for name in sums}

    # The plug ------------------------------------------------------------------

    def test_a_pulled_plug_leaves_a_machine_that_starts_again(
        self, driver: CloudDriver, twin: CloudDriver, running: VmInfo, unplugged: VmInfo
    ) -> None:
        assert unplugged.endpoints == running.endpoints
        assert driver.capacity().machines == 0
        twin.power_off_vm(running.ref)
        assert twin.get_vm(running.ref).phase is P.STOPPED
        driver.start_vm(running.ref)
        self.wait(driver, running.ref, P.RUNNING)

    def test_the_plug_of_a_machine_that_waits_can_be_pulled(
        self, driver: CloudDriver, pulls: None
    ) -> None:
        if not driver.capabilities().reserves_before_image:
            return
        ref = driver.create_vm(self.spec(IMAGE), token=new_token()).ref
        driver.power_off_vm(ref)
        assert driver.get_vm(ref).phase is P.STOPPED

    # Saving --------------------------------------------------------------------

    def test_a_saved_disk_is_the_machines_and_needs_neither_it_nor_its_image(
        self, driver: CloudDriver, twin: CloudDriver, unplugged: VmInfo, saves: None, tmp_path: Path
    ) -> None:
        saved = self.save(driver, unplugged.ref)
        assert twin.find_volume(saved.volume.token) == saved.volume
        image = driver.find_image(IMAGE)
        assert image is None or saved.volume.size_bytes == image.virtual_size_bytes
        driver.delete_vm(unplugged.ref)
        driver.delete_image(IMAGE)
        self.must_be_told(saved, self.bytes_of(driver, saved.volume.ref, tmp_path))
        again = driver.create_vm(self.spec("", root_volume=saved.volume.ref), token=new_token())
        self.wait(driver, again.ref, P.RUNNING)

    def test_saving_again_returns_the_same(
        self, driver: CloudDriver, twin: CloudDriver, unplugged: VmInfo, saves: None
    ) -> None:
        saved = self.save(driver, unplugged.ref)
        token = saved.volume.token
        assert twin.save_root_disk(unplugged.ref, token=token, on_progress=quiet) == saved
        driver.delete_vm(unplugged.ref)
        assert twin.save_root_disk(unplugged.ref, token=token, on_progress=quiet) == saved
        assert len(list(driver.list_volumes())) == 1

    def test_a_machine_that_runs_is_saved_and_goes_on(
        self, driver: CloudDriver, running: VmInfo, saves: None, tmp_path: Path
    ) -> None:
        saved = self.save(driver, running.ref)
        assert driver.get_vm(running.ref).phase is P.RUNNING
        self.must_be_told(saved, self.bytes_of(driver, saved.volume.ref, tmp_path))

    def test_a_machine_that_boots_from_a_volume_is_saved_as_a_copy_of_it(
        self, driver: CloudDriver, unplugged: VmInfo, saves: None, tmp_path: Path
    ) -> None:
        root = self.save(driver, unplugged.ref).volume.ref
        vm = self.run(driver, self.spec("", root_volume=root))
        alive = self.save(driver, vm.ref)
        assert driver.get_volume(root).snapshots == ()
        self.pull(driver, vm.ref)
        off = self.save(driver, vm.ref)
        driver.delete_vm(vm.ref)
        kept = self.bytes_of(driver, root, tmp_path)
        self.must_be_told(off, kept)
        assert self.bytes_of(driver, off.volume.ref, tmp_path) == kept
        driver.delete_volume(root)
        self.must_be_told(alive, self.bytes_of(driver, alive.volume.ref, tmp_path))

    def test_saving_says_how_far_it_is_and_can_be_abandoned(
        self, driver: CloudDriver, unplugged: VmInfo, saves: None
    ) -> None:
        def abandon(done: int, in_all: int) -> None:
            raise Enough

        token = new_token()
        with pytest.raises(Enough):
            driver.save_root_disk(unplugged.ref, token=token, on_progress=abandon)
        assert driver.find_volume(token) is None
        assert list(driver.list_volumes()) == []
        told: list[tuple[int, int]] = []
        saved = driver.save_root_disk(
            unplugged.ref, token=token, on_progress=lambda done, in_all: told.append((done, in_all))
        )
        assert told[-1] == (saved.volume.size_bytes, saved.volume.size_bytes)
        assert told == sorted(told)

    def test_many_who_save_one_machine_under_one_name_make_one_volume(
        self, driver: CloudDriver, twin: CloudDriver, unplugged: VmInfo, saves: None
    ) -> None:
        token = new_token()

        def ask(n: int) -> list[SavedDisk]:
            one = (driver, twin)[n % 2]
            with suppress(CloudBusy):
                return [one.save_root_disk(unplugged.ref, token=token, on_progress=quiet)]
            return []

        def answers() -> list[SavedDisk]:
            with ThreadPoolExecutor(4) as pool:
                return [saved for some in pool.map(ask, range(8)) for saved in some]

        assert len(set(map(repr, until(answers, within_s=self.PATIENCE_S)))) == 1
        assert len(list(driver.list_volumes())) == 1

    def test_a_machine_that_never_started_has_no_disk(
        self, driver: CloudDriver, saves: None, pulls: None
    ) -> None:
        if not driver.capabilities().reserves_before_image:
            return
        ref = driver.create_vm(self.spec(IMAGE), token=new_token()).ref
        with pytest.raises(CloudBusy):
            self.save(driver, ref)
        driver.power_off_vm(ref)
        with pytest.raises(CloudRefused):
            self.save(driver, ref)
        assert list(driver.list_volumes()) == []

    @pytest.mark.parametrize(
        "ref", ["00000000-0000-4000-8000-000000000000", "", "no-such", "../..", "a\0b", "x" * 300]
    )
    def test_a_stranger_has_no_disk_to_be_saved(
        self, driver: CloudDriver, saves: None, ref: str
    ) -> None:
        with pytest.raises(NotFound):
            self.save(driver, ref)
        assert list(driver.list_volumes()) == []

    def test_a_volume_that_was_not_saved_has_no_checksums(
        self, driver: CloudDriver, saves: None
    ) -> None:
        volume = driver.create_volume(1 << 20, token=new_token())
        saved = driver.save_root_disk(new_token(), token=volume.token, on_progress=quiet)
        assert saved == SavedDisk(volume=volume)
