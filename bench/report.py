"""What a benchmark found: as a file for machines, as a table for people."""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Row:
    """One figure, beside its goal and its peers."""

    metric: str
    value: float | None
    unit: str
    better: Literal["lower", "higher"] = "lower"
    goal: float | None = None
    peers: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        if self.value is None:
            return False
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


@dataclass
class Report:
    """All figures of one benchmark. ``notes`` say what a reader must know: a peer that is absent, say."""

    name: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *rows: Row) -> None:
        """Add figures of a benchmark that takes long, and say them now: who ends it early has what there is."""
        self.rows += rows
        for row in rows:
            print(f"{row.metric}: {_figure(row.value)} {row.unit}", file=sys.stderr, flush=True)
        self.write()

    def write(self) -> Path:
        """Write ``bench/out/<name>.json``, and return its path."""
        OUT.mkdir(exist_ok=True)
        content = {
            "name": self.name,
            "machine": machine(),
            "rows": [{**asdict(row), "met": row.met} for row in self.rows],
            "notes": self.notes,
        }
        path = OUT / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=2) + "\n")
        return path

    def show(self) -> None:
        """Print the table, 100 columns wide."""
        peers = list(dict.fromkeys(peer for row in self.rows for peer in row.peers))
        here = machine()
        title = f"{self.name}: {here['processor']}, {here['additions_per_s']:,} additions a second"
        table = Table(title=title, box=None, pad_edge=False, title_justify="left")
        table.add_column("", overflow="fold")
        for name in ("Bleen", "goal", "", *peers):
            table.add_column(name, justify="right", no_wrap=bool(not name))
        for row in self.rows:
            peer_cells = [_figure(row.peers.get(peer)) if peer in row.peers else "" for peer in peers]
            table.add_row(f"{row.metric} [{row.unit}]".replace("[", r"\["), _figure(row.value), *_goal(row), *peer_cells)
        console = Console(width=100)
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim")


def _goal(row: Row) -> Sequence[str]:
    mark = {True: "met", False: "MISSED", None: ""}[row.met]
    return (_figure(row.goal) if row.goal is not None else "", mark)


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def machine() -> Mapping[str, str | int | float]:
    """Return what the figures depend on."""
    return {
        "processor": f"{os.cpu_count()} cores, {_model()}",
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "additions_per_s": _additions_per_second(),
    }


def _additions_per_second() -> int:
    """Return how many numbers Python adds up in a second: shared processors are three times slower on some days."""
    turns, total = 2_000_000, 0
    begun = time.process_time()
    for number in range(turns):
        total += number
    return int(round(turns / (time.process_time() - begun), -5))


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
