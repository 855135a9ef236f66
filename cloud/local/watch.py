"""Noticing changes as they happen: QEMU's events, processes that exit, records rewritten.

A QEMU tells its events to one client only, so of all watchers of a site one listens (it
holds the lock ``watch``) and marks the records of machines that it hears of; the others
see the mark. When it goes, another takes over. Everybody watches processes by pidfd.
"""

import asyncio
import contextlib
import logging
import os
import resource
import time
from collections.abc import Callable, Iterator

from qemu.qmp import QMPClient, QMPError

from cloud.errors import CloudError
from cloud.local import console, files, lanes, power, process, qmp, traffic
from cloud.local.machine import Machine, Record
from cloud.local.process import Process
from cloud.local.site import Site

logger = logging.getLogger(__name__)

TICK_S = 0.25
HELLO_S = 5.0
CHORES_EVERY_S = 2.0
#: A guest that did not restart so long after Ctrl-Alt-Del is reset.
REBOOT_IGNORED_S = 20.0
#: Two descriptors a machine, and some for the rest of the process.
DESCRIPTORS = 65536

CHANGES = ("SHUTDOWN", "RESET", "STOP", "RESUME", "GUEST_PANICKED", "BLOCK_IO_ERROR")


def watch(site: Site, stop: Callable[[], bool]) -> Iterator[str]:
    """See ``CloudDriver.watch``."""
    site.make()
    _allow_descriptors()
    loop = asyncio.new_event_loop()
    watcher = _Watcher(site, loop)
    try:
        while not stop():
            yield from loop.run_until_complete(watcher.changes()) or [""]
            with contextlib.suppress(CloudError, OSError):
                lanes.promote(site)
    finally:
        loop.run_until_complete(watcher.close())
        loop.close()


def _allow_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _marks(site: Site) -> dict[str, int]:
    """When each machine's record was last written or touched, in ns; plain and quick."""
    folder = os.fspath(site.machines)
    marks = {}
    for name in files.names(site.machines):
        try:
            marks[name] = os.stat(f"{folder}/{name}/machine.json").st_mtime_ns
        except OSError:
            marks[name] = 0
    return marks


class _Watched:
    """One machine under watch: its process, and the line to its QEMU if we have it."""

    def __init__(self, born: Process, pidfd: int) -> None:
        self.born = born
        self.pidfd = pidfd
        self.line: asyncio.Task[None] | None = None


class _Watcher:
    def __init__(self, site: Site, loop: asyncio.AbstractEventLoop) -> None:
        self._site = site
        self._loop = loop
        self._listens = contextlib.ExitStack()
        self._is_listener = False
        self._meter: traffic.Meter | None = None
        self._seen = _marks(site)
        self._watched: dict[str, _Watched] = {}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._chores_at = 0.0
        for token in self._seen:
            self._follow(token)

    async def changes(self) -> list[str]:
        """What changed since the last call; waits ``TICK_S`` at most."""
        if time.monotonic() >= self._chores_at:
            self._chores()
        self._look_around()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), TICK_S)
        self._wake.clear()
        changed, self._changed = sorted(self._changed), set()
        return changed

    async def close(self) -> None:
        lines = [one.line for one in self._watched.values() if one.line]
        for token in list(self._watched):
            self._forget(token)
        await asyncio.gather(*lines, return_exceptions=True)
        if self._meter:
            self._meter.close()
        self._listens.close()

    def _note(self, token: str) -> None:
        self._changed.add(token)
        self._wake.set()

    def _look_around(self) -> None:
        """Compare the records' marks with those of the last look."""
        now = _marks(self._site)
        for token in self._seen.keys() | now.keys():
            if now.get(token) != self._seen.get(token):
                self._note(token)
                self._follow(token)
        self._seen = now

    def _follow(self, token: str) -> None:
        """Watch the machine's present process, if it has one."""
        record = self._record(token)
        known = self._watched.get(token)
        if known and record and known.born == record.process and record.is_alive:
            return
        self._forget(token)
        if record is None or not record.is_alive:
            return
        try:
            pidfd = process.open_pidfd(record.process)
        except OSError:
            return  # no descriptors left: the sweep finds it
        if pidfd is None:
            self._note(token)
            return
        self._watched[token] = _Watched(record.process, pidfd)
        self._loop.add_reader(pidfd, self._exited, token)
        self._listen(token)

    def _record(self, token: str) -> Record | None:
        with contextlib.suppress(CloudError, OSError):
            return Machine(self._site, token).find()
        return None

    def _exited(self, token: str) -> None:
        self._forget(token)
        self._note(token)

    def _forget(self, token: str) -> None:
        if known := self._watched.pop(token, None):
            self._loop.remove_reader(known.pidfd)
            os.close(known.pidfd)
            if known.line:
                known.line.cancel()

    def _listen(self, token: str) -> None:
        known = self._watched[token]
        if self._is_listener and (known.line is None or known.line.done()):
            known.line = self._loop.create_task(self._hear(token))

    async def _hear(self, token: str) -> None:
        """Pass on what one QEMU tells, until it or we hang up."""
        run = Machine(self._site, token).run
        try:
            client = await asyncio.wait_for(qmp.connect(run, "events"), HELLO_S)
        except (TimeoutError, QMPError, OSError, EOFError):
            return
        try:
            await self._pass_on(client, token)
        except (QMPError, OSError, EOFError):
            return
        finally:
            await qmp.hang_up(client)

    async def _pass_on(self, client: QMPClient, token: str) -> None:
        with client.listener(CHANGES) as events:
            async for event in events:
                logger.info("qemu.event", extra={"subject": token, "event": event["event"]})
                if event["event"] == "RESET":
                    with contextlib.suppress(CloudError, OSError):
                        power.has_reset(Machine(self._site, token))
                with contextlib.suppress(FileNotFoundError):
                    Machine(self._site, token).touch()
                self._note(token)

    def _chores(self) -> None:
        """What only one watcher needs to do, and not at every tick."""
        self._chores_at = time.monotonic() + CHORES_EVERY_S
        if not self._is_listener:
            with contextlib.suppress(CloudError, OSError):
                lock = files.locked(self._site.locks / "watch", wait_s=0, busy="watched")
                self._listens.enter_context(lock)
                self._is_listener = True
        if not self._is_listener:
            return
        self._count_traffic()
        for token in list(self._watched):
            self._listen(token)
            with contextlib.suppress(CloudError, OSError, qmp.NoAnswer):
                console.trim(Machine(self._site, token))
                power.reset_if_ignored(Machine(self._site, token), after_s=REBOOT_IGNORED_S)

    def _count_traffic(self) -> None:
        with contextlib.suppress(CloudError, OSError):
            self._meter = self._meter or traffic.Meter(self._site)
            known = [self._record(token) for token in self._watched]
            self._meter.look(record for record in known if record)
