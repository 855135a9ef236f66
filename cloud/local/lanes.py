"""The queue: machines boot in as many lanes as there are cores, and only into free room.

Twenty software-emulated guests that boot at once take five times longer than through
two lanes (engine.md, section 8). A lane is held from QEMU's start until the guest is
ready, or for ``LONGEST_S``. Nobody owns the queue: whoever looks at the site, moves it.

``queue/<when>-<token>`` is a place in the queue and holds the reason for waiting;
``lanes/<token>`` is a lane and holds where in the console log this boot begins.
"""

import contextlib
import logging
import os
import select
import socket
import subprocess
import time
from pathlib import Path

from cloud.errors import CloudBusy, CloudError
from cloud.local import boot, files
from cloud.local.boot import Outcome
from cloud.local.edge import translated
from cloud.local.machine import Machine, Record, Stage, records
from cloud.local.site import OVERHEAD_MIB, Site, host_memory_mib, memory_mib

logger = logging.getLogger(__name__)

LONGEST_S = 30.0
BANNER_WAIT_MS = 200
LOG_TAIL = 4096
#: A start that failed for want of room is not tried again sooner.
TRY_AGAIN_S = 1.0
#: A look at one machine may boot others: it begins no further one after so long. With one
#: boot (``boot.UP_S``) a look stays below the ten seconds that a caller may have for it.
PROMOTE_S = 2.0


def enqueue(site: Site, record: Record) -> None:
    """Give a machine its place, the same one however often it is asked."""
    place = _place(site, record)
    if not place.exists():
        files.write(place, b"", durable=False)


def leave(site: Site, token: str) -> None:
    """Take a machine out of queue and lanes."""
    _leave_lane(site, token)
    for name in files.names(site.queue):
        if name.endswith(f"-{token}"):
            (site.queue / name).unlink(missing_ok=True)


def why_waiting(site: Site, record: Record) -> str:
    """What a queued machine waits for, for its user."""
    place = _place(site, record)
    with contextlib.suppress(FileNotFoundError):
        if note := place.read_text():
            return note
    before = sum(name < place.name for name in files.names(site.queue))
    if before:
        return f"Waits for its turn to boot: {before} before it."
    return f"Waits for a boot lane: {site.boot_lanes} machines may boot at a time."


def promote(site: Site) -> list[str]:
    """Start whoever may start now; returns the tokens of machines that left the queue.

    Never waits for another process that is at it already, and never fails: whoever looks
    moves the queue, and a full disk must not keep anybody from looking and making room.
    """
    if not files.names(site.queue):
        return []
    try:
        with files.locked(site.locks / "queue", wait_s=0, busy="the queue moves already"):
            return _promote(site)
    except CloudBusy:
        return []
    except OSError as error:
        logger.warning("queue.stuck", exc_info=error)
        return []


def _promote(site: Site) -> list[str]:
    left: list[str] = []
    deadline = time.monotonic() + PROMOTE_S
    free = _free_lanes(site)
    for name in files.names(site.queue):
        if free <= 0 or (left and time.monotonic() > deadline):
            break
        machine = Machine(site, name.partition("-")[2])
        try:
            with machine.locked(wait_s=0):
                outcome = _try_to_start(machine, site.queue / name)
        except CloudBusy:
            continue
        except CloudError as error:
            _turn_away(site.queue / name, error)
            continue
        if outcome is Outcome.NOT_NOW:
            break
        if outcome is not None:
            left.append(machine.token)
            free -= outcome is Outcome.STARTED
    return left


def _turn_away(place: Path, error: CloudError) -> None:
    """Nobody sound stands here. A record that is mended queues again when it is looked at."""
    logger.warning("queue.damaged", extra={"subject": place.name, "detail": error.detail})
    place.unlink(missing_ok=True)


