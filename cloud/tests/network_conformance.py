"""The contract of private networks as tests: a mixin of ``DriverContract``.

A subclass says with ``hold_card`` how one of its guests comes not to let go of a card.
"""

from contextlib import suppress

import pytest

from cloud import cards
from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudRefused, NotFound, Unsupported
from cloud.tests.contract import new_token, until
from cloud.types import ContextMethod, Nic, VmInfo, VmPhase, VmSpec

P = VmPhase
NOBODY = "00000000-0000-4000-8000-000000000000"


class NetworkContract:
    """Every rule of ``cloud/driver.py`` about private networks that holds on any cloud."""

    PATIENCE_S: float

    def spec(self, image: str, **changes: object) -> VmSpec:
        raise NotImplementedError

    def run(self, driver: CloudDriver, spec: VmSpec) -> VmInfo:
        raise NotImplementedError

    def wait(self, driver: CloudDriver, ref: str, *phases: VmPhase) -> VmInfo:
        raise NotImplementedError

    def power_off(self, driver: CloudDriver, ref: str) -> VmInfo:
        raise NotImplementedError

    def hold_card(self, driver: CloudDriver, vm: str, mac: str, *, on: bool = True) -> None:
        """Have the guest not let go of a card, or do it again."""
        raise NotImplementedError

    # What every test says ------------------------------------------------------

    @pytest.fixture
    def network(self, driver: CloudDriver) -> str:
        if sentence := driver.capabilities().lacks.get("networks"):
            with pytest.raises(Unsupported):
                driver.create_network(token=new_token())
            pytest.skip(sentence)
        return driver.create_network(token=new_token()).ref

    def nic(self, network: str, host: int = 2) -> Nic:
        mac = cards.hardware_address(new_token())
        return Nic(network=network, mac=mac, address=f"10.77.3.{host}/24")

    def nics(self, driver: CloudDriver, vm: VmInfo) -> tuple[Nic, ...]:
        return driver.get_vm(vm.ref).nics

    def unplug(self, driver: CloudDriver, vm: VmInfo, nic: Nic) -> None:
        """Ask until the guest has let go: one that is just booting does not listen."""

        def is_asked() -> bool:
            with suppress(CloudBusy):
                driver.detach_nic(vm.ref, nic.mac)
                return True
            return False

        until(is_asked, within_s=self.PATIENCE_S, what="the guest lets go")
        until(lambda: nic not in self.nics(driver, vm), within_s=self.PATIENCE_S)

    # Networks ------------------------------------------------------------------

    def test_a_network_is_found_by_its_token_from_every_driver(
        self, driver: CloudDriver, twin: CloudDriver, network: str
    ) -> None:
        (info,) = twin.list_networks()
        assert info.ref == network
        assert twin.find_network(info.token) == info
        assert driver.find_network(new_token()) is None

    def test_asking_twice_makes_one_network(
        self, driver: CloudDriver, twin: CloudDriver, network: str
    ) -> None:
        (info,) = driver.list_networks()
        assert twin.create_network(token=info.token) == info
        assert list(driver.list_networks()) == [info]

    def test_a_deleted_network_is_gone_and_deleting_is_harmless_to_repeat(
        self, driver: CloudDriver, twin: CloudDriver, network: str
    ) -> None:
        twin.delete_network(network)
        driver.delete_network(network)
        for stranger in (NOBODY, "", "../..", "a\0b"):
            driver.delete_network(stranger)
        assert list(driver.list_networks()) == []

    def test_a_network_is_named_by_a_uuid(self, driver: CloudDriver, network: str) -> None:
        for name in ("", "../..", "mine"):
            with pytest.raises(CloudRefused):
                driver.create_network(token=name)

    def test_a_network_with_machines_on_it_stays(
        self, driver: CloudDriver, twin: CloudDriver, image: str, network: str
    ) -> None:
        vm = self.run(driver, self.spec(image, nics=(self.nic(network),)))
        with pytest.raises(CloudBusy):
            twin.delete_network(network)
        self.power_off(driver, vm.ref)
        with pytest.raises(CloudBusy):
            driver.delete_network(network)
        driver.delete_vm(vm.ref)
        until(lambda: driver.find_vm(vm.token) is None, within_s=self.PATIENCE_S)
        driver.delete_network(network)
        assert list(twin.list_networks()) == []

    # Cards ---------------------------------------------------------------------

    def test_a_machine_has_the_cards_that_it_was_made_with(
        self, driver: CloudDriver, twin: CloudDriver, image: str, network: str
    ) -> None:
        other = driver.create_network(token=new_token()).ref
        wanted = (self.nic(network), self.nic(other), Nic(network=other, mac="0a:00:00:00:00:01"))
        vm = self.run(driver, self.spec(image, nics=wanted))
        assert vm.nics == wanted
        assert [info.nics for info in twin.list_vms()] == [wanted]
        self.power_off(driver, vm.ref)
        assert self.nics(driver, vm) == wanted
        driver.start_vm(vm.ref)
        assert self.wait(driver, vm.ref, P.RUNNING).nics == wanted

    def test_a_card_is_plugged_into_a_running_machine_and_out_again(
        self, driver: CloudDriver, twin: CloudDriver, running: VmInfo, network: str
    ) -> None:
        assert running.nics == ()
        nic = self.nic(network)
        for one in (driver, twin):
            one.attach_nic(running.ref, nic)
            until(lambda: self.nics(driver, running) == (nic,), within_s=self.PATIENCE_S)
        with pytest.raises(CloudBusy):
            driver.delete_network(network)
        self.unplug(twin, running, nic)
        driver.detach_nic(running.ref, nic.mac)
        driver.delete_network(network)
        assert self.nics(twin, running) == ()

    def test_a_machine_that_is_off_takes_cards_and_gives_them_back(
        self, driver: CloudDriver, running: VmInfo, network: str
    ) -> None:
        self.power_off(driver, running.ref)
        kept, given_back = self.nic(network, 2), self.nic(network, 3)
        for nic in (kept, given_back):
            driver.attach_nic(running.ref, nic)
        driver.detach_nic(running.ref, given_back.mac)
        assert self.nics(driver, running) == (kept,)
        driver.start_vm(running.ref)
        assert self.wait(driver, running.ref, P.RUNNING).nics == (kept,)

    def test_a_guest_may_hold_on_to_a_card(
        self, driver: CloudDriver, running: VmInfo, network: str
    ) -> None:
        nic = self.nic(network)
        driver.attach_nic(running.ref, nic)
        self.hold_card(driver, running.ref, nic.mac)
        with pytest.raises(CloudBusy):
            driver.detach_nic(running.ref, nic.mac)
        assert self.nics(driver, running) == (nic,)
        self.hold_card(driver, running.ref, nic.mac, on=False)
        self.unplug(driver, running, nic)

    def test_a_machine_has_room_for_so_many_cards(
        self, driver: CloudDriver, image: str, network: str
    ) -> None:
        nics = tuple(self.nic(network, n) for n in range(1, cards.MOST + 2))
        with pytest.raises(CloudRefused, match=str(cards.MOST)):
            driver.create_vm(self.spec(image, nics=nics), token=new_token())
        vm = self.run(driver, self.spec(image, nics=nics[:-1]))
        with pytest.raises(CloudRefused, match=str(cards.MOST)):
            driver.attach_nic(vm.ref, nics[-1])
        assert self.nics(driver, vm) == nics[:-1]

    def test_two_cards_of_a_network_have_two_hardware_addresses(
        self, driver: CloudDriver, image: str, running: VmInfo, network: str
    ) -> None:
        nic = self.nic(network)
        token = new_token()
        driver.attach_nic(running.ref, nic)
        with pytest.raises(CloudRefused, match=nic.mac):
            driver.create_vm(self.spec(image, nics=(nic,)), token=token)
        assert driver.find_vm(token) is None
        other = driver.create_network(token=new_token()).ref
        with pytest.raises(CloudBusy):
            driver.attach_nic(running.ref, Nic(network=other, mac=nic.mac))

    def test_strangers_are_not_found(
        self, driver: CloudDriver, running: VmInfo, image: str, network: str
    ) -> None:
        for ref in (NOBODY, "", "../.."):
            with pytest.raises(NotFound, match="machine"):
                driver.attach_nic(ref, self.nic(network))
            with pytest.raises(NotFound, match="network"):
                driver.attach_nic(running.ref, self.nic(ref))
            with pytest.raises(CloudRefused, match="network"):
                driver.create_vm(self.spec(image, nics=(self.nic(ref),)), token=new_token())
            driver.detach_nic(ref, "0a:00:00:00:00:01")
        driver.detach_nic(running.ref, "0a:00:00:00:00:01")
        driver.detach_nic(running.ref, "nonsense")
        assert self.nics(driver, running) == ()

    @pytest.mark.parametrize(
        "nonsense",
        [
            {"mac": ""},
            {"mac": "0A:00:00:00:00:01"},
            {"mac": "01:00:00:00:00:01"},
            {"mac": "0a:00:00:00:00:01,bus=rp0"},
            {"mac": "0a:00:00:00:00:01", "address": "10.77.3.2"},
            {"mac": "0a:00:00:00:00:01", "address": "10.77.3.0/24"},
            {"mac": "0a:00:00:00:00:01", "address": "10.77.3.255/24"},
            {"mac": "0a:00:00:00:00:01", "address": "127.0.0.1/8"},
            {"mac": "0a:00:00:00:00:01", "address": "239.1.1.1/24"},
            {"mac": "0a:00:00:00:00:01", "address": "nonsense\nversion: 1"},
        ],
        ids=str,
    )
    def test_what_is_no_card_is_refused(
        self,
        driver: CloudDriver,
        running: VmInfo,
        image: str,
        network: str,
        nonsense: dict[str, str],
    ) -> None:
        nic = Nic(network=network, **nonsense)
        with pytest.raises(CloudRefused):
            driver.attach_nic(running.ref, nic)
        with pytest.raises(CloudRefused):
            driver.create_vm(self.spec(image, nics=(nic,)), token=new_token())

    # What guests are told ------------------------------------------------------

    @pytest.mark.parametrize("pairs", [{"a b": ""}, {"1A": ""}, {"A": "", "a": ""}, {"A": "\0"}])
    def test_what_cannot_be_variables_is_refused(
        self, driver: CloudDriver, image: str, pairs: dict[str, str]
    ) -> None:
        token = new_token()
        with pytest.raises(CloudRefused):
            driver.create_vm(self.spec(image, context=pairs), token=token)
        assert driver.find_vm(token) is None

    @pytest.mark.parametrize("method", ContextMethod)
    def test_a_machine_comes_up_with_either_medium(
        self, driver: CloudDriver, image: str, method: ContextMethod
    ) -> None:
        pairs = {"a": "'; reboot #", "B": "two\nlines", "PUBLIC_KEY": "ssh-ed25519 AAAA me"}
        data = "#!/bin/sh\nexit 0\n" + "# padding\n" * 200_000
        spec = self.spec(image, context_method=method, context=pairs, user_data=data)
        assert self.run(driver, spec).phase is P.RUNNING
