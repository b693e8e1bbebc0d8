"""Canaries under real traffic: how soon a bad release is out, whom it harmed, and that a harmless one stays.

BLEEN_BENCH_RUNS      runs of each bad release (20); a quarter as many with the preset's defaults
BLEEN_BENCH_HARMLESS  runs of a harmless one (50), each watched for `WATCHED` seconds; one more goes on to its verdict

A real Envoy, three real instances of the example `greeter` for the stable release and one for the canary, 500 requests a second
kept alive, 90/10. Both releases answer after a lognormal time with a median of 50 ms and a sigma of 0.5, and fail 0.1 % of
their requests, as in the simulation of `bench.gate`. Everything shares one machine.

The rows with a goal are the preset `normal`, which learns for 20 seconds what is usual of the stable release, without the
warm-up, which is for caches that this program does not have. The others, "at once", have the warm-up and learn nothing before.
"""

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from msgspec import structs

from bench.report import Report, Row
from bench.stage import ENVIRONMENT, PERSON, Stage, TooLate, away, changed, running
from bleen.domain.canary import Analysis
from bleen.domain.command import Abort
from bleen.domain.duration import seconds
from bleen.domain.rollout import Promoted, RolledBack
from bleen.domain.service import Canary
from bleen.domain.views import RolloutSummary
from bleen.interfaces.repository import LoadedService, find_service
from bleen.interfaces.repository.examples import examples_folder
from bleen.interfaces.words import outcome_words
from bleen.providers.load import Load, LoadProcess, Outcome, Sample, quantile

RUNS = int(os.environ.get("BLEEN_BENCH_RUNS") or 20)
HARMLESS = int(os.environ.get("BLEEN_BENCH_HARMLESS") or (50 if RUNS == 20 else RUNS))
RATE = 500.0
LIMIT, WATCHED, PASS = 300.0, 30.0, 1900.0
"""Seconds after which a bad release counts as not caught; that a harmless one is watched; that one may take to pass."""
NAME = "greeter"
LEARNED = Canary(
    analysis=Analysis(warm_up=seconds(0)),
    warm=seconds(0),
    abort_delay=seconds(0),
)
AT_ONCE = Canary(analysis=Analysis(learn=seconds(0)), warm=seconds(0), abort_delay=seconds(0))
USUAL = {"HELLO_ERROR_SHARE": "0.001", "HELLO_LATENCY_MS": "50", "HELLO_LATENCY_SPREAD": "0.5"}
OWN = "500"
"""What a release of the example answers when it fails; a gateway never does."""


@dataclass(frozen=True)
class Case:
    """What is wrong, if anything."""

    name: str
    env: dict[str, str]
    goal: float | None = None
    """Seconds from the first bad request to the last, median."""
    slow: bool = False
    """Whether all its requests are bad, and those that it harms are the slow ones."""
    strategy: Canary = LEARNED


BAD = (
    Case("1 % errors", {"HELLO_ERROR_SHARE": "0.01"}, 15.0),
    Case("5 % errors", {"HELLO_ERROR_SHARE": "0.05"}, 3.0),
    Case("p95 +50 %", {"HELLO_LATENCY_MS": "75"}, 5.0, slow=True),
)
NOTHING = Case("harmless", {})


def at_once(case: Case) -> Case:
    """Return the same, with nothing learned before."""
    return replace(case, name=f"{case.name}, at once", goal=None, strategy=AT_ONCE)


@dataclass(frozen=True)
class Run:
    """One release that was tried."""

    summary: RolloutSummary
    took: float
    """Seconds from the order to the outcome."""

    @property
    def release(self) -> str:
        return self.summary.target.name

    @property
    def caught(self) -> bool:
        return isinstance(self.summary.outcome, RolledBack)


@dataclass
class Series:
    """All runs of a case, under one load."""

    case: Case
    runs: list[Run] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def samples(self) -> Sequence[Sample]:
        return self.outcome.samples

    def bad(self, run: Run) -> list[Sample]:
        """Return the requests from the first to the last of which the time counts."""
        mine = [s for s in self.samples if s.answered_by == run.release]
        return mine if self.case.slow else [s for s in mine if s.failure]

    def harmed(self, run: Run) -> int:
        """Return how many requests a release failed; where it is slow, how many took longer than 95 % of all others'."""
        if not self.case.slow:
            return len(self.bad(run))
        releases = {each.release for each in self.runs}
        usual = quantile([s.latency for s in self.samples if s.answered_by not in releases and not s.failure], 0.95)
        return sum(s.latency > usual for s in self.bad(run))

    def lasted(self, run: Run) -> float:
        """Return the seconds from the first bad request to the last."""
        times = [s.ended for s in self.bad(run)]
        return max(times) - min(times) if times else 0.0

    @property
    def lost(self) -> Sequence[Sample]:
        """Failed requests that no release answered: the deployment's."""
        return [s for s in self.outcome.failures if s.failure[:3] != OWN]


