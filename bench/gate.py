"""The gate on simulated traffic: false alarms, time to find what is wrong, validity, and cost, beside two other rules.

500 requests a second, 90 % on 18 machines of the stable release and 10 % on 2 of the new one, looked at each second for half
an hour. Machines differ: the latency of each is off by 3 % for good, and drifts by 5 % over five minutes. What the gate sees
are counters and a histogram with Envoy's fine buckets (two significant digits). For a minute before, the stable release has
everything, as while a fleet starts. The peers look at the same seconds: a threshold per minute with five strikes, as Flagger's
is, and the documented judge of Kayenta (Mann-Whitney on the figures of each minute so far), written anew for this comparison.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import norm, rankdata

from bench.report import Report, Row
from bleen.domain.canary import Analysis, Tolerance
from bleen.domain.codec import encode
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.duration import seconds
from bleen.domain.gate import Gate, assess, count
from bleen.domain.signals import Counters, Histogram, Sample
from bleen.domain.verdict import Fail, Pass

SIZE = float(os.environ.get("BLEEN_BENCH_SIZE", "1"))
"""A tenth of it for a trial."""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BOUNDS = tuple(n * 10**power for power in range(2) for n in range(10, 100))
"""Upper bounds in ms, two significant digits, from 10 ms to 990 ms; what is faster is in the first."""
CANARIES, STABLES = 2, 18
MEDIAN, SIGMA = 50.0, 0.5
"""Of the lognormal latencies, in ms: the 95th percentile is 114 ms."""
DRIFTS_OVER = 300.0
"""Seconds in which a machine's drift is forgotten to 1/e."""
FINE, REACH = 5e-4, 2000
"""Slowness of machines is rounded to a twentieth of a percent, from 0.37 to 2.7 times."""
FLAGGER, KAYENTA = "threshold per minute", "Kayenta"


@dataclass(frozen=True)
class Case:
    """What is wrong, if anything."""

    name: str
    errors: float = 0.001
    slower: float = 1.0
    outage: tuple[int, int, float] | None = None
    """From and to which second, and which share of all requests fails then."""
    clump: int = 1
    """Errors that come together."""
    offset: float = 0.03
    drift: float = 0.05
    before: int = 60
    seconds: int = 1800
    analysis: Analysis = field(default_factory=lambda: Analysis(warm_up=seconds(0)))
    coarse: bool = False
    """Histograms have Envoy's default buckets."""
    until_pass: bool = False
    peers: bool = True


COARSE = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
HARMLESS = (
    Case("nothing is wrong"),
    Case("both fail 10 % for 10 min", outage=(600, 1200, 0.1)),
    Case("errors in clumps of 5", clump=5),
    Case("0.11 % errors, latency +2 %", errors=0.0011, slower=1.02),
)
HARMFUL = (
    (Case("0.5 % errors", errors=0.005), 61.0),
    (Case("1 % errors", errors=0.01), 15.0),
    (Case("5 % errors", errors=0.05), 3.0),
    (Case("p95 +50 %", slower=1.5), 5.0),
    (Case("p95 +20 %", slower=1.2), 100.0),
)


@dataclass(frozen=True)
class Traffic:
    """What happened in each second, canary first: (2, seconds), and latencies (2, seconds, buckets)."""

    requests: NDArray[np.int64]
    failed: NDArray[np.int64]
    latencies: NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """When each rule found the canary bad, in seconds; None where it did not."""

    gate: int | None
    passed: int | None
    threshold: int | None = None
    kayenta: int | None = None
    size: int = 0


def traffic(case: Case, random: np.random.Generator) -> Traffic:
    """Return what happens, from ``case.before`` seconds before the canary has traffic."""
    length = case.before + case.seconds
    share = np.where(np.arange(length) < case.before, 0.0, 0.1)
    requests = np.stack([random.poisson(500 * share), random.poisson(500 * (1 - share))])
    p = np.stack([np.full(length, case.errors), np.full(length, 0.001)])
    if case.outage is not None:
        begin, end, failing = case.outage
        p[:, case.before + begin : case.before + end] = failing
    failed = np.minimum(
        requests, case.clump * random.poisson(requests * p / case.clump) if case.clump > 1 else random.binomial(requests, p)
    )
    chances = [_buckets(scale, case) for scale in _scales(case, length, random)]
    latencies = np.stack([random.multinomial(n, chance) for n, chance in zip(requests, chances, strict=True)])
    return Traffic(requests, failed, latencies)


