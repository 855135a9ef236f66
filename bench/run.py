"""Every benchmark, or those named, one after another on one running portal."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import playwright.sync_api
import pytest
from django.conf import settings

from bench import (
    batch,
    calls,
    disks,
    epilog,
    figures,
    image_fetch,
    launch,
    marketplace,
    memory,
    pages,
    people,
    reaction,
    streams,
    verification,
)
from bench.figures import Section
from tests.running import RunningPortal, running_portal

#: Those that need the running portal, in this order: from the quietest to the fullest.
ON_PORTAL: dict[str, Callable[[RunningPortal], Section]] = {
    "memory": memory.measure,
    "launch": launch.measure,
    "batch": batch.measure,
    "reaction": reaction.measure,
    "streams": streams.measure,
    "pages": pages.measure,
    "people": people.measure,
    "disks": disks.measure,
    "marketplace": marketplace.measure,
    "images": image_fetch.measure,
}
#: Those that need none, and run when it has stopped.
ALONE: dict[str, Callable[[], Section]] = {
    "epilog": epilog.measure,
    "calls": calls.measure,
    "metadata": verification.measure,
}
NAMES = [*ON_PORTAL, *ALONE]
FAULTS = (
    AssertionError, OSError, RuntimeError, ValueError, httpx.HTTPError, playwright.sync_api.Error,
    pytest.fail.Exception,
)  # fmt: skip


def run(name: str, measure: Callable[[], Section]) -> Section:
    """One benchmark; what goes wrong becomes its result, and the others go on."""
    print(f"==> {name}", flush=True)
    began, before = time.monotonic(), os.getloadavg()[0]
    try:
        section = measure()
    except FAULTS as fault:
        section = Section(title=name, how="", failure=f"{type(fault).__name__}: {fault}")
    section = figures.timed(section, time.monotonic() - began, (before, os.getloadavg()[0]))
    print(section.text(), "\n", flush=True)
    return section


def main(names: list[str]) -> int:
    """Run them; 0 if every target was met, 1 if not."""
    if unknown := [name for name in names if name not in NAMES]:
        print(f"There is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}.")
        return 2
    began = time.monotonic()
    wanted = names or NAMES
    with running_portal(Path(settings.PORTAL_HOME), env=image_fetch.ENV) as portal:
        sections = [
            run(name, partial(measure, portal))
            for name, measure in ON_PORTAL.items()
            if name in wanted
        ]
        portal.stop()
        sections += [run(name, measure) for name, measure in ALONE.items() if name in wanted]
    if wanted == NAMES:
        figures.write(sections, took_s=time.monotonic() - began)
        print(f"Written to {figures.FILE}")
    else:
        print("RESULTS.md is only written by a run of all.")
    return 0 if all(section.is_met for section in sections) else 1
