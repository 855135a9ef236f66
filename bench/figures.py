"""What a benchmark hands back, and the file that it ends up in."""

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from django.utils import timezone

FILE = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("Django", "celery", "redis", "uvicorn", "qemu.qmp", "playwright")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``limit`` None: told, and not judged."""

    what: str
    got: float
    unit: str
    limit: float | None = None
    stretch: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.limit is None or self.got <= self.limit

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        if not self.is_met:
            return "**missed**"
        return "stretch" if self.stretch is not None and self.got <= self.stretch else "met"

    @property
    def target(self) -> str:
        if self.limit is None:
            return ""
        more = f" (stretch {self.stretch:g})" if self.stretch is not None else ""
        return f"≤ {self.limit:g}{f' {self.unit}' if self.unit else ''}{more}"

    def row(self) -> str:
        got = f"{_short(self.got)}{f' {self.unit}' if self.unit else ''}"
        return f"| {self.what} | {self.target} | {got} | {self.verdict} | {self.note} |"


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark: its figures, how they came about, and details below the table."""

    title: str
    how: str
    figures: Sequence[Figure] = ()
    detail: str = ""
    failure: str = ""
    took_s: float = 0.0
    load: tuple[float, float] = (0.0, 0.0)  # of the last minute, before and after

    @property
    def is_met(self) -> bool:
        return not self.failure and all(figure.is_met for figure in self.figures)

    def text(self) -> str:
        head = "| what | target | got | | |\n|---|---|---|---|---|"
        rows = "\n".join(figure.row() for figure in self.figures)
        parts = [f"## {self.title}", self.how]
        if self.failure:
            parts.append(f"**No figure:** {self.failure}")
        if rows:
            parts.append(f"{head}\n{rows}")
        if self.detail:
            parts.append(self.detail)
        before, after = self.load
        parts.append(f"Took {self.took_s:.0f} s; load {before:.1f} before, {after:.1f} after.")
        return "\n\n".join(parts)


def timed(section: Section, took_s: float, load: tuple[float, float]) -> Section:
    return replace(section, took_s=took_s, load=load)


def p95(values: Sequence[float]) -> float:
    """The smallest value that 95 of 100 do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-95 * len(ordered) // 100) - 1)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and most, for people."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f} [{min(values):.{digits}f} to {max(values):.{digits}f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def write(sections: Sequence[Section], *, took_s: float) -> str:
    """Write RESULTS.md; its text."""
    summary = table(
        ("what", "target", "got", ""),
        [
            (figure.what, figure.target, f"{_short(figure.got)} {figure.unit}", figure.verdict)
            for section in sections
            for figure in section.figures
            if figure.limit is not None
        ]
        + [
            (section.title, "", "no figure", "**missed**")
            for section in sections
            if section.failure
        ],
    )
    details = "\n\n".join(section.text() for section in sections)
    text = f"""# Benchmarks

Written by `make bench` ({timezone.now():%Y-%m-%d %H:%M} UTC, {took_s:.0f} s); not edited by
hand. What is measured and how: docs/developers/benchmarks.md.

{_machine()}

{summary}

{details}
"""
    FILE.write_text(text)
    return text


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Machine: {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB; Linux "
        f"{platform.release()}; {_first_line('qemu-system-x86_64', '--version')}; "
        f"{_first_line('redis-server', '--version')[:24]}; Python {platform.python_version()}; "
        f"{packages}; portal {_commit()}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _first_line(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _commit() -> str:
    return _first_line("git", "rev-parse", "--short", "HEAD")


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
