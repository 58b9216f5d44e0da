"""Measuring side by side: interleaved rounds, medians and spreads, ratios, and the machine that they are from.

Timings on a shared machine swing, but they swing for all alike: each round runs every contestant once, in turning
order, and ratios are taken within a round before their median is taken.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from striate.core.files import write_atomically, write_json

RESULTS = Path(__file__).parent.parent / "results"


@dataclass(frozen=True)
class Row:
    """One contestant: its amount per second in each round, and the ratios to the first contestant of the same round."""

    name: str
    rates: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Table:
    """What was measured, the baseline first; `unit` is that of the rates (`"pictures/s"`)."""

    unit: str
    rows: tuple[Row, ...]

    def __getitem__(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    @property
    def method(self) -> str:
        rounds = len(self.rows[0].rates)
        return f"Medians of {rounds} interleaved rounds; ratios are to the first row of the same round."

    def markdown(self) -> str:
        """Median rates, and median ratios to the first row, each with its lowest and highest round."""
        lines = [f"| | {self.unit} | lowest – highest | ratio | lowest – highest |", "|---|---:|---:|---:|---:|"]
        for row in self.rows:
            lines.append(
                f"| {row.name} | {_figure(row.rate)} | {_figure(min(row.rates))} – {_figure(max(row.rates))} "
                f"| {row.ratio:.2f} | {min(row.ratios):.2f} – {max(row.ratios):.2f} |"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Figures:
    """What was found and is no comparison of rates: cells as they are to be read, and how they were got."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    method: str

    def markdown(self) -> str:
        """The first column names the row, the others hold its figures."""
        lines = [self.columns, ("---", *["---:"] * (len(self.columns) - 1)), *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def interleave(contestants: Mapping[str, Callable[[], float]], rounds: int, *, unit: str = "pictures/s") -> Table:
    """Run every contestant once a round; each returns how much it did, and is timed from outside.

    The first one is the baseline. A round beforehand, not counted, warms caches.
    """
    for work in contestants.values():
        work()
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for name in in_turn(list(contestants), rounds):
        start = time.perf_counter()
        amount = contestants[name]()
        rates[name].append(amount / (time.perf_counter() - start))
    return tabulate(rates, unit=unit)


def in_turn(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Every name once a round; each round begins with another one."""
    for turn in range(rounds):
        for place in range(len(names)):
            yield names[(place + turn) % len(names)]


def tabulate(rates: Mapping[str, Sequence[float]], *, unit: str = "pictures/s") -> Table:
    """The table of rates, round by round, that were measured in turn; the first contestant is the baseline."""
    base = next(iter(rates.values()))
    ratios = {name: tuple(mine / first for mine, first in zip(own, base, strict=True)) for name, own in rates.items()}
    return Table(unit, tuple(Row(name, tuple(own), ratios[name]) for name, own in rates.items()))


def write_result(name: str, title: str, tables: Mapping[str, Table | Figures], notes: Sequence[str] = ()) -> None:
    """Write `results/<name>.md` for people and `results/<name>.json` for programs: tables, notes, machine, versions."""
    machine = hardware()
    parts = [f"# {title}", *notes]
    for heading, table in tables.items():
        parts += [f"## {heading}", table.markdown(), table.method]
    parts += [
        f"{machine}.",
        f"{', '.join(f'{package} {version}' for package, version in versions().items())}.",
    ]
    RESULTS.mkdir(exist_ok=True)
    write_atomically(RESULTS / f"{name}.md", "\n\n".join(parts) + "\n")
    plain = {heading: asdict(table) for heading, table in tables.items()}
    write_json(
        RESULTS / f"{name}.json",
        {"title": title, "notes": list(notes), "hardware": machine, "versions": versions(), "tables": plain},
    )


def peak(size: int = 2048, rounds: int = 5) -> float:
    """The float32 operations a second that torch reaches on all cores: the best of a few products of matrices."""
    import torch

    left, right, best = torch.ones(size, size), torch.ones(size, size), math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def hardware() -> str:
    """The processor, its instruction set, how many cores this process may use, the system and the GPU, as one line."""
    from striate.core.device import computes_in_bf16, devices, machine

    facts = machine(devices()[0])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    instructions = facts["instructions"] + (" with native bf16" if computes_in_bf16("cpu") else "")
    gpu = f", {facts['accelerator']}" if "accelerator" in facts else ""
    return f"{facts['processor']}, {cores} cores, {instructions}, {facts['system']} {facts['architecture']}{gpu}"


def versions() -> dict[str, str]:
    """Of everything that may decide a speed."""
    packages = ("striate", "torch", "numpy", "Pillow", "simplejpeg", "keras", "jax", "torchvision", "usearch")
    packages += ("starlette", "uvicorn", "mosec", "fastapi")
    found = {"Python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