class Trial:
    """Releases tried on one platform, one after the other."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stable = changed(find_service(examples_folder(), NAME), **USUAL)
        self._count = 0

    async def first(self) -> None:
        """Deploy what all others are compared with."""
        await away(lambda: self._stage.deploy(self._next(NOTHING)))
        await away(lambda: self._stage.ended(NAME))

    def _next(self, case: Case) -> LoadedService:
        self._count += 1
        loaded = changed(self._stable, **case.env, GREETING=f"Release {self._count}")
        return replace(loaded, service=structs.replace(loaded.service, strategy=case.strategy))

    async def series(self, case: Case, runs: int, within: float) -> Series:
        """Try ``runs`` releases of a case, each until its outcome, or aborted after ``within`` seconds of traffic."""
        series = Series(case)
        within += case.strategy.analysis.learn.total_seconds()
        load = LoadProcess(Load(self._stage.gateway, RATE, host=f"{NAME}.localhost"))
        await load.start()
        try:
            await asyncio.sleep(3)
            for _ in range(runs):
                series.runs.append(await away(lambda: self._try(case, within)))
            await asyncio.sleep(1)
        finally:
            series.outcome = await load.stop()
        return series

    def _try(self, case: Case, within: float) -> Run:
        began = time.perf_counter()
        rollout = self._stage.begin(self._next(case))
        try:
            summary = self._stage.settled(NAME, rollout, within)
        except TooLate:
            self._stage.client.command(ENVIRONMENT, NAME, Abort(PERSON))
            summary = self._stage.settled(NAME, rollout)
        took = time.perf_counter() - began
        self._stage.ended(NAME)
        return Run(summary, took)


def _bad_rows(report: Report, series: Series) -> None:
    case, runs = series.case, series.runs
    caught = [run for run in runs if run.caught]
    lasted = [series.lasted(run) for run in caught]
    harmed = [series.harmed(run) for run in runs]
    what = "slow answers" if case.slow else "failed answers"
    report.rows += [
        Row(
            f"{case.name}: first bad request to the last, median of {len(caught)}",
            _round(_median(lasted)),
            "s",
            "lower",
            case.goal,
        ),
        Row(f"{case.name}: first bad request to the last, p90", _round(quantile(lasted, 0.9)), "s"),
        Row(f"{case.name}: order to outcome, median", _round(_median([run.took for run in caught])), "s"),
        Row(f"{case.name}: users harmed, median", median(harmed), what),
        Row(f"{case.name}: users harmed, most", max(harmed), what),
        Row(f"{case.name}: runs not caught in {LIMIT:g} s", len(runs) - len(caught), f"of {len(runs)}", "lower", 0),
    ]
    for run in runs:
        if not run.caught and run.summary.outcome is not None:
            report.notes.append(f"{case.name}: {run.release} was not caught: {outcome_words(run.summary.outcome)}")


def _harmless_rows(report: Report, series: Series) -> None:
    wronged = [run for run in series.runs if run.caught]
    watched = f"{series.case.name}, watched for {WATCHED:g} s: rolled back"
    report.rows.append(Row(watched, len(wronged), f"of {len(series.runs)}", "lower", 0))
    for run in wronged:
        if run.summary.outcome is not None:
            report.notes.append(f"{series.case.name}: {run.release}: {outcome_words(run.summary.outcome)}")


def _pass_rows(report: Report, series: Series) -> None:
    (run,) = series.runs
    assert run.summary.outcome is not None
    good = isinstance(run.summary.outcome, Promoted)
    report.rows += [
        Row("harmless, to its verdict: not promoted", int(not good), "of 1", "lower", 0),
        Row("harmless, to its verdict: order to promoted", _round(run.took) if good else None, "s"),
    ]
    if not good:
        report.notes.append(f"harmless: {run.release}: {outcome_words(run.summary.outcome)}")


def _load_rows(report: Report, every: Sequence[Series]) -> None:
    """Report what the deployments lost, and whether the load was what it says."""
    lost = [s for series in every for s in series.lost]
    sent = sum(len(series.samples) for series in every)
    late = quantile([s.started - s.due for series in every for s in series.samples], 0.99)
    report.rows += [
        Row("requests lost to the deployment", len(lost), f"of {sent}", "lower", 0),
        Row("load generator behind its schedule, p99", round(1000 * late, 1), "ms"),
    ]
    report.notes += [f"lost: {count} x {failure}" for failure, count in Counter(s.failure for s in lost).most_common(3)]
    report.notes.append(
        f"{RUNS} runs of each bad release, {HARMLESS} of a harmless one; {RATE:g} requests a second, 10 % to the canary, both "
        "releases fail 0.1 % of their own"
    )


def _median(values: Sequence[float]) -> float:
    return median(values) if values else math.nan


def _round(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


async def _run(report: Report) -> None:
    every = []
    async with running() as stage:
        trial = Trial(stage)
        await trial.first()
        for case, runs in (*((c, RUNS) for c in BAD), *((at_once(c), -(-RUNS // 4)) for c in BAD)):
            every.append(await trial.series(case, runs, LIMIT))
            _bad_rows(report, every[-1])
        for case, runs in ((NOTHING, HARMLESS - HARMLESS // 2), (at_once(NOTHING), HARMLESS // 2)):
            every.append(await trial.series(case, runs, WATCHED))
            _harmless_rows(report, every[-1])
        every.append(await trial.series(at_once(NOTHING), 1, PASS))
        _pass_rows(report, every[-1])
    _load_rows(report, every)


def run() -> Report:
    """Measure, in about an hour and a half; BLEEN_BENCH_RUNS=5 takes a quarter of that."""
    report = Report("canary")
    asyncio.run(_run(report))
    return report
