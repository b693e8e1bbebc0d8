"""Golden signals: what requests met at each release, counted by whoever carried them."""

from collections.abc import MutableSequence
from datetime import datetime

from bleen.domain.codec import Value


class Histogram(Value, frozen=True):
    """Latencies in buckets, counted since the counters began: ``counts[i]`` took at most ``edges[i]`` ms and longer than
    the edge before it. Latencies beyond the last edge are in ``beyond``.
    """

    edges: tuple[float, ...] = ()
    """Upper bounds in milliseconds, ascending. May differ from one reading to the next: only used buckets are told."""
    counts: tuple[int, ...] = ()
    beyond: int = 0

    @property
    def total(self) -> int:
        """How many latencies were counted."""
        return sum(self.counts) + self.beyond

    def slower(self, edge: float) -> int:
        """Return how many took longer than ``edge`` ms, as far as the buckets tell: a bucket is as slow as its upper bound."""
        return self.beyond + sum(c for bound, c in zip(self.edges, self.counts, strict=True) if bound > edge)

    def quantile(self, share: float) -> float | None:
        """Return the upper bound in ms below which ``share`` (0 to 1) of the latencies lie; None where there are none."""
        wanted, seen = share * self.total, 0
        if not self.total:
            return None
        for bound, count in zip(self.edges, self.counts, strict=True):
            seen += count
            if seen >= wanted:
                return bound
        return self.edges[-1] if self.edges else None


class Counters(Value, frozen=True):
    """What one release met since its counters began, over all gateways."""

    release: int
    requests: int
    """Requests that were answered, or given up, by the release. Probes of a gateway are none."""
    failed: int = 0
    """Of those: answers of the class 5xx, a gateway's own for requests that no instance answered among them, and answers
    that broke off."""
    classes: dict[str, int] = {}
    """Answers by class: ``2xx``, ``4xx``, ``5xx``."""
    reasons: dict[str, int] = {}
    """Why attempts failed: ``timeout``, ``connect``, ``reset``, ``overflow``; ``gave-up`` after the last one; ``broken``
    half-way through an answer. One request may have several, and may have succeeded in the end."""
    latency: Histogram = Histogram()
    """Of answers that an instance gave, in ms. May lag behind ``requests`` by a second or two."""
    connections: int = 0
    """Open now."""
    pending: int = 0
    """Requests that wait for a connection now."""
    custom: dict[str, tuple[float, float]] = {}
    """By metric: bad events, and all events, since the counters began."""


class Usage(Value, frozen=True):
    """What one instance uses, with all the processes that it started."""

    cpu: float
    """Seconds of processor time used so far."""
    memory: int
    """Bytes."""


class Load(Value, frozen=True):
    """What the instances of one release use now."""

    release: int
    cpu: float
    """Seconds of processor time used so far, over all its instances."""
    memory: int
    """Bytes, over all its instances."""


class Sample(Value, frozen=True):
    """All counters of one service at one moment. Those of one epoch never go down, but for ``connections`` and ``pending``."""

    at: datetime
    releases: tuple[Counters, ...]
    epoch: str = ""
    """Names the counters: another one means that they began anew (a gateway was restarted). Counters of two epochs are
    never subtracted."""
    loads: tuple[Load, ...] = ()
    numbers: dict[str, float] = {}
    """Custom numbers of the new release, as they are now."""
    failures: dict[str, str] = {}
    """Custom metrics that could not be read, and why."""
    until: datetime | None = None
    """Where counters are told late: what requests met after this moment is in none of them yet, and what they met before may
    have been told only now. None where they are as of ``at``. Custom metrics are as of ``at``, always."""

    def of(self, release: int) -> Counters | None:
        """Return the counters of ``release``; None where they were not asked for. One that met no request has them at zero."""
        return next((c for c in self.releases if c.release == release), None)

    def load(self, release: int) -> Load | None:
        """Return what the instances of ``release`` used; None where that is not known."""
        return next((load for load in self.loads if load.release == release), None)


class Golden(Value, frozen=True):
    """The golden signals of one release, over the seconds between two samples."""

    release: int
    rate: float
    """Traffic: requests a second."""
    failed: float
    """Errors: percent of the requests."""
    p50: float | None
    """Latency in ms; None where there was none."""
    p95: float | None
    p99: float | None
    classes: dict[str, float]
    """Answers a second by class."""
    reasons: dict[str, float]
    """Failed attempts a second by reason."""
    connections: int
    """Saturation: open connections."""
    pending: int
    """Requests that waited for one."""
    cpu: float | None = None
    """Cores in use; None where the machines do not say."""
    memory: int | None = None
    """Bytes."""


def keep(samples: MutableSequence[Sample], sample: Sample) -> None:
    """Add ``sample`` to those that golden signals are told from; of counters that are told late, the last two that differ."""
    if sample.until is None:
        samples.append(sample)
        return
    older = [each for each in samples if each.until is not None and each.until < sample.until]
    samples.clear()
    samples.extend([*older[-1:], sample])


def golden(before: Sample, now: Sample, release: int) -> Golden | None:
    """Return the golden signals of ``release`` from ``before`` to ``now``; None where the counters began anew between."""
    seconds = ((now.until or now.at) - (before.until or before.at)).total_seconds()
    old, new = before.of(release), now.of(release)
    if old is None or new is None or seconds <= 0 or before.epoch != now.epoch or new.requests < old.requests:
        return None
    latency = _between(old.latency, new.latency)
    requests, load = new.requests - old.requests, now.load(release)
    used = before.load(release)
    return Golden(
        release=release,
        rate=requests / seconds,
        failed=100 * max(0, new.failed - old.failed) / requests if requests else 0.0,
        p50=latency.quantile(0.5),
        p95=latency.quantile(0.95),
        p99=latency.quantile(0.99),
        classes=_rates(old.classes, new.classes, seconds),
        reasons=_rates(old.reasons, new.reasons, seconds),
        connections=new.connections,
        pending=new.pending,
        cpu=max(0.0, load.cpu - used.cpu) / seconds if load and used else None,
        memory=load.memory if load else None,
    )


def _rates(old: dict[str, int], new: dict[str, int], seconds: float) -> dict[str, float]:
    grown = {name: (count - old.get(name, 0)) / seconds for name, count in new.items()}
    return {name: rate for name, rate in grown.items() if rate > 0}


def _between(old: Histogram, new: Histogram) -> Histogram:
    """Return what was counted after ``old``, whose buckets are among those of ``new``."""
    known = dict(zip(old.edges, old.counts, strict=True))
    counts = tuple(max(0, count - known.get(edge, 0)) for edge, count in zip(new.edges, new.counts, strict=True))
    return Histogram(new.edges, counts, max(0, new.beyond - old.beyond))
