"""The fake cloud's private networks: by the embedded engine's rules, and a guest that holds on."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from cloud import cards
from cloud.errors import CloudBusy, CloudRefused, NotFound
from cloud.types import NetworkInfo, Nic, VmSpec

NO_SUCH = "There is no such network."


class _Vm(Protocol):
    nics: tuple[Nic, ...]
    held_cards: set[str]


class FakeNetworks(ABC):
    """The contract's calls for private networks, and a handle for tests."""

    @abstractmethod
    def _call(self, name: str) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _networks(self) -> set[str]: ...

    @abstractmethod
    def _vms(self) -> Mapping[str, _Vm]: ...

    @abstractmethod
    def _vm(self, ref: str) -> _Vm:
        """Raises: NotFound: there is no such machine."""

    @abstractmethod
    def _is_alive(self, ref: str) -> bool: ...

    @abstractmethod
    def _tell(self, ref: str) -> None: ...

    # Handles for tests ---------------------------------------------------------

    def refuse_nic_detach(self, vm: str, mac: str, *, on: bool = True) -> None:
        """Have a guest that does not let go of a card, as long as its machine runs."""
        held_cards = self._vm(vm).held_cards
        (held_cards.add if on else held_cards.discard)(mac)

    # The contract --------------------------------------------------------------

    def find_network(self, token: str) -> NetworkInfo | None:
        with self._call("find_network"):
            return _info(token) if token in self._networks() else None

    def list_networks(self) -> Iterable[NetworkInfo]:
        with self._call("list_networks"):
            return [_info(token) for token in sorted(self._networks())]

    def create_network(self, *, token: str) -> NetworkInfo:
        with self._call("create_network"):
            if not _is_uuid(token):
                raise CloudRefused("A network is named by a UUID.", detail=token)
            self._networks().add(token)
            return _info(token)

    def delete_network(self, ref: str) -> None:
        with self._call("delete_network"):
            count = sum(any(nic.network == ref for nic in vm.nics) for vm in self._vms().values())
            if count:
                many = "a machine is" if count == 1 else f"{count} machines are"
                raise CloudBusy(f"It cannot go: {many} on this network. Detach them first.")
            self._networks().discard(ref)

    def attach_nic(self, vm_ref: str, nic: Nic) -> None:
        with self._call("attach_nic"):
            vm = self._vm(vm_ref)
            if problem := cards.problem([nic]):
                raise CloudRefused(problem)
            if mine := next((one for one in vm.nics if one.mac == nic.mac), None):
                if mine.network != nic.network:
                    raise CloudBusy("This card is on another network. Detach it there first.")
                return
            if len(vm.nics) >= cards.MOST:
                raise CloudRefused(cards.TOO_MANY)
            self._join(vm, nic)
            self._tell(vm_ref)

    def detach_nic(self, vm_ref: str, mac: str) -> None:
        with self._call("detach_nic"):
            vm = self._vms().get(vm_ref)
            if vm is None or all(nic.mac != mac for nic in vm.nics):
                return
            if mac in vm.held_cards and self._is_alive(vm_ref):
                raise CloudBusy("The guest has not let go of this card. Try again.")
            vm.nics = tuple(nic for nic in vm.nics if nic.mac != mac)
            vm.held_cards.discard(mac)
            self._tell(vm_ref)

    # Inside --------------------------------------------------------------------

    def _join_all(self, spec: VmSpec, vm: str) -> None:
        """Raises: CloudRefused: there is no such network, or a card's address is taken."""
        for nic in spec.nics:
            try:
                self._join(self._vm(vm), nic)
            except NotFound as error:
                raise CloudRefused("One of its networks does not exist any more.") from error

    def _join(self, vm: _Vm, nic: Nic) -> None:
        if nic.network not in self._networks():
            raise NotFound(NO_SUCH, detail=nic.network)
        others = (other for each in self._vms().values() for other in each.nics)
        if any((nic.network, nic.mac) == (other.network, other.mac) for other in others):
            raise CloudRefused(f"Another card on this network has the hardware address {nic.mac}.")
        vm.nics = (*vm.nics, nic)


def _info(token: str) -> NetworkInfo:
    return NetworkInfo(ref=token, token=token)


def _is_uuid(token: str) -> bool:
    try:
        return str(uuid.UUID(token)) == token
    except ValueError:
        return False
