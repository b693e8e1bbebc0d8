"""Metrics of one's own: events that are compared as errors are, and numbers that must stay within bounds."""

from datetime import datetime, timedelta
from math import isfinite

from msgspec import structs

from bleen.domain.canary import Events, Metric, Number
from bleen.domain.codec import Value
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.evidence import Tick
from bleen.domain.signals import Sample
from bleen.domain.tally import Tally, margins, told
from bleen.domain.verdict import Reading

STRIKES = 3
"""Readings of events that may fail in a row; a number has its own limit."""
EARLY = timedelta(milliseconds=200)
"""A loop that looks every second must not read at every sixth for being a millisecond early."""


class Custom(Value, frozen=True):
    """What is known of a metric of one's own."""

    at: datetime
    """When it was last read, or should have been."""
    read: bool = False
    """Whether it could ever be read."""
    value: float | None = None
    strikes: int = 0
    """Readings out of bounds, in a row."""
    misses: int = 0
    """Failed readings, in a row."""
    why: str = ""
    """Why the last reading failed."""
    events: tuple[float, float, float, float] | None = None
    """Bad and all events of the canary, and of the baseline, when the present tick began."""
    began: datetime | None = None
    """When that tick began."""


def due(custom: Custom | None, metric: Metric, now: datetime) -> bool:
    """Return whether ``metric`` is to be read now; after a clock that jumped back, it is."""
    return custom is None or not timedelta(0) <= now - custom.at < metric.every - EARLY


def lost(custom: Custom | None, metric: Metric) -> str:
    """Return why ``metric`` is not known any more; empty while it is."""
    limit = metric.strikes if isinstance(metric, Number) else STRIKES
    return custom.why if custom is not None and custom.misses >= limit else ""


def struck(custom: Custom | None, metric: Metric) -> bool:
    """Return whether ``metric`` was out of its bounds so often in a row that the release fails."""
    return isinstance(metric, Number) and custom is not None and custom.strikes >= metric.strikes


def read_number(known: Custom | None, metric: Number, sample: Sample, *, early: bool) -> Custom | None:
    """Return what is known of a number after ``sample``. What cannot be read, or is none, is no reading: neither good nor bad.

    ``early``: the canary has no traffic, and its number says nothing of it yet.
    """
    value = sample.numbers.get(metric.name)
    if metric.name in sample.failures or (value is not None and not isfinite(value)):
        return missed(known, sample, sample.failures.get(metric.name, f"it is {value}"))
    if value is None:
        return known
    known = known or Custom(sample.at)
    out = (metric.min is not None and value < metric.min) or (metric.max is not None and value > metric.max)
    strikes = known.strikes + 1 if out and not early else 0
    return structs.replace(known, at=sample.at, read=True, value=value, strikes=strikes, misses=0, why="")


def missed(known: Custom | None, sample: Sample, why: str) -> Custom:
    """Return what is known of a metric after it could not be read."""
    known = known or Custom(sample.at)
    return structs.replace(known, at=sample.at, misses=known.misses + 1, why=why or "it could not be read")


def read_events(
    known: Custom | None, tally: Tally, metric: Events, comparison: Comparison, sample: Sample, *, fresh: bool
) -> tuple[Custom | None, Tally]:
    """Return what is known of ``metric`` after ``sample``; ``fresh``: there is nothing before to subtract from it."""
    if metric.name in sample.failures:
        return missed(known, sample, sample.failures[metric.name]), tally
    now = _events(metric, comparison, sample)
    if now is None:
        return known, tally
    if not all(isfinite(n) for n in now):
        return missed(known, sample, "it is not a number"), tally
    read = structs.replace(known or Custom(sample.at), at=sample.at, read=True, misses=0, why="")
    begin = structs.replace(read, events=now, began=sample.at)
    if fresh or read.events is None or read.began is None or any(n < b for n, b in zip(now, read.events, strict=True)):
        return begin, tally
    bad, every, base_bad, base_every = (n - b for n, b in zip(now, read.events, strict=True))
    if (comparison.phase is not Phase.BEFORE and not every) or (comparison.phase is not Phase.AFTER and not base_every):
        return read, tally
    tick = Tick((bad,), every, (base_bad,), base_every, (sample.at - read.began).total_seconds())
    tolerated = margins(comparison.analysis, metric.ratio, comparison.phase)
    return begin, told(tally, tick, comparison.phase, tolerated)


def _events(metric: Events, comparison: Comparison, sample: Sample) -> tuple[float, float, float, float] | None:
    canary, baseline = sample.of(comparison.canary), sample.of(comparison.baseline)
    ours = canary.custom.get(metric.name) if canary else None
    theirs = baseline.custom.get(metric.name) if baseline else None
    return None if ours is None and theirs is None else (*(ours or (0.0, 0.0)), *(theirs or (0.0, 0.0)))


def complaint(known: Custom | None, metric: Number) -> str:
    """Return in a sentence why ``metric`` fails the release."""
    if known is None or known.value is None:
        return f"{metric.name} is out of bounds"
    low = metric.min is not None and known.value < metric.min
    bound = f"below {metric.min:g}" if low and metric.min is not None else f"above {metric.max:g}"
    return f"{metric.name} is {known.value:g}, {bound}, {known.strikes} times in a row"


def reading(known: Custom | None, metric: Number) -> Reading:
    """Return ``metric`` for people: its strikes stand in place of evidence."""
    strikes, fine = (known.strikes, float(known.read and not known.strikes)) if known else (0, 0.0)
    value = known.value if known else None
    return Reading(metric.name, "", value, None, 1.0, float(strikes), float(metric.strikes), fine, 1.0)
