"""Cards on private networks: which a machine has, and plugging them in and out.

As with disks (``attach``) the record says what the machine holds and how far that is, and QEMU is
asked only while it lives. Each card has a PCI Express port of its own, because only those take
cards while the guest runs; the guest has to let go of one (ACPI), so its wire is cut first.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qemu.qmp import ExecuteError, QMPClient

from cloud import cards
from cloud.errors import CloudBusy, CloudError, CloudRefused, NotFound
from cloud.local import networks, qmp
from cloud.local.machine import Card, Hold, Machine, Record, records
from cloud.local.networks import Wire
from cloud.local.site import Site, is_machine_name
from cloud.types import Nic

#: A guest lets go of a card within 0.1 s, if it listens.
GONE_S = 4.0
SETTLE_S = 1.0
HELD = (
    "The guest has not let go of this card, whose wire is cut. Try again, or shut the machine down."
)
NOT_NOW = "The machine cannot take this card now. Try again, or shut the machine down first."


# The record ----------------------------------------------------------------------------------


def placed(nics: Sequence[Nic]) -> tuple[Card, ...]:
    """The cards of a machine that is being made."""
    return tuple(Card(nic=nic, slot=slot) for slot, nic in enumerate(nics))


def shown(record: Record) -> tuple[Nic, ...]:
    return tuple(card.nic for card in record.cards if card.hold is not Hold.COMING)


def at_start(record: Record) -> tuple[Card, ...]:
    """Those that a machine starts with: what was half unplugged is out by now."""
    staying = (card for card in record.cards if card.hold is not Hold.LEAVING)
    return tuple(replace(card, hold=Hold.IN) for card in staying)


@contextlib.contextmanager
def taken(site: Site, nics: Sequence[Nic], *, vm: str) -> Iterator[None]:
    """Put a machine on networks, whose record is written inside.

    Raises:
        CloudRefused: there is no such network, or a hardware address is taken there.
    """
    if not nics:
        yield
        return
    with networks.locked(site):
        for nic in nics:
            try:
                _must_be_free(site, nic, vm=vm)
            except NotFound as error:
                raise CloudRefused(
                    "One of its networks does not exist any more.", detail=nic.network
                ) from error
        yield


def _must_be_free(site: Site, nic: Nic, *, vm: str) -> None:
    networks.wire(site, nic.network)
    for other in records(site):
        if other.token == vm:
            continue
        if any((each.nic.network, each.nic.mac) == (nic.network, nic.mac) for each in other.cards):
            raise CloudRefused(f"Another card on this network has the hardware address {nic.mac}.")


# The verbs -----------------------------------------------------------------------------------


def attach(one: Machine, nic: Nic) -> None:
    """See ``CloudDriver.attach_nic``."""
    with one.locked():
        record = one.load()
        if problem := cards.problem([nic]):
            raise CloudRefused(problem)
        card = record.card(nic.mac)
        if card and card.nic.network != nic.network:
            raise CloudBusy("This machine has the card on another network. Detach it there first.")
        if card is None:
            record = _hold(one, record, nic)
        if record.is_alive:
            _plug_in(one, record, nic.mac)
        elif card and card.hold is not Hold.IN:
            _mark(one, record, nic.mac, Hold.IN)


def _hold(one: Machine, record: Record, nic: Nic) -> Record:
    used = {card.slot for card in record.cards}
    slot = next((n for n in range(cards.MOST) if n not in used), None)
    if slot is None:
        raise CloudRefused(cards.TOO_MANY)
    with networks.locked(one.site):
        _must_be_free(one.site, nic, vm=one.token)
        hold = Hold.COMING if record.is_alive else Hold.IN
        return one.save(record, cards=(*record.cards, Card(nic=nic, slot=slot, hold=hold)))


def _plug_in(one: Machine, record: Record, mac: str) -> None:
    card = _card(record, mac)
    wire = networks.wire(one.site, card.nic.network)

    async def work(client: QMPClient) -> None:
        await _put_in(client, card, wire)

    try:
        qmp.talk(one.run, work, timeout_s=one.site.timeout_s)
    except CloudError:
        if card.hold is Hold.COMING:
            _strike(one, record, mac)
        raise
    if card.hold is not Hold.IN:
        _mark(one, record, mac, Hold.IN)


def detach(one: Machine, mac: str) -> None:
    """See ``CloudDriver.detach_nic``."""
    if not is_machine_name(one.token) or one.find() is None:
        return
    with one.locked():
        record = one.find()
        if record is None or record.card(mac) is None:
            return
        if record.is_alive:
            record = _mark(one, record, mac, Hold.LEAVING)
            _pull(one, _card(record, mac), gone_s=GONE_S, timeout_s=one.site.timeout_s)
        _strike(one, record, mac)


def settle(one: Machine) -> None:
    """Take back what a killed process had begun to plug in; see what the guest has let go of."""
    with contextlib.suppress(CloudError, OSError, qmp.NoAnswer):
        if not _restless(one.find()):
            return
        with one.locked(wait_s=0):
            record = one.load()
            for card in _restless(record):
                with contextlib.suppress(CloudBusy):
                    if record.is_alive:
                        _pull(one, card, gone_s=0, timeout_s=SETTLE_S)
                    record = _strike(one, record, card.nic.mac)


def _restless(record: Record | None) -> list[Card]:
    return [card for card in record.cards if card.hold is not Hold.IN] if record else []


def _pull(one: Machine, card: Card, *, gone_s: float, timeout_s: float) -> None:
    async def work(client: QMPClient) -> None:
        await _pull_out(client, card, gone_s=gone_s)

    qmp.talk(one.run, work, timeout_s=timeout_s)


def _mark(one: Machine, record: Record, mac: str, hold: Hold) -> Record:
    changed = tuple(
        replace(card, hold=hold) if card.nic.mac == mac else card for card in record.cards
    )
    return one.save(record, cards=changed)


def _strike(one: Machine, record: Record, mac: str) -> Record:
    return one.save(record, cards=tuple(card for card in record.cards if card.nic.mac != mac))


def _card(record: Record, mac: str) -> Card:
    card = record.card(mac)
    if card is None:
        raise NotFound("The machine has no such card.", detail=mac)
    return card


# QEMU's words --------------------------------------------------------------------------------


def ports() -> list[str]:
    """The machine's PCI Express ports, one for each card that may come."""
    # The fourth came later. It sits apart, so that what a guest knows by its place stays there.
    places = [f"slot={n + 1}{',addr=0x10' if n == 3 else ''}" for n in range(cards.MOST)]
    devices = [f"pcie-root-port,id=rp{n},chassis={n + 1},{at}" for n, at in enumerate(places)]
    return [argument for device in devices for argument in ("-device", device)]


