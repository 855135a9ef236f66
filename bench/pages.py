"""Pages of a full portal: how many queries, and how long the server takes."""

import statistics
import time
from dataclasses import dataclass
from io import StringIO

import httpx
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.figures import Figure, Section, p95, table
from bench.paths import paths, subject
from bench.processes import cpu_s
from registration.models import User
from tests.running import RunningPortal

SIZES = (10, 1000, 10_000)
ENTRIES = 1000
WARM = 3
ASKED = 20
HOW = f"""`manage.py seed_demo` fills the running portal with so many machines of several people and
{ENTRIES} images. All pages are asked for in turn, {ASKED} times, over one connection on loopback,
by an administrator (who sees everything) and by the person with the most machines: from
sending the question to the last byte. *CPU* is what the web process spent meanwhile.
Queries are counted by Django on the same database."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one page took, of one person, with so many machines."""

    page: str
    queries: int
    took_ms: list[float]
    cpu_ms: list[float]

    def in_words(self) -> str:
        middle, cpu = statistics.median(self.took_ms), statistics.median(self.cpu_ms)
        return f"{p95(self.took_ms):.0f} ({middle:.0f}; {cpu:.0f})"


#: (person, machines) -> page -> cost
Costs = dict[tuple[str, int], dict[str, Cost]]


def measure(portal: RunningPortal) -> Section:
    costs: Costs = {}
    for machines in SIZES:
        _seed(machines)
        vm = subject()
        for who, user in (("administrator", User.objects.administrators()[0]), ("owner", vm.owner)):
            wanted = paths(vm)
            costs[who, machines] = ask(portal, user, wanted)
    call_command("seed_demo", clean=True, stdout=StringIO())
    return _section(costs)


def _seed(machines: int) -> None:
    said = StringIO()
    call_command("seed_demo", machines=machines, entries=ENTRIES, stdout=said)
    print(said.getvalue().strip(), flush=True)


def ask(portal: RunningPortal, user: User, wanted: dict[str, str]) -> dict[str, Cost]:
    """Ask for pages (name: path) as ``user``, all in turn, and count and time each."""
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    client.get("/")  # once in a while it is written down that somebody was here
    (web,) = portal.pids("web")
    cookie = {f"session-{portal.port}": client.session.session_key or ""}
    costs = {page: Cost(page, _queries(client, path), [], []) for page, path in wanted.items()}
    with httpx.Client(base_url=portal.url, cookies=cookie, timeout=30) as browser:
        for number in range(WARM + ASKED):
            for page, path in wanted.items():  # in turn: a busy moment meets all of them
                took, cpu = _once(browser, web, path)
                if number >= WARM:
                    costs[page].took_ms.append(took)
                    costs[page].cpu_ms.append(cpu)
    return costs


def _once(browser: httpx.Client, web: int, path: str) -> tuple[float, float]:
    """Milliseconds by the clock, and of the web process's processor time."""
    spent, began = cpu_s(web), time.perf_counter()
    assert browser.get(path).status_code == 200, path
    took = time.perf_counter() - began
    return took * 1000, (cpu_s(web) - spent) * 1000


def _queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(path).status_code == 200, path
    return len(asked)


def _section(costs: Costs) -> Section:
    changing = [
        page
        for who in ("administrator", "owner")
        for page in costs[who, SIZES[0]]
        if len({costs[who, machines][page].queries for machines in SIZES}) > 1
    ]
    worst = {
        machines: max(
            p95(cost.took_ms) for (_, n), found in costs.items() if n == machines
            for cost in found.values()
        )
        for machines in SIZES
    }  # fmt: skip
    times = [
        Figure(f"slowest page with {machines:,} machines, server time p95", ms, "ms", 100)
        for machines, ms in worst.items()
    ]
    busiest = max(
        p95(c.cpu_ms) for (_, n), found in costs.items() if n == SIZES[-1] for c in found.values()
    )
    times.append(
        Figure(f"the most processor time of a page with {SIZES[-1]:,}, p95", busiest, "ms")
    )
    constant = Figure("pages whose number of queries grows with the machines", len(changing), "", 0)
    return Section(
        title="Pages of a full portal",
        how=HOW,
        figures=[*times, constant],
        detail="\n\n".join(_table(costs, who) for who in ("administrator", "owner")),
    )


def _table(costs: Costs, who: str) -> str:
    head = [f"{who}: page", "queries"]
    head += [f"{machines:,}: p95 ms (median; CPU)" for machines in SIZES]
    rows = []
    for page in costs[who, SIZES[0]]:
        each = [costs[who, machines][page] for machines in SIZES]
        queries = "/".join(str(n) for n in dict.fromkeys(cost.queries for cost in each))
        rows.append([page, queries, *(cost.in_words() for cost in each)])
    return table(head, rows)
