"""What the platform itself costs: its start, its memory and processor time when nothing happens, its commands."""

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from bench.report import Report, Row
from bench.stage import Stage, away, example, running
from bleen.app.platform import LocalPlatform
from bleen.providers.local.process import marked
from bleen.providers.local.watchdog import agent_pid

TIMES = 5
IDLE_SECONDS = 60.0
SETTLE_SECONDS = 10.0
"""After the last deployment, before idleness is measured."""
_TICKS = os.sysconf("SC_CLK_TCK")
CORE = "% of a core"
NOT_CONTROL = ("gateway", "instances")


def typed(platform: LocalPlatform, *words: str) -> float:
    """Return the seconds of one command, typed in a shell."""
    environ = {**os.environ, "BLEEN_HOME": platform.settings.home}
    ports = platform.settings.ports
    environ |= {"BLEEN_GATEWAY_PORT": str(ports.gateway), "BLEEN_API_PORT": str(ports.api)}
    environ |= {"BLEEN_SERVICE_PORTS": str(ports.services)}
    began = time.perf_counter()
    done = subprocess.run(
        [Path(sys.executable).with_name("bleen"), *words], env=environ, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return took


def bodies(home: Path) -> Mapping[str, set[int]]:
    """Return the processes of the platform, by part."""
    found: dict[str, set[int]] = defaultdict(set)
    for pid, env in marked({"BLEEN_HOME": str(home)}).items():
        part = env.get("BLEEN_PART", "").partition("-")[0]
        if "BLEEN_INSTANCE" in env:
            found["instances"].add(pid)
        else:
            found[part or ("agent" if pid == agent_pid(home) else "watchdog")].add(pid)
    for pid in _below(found["postgres"]):  # it overwrites what its environment was
        found["postgres"].add(pid)
    return found


def _below(pids: Iterable[int]) -> set[int]:
    found = set(pids)
    while more := {pid for pid, parent in _parents() if parent in found} - found:
        found |= more
    return found


def _parents() -> Iterable[tuple[int, int]]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (fields := _fields(int(path.name))):
            yield int(path.name), int(fields[1])


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def memory(pids: Iterable[int]) -> float:
    """Return the proportional set size in megabytes (10^6): shared pages count once, in shares."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def ticks(pids: Iterable[int]) -> float:
    """Return the seconds of processor time so far, ended children included."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _fields(pid))) / _TICKS


def idle(home: Path) -> list[Row]:
    """Return what each part takes while nothing happens."""
    before = {part: ticks(pids) for part, pids in bodies(home).items()}
    time.sleep(IDLE_SECONDS)
    now = bodies(home)
    cpu = {part: 100 * (ticks(pids) - before.get(part, 0.0)) / IDLE_SECONDS for part, pids in now.items()}
    size = {part: memory(pids) for part, pids in now.items()}
    control = [part for part in now if part not in NOT_CONTROL]
    return [
        Row("idle: memory of the control plane (PSS)", round(sum(size[p] for p in control)), "MB", "lower", 400),
        *(Row(f"  {part}", round(size[part], 1), "MB") for part in sorted(size, key=lambda p: -size[p])),
        Row(
            f"idle: processor over {IDLE_SECONDS:g} s, control plane",
            _two(sum(cpu[p] for p in control)),
            "% of a core",
            "lower",
            3,
        ),
        *(Row(f"  {part}", _two(cpu[part]), CORE) for part in sorted(cpu, key=lambda p: -cpu[p])),
    ]


def _two(value: float) -> float:
    return round(value, 2)


def commands(stage: Stage) -> list[Row]:
    """Return how long it takes to type something."""
    words = {"bleen --help": ["--help"], "bleen status": ["status"], "bleen status --json": ["status", "--json"]}
    return [
        Row(f"{name}, median of {TIMES}", round(median(typed(stage.platform, *each) for _ in range(TIMES)), 3), "s")
        for name, each in words.items()
    ]


async def _deploy(stage: Stage) -> None:
    for name in ("hello", "datasette"):
        await away(partial(stage.deploy, example(name)))
        await away(partial(stage.ended, name))


async def _run(report: Report) -> None:
    began = time.perf_counter()
    async with running() as stage:
        first = time.perf_counter() - began
        await _deploy(stage)
        await asyncio.sleep(SETTLE_SECONDS)
        report.rows += await away(partial(idle, stage.platform.settings.path))
        report.rows += await away(partial(commands, stage))
        ups = await away(partial(_ups, stage.platform))
    up = Row(f"bleen up, two services deployed, to ready: median of {TIMES}", round(median(ups), 2), "s", "lower", 5)
    report.rows[:0] = [up, Row("bleen up for the first time, to ready", round(first, 2), "s")]
    report.notes.append("two services of two instances each; the control plane is everything but gateway and instances")


def _ups(platform: LocalPlatform) -> list[float]:
    took = []
    for _ in range(TIMES):
        typed(platform, "down")
        took.append(typed(platform, "up"))
    return took


def run() -> Report:
    """Measure, in about two minutes."""
    report = Report("platform")
    asyncio.run(_run(report))
    return report
