"""Metrics in memory, with every fault that real ones have. For tests and dry runs."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bleen.domain.canary import Events, Metric
from bleen.domain.comparison import Comparison
from bleen.domain.errors import Unreachable
from bleen.domain.signals import Counters, Histogram, Load, Sample


class MemoryRelease:
    """What one release of one service met."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.latency: Counter[float] = Counter()
        self.events: dict[str, tuple[float, float]] = {}
        """By metric: bad events, and all events."""
        self.connections = 0
        self.pending = 0
        self.load: tuple[float, int] | None = None
        """Seconds of processor time, and bytes."""

    def counters(self, release: int, custom: Sequence[Metric]) -> Counters:
        """Return them as a sample tells them, with those of ``custom`` that are events."""
        edges = sorted(self.latency)
        asked = [metric.name for metric in custom if isinstance(metric, Events)]
        return Counters(
            release=release,
            requests=self.classes.total(),
            failed=self.classes["5xx"],
            classes=dict(self.classes),
            reasons=dict(self.reasons),
            latency=Histogram(edges=tuple(edges), counts=tuple(self.latency[edge] for edge in edges)),
            connections=self.connections,
            pending=self.pending,
            custom={name: self.events.get(name, (0.0, 0.0)) for name in asked},
        )


class MemoryMetrics:
    """Port `Metrics` over what it is told with `add`, `add_events` and ``numbers``."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self.answers = True
        """False: nobody counts."""
        self.numbers: dict[str, float] = {}
        """Custom numbers by name; one that is asked for and missing here cannot be read."""
        self.failures: dict[str, str] = {}
        """Custom metrics that cannot be read, and why."""
        self.reads = 0
        """How often it was asked."""
        self._began = 1
        self._releases: dict[tuple[str, str, int, bool], MemoryRelease] = {}

    def release(self, service: str, release: int, environment: str = "dev", *, baseline: bool = False) -> MemoryRelease:
        """Return what the release, or its baseline fleet, has met, to be looked at or changed."""
        return self._releases.setdefault((environment, service, release, baseline), MemoryRelease())

    def add(
        self,
        service: str,
        release: int,
        requests: int = 1,
        *,
        status: int = 200,
        ms: float = 1.0,
        environment: str = "dev",
        baseline: bool = False,
    ) -> None:
        """Let ``requests`` meet the release, or its baseline fleet: answered with ``status``, after at most ``ms``.

        ``status`` 0: no instance answered, so that the gateway did, with 503; those have no latency.
        """
        met = self.release(service, release, environment, baseline=baseline)
        met.classes[f"{(status or 503) // 100}xx"] += requests
        if status:
            met.latency[ms] += requests
        else:
            met.reasons["connect"] += requests

    def add_events(self, service: str, release: int, metric: str, bad: float, total: float, environment: str = "dev") -> None:
        """Let the release's instances count ``total`` more events, of which ``bad`` were bad."""
        met = self.release(service, release, environment)
        before = met.events.get(metric, (0.0, 0.0))
        met.events[metric] = (before[0] + bad, before[1] + total)

    def restart(self) -> None:
        """Let all counters begin anew, as those of a gateway do that was restarted."""
        self._began += 1
        self._releases.clear()

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the counters of both releases and the custom metrics; Unreachable where nobody counts."""
        self.reads += 1
        if not self.answers:
            raise Unreachable("the gateways did not answer", next="bleen doctor")
        failures = {metric.name: why for metric in custom if (why := self._failure(metric))}
        read = [metric for metric in custom if metric.name not in failures]
        service, environment = comparison.service, comparison.environment
        met = {
            number: self.release(service, number, environment, baseline=comparison.counts(number, baseline=True))
            for number in (comparison.baseline, comparison.canary)
        }
        return Sample(
            at=self.clock(),
            releases=tuple(each.counters(number, read) for number, each in met.items()),
            epoch=f"{self._began}{'/baseline' if comparison.fair else ''}",
            loads=tuple(Load(number, *each.load) for number, each in met.items() if each.load),
            numbers={metric.name: self.numbers[metric.name] for metric in read if not isinstance(metric, Events)},
            failures=failures,
        )

    def _failure(self, metric: Metric) -> str:
        unknown = not isinstance(metric, Events) and metric.name not in self.numbers
        return self.failures.get(metric.name, "it has no value" if unknown else "")
