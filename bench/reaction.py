"""From an engine's event to the changed row in an open browser."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

from bench.figures import Figure, Section, p95, spread, table
from conftest import wait_for
from tests.conftest import CHROMIUM, QUIET
from tests.people import Person
from tests.processes import command_line
from tests.running import RunningPortal

MACHINES = 4
EVENTS = 24
PATIENCE_MS = 15_000
HOW = f"""A real Chromium has `/vms/` open, with {MACHINES} machines that run. {EVENTS} times a
QEMU process is killed (kill -9): the time from the signal to the row that says Unknown, as a
MutationObserver in the page sees it, by the same clock. Then the machine is started again."""

WATCH = """() => {
  window.seen = {};
  const look = () => {
    for (const row of document.querySelectorAll("[data-live^='vm:']")) {
      const word = row.querySelector("[data-state-word]")?.textContent.trim();
      const key = row.dataset.live.slice(3);
      if (word && window.seen[key]?.word !== word) window.seen[key] = { word, at: Date.now() };
    }
  };
  look();
  new MutationObserver(look).observe(document.body, {
    subtree: true, childList: true, characterData: true, attributes: true,
  });
}"""
SAYS = "([key, word]) => window.seen[key]?.word === word && window.seen[key].at"


def measure(portal: RunningPortal) -> Section:
    person = portal.administrator()
    image = person.image()
    vms = [person.launch(image=image, name=f"bench {n}") for n in range(MACHINES)]
    try:
        with _list(portal, person) as page:
            took_ms = [_one(portal, person, page, vms[n % MACHINES]) for n in range(EVENTS)]
    finally:
        for vm in vms:
            person.ask(vm, "kill")
        for vm in vms:
            wait_for(lambda vm=vm: portal.state(vm) == "done", within_s=30)
        person.close()
    return Section(
        title="Engine's event to changed row",
        how=HOW,
        figures=[
            Figure(
                "kill -9 of QEMU to changed row in the browser, p95", p95(took_ms) / 1000, "s", 1
            )
        ],
        detail=table(
            ("ms", "median [least to most]"), [("kill -9 → row says Unknown", spread(took_ms, 0))]
        )
        + f"\n\n{len(took_ms)} events; mean {statistics.mean(took_ms):.0f} ms.",
    )


@contextmanager
def _list(portal: RunningPortal, person: Person) -> Iterator[Page]:
    """The list of machines, open in a browser and connected to its stream."""
    name, value = person.cookie()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET) as browser,
    ):
        context = browser.new_context()
        context.add_cookies([{"name": name, "value": value, "url": portal.url}])
        page = context.new_page()
        page.goto(f"{portal.url}/vms/")
        page.wait_for_selector("[data-live-status=open]", state="attached")
        page.evaluate(WATCH)
        yield page


def _one(portal: RunningPortal, person: Person, page: Page, vm: str) -> float:
    """Kill a machine's QEMU, note when the page says so, start it again; milliseconds."""
    page.wait_for_function(SAYS, arg=[vm, "Running"], timeout=30_000)
    (pid,) = wait_for(lambda: _qemu(portal, vm))
    killed = time.time()
    os.kill(pid, signal.SIGKILL)
    at = page.wait_for_function(SAYS, arg=[vm, "Unknown"], timeout=PATIENCE_MS).json_value()
    answer = person.ask(vm, "start")
    assert answer.status_code == 302, answer.status_code
    return float(at) - killed * 1000


def _qemu(portal: RunningPortal, vm: str) -> list[int]:
    """The QEMU of this machine, one of this portal's own."""
    return [pid for pid in portal.machine_pids() if f"\0{vm}\0".encode() in command_line(pid)]
