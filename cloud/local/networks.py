"""Private networks: Ethernet frames as multicast on this host's loopback interface.

::

    networks/<token>   {"group": "239.…", "port": …}, readable by us alone

A network is a group and a port that no other network of the site has. The machines' QEMUs send
each frame there and hear what comes there; a guest cannot choose another, and nothing leaves the
loopback interface, because that is the one that they join and send on. On this host other users
can see which groups are joined (/proc/net): like the forwarded ports, private networks keep guests
apart, not the accounts of the host itself.

``locks/networks`` is held by whoever makes or removes one, or puts a machine on it; who is on a
network follows from the machines' records.
"""

import contextlib
import functools
import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cloud.errors import CloudBusy, CloudRefused, CloudUnavailable, NotFound, Unsupported
from cloud.local import files
from cloud.local.machine import records
from cloud.local.site import Site, is_machine_name
from cloud.types import NetworkInfo

LOOPBACK = "127.0.0.1"
NO_SUCH = "There is no such network."
NO_MULTICAST = (
    "Private networks are not offered: this host's loopback interface carries no multicast."
)
#: Above the ports that Linux gives to programs that ask for any.
FIRST_PORT, LAST_PORT = 61000, 65535


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the frames of a network go: RFC 2365, organization-local scope."""

    group: str
    port: int

    def netdev(self, name: str) -> dict[str, Any]:
        """QEMU's word for being on it (QAPI, ``NetdevDgramOptions``)."""
        return {
            "type": "dgram",
            "id": name,
            "local": {"type": "inet", "host": LOOPBACK, "port": str(self.port)},
            "remote": {"type": "inet", "host": self.group, "port": str(self.port)},
        }


@functools.cache
def lacks() -> dict[str, str]:
    """What this host's networks lack, in sentences."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        member = socket.inet_aton("239.192.0.1") + socket.inet_aton(LOOPBACK)
        try:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        except OSError:
            return {"networks": NO_MULTICAST}
    return {}


def find(site: Site, token: str) -> NetworkInfo | None:
    try:
        wire(site, token)
    except NotFound:
        return None
    return NetworkInfo(ref=token, token=token)


def every(site: Site) -> Iterator[NetworkInfo]:
    for token in files.names(site.networks):
        yield NetworkInfo(ref=token, token=token)


def wire(site: Site, token: str) -> Wire:
    """Raises: NotFound. CloudUnavailable: its record is damaged."""
    if not is_machine_name(token):
        raise NotFound(NO_SUCH, detail=token)
    try:
        return Wire(**json.loads((site.networks / token).read_bytes()))
    except FileNotFoundError:
        raise NotFound(NO_SUCH, detail=token) from None
    except (ValueError, TypeError) as error:
        raise CloudUnavailable(
            "This network's record on disk is damaged. An administrator can help.",
            detail=f"{site.networks / token}: {error!r}",
        ) from error


def create(site: Site, token: str) -> None:
    """See ``CloudDriver.create_network``."""
    if not is_machine_name(token):
        raise CloudRefused("A network is named by a UUID.", detail=token)
    if sentence := lacks().get("networks"):
        raise Unsupported(sentence)
    with locked(site):
        if find(site, token) is None:
            new = _unused(site)
            files.write(site.networks / token, json.dumps(asdict(new)).encode())


def _unused(site: Site) -> Wire:
    taken = set()
    for token in files.names(site.networks):
        with contextlib.suppress(CloudUnavailable):
            taken.add(wire(site, token).group)
    while True:
        number = 239 << 24 | 192 << 16 | secrets.randbelow(1 << 18)  # 239.192.0.0/14
        group = socket.inet_ntoa(number.to_bytes(4))
        if group not in taken:
            port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT + 1)
            return Wire(group=group, port=port)


def delete(site: Site, token: str) -> None:
    """See ``CloudDriver.delete_network``."""
    if not is_machine_name(token):
        return
    with locked(site):
        count = sum(token in record.networks for record in records(site))
        if count:
            many = "a machine is" if count == 1 else f"{count} machines are"
            raise CloudBusy(f"It cannot go: {many} on this network. Detach them first.")
        (site.networks / token).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(site: Site) -> Iterator[None]:
    """Be the only one who makes or removes networks, or puts machines on them."""
    site.make()
    busy = "Many networks are being changed now. Try again."
    with files.locked(site.locks / "networks", wait_s=site.timeout_s, busy=busy):
        yield
