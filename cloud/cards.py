"""Network cards on private networks: the rules that hold on every cloud. No engine code."""

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence

from cloud.types import Nic

#: Of one machine, beside the first card, which has the forwarded ports.
MOST = 4
TOO_MANY = f"A machine has room for {MOST} cards on private networks. Detach one first."

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def hardware_address(*names: str) -> str:
    """A MAC address that follows from ``names``: locally administered, of one card."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return "0a:" + ":".join(f"{byte:02x}" for byte in digest[:5])


def first(token: str) -> str:
    """The hardware address of the card that has the forwarded ports, of machine ``token``."""
    digest = hashlib.sha256(token.encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def problem(nics: Sequence[Nic]) -> str:
    """Why no machine can have these cards, in a sentence; empty if it can."""
    if len(nics) > MOST:
        return f"It asks for {len(nics)} cards on private networks; a machine has at most {MOST}."
    if repeated := _repeated(nic.mac for nic in nics):
        return f"Two of its cards have the hardware address {repeated}."
    return next(filter(None, map(_problem, nics)), "")


def _problem(nic: Nic) -> str:
    if not _MAC.fullmatch(nic.mac) or int(nic.mac[:2], 16) & 1:
        return (
            "A hardware address is that of one card: six bytes in lower case with colons, the"
            f" first of them even. “{nic.mac[:40]}” is not."
        )
    try:
        if nic.address and not is_of_a_machine(nic.address):
            return (
                f"“{nic.address[:40]}” is not an address that a machine can have: it is that of"
                " the network itself, or lacks /24 or another length."
            )
    except ValueError:
        return f"“{nic.address[:40]}” is not an address such as 10.77.3.2/24."
    return ""


def is_of_a_machine(address: str) -> bool:
    """Whether "10.77.3.2/24" can be a machine's, in a network of its length.

    Raises:
        ValueError: it is no address.
    """
    interface = ipaddress.ip_interface(address)
    network = interface.network
    ends = (network.network_address, network.broadcast_address)
    return (
        "/" in address
        and not (interface.is_multicast or interface.is_loopback or interface.is_unspecified)
        and (network.num_addresses <= 2 or interface.ip not in ends)
    )


def _repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