def _try_to_start(machine: Machine, place: Path) -> Outcome | None:
    """What became of it; None when its turn does not hold others up."""
    record = machine.find()
    if record is None or record.stage is not Stage.QUEUED:
        place.unlink(missing_ok=True)
        return None
    site = machine.site
    if boot.waits_for_image(site, record):
        return None
    if place.stat().st_size and time.time() - place.stat().st_mtime < TRY_AGAIN_S:
        return Outcome.NOT_NOW
    if lack := lack_of_room(site, record):
        files.write(place, lack.encode(), durable=False)
        return Outcome.NOT_NOW
    log_begins = _size(machine.run / "console.log")
    files.write(site.lanes / machine.token, str(log_begins).encode(), durable=False)
    result = _boot(machine, record)
    if result.outcome is not Outcome.STARTED:
        _leave_lane(site, machine.token)
    if result.outcome is Outcome.NOT_NOW:
        files.write(place, result.sentence.encode(), durable=False)
    else:
        place.unlink(missing_ok=True)
    return result.outcome


def _boot(machine: Machine, record: Record) -> boot.Result:
    """One machine's bad luck must not stop the queue: it becomes that machine's state."""
    try:
        return boot.boot(machine, record)
    except (CloudError, OSError, subprocess.SubprocessError) as error:
        sentence = str(error) if isinstance(error, CloudError) else str(translated(error))
        logger.warning("boot.failed", extra={"subject": machine.token}, exc_info=error)
        machine.save(machine.load(), stage=Stage.FAILED, reason=sentence)
        return boot.Result(Outcome.FAILED, sentence)


def lack_of_room(site: Site, record: Record) -> str:
    """What the site lacks to start this machine now, in numbers; empty if nothing."""
    need = record.spec.memory_mib + OVERHEAD_MIB
    free = free_memory_mib(site)
    if need > free:
        return f"Waits for memory: it needs {need} MiB and {free} MiB are free."
    if not site.free_disk_bytes():
        return (
            f"Waits for disk space: the site keeps {site.disk_floor_bytes >> 20} MiB free"
            " and has less than that left."
        )
    return ""


def free_memory_mib(site: Site) -> int:
    """What machines may still take, now."""
    given = sum(other.spec.memory_mib + OVERHEAD_MIB for other in records(site) if other.is_alive)
    unpromised = host_memory_mib() - site.memory_reserve_mib - given
    return max(0, min(unpromised, memory_mib("MemAvailable")))


def _place(site: Site, record: Record) -> Path:
    return site.queue / f"{int(record.queued_at * 1e6):020d}-{record.token}"


def _free_lanes(site: Site) -> int:
    """How many machines may start now; asks the guests only when no lane is free."""
    waiting: dict[str, Record] = {}
    for token in files.names(site.lanes):
        record = None
        with contextlib.suppress(CloudError):
            record = Machine(site, token).find()
        if record and record.is_alive:
            waiting[token] = record
        else:
            _leave_lane(site, token)
    if len(waiting) >= site.boot_lanes:
        late = [token for token in waiting if _is_up(site, token)]
        for token in {*late, *_greeting(site, waiting)}:
            _leave_lane(site, token)
            del waiting[token]
    return site.boot_lanes - len(waiting)


def _leave_lane(site: Site, token: str) -> None:
    (site.lanes / token).unlink(missing_ok=True)


def _is_up(site: Site, token: str) -> bool:
    """Late, or printed a login prompt since this boot began."""
    lane = site.lanes / token
    if time.time() - lane.stat().st_mtime > LONGEST_S:
        return True
    log = Machine(site, token).run / "console.log"
    began = lane.read_bytes()
    new = _size(log) - (int(began) if began.isdigit() else 0)
    return b"login:" in files.tail(log, min(max(new, 0), LOG_TAIL))


def _greeting(site: Site, waiting: dict[str, Record]) -> list[str]:
    """The machines whose SSH server says hello, asked all at once."""
    poll = select.poll()
    asked: dict[int, tuple[str, socket.socket]] = {}
    for token, record in waiting.items():
        if port := record.ports.get(22):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((site.bind_address, port))
            asked[sock.fileno()] = (token, sock)
            poll.register(sock, select.POLLIN)
    ready = []
    deadline = time.monotonic() + BANNER_WAIT_MS / 1000
    while asked and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            token, sock = asked.pop(fd)
            poll.unregister(fd)
            with sock, contextlib.suppress(OSError):
                if sock.recv(4) == b"SSH-":
                    ready.append(token)
    for _, sock in asked.values():
        sock.close()
    return ready


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