def _scales(case: Case, length: int, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how slow each machine is in each second: (seconds, machines) of both releases."""
    machines, kept = CANARIES + STABLES, np.exp(-1 / DRIFTS_OVER)
    offset, noise = random.normal(0, case.offset, machines), random.normal(0, case.drift, (length, machines))
    drift = np.empty_like(noise)
    drift[0] = noise[0]
    for n in range(1, length):
        drift[n] = kept * drift[n - 1] + np.sqrt(1 - kept**2) * noise[n]
    scale = np.exp(offset + drift)
    return scale[:, :CANARIES] * case.slower, scale[:, CANARIES:]


def _buckets(scale: NDArray[np.float64], case: Case) -> NDArray[np.float64]:
    """Return the chance of each bucket in each second, over all machines; the last is beyond all bounds."""
    if not case.drift and not case.offset:
        scale = scale[:, :1]  # machines all alike are one machine
    places = np.clip(np.rint(np.log(scale) / FINE).astype(int) + REACH, 0, 2 * REACH)
    table = _table(COARSE if case.coarse else BOUNDS)
    total = np.zeros((len(scale), table.shape[1]))
    for machine in places.T:
        total += table[machine]
    below = np.concatenate([np.zeros((len(scale), 1)), total / scale.shape[1], np.ones((len(scale), 1))], axis=1)
    chances: NDArray[np.float64] = np.diff(below, axis=1)
    return chances


@cache
def _table(bounds: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the chance to be within each bound, for machines that are exp((n - REACH) FINE) times as slow: (n, bounds)."""
    slower = FINE * np.arange(-REACH, REACH + 1)
    within: NDArray[np.float64] = ndtr((np.log(np.array(bounds, float) / MEDIAN) - slower[:, None]) / SIGMA)
    return within


def samples(case: Case, seen: Traffic) -> Iterator[tuple[int, Sample]]:
    """Yield (second, counters), from before the canary has traffic."""
    bounds = tuple(float(b) for b in (COARSE if case.coarse else BOUNDS))
    requests, failed, latencies = (np.cumsum(each, axis=1) for each in (seen.requests, seen.failed, seen.latencies))
    for n in range(requests.shape[1]):
        told = tuple(
            Counters(
                release=release,
                requests=int(requests[side, n]),
                failed=int(failed[side, n]),
                latency=Histogram(bounds, tuple(latencies[side, n, :-1].tolist()), int(latencies[side, n, -1])),
            )
            for side, release in ((0, 2), (1, 1))
            if requests[side, n]
        )
        second = n - case.before + 1
        yield second, Sample(BEGIN + timedelta(seconds=second), told)


def asked(case: Case, second: int) -> Comparison:
    """Return what is asked at ``second``; the canary has traffic from the first on."""
    phase = Phase.BESIDE if second > 0 else Phase.BEFORE
    return Comparison("bench", "hello", int(second > 0), BEGIN, 2, 1, phase, case.analysis)


def watch(work: tuple[Case, int]) -> Found:
    """Return what each rule finds in one rollout."""
    case, seed = work
    seen = traffic(case, np.random.default_rng(seed))
    gate, passed, failed = Gate(), None, None
    for second, sample in samples(case, seen):
        comparison = asked(case, second)
        gate = count(gate, comparison, sample)
        verdict = assess(gate, comparison, sample.at).verdict
        if isinstance(verdict, Fail):
            failed = second
            break
        if isinstance(verdict, Pass) and passed is None:
            passed = second
            if case.until_pass:
                break
    size = len(encode(gate))
    if not case.peers:
        return Found(failed, passed, size=size)
    return Found(failed, passed, threshold(case, seen), kayenta(case, seen), size)


# ---- the peers ----


def minutes(case: Case, seen: Traffic) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield at each full minute (second, figures): error share and p95 in ms of both releases, of that minute: (2, 2)."""
    bounds = np.array(BOUNDS if not case.coarse else COARSE, float)
    for begin in range(case.before, case.before + case.seconds, 60):
        span = slice(begin, begin + 60)
        requests, failed = seen.requests[:, span].sum(1), seen.failed[:, span].sum(1)
        below = np.cumsum(seen.latencies[:, span].sum(1), axis=1)
        place = [int(np.searchsorted(side, 0.95 * side[-1])) for side in below]
        p95 = bounds[np.minimum(place, len(bounds) - 1)]
        yield begin - case.before + 60, np.stack([failed / np.maximum(requests, 1), p95], axis=1)


def threshold(case: Case, seen: Traffic) -> int | None:
    """Return when five minutes, which nothing takes back, were beyond 1 % errors, or p95 above 1.2 times usual.

    Flagger counts failed checks in a row of the whole analysis; its own defaults are 99 % success and a latency that the user
    names, here 20 % above what is usual (137 ms).
    """
    strikes = 0
    for second, ((errors, p95), _) in minutes(case, seen):
        strikes += bool(errors > 0.01 or p95 > 1.2 * MEDIAN * np.exp(1.645 * SIGMA))
        if strikes >= 5:
            return second
    return None


def kayenta(case: Case, seen: Traffic) -> int | None:
    """Return when the judge first calls a metric High, asked each minute from the fifth on, on all minutes so far."""
    figures: list[NDArray[np.float64]] = []
    for second, each in minutes(case, seen):
        figures.append(each)
        if len(figures) >= 5 and any(_high(np.array(figures)[:, 0, n], np.array(figures)[:, 1, n]) for n in range(2)):
            return second
    return None


def _high(canary: NDArray[np.float64], baseline: NDArray[np.float64]) -> bool:
    """Return the judge's answer: the interval of the difference (98 %, Mann-Whitney) lies above a quarter of its estimate."""
    if (np.sort(canary) == np.sort(baseline)).all() or canary.mean() < baseline.mean():
        return False
    differences = np.sort((canary[:, None] - baseline[None, :]).ravel())
    estimate = float(np.median(differences))
    n, m = len(canary), len(baseline)
    _, ties = np.unique(rankdata(np.concatenate([canary, baseline])), return_counts=True)
    variance = n * m / 12 * ((n + m + 1) - (ties**3 - ties).sum() / ((n + m) * (n + m - 1)))
    place = int(np.floor(n * m / 2 - norm.ppf(0.99) * np.sqrt(max(variance, 0.0)) - 0.5))
    lower = float(differences[max(place, 0)])
    return lower > 0.25 * abs(estimate)


# ---- the rows ----


def run() -> Report:
    """Simulate every row, on all cores."""
    report = Report("gate")
    with get_context("fork").Pool(os.cpu_count()) as pool:

        def found(case: Case, rollouts: int, first: int) -> Sequence[Found]:
            return pool.map(watch, [(case, first + n) for n in range(_sized(rollouts))], chunksize=1)

        for place, case in enumerate(HARMLESS):
            report.add(_false_alarms(case, found(case, 200, 10_000 * place)))
        for place, (case, goal) in enumerate(HARMFUL):
            report.add(*_found(case, found(case, 200, 100_000 + 10_000 * place), goal))
        report.add(*_passes(found(Case("pass", until_pass=True, peers=False), 200, 200_000)))
        report.add(_validity(found(Case("null", offset=0.0, drift=0.0, peers=False), 2000, 300_000)))
        report.add(*(_flagged(f"8 % offsets, r0 {r}", found(_tolerant(r), 60, 400_000)) for r in (1.2, 1.5, 2.0)))
        report.add(*_levers(found))
    report.add(*cost(_sized(1000)))
    report.notes += NOTES
    return report


def _sized(rollouts: int) -> int:
    return max(4, round(rollouts * SIZE))


def _share(found: Sequence[int | None]) -> float:
    return round(100 * sum(each is not None for each in found) / len(found), 2)


def _median(found: Sequence[int | None], quantile: float = 0.5) -> float | None:
    """Return the quantile over all rollouts; one that was never found is later than all others."""
    late = sorted(float("inf") if each is None else each for each in found)
    figure = late[min(len(late) - 1, round(quantile * (len(late) - 1)))]
    return figure if figure != float("inf") else None


def _false_alarms(case: Case, found: Sequence[Found]) -> Row:
    peers = {FLAGGER: _share([f.threshold for f in found]), KAYENTA: _share([f.kayenta for f in found])}
    return Row(f"{case.name}: false alarms", _share([f.gate for f in found]), f"% of {len(found)}", "lower", 0.0, peers)


def _found(case: Case, found: Sequence[Found], goal: float) -> list[Row]:
    def peers(quantile: float) -> Mapping[str, float | None]:
        both = {FLAGGER: [f.threshold for f in found], KAYENTA: [f.kayenta for f in found]}
        return {name: _median(each, quantile) for name, each in both.items()}

    gate = [f.gate for f in found]
    caught = {FLAGGER: _share([f.threshold for f in found]), KAYENTA: _share([f.kayenta for f in found])}
    rows = [
        Row(f"{case.name}: found, median", _median(gate), "s", "lower", goal, peers(0.5)),
        Row(f"{case.name}: found, p90", _median(gate, 0.9), "s", "lower", None, peers(0.9)),
        Row(f"{case.name}: found within 30 min", _share(gate), "%", "higher", 98.0, caught),
    ]
    wrong = [f.passed for f in found]
    return [*rows, Row(f"{case.name}: promoted before", _share(wrong), "%", "lower", 5.0)]


def _passes(found: Sequence[Found]) -> list[Row]:
    passed = [f.passed for f in found]
    return [
        Row("nothing is wrong: passed, median", _median(passed), "s"),
        Row("nothing is wrong: passed, p90", _median(passed, 0.9), "s"),
        Row("nothing is wrong: passed within 30 min", _share(passed), "%", "higher"),
    ]


def _validity(found: Sequence[Found]) -> Row:
    return Row("machines all alike, alpha 1 %: flagged", _share([f.gate for f in found]), f"% of {len(found)}", "lower", 1.0)


def _tolerant(ratio: float) -> Case:
    tolerance = Tolerance(ratio=ratio)
    analysis = Analysis(warm_up=seconds(0), errors=tolerance, latency=tolerance)
    return Case("offsets", offset=0.08, analysis=analysis, peers=False)


def _flagged(name: str, found: Sequence[Found]) -> Row:
    return Row(f"{name}: flagged", _share([f.gate for f in found]), f"% of {len(found)}")


def _levers(found: Callable[[Case, int, int], Sequence[Found]]) -> list[Row]:
    """Return what each lever is worth: the same rollouts with it changed."""
    rows = []
    for name, (change, shown) in LEVERS.items():
        for place, (case, _) in enumerate(HARMFUL):
            if case.name in shown:
                figures = found(replace(case, peers=False, **change), 200, 100_000 + 10_000 * place)
                rows.append(Row(f"{case.name}, {name}: found, median", _median([f.gate for f in figures]), "s"))
    return rows


EQUALLY = Analysis(warm_up=seconds(0), latency=Tolerance(weight=1.0))
LEVERS: Mapping[str, tuple[Mapping[str, Any], Sequence[str]]] = {
    "Envoy's default buckets": ({"coarse": True}, ("p95 +50 %", "p95 +20 %")),
    "nothing learned before": ({"before": 1}, ("0.5 % errors", "1 % errors", "5 % errors", "p95 +50 %")),
    "latency weighs as much as errors": ({"analysis": EQUALLY}, ("0.5 % errors", "1 % errors", "p95 +20 %")),
    "default warm-up of 5 s": ({"analysis": Analysis()}, ("p95 +50 %",)),
}
"""What is taken away or changed, and which rows show it."""
NOTES = [
    "warm-up is 0 here, so that rows compare with rules that have none; by default latencies of the first 5 s are left out",
    "a minute of the stable release alone is learned from, as while a fleet starts",
]


def cost(canaries: int) -> list[Row]:
    """Return what it takes to look at many canaries at once, on one core."""
    case = Case("cost", seconds=20)
    stream = [sample for second, sample in samples(case, traffic(case, np.random.default_rng(1))) if second > -5]
    comparison = asked(case, 1)
    gates = [Gate() for _ in range(canaries)]
    for sample in stream[:-5]:
        gates = [count(gate, comparison, sample) for gate in gates[:1]] * canaries
    begun = time.process_time()
    for sample in stream[-5:]:
        for n, gate in enumerate(gates):
            gates[n] = count(gate, comparison, sample)
            assess(gates[n], comparison, sample.at)
    spent = (time.process_time() - begun) / 5 / canaries
    return [
        Row("one look at one canary", round(1e6 * spent, 1), "µs"),
        Row("looks a second on one core", round(1 / spent), "/s", "higher", 1000.0),
        Row("1,000 canaries each second", round(100 * 1000 * spent, 1), "% of a core", "lower", 100.0),
        Row("state of one canary", max(len(encode(gate)) for gate in gates[:1]), "bytes"),
    ]
