"""TCP ports and user ids of machines: chosen by us, written down before anything starts."""

import secrets
import socket
from collections.abc import Collection, Iterable

from cloud.errors import CloudBusy
from cloud.local.site import Site

#: First user id that machines run as: above every range that systemd or shadow hand out.
FIRST_UID = 1_900_000_000
UIDS = 100_000


def choose(site: Site, count: int, *, taken: Collection[int]) -> list[int]:
    """``count`` ports of the site's range that no machine has and nobody listens on.

    From a random place, so that a port just given back is not given at once to a
    stranger whose host key users would be warned about.

    Raises:
        CloudBusy: the range is used up.
    """
    first, last = site.ports
    span = last - first + 1
    offset = secrets.randbelow(span)
    chosen: list[int] = []
    for step in range(span):
        if len(chosen) == count:
            break
        port = first + (offset + step) % span
        if port not in taken and is_free(site.bind_address, port):
            chosen.append(port)
    if len(chosen) < count:
        raise CloudBusy(
            f"The site has {span} ports for machines and all are in use."
            " Try again when a machine has ended."
        )
    return chosen


def is_free(address: str, port: int) -> bool:
    """Whether one could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_uid(taken: Iterable[int | None]) -> int:
    """A user id that no machine has."""
    used = set(taken)
    offset = secrets.randbelow(UIDS)
    return next(
        uid for step in range(UIDS) if (uid := FIRST_UID + (offset + step) % UIDS) not in used
    )