def argv(record: Record, wires: Mapping[str, Wire]) -> list[str]:
    """The cards that a machine starts with; ``wires`` by network."""
    parts = []
    for card in record.cards:
        netdev = wires[card.nic.network].netdev(_wire_id(card))
        parts += ["-netdev", json.dumps(netdev), "-device", json.dumps(_device(card))]
    return parts


def _device(card: Card) -> dict[str, Any]:
    return {
        "driver": "virtio-net-pci",
        "id": _card_id(card),
        "netdev": _wire_id(card),
        "mac": card.nic.mac,
        "bus": f"rp{card.slot}",
        "romfile": "",
    }


def _card_id(card: Card) -> str:
    return f"card-{card.nic.mac.replace(':', '')}"


def _wire_id(card: Card) -> str:
    return f"wire-{card.nic.mac.replace(':', '')}"


async def _put_in(client: QMPClient, card: Card, wire: Wire) -> None:
    """Give the guest the card. Quiet if it has it.

    Raises:
        CloudBusy: QEMU would not take it.
    """
    if card.hold is not Hold.IN:
        await _pull_out(client, card, gone_s=GONE_S)
    elif await _has(client, card):
        return
    try:
        await _ask(client, "netdev_add", wire.netdev(_wire_id(card)))
        await _ask(client, "device_add", _device(card))
    except ExecuteError as error:
        with contextlib.suppress(ExecuteError):
            await _ask(client, "netdev_del", {"id": _wire_id(card)})
        raise CloudBusy(NOT_NOW, detail=str(error)) from error


async def _pull_out(client: QMPClient, card: Card, *, gone_s: float) -> None:
    """Cut the wire, and take the card from the guest.

    Raises:
        CloudBusy: it has not let go of it within ``gone_s``.
    """
    if await _has(client, card):
        await _ask(client, "set_link", {"name": _card_id(card), "up": False})
        with client.listener(("DEVICE_DELETED",)) as gone:
            with contextlib.suppress(ExecuteError):  # it is on its way already
                await _ask(client, "device_del", {"id": _card_id(card)})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_hear(gone, _card_id(card)), gone_s)
        if await _has(client, card):
            raise CloudBusy(HELD)
    with contextlib.suppress(ExecuteError):  # it was cut before
        await _ask(client, "netdev_del", {"id": _wire_id(card)})


async def _hear(gone: Any, name: str) -> None:
    while (await gone.get())["data"].get("device") != name:
        pass


async def _has(client: QMPClient, card: Card) -> bool:
    devices = await _ask(client, "qom-list", {"path": "/machine/peripheral"})
    return any(device["name"] == _card_id(card) for device in devices)


async def _ask(client: QMPClient, command: str, arguments: qmp.Answer = None) -> qmp.Answer:
    return await client.execute(command, arguments)
