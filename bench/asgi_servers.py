"""Which ASGI server holds 500 idle live streams better? Writes bench/ASGI_SERVERS.md.

Each server runs the same application (sse_app.py), one process, in turn and repeatedly,
in one run, so that the figures are a ratio of each other on this machine.
Run: .venv/bin/python bench/asgi_servers.py
"""

import asyncio
import contextlib
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import websockets

BENCH = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
STREAMS = 500
EVENTS = 40
ROUNDS = 3
PATIENCE_S = 10.0
MESSAGE_BYTES = 64 * 1024
MESSAGES = 400


def commands(port: int) -> dict[str, list[str]]:
    uvicorn = [str(BIN / "uvicorn"), "sse_app:app", "--app-dir", str(BENCH), "--port", str(port)]
    uvicorn += ["--log-level", "warning", "--timeout-graceful-shutdown", "2"]
    granian = [str(BIN / "granian"), "sse_app:app", "--interface", "asginl", "--port", str(port)]
    granian += ["--working-dir", str(BENCH), "--no-access-log", "--log-level", "warning"]
    granian += ["--workers-kill-timeout", "2"]
    return {
        "uvicorn (uvloop, httptools)": [*uvicorn, "--ws", "websockets-sansio"],
        "uvicorn (asyncio, h11)": [
            *uvicorn,
            "--loop",
            "asyncio",
            "--http",
            "h11",
            "--ws",
            "websockets-sansio",
        ],
        "granian (1 worker)": granian,
    }


@dataclass
class Figures:
    idle_mib: list[float] = field(default_factory=list)
    full_mib: list[float] = field(default_factory=list)
    deliver_ms: list[float] = field(default_factory=list)
    lost: int = 0
    left_open: int = 0
    echo_mib_s: list[float] = field(default_factory=list)
    stop_s: list[float] = field(default_factory=list)


def tree(pid: int) -> list[int]:
    """The process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(grandchild for child in children for grandchild in tree(int(child)))]


def memory_mib(pid: int) -> float:
    """Proportional set size of the process and its children."""
    total = 0
    for member in tree(pid):
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            total += int(line.split()[1]) if line.startswith("Pss:") else 0
    return total / 1024


async def ask(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode().rpartition("\r\n\r\n")[2]


async def until_answers(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                await ask(port, "/")
                return
            await asyncio.sleep(0.05)


class Stream:
    """A browser's end of a live stream: notes when each event came."""

    def __init__(self) -> None:
        self.came: dict[int, float] = {}
        self.any = asyncio.Event()

    async def open(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        self.writer.write(b"GET /live/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.reader.readuntil(b"retry: 1000\n\n")
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while line := await self.reader.readline():
            if line.startswith(b"data: "):
                self.came[int(line[6:])] = time.perf_counter()
                self.any.set()

    async def wait_for(self, event: int) -> None:
        while event not in self.came:
            self.any.clear()
            await self.any.wait()

    async def close(self) -> None:
        self.task.cancel()
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def deliver(port: int, streams: list[Stream], figures: Figures) -> None:
    for event in range(EVENTS):
        asked = time.perf_counter()
        await ask(port, f"/tell/{event}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(stream.wait_for(event) for stream in streams))
        came = [stream.came[event] for stream in streams if event in stream.came]
        figures.lost += len(streams) - len(came)
        figures.deliver_ms.append((max(came) - asked) * 1000)


async def echo(port: int, figures: Figures) -> None:
    """A console's worth of bytes through one WebSocket."""
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws/", compression=None) as console:
        payload = os.urandom(MESSAGE_BYTES)
        began = time.perf_counter()
        for _ in range(MESSAGES):
            await console.send(payload)
            assert await console.recv() == payload
        took = time.perf_counter() - began
    figures.echo_mib_s.append(MESSAGES * MESSAGE_BYTES / took / 2**20)


async def close_some(port: int, streams: list[Stream], figures: Figures) -> None:
    """Half of the browsers leave: does the application learn of it?"""
    for stream in streams[: STREAMS // 2]:
        await stream.close()
    give_up = time.monotonic() + 3
    while int(await ask(port, "/")) > STREAMS // 2 and time.monotonic() < give_up:
        await asyncio.sleep(0.05)
    figures.left_open += int(await ask(port, "/")) - STREAMS // 2


async def drive(port: int, server: "subprocess.Popen[bytes]", figures: Figures) -> None:
    await until_answers(port)
    figures.idle_mib.append(memory_mib(server.pid))
    streams = [Stream() for _ in range(STREAMS)]
    for stream in streams:
        await stream.open(port)
    await deliver(port, streams, figures)
    figures.full_mib.append(memory_mib(server.pid))
    await echo(port, figures)
    await close_some(port, streams, figures)
    began = time.perf_counter()
    server.send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.wait, 60)
    figures.stop_s.append(time.perf_counter() - began)
    for stream in streams[STREAMS // 2 :]:
        await stream.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(name: str, figures: Figures) -> None:
    port = free_port()
    with subprocess.Popen(commands(port)[name], cwd=BENCH, stderr=subprocess.DEVNULL) as server:
        try:
            asyncio.run(drive(port, server, figures))
        finally:
            server.kill()


def row(name: str, figures: Figures) -> str:
    middle = statistics.median
    p95 = statistics.quantiles(figures.deliver_ms, n=20)[-1]
    cells = [
        name,
        f"{middle(figures.idle_mib):.0f}",
        f"{middle(figures.full_mib):.0f}",
        f"{middle(figures.deliver_ms):.0f}",
        f"{p95:.0f}",
        str(figures.lost),
        str(figures.left_open),
        f"{middle(figures.echo_mib_s):.0f}",
        f"{middle(figures.stop_s):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def table(results: dict[str, Figures]) -> str:
    head = (
        f"| server | idle, MiB | {STREAMS} streams, MiB | one event to all, median ms | p95 ms |"
        " lost events | streams left open | console, MiB/s | stop, s |"
    )
    return "\n".join(
        [
            head,
            "|---|---|---|---|---|---|---|---|---|",
            *(row(name, figures) for name, figures in results.items()),
        ]
    )


def main() -> None:
    results: dict[str, Figures] = {name: Figures() for name in commands(0)}
    for _ in range(ROUNDS):
        for name, figures in results.items():
            measure(name, figures)
    packages = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "granian", "uvloop"))
    text = f"""# ASGI servers with {STREAMS} idle live streams

Written by `.venv/bin/python bench/asgi_servers.py`: {ROUNDS} rounds over all servers in one
run, {EVENTS} events a round, one server process, the application of `bench/sse_app.py`.
Python {platform.python_version()}, {packages}, {os.cpu_count()} cores, load
{os.getloadavg()[0]:.1f} at the end. Memory is the proportional set size of the server and its
children. *Streams left open*: of the {STREAMS // 2} browsers a round that leave, those the
application still serves 3 s later. *Console*: one WebSocket echoing {MESSAGE_BYTES // 1024} KiB
messages. *Stop*: SIGTERM with {STREAMS // 2} streams open.

{table(results)}
"""
    (BENCH / "ASGI_SERVERS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
