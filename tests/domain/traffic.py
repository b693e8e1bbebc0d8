"""Traffic for the gate: two releases whose counters grow second by second, with what a test wants to go wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from bleen.domain.canary import Analysis
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.gate import Gate, assess, blind, count
from bleen.domain.signals import Counters, Histogram, Sample
from bleen.domain.verdict import Assessment

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STABLE, NEW = 1, 2
BOUNDS = tuple(n * 10**power / 10 for power in range(4) for n in range(10, 100))
"""Upper bounds in ms of buckets with two significant digits, as Envoy's are."""


def asked(phase: Phase = Phase.BESIDE, *, step: int = 1, requests: int | None = None, **analysis: object) -> Comparison:
    """Return a comparison of r2 with r1."""
    return Comparison("dev", "hello", step, NOON, NEW, STABLE, phase, Analysis(**analysis), requests)  # type: ignore[arg-type]


@dataclass
class Side:
    """The counters of one release."""

    release: int
    requests: int = 0
    failed: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    custom: dict[str, tuple[float, float]] = field(default_factory=dict)

    def met(self, requests: int, failed: int = 0, latencies: Iterator[float] | tuple[float, ...] = ()) -> None:
        """Count requests, of which some failed, and how long some took."""
        self.requests += requests
        self.failed += failed
        for latency in latencies:
            self.buckets[next((n for n, bound in enumerate(BOUNDS) if latency <= bound), len(BOUNDS) - 1)] += 1

    @property
    def counters(self) -> Counters:
        told = [(bound, n) for bound, n in zip(BOUNDS, self.buckets, strict=True) if n]
        histogram = Histogram(tuple(bound for bound, _ in told), tuple(n for _, n in told))
        return Counters(self.release, self.requests, self.failed, latency=histogram, custom=self.custom)


@dataclass
class Road:
    """Both releases, a clock, and the gate that looks on."""

    comparison: Comparison = field(default_factory=asked)
    gate: Gate = field(default_factory=Gate)
    now: datetime = NOON
    stable: Side = field(default_factory=lambda: Side(STABLE))
    new: Side = field(default_factory=lambda: Side(NEW))
    epoch: str = "one"
    numbers: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    random: Random = field(default_factory=lambda: Random(7))

    def sample(self) -> Sample:
        sides = tuple(side.counters for side in (self.stable, self.new) if side.requests or side.custom)
        return Sample(self.now, sides, self.epoch, numbers=self.numbers, failures=self.failures)

    def look(self, seconds: float = 1.0) -> Assessment:
        """Let time pass, and look."""
        self.now += timedelta(seconds=seconds)
        self.gate = count(self.gate, self.comparison, self.sample())
        return self.assessment

    def lose_sight(self, seconds: float = 1.0) -> Assessment:
        self.now += timedelta(seconds=seconds)
        self.gate = blind(self.gate, self.comparison, self.now, "the gateway is silent")
        return self.assessment

    @property
    def assessment(self) -> Assessment:
        return assess(self.gate, self.comparison, self.now)

    def serve(self, new: tuple[int, float], stable: tuple[int, float], slower: float = 1.0) -> None:
        """Count (requests, share that fails) at each release; the new one is ``slower`` times as slow."""
        for side, (requests, share), factor in ((self.new, new, slower), (self.stable, stable, 1.0)):
            failed = sum(self.random.random() < share for _ in range(requests))
            side.met(requests, failed, tuple(factor * self.random.lognormvariate(3.9, 0.5) for _ in range(requests)))

    def run(
        self,
        seconds: int,
        new: tuple[int, float] = (10, 0.01),
        stable: tuple[int, float] = (90, 0.01),
        slower: float = 1.0,
        until: Callable[[Assessment], bool] = lambda _: False,
    ) -> Assessment:
        """Serve and look each second; return the last assessment, or the first that ``until`` wants."""
        for _ in range(seconds):
            self.serve(new, stable, slower)
            assessment = self.look()
            if until(assessment):
                break
        return assessment

    def learned(self, seconds: int = 30, share: float = 0.01) -> "Road":
        """Return itself after the stable release had all traffic for a while, and the new one is about to get some."""
        after, self.comparison = self.comparison, asked(Phase.BEFORE, step=0)
        self.look(0)
        for _ in range(seconds):
            self.serve((0, 0.0), (100, share))
            self.look()
        self.comparison = after
        return self
