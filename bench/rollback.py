"""`bleen rollback hello`, typed in a real shell: from Enter to the last request that was sent to the bad release.

Also what the workflow needs for a change of weights: from the decision in the ledger to the first answer of the release
that has the traffic now.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.report import Report, Row
from bench.stage import ENVIRONMENT, Stage, away, changed, example, running
from bleen.domain.decision import Shift
from bleen.domain.ledger import Decided
from bleen.domain.rollout import Promoted
from bleen.domain.traffic import WHOLE, Colour
from bleen.providers.load import Load, LoadProcess, Sample

TIMES = 10
RATE = 500.0


@dataclass
class Shot:
    """One rollback."""

    bad: str
    """The release that was gone back from, ``r4``."""
    typed: float
    over: float
    """When the command had ended. Times are of `time.perf_counter`."""


async def shoot(stage: Stage, number: int) -> Shot:
    """Deploy a release, and go back from it as a person does."""
    rollout = await away(lambda: stage.deploy(changed(example("hello", strategy={"warm": "10m"}), GREETING=f"Hello {number}")))
    assert isinstance(rollout.outcome, Promoted), rollout.outcome
    await asyncio.sleep(1)
    typed = time.perf_counter()
    command = Path(sys.executable).with_name("bleen")
    environ = {**os.environ, "BLEEN_HOME": stage.platform.settings.home}
    process = await asyncio.create_subprocess_exec(
        command, "rollback", "hello", env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    words = (await process.communicate())[0].decode()
    over = time.perf_counter()
    assert process.returncode == 0, words
    await away(lambda: stage.ended("hello"))
    return Shot(rollout.target.name, typed, over)


async def _run(report: Report) -> None:
    async with running() as stage:
        await away(lambda: stage.deploy(changed(example("hello"), GREETING="Hello")))
        await away(lambda: stage.ended("hello"))
        load = LoadProcess(Load(stage.gateway, RATE, host="hello.localhost"))
        await load.start()
        wall = time.time() - time.perf_counter()
        try:
            shots = [await shoot(stage, number) for number in range(TIMES)]
        finally:
            outcome = await load.stop()
        shifts = await away(lambda: _shifts(stage, wall))
    _report(report, shots, outcome.samples, shifts)
    report.rows.append(Row("failed requests meanwhile", len(outcome.failures), "requests", "lower", 0))


def _report(report: Report, shots: Sequence[Shot], samples: Sequence[Sample], shifts: Sequence[tuple[float, str]]) -> None:
    last = [max(s.started for s in samples if s.answered_by == shot.bad) - shot.typed for shot in shots]
    took = [shot.over - shot.typed for shot in shots]
    during = [(at, name) for at, name in shifts if at > samples[0].due]
    effects = [first - at for at, name in during if (first := _first(samples, at, name)) is not None]
    report.rows += [
        Row(f"bleen rollback typed to last request on the bad release, median of {TIMES}", round(median(last), 3), "s"),
        Row("bleen rollback typed to last request on the bad release, longest", round(max(last), 3), "s", "lower", 1.0),
        Row("bleen rollback typed to its last word, median", round(median(took), 3), "s"),
        Row(f"shift decided to first answer of the other release, median of {len(effects)}", _ms(median(effects)), "ms"),
        Row("shift decided to first answer of the other release, longest", _ms(max(effects)), "ms"),
    ]
    report.notes.append(f"open-loop load of {RATE:g} requests a second, so that {1000 / RATE:g} ms are within its error")


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _shifts(stage: Stage, wall: float) -> list[tuple[float, str]]:
    """Return when each shift of all traffic to another release was entered, and to which release."""
    found: list[tuple[float, str]] = []
    serving = "r1"
    for rollout in reversed(stage.client.history(ENVIRONMENT, "hello", limit=100).rollouts):
        for line in stage.client.explain(rollout.id).lines:
            if not isinstance(line.event, Decided) or not isinstance(line.event.decision, Shift):
                continue
            route = line.event.decision.route
            whole = next((f"r{route.release(c)}" for c in Colour if route.split.weight(c) == WHOLE), serving)
            if whole != serving:
                found.append((line.at.timestamp() - wall, whole))
            serving = whole
    return found


def _first(samples: Sequence[Sample], at: float, release: str) -> float | None:
    return min((s.started for s in samples if s.answered_by == release and at <= s.started), default=None)


def run() -> Report:
    """Measure, in about a minute."""
    report = Report("rollback")
    asyncio.run(_run(report))
    return report
