"""The gate: evidence from traffic, second by second, and the verdict that it allows.

`count` takes a sample of counters and returns the gate with what happened since the sample before; `assess` says what that
allows to say. The mathematics is in `evidence`. A gate is the whole state: it is written down after every sample, and what
reads it back goes on with the same evidence.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import ceil, exp

from msgspec import structs

from bleen.domain import counted, custom
from bleen.domain.appraisal import Seen, Weighed
from bleen.domain.canary import Events, Metric, Number
from bleen.domain.codec import Value
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.counted import Counted, Pending
from bleen.domain.custom import Custom
from bleen.domain.edges import Edge, choose, since
from bleen.domain.evidence import MANIFOLD, MILDLY, Evidence, Tick, Usual, learn
from bleen.domain.signals import Counters, Histogram, Sample
from bleen.domain.tally import Tally, margins, told
from bleen.domain.verdict import Assessment, Cause, Fail, Inconclusive, Pass, Reading, Verdict

GAP = 30.0
"""Seconds between two samples after which what lies between is not compared. A controller that was killed is back before."""
STALE = 5.0
"""Seconds after which a sample says nothing about now."""
IDLE = timedelta(seconds=30)
"""So long a release may have no requests before that is said."""
ENOUGH = 300
"""Latencies of the baseline from which edges are chosen: 300 show where the slowest 1 % begin to within a factor of two."""
RECENT = 5.0
"""Seconds over which rates "of late" are averaged, with weights that fall exponentially."""
FEW = 5.0
"""An outage is not told from fewer recent failures than this: dropping seconds for a failure or two would bend the evidence."""
LEAST = 100
"""Requests to the canary before any pass: fewer would miss one failure in twenty more often than once in a hundred times."""
PLENTY = 3000
"""As many, where there is time: before the canary has traffic."""


class Recent(Value, frozen=True):
    """Rates a second of late."""

    requests: float = 0.0
    failed: float = 0.0
    base_requests: float = 0.0
    base_failed: float = 0.0


class Gate(Value, frozen=True):
    """All evidence so far: a few KB, and whole after a restart."""

    at: datetime | None = None
    """The last moment that was looked at, counted or not."""
    sampled: datetime | None = None
    """The last sample."""
    epoch: str = ""
    until: datetime | None = None
    """The moment until which the last sample told what requests met; None where counters are told at once."""
    canary: Counted | None = None
    """In the last sample; None where it was not told."""
    baseline: Counted | None = None
    pending: Pending = Pending()
    first: Histogram | None = None
    """The baseline's latencies when learning began."""
    edges: tuple[Edge, ...] = ()
    """Chosen once."""
    errors: Tally = Tally(evidence=Evidence(prior=MANIFOLD))
    latency: Tally = Tally(evidence=Evidence(prior=MILDLY), usual=Usual(pauses=True))
    events: dict[str, Tally] = {}
    custom: dict[str, Custom] = {}
    recent: Recent = Recent()
    step: int | None = None
    requests: int = 0
    """To the canary, counted as evidence."""
    compared: int = 0
    in_step: int = 0
    """To the canary in this step."""
    held: float = 0.0
    """Seconds of this step in which nothing could be learned."""
    arrived: datetime | None = None
    """When the canary first had traffic."""
    canary_seen: datetime | None = None
    """When it last had."""
    baseline_seen: datetime | None = None
    hold: Cause | None = None
    """Why nothing is counted now."""
    blind: str = ""
    """Why nobody counts now."""


def due(gate: Gate, comparison: Comparison, now: datetime) -> Sequence[Metric]:
    """Return the metrics of one's own that are to be read now; after a clock that jumped back, all of them."""
    return [metric for metric in comparison.analysis.metrics if custom.due(gate.custom.get(metric.name), metric, now)]


def blind(gate: Gate, comparison: Comparison, now: datetime, why: str) -> Gate:
    """Return ``gate`` after a moment in which nobody counted."""
    gate = _at_step(gate, comparison)
    return structs.replace(gate, at=now, blind=why or "nobody counts", held=gate.held + _passed(gate.at, now))


def count(gate: Gate, comparison: Comparison, sample: Sample) -> Gate:
    """Return ``gate`` with what happened since the sample before."""
    gate = _in_the_past(_at_step(gate, comparison), sample.at)
    age = (sample.at - gate.sampled).total_seconds() if gate.sampled else 0.0
    apart = not 0 <= age <= GAP
    fresh = apart or gate.sampled is None
    fresh = fresh or sample.epoch != gate.epoch
    gate = _requests(gate, comparison, sample, None if fresh else age)
    gate = _custom(gate, comparison, sample, fresh or gate.hold is not None) if comparison.analysis.metrics else gate
    held = _passed(gate.at, sample.at) if apart or gate.blind or gate.hold or _lost(gate, comparison) else 0.0
    return structs.replace(gate, at=sample.at, sampled=sample.at, epoch=sample.epoch, blind="", held=gate.held + held)


def _passed(before: datetime | None, now: datetime) -> float:
    return max(0.0, (now - before).total_seconds()) if before is not None else 0.0


def _in_the_past(gate: Gate, now: datetime) -> Gate:
    """Return ``gate`` with no moment after ``now``: a clock that jumped back must not make it wait for the old time."""
    if gate.at is None or gate.at <= now:
        return gate
    return structs.replace(
        gate,
        arrived=gate.arrived and min(gate.arrived, now),
        canary_seen=gate.canary_seen and min(gate.canary_seen, now),
        baseline_seen=gate.baseline_seen and min(gate.baseline_seen, now),
    )


def _at_step(gate: Gate, comparison: Comparison) -> Gate:
    """Forget the evidence for the canary when a new step of the rollout begins; never the evidence against it."""
    if gate.step == comparison.step:
        return gate
    return structs.replace(
        gate,
        step=comparison.step,
        in_step=0,
        held=0.0,
        errors=_doubtful(gate.errors),
        latency=_doubtful(gate.latency),
        events={name: _doubtful(tally) for name, tally in gate.events.items()},
    )


def _doubtful(tally: Tally) -> Tally:
    return structs.replace(tally, evidence=structs.replace(tally.evidence, good=()))


def assess(gate: Gate, comparison: Comparison, now: datetime) -> Assessment:
    """Return what the evidence allows to say."""
    metrics = in_use(gate, comparison)
    return Assessment(
        at=now,
        verdict=_verdict(gate, comparison, metrics, now),
        step=comparison.step,
        requests=gate.requests,
        compared=gate.compared,
        rate=gate.recent.requests,
        readings=tuple(metric.reading() for metric in metrics) + _numbers(gate, comparison),
        held=gate.held,
    )


def in_use(gate: Gate, comparison: Comparison) -> tuple[Weighed, ...]:
    """Return every metric that counts bad events, with its part of the error rate; the parts sum to 1."""
    analysis, phase = comparison.analysis, comparison.phase
    events = [m for m in analysis.metrics if isinstance(m, Events)]
    weights = analysis.errors.weight + analysis.latency.weight + sum(m.weight for m in events)
    seen = Seen(comparison, weights or 1.0, gate.recent.requests, gate.recent.base_requests)
    every = (
        Weighed(
            "errors",
            gate.errors,
            analysis.errors.weight,
            margins(analysis, analysis.errors.ratio, phase),
            seen,
        ),
        Weighed(
            "latency",
            gate.latency,
            analysis.latency.weight,
            margins(analysis, analysis.latency.ratio, phase),
            seen,
            gate.edges,
        ),
        *(
            Weighed(
                m.name,
                gate.events.get(m.name, Tally()),
                m.weight,
                margins(analysis, m.ratio, phase),
                seen,
            )
            for m in events
        ),
    )
    return tuple(metric for metric in every if metric.weight > 0)


def _numbers(gate: Gate, comparison: Comparison) -> tuple[Reading, ...]:
    """Return the numbers as readings: their strikes stand in place of evidence."""
    return tuple(
        custom.reading(gate.custom.get(metric.name), metric)
        for metric in comparison.analysis.metrics
        if isinstance(metric, Number)
    )


def _verdict(gate: Gate, comparison: Comparison, metrics: Sequence[Weighed], now: datetime) -> Verdict:
    """Ask the rows in order; the first that has something to say is the verdict."""
    if comparison.phase is Phase.BEFORE:
        return Inconclusive(
            Cause.NO_TRAFFIC, f"it has no requests yet: what is usual of r{comparison.baseline} is being learned"
        )
    for row in ROWS:
        verdict = row(gate, comparison, metrics, now)
        if verdict is not None:
            return verdict
    names = " and ".join(metric.name for metric in metrics) or "its numbers"
    return Pass(f"{names} are no worse than is tolerated, after {gate.requests:,} requests")


def _worse(gate: Gate, comparison: Comparison, metrics: Sequence[Weighed], now: datetime) -> Verdict | None:
    """The canary fails on the evidence of all metrics together, which holds however they depend on each other."""
    if metrics and sum(m.part * m.tally.evidence.worse for m in metrics) >= 1 / comparison.analysis.false_alarms:
        worst = max(metrics, key=lambda m: m.part * m.tally.evidence.worse)
        return Fail(worst.name, worst.complaint())
    for metric in comparison.analysis.metrics:
        known = gate.custom.get(metric.name)
        if isinstance(metric, Number) and custom.struck(known, metric):
            return Fail(metric.name, custom.complaint(known, metric))
    return None


def _unknown(gate: Gate, comparison: Comparison, metrics: Sequence[Weighed], now: datetime) -> Verdict | None:
    if gate.blind:
        return Inconclusive(Cause.METRICS_GONE, f"nobody counts requests: {gate.blind}")
    if gate.sampled is None or _passed(gate.sampled, now) > STALE:
        return Inconclusive(Cause.METRICS_GONE, "requests have not been counted for a while")
    lost = _lost(gate, comparison)
    return Inconclusive(Cause.METRICS_GONE, lost) if lost else None


def _held(gate: Gate, comparison: Comparison, metrics: Sequence[Weighed], now: datetime) -> Verdict | None:
    stable = comparison.baseline_name
    if gate.hold is Cause.SHARED_OUTAGE:
        return Inconclusive(gate.hold, f"{stable} fails as it does: whatever it is, it is not to blame")
    if gate.hold is Cause.STABLE_SICK:
        return Inconclusive(gate.hold, f"{stable} fails, and it does not: promoting it may be the cure")
    return None


def _idle(gate: Gate, comparison: Comparison, metrics: Sequence[Weighed], now: datetime) -> Verdict | None:
    alone = comparison.phase is Phase.AFTER
    sides = [("it", gate.canary_seen), *([] if alone else [(comparison.baseline_name, gate.baseline_seen)])]
    known = now if gate.until is None else gate.until
    for name, seen in sides:
        if known - max(seen or comparison.since, comparison.since) >= IDLE:
            return Inconclusive(Cause.NO_TRAFFIC, f"{name} has had no requests for {IDLE.total_seconds():.0f} s")
    if gate.arrived is None:
        return Inconclusive(Cause.BAKING, "its first requests are awaited")
    return None


def _more(gate: Gate, comparison: Comparison, metrics: Sequence[Weighed], now: datetime) -> Verdict | None:
    """Say how many requests the evidence for the canary still takes."""
    doubtful = [m for m in metrics if not m.content]
    asked = any(metric.asks_for_requests for metric in metrics)
    least = max(comparison.requests or 0, LEAST if asked else 0) - gate.in_step
    needs = [m.missing() for m in doubtful]
    if not doubtful and least <= 0:
        return None
    if any(need is None for need in needs):
        name = next(m.name for m, need in zip(doubtful, needs, strict=True) if need is None)
        return Inconclusive(Cause.MORE_REQUESTS, f"its {name} look worse than is tolerated, and that is not certain yet")
    wanted = {m.name: ceil(need) for m, need in zip(doubtful, needs, strict=True) if need is not None}
    most = max(wanted, key=lambda name: wanted[name], default="")
    need, rate = max(least, wanted.get(most, 0), 1), gate.recent.requests
    why = f"about {need:,} more requests to it are needed" + (f", for its {most}" if wanted.get(most, 0) >= need else "")
    return Inconclusive(Cause.MORE_REQUESTS, why, need, need / rate if rate > 0.001 else None)


def _baking(gate: Gate, comparison: Comparison, metrics: Sequence[Weighed], now: datetime) -> Verdict | None:
    unread = next((m.name for m in comparison.analysis.metrics if not gate.custom.get(m.name, Custom(now)).read), None)
    if unread is not None:
        return Inconclusive(Cause.BAKING, f"it looks good, and {unread} has not been read yet")
    left = comparison.analysis.bake.total_seconds() + gate.held - _passed(gate.arrived, now)
    if left > 0:
        return Inconclusive(Cause.BAKING, f"it looks good, and bakes for {ceil(left)} s more", None, left)
    return None


Row = Callable[[Gate, Comparison, Sequence[Weighed], datetime], Verdict | None]
ROWS: tuple[Row, ...] = (_worse, _unknown, _held, _idle, _more, _baking)


# ---- requests ----


def _requests(gate: Gate, comparison: Comparison, sample: Sample, age: float | None) -> Gate:
    """Count the requests since the last sample, ``age`` seconds ago; where they are told late, by when requests met them."""
    if sample.until is None:
        return structs.replace(_traffic(gate, comparison, sample, age), until=None)
    if age is None or gate.until is None:
        # What was met until then is not known, and not to be taken for silence.
        gate = _traffic(gate, comparison, sample, None)
        return structs.replace(gate, until=sample.until, **_unknown_until(gate, sample.until))
    if sample.until <= gate.until:
        return gate
    after = _traffic(gate, comparison, sample, (sample.until - gate.until).total_seconds())
    if gate.until < comparison.since:  # some of it was met before this step
        after = structs.replace(after, in_step=0, errors=_doubtful(after.errors), latency=_doubtful(after.latency))
    return structs.replace(after, until=sample.until)


def _unknown_until(gate: Gate, until: datetime) -> dict[str, datetime]:
    seen = {"canary_seen": gate.canary_seen, "baseline_seen": gate.baseline_seen}
    return {name: max(at, until) for name, at in seen.items() if at is not None}


def _traffic(gate: Gate, comparison: Comparison, sample: Sample, age: float | None) -> Gate:
    """Count the requests since the last sample, ``age`` seconds ago; None where the two cannot be subtracted."""
    canary, baseline = sample.of(comparison.canary), sample.of(comparison.baseline)
    gate = _with_edges(gate, comparison, baseline, age is None)
    now = (counted.told(canary, [e.canary for e in gate.edges]), counted.told(baseline, [e.baseline for e in gate.edges]))
    new = (
        (counted.difference(gate.canary, now[0]), counted.difference(gate.baseline, now[1]))
        if age is not None
        else (None, None)
    )
    gate = _arrived(gate, now[0], sample)
    anew = gate.sampled is None or sample.epoch != gate.epoch
    marks = (counted.mark(gate.canary, canary, now[0], anew), counted.mark(gate.baseline, baseline, now[1], anew))
    if age is not None and new[0] is not None and new[1] is not None:
        gate = _happened(gate, comparison, sample, Pending(new[0], new[1], age))
    return structs.replace(gate, canary=marks[0], baseline=marks[1])


def _with_edges(gate: Gate, comparison: Comparison, baseline: Counters | None, fresh: bool) -> Gate:
    """Choose the edges at which latencies are compared, once enough of the baseline's are known; never again."""
    if gate.edges or baseline is None:
        return gate
    if gate.first is None or fresh or baseline.latency.total < gate.first.total:
        return structs.replace(gate, first=baseline.latency)
    wanted = PLENTY if comparison.phase is Phase.BEFORE else ENOUGH
    if baseline.latency.total - gate.first.total < wanted:
        return gate
    edges = choose(since(gate.first, baseline.latency), comparison.analysis.latency.ratio)
    return structs.replace(gate, edges=edges, first=None if edges else baseline.latency)


def _arrived(gate: Gate, canary: Counted, sample: Sample) -> Gate:
    if canary.requests and gate.arrived is None:
        return structs.replace(gate, arrived=sample.at, canary_seen=sample.until or sample.at)
    return gate


def _happened(gate: Gate, comparison: Comparison, sample: Sample, new: Pending) -> Gate:
    at = sample.at
    gate = _noticed(gate, sample.until or at, new)
    # An outage is seen in its first second: one that is counted would bend what is usual for a quarter of an hour.
    gate = structs.replace(gate, hold=_outage(gate.recent, comparison) or _outage(_alone(new), comparison))
    if gate.hold is not None:
        return structs.replace(gate, pending=Pending())
    if gate.arrived is None or at - gate.arrived < comparison.analysis.warm_up:
        new = structs.replace(new, canary=counted.untimed(new.canary))
        new = new if gate.arrived is None else structs.replace(new, baseline=counted.untimed(new.baseline))
    pending = counted.joined(gate.pending, new)
    if _open(pending, comparison.phase):
        return structs.replace(gate, pending=pending)
    return _weighed(structs.replace(gate, pending=Pending()), comparison, pending, late=sample.until is not None)


def _noticed(gate: Gate, at: datetime, new: Pending) -> Gate:
    """Note who has traffic, and how much of late."""
    kept, recent = exp(-new.seconds / RECENT), gate.recent
    share = (1 - kept) / new.seconds if new.seconds > 0 else 0.0
    return structs.replace(
        gate,
        recent=Recent(
            kept * recent.requests + share * new.canary.requests,
            kept * recent.failed + share * new.canary.failed,
            kept * recent.base_requests + share * new.baseline.requests,
            kept * recent.base_failed + share * new.baseline.failed,
        ),
        canary_seen=at if new.canary.requests else gate.canary_seen,
        baseline_seen=at if new.baseline.requests else gate.baseline_seen,
    )


def _alone(new: Pending) -> Recent:
    """Return the rates of one tick as if it were all that is recent."""
    per = 1 / RECENT
    return Recent(new.canary.requests * per, new.canary.failed * per, new.baseline.requests * per, new.baseline.failed * per)


def _outage(recent: Recent, comparison: Comparison) -> Cause | None:
    """Say whether the stable release fails by itself: then nothing can be learned of the canary beside it."""
    limit = comparison.analysis.outage / 100
    if (
        comparison.phase is Phase.AFTER
        or recent.base_failed * RECENT < FEW
        or recent.base_failed < limit * recent.base_requests
    ):
        return None
    as_well = recent.requests > 0 and recent.failed >= limit * recent.requests
    return Cause.SHARED_OUTAGE if as_well else Cause.STABLE_SICK


def _open(pending: Pending, phase: Phase) -> bool:
    """Say whether the tick goes on: one with requests to one release only would tell nothing."""
    canary, baseline = pending.canary.requests, pending.baseline.requests
    return {Phase.BEFORE: not baseline, Phase.BESIDE: not canary or not baseline, Phase.AFTER: not canary}[phase]


def _weighed(gate: Gate, comparison: Comparison, pending: Pending, *, late: bool) -> Gate:
    canary, baseline, seconds = pending.canary, pending.baseline, pending.seconds
    errors = Tick((canary.failed,), canary.requests, (baseline.failed,), baseline.requests, seconds)
    latency = Tick(canary.slow, canary.answered, baseline.slow, baseline.answered, seconds)
    analysis, phase = comparison.analysis, comparison.phase
    counts, slow = phase is not Phase.BEFORE, gate.latency
    if gate.edges:
        slow = told(slow, latency, phase, margins(analysis, analysis.latency.ratio, phase))
    failures = told(gate.errors, errors, phase, margins(analysis, analysis.errors.ratio, phase))
    if late and phase is Phase.AFTER:  # what the baseline met while it had requests is told only now
        usual = learn(failures.usual, errors.baseline, errors.baseline_of, seconds)
        failures = structs.replace(failures, usual=usual)
    return structs.replace(
        gate,
        errors=failures,
        latency=slow,
        requests=gate.requests + canary.requests * counts,
        in_step=gate.in_step + canary.requests * counts,
        compared=gate.compared + baseline.requests * counts,
    )


# ---- metrics of one's own ----


def _custom(gate: Gate, comparison: Comparison, sample: Sample, fresh: bool) -> Gate:
    """Count what ``sample`` tells of the metrics of one's own, and which it should have told."""
    # What was read before a gap is not subtracted from anything, even by a reading that comes only later.
    known = {name: structs.replace(c, events=None) if fresh else c for name, c in gate.custom.items()}
    tallies = dict(gate.events)
    for metric in comparison.analysis.metrics:
        before = known.get(metric.name)
        if isinstance(metric, Number):
            after = custom.read_number(before, metric, sample, early=comparison.phase is Phase.BEFORE)
        else:
            tally = tallies.get(metric.name, Tally())
            after, tallies[metric.name] = custom.read_events(before, tally, metric, comparison, sample, fresh=fresh)
            if tallies[metric.name] is not tally:
                gate = _busy(gate, comparison, sample.at)
        if after is not None:
            known[metric.name] = after
    return structs.replace(gate, custom=known, events=tallies)


def _busy(gate: Gate, comparison: Comparison, at: datetime) -> Gate:
    """Note that events happened: a service without requests is not idle while it has them."""
    arrived = gate.arrived if gate.arrived or comparison.phase is Phase.BEFORE else at
    return structs.replace(gate, arrived=arrived, canary_seen=at, baseline_seen=at)


def _lost(gate: Gate, comparison: Comparison) -> str:
    """Return which metric of one's own is not known any more, and why; empty while all are."""
    for metric in comparison.analysis.metrics:
        why = custom.lost(gate.custom.get(metric.name), metric)
        if why:
            return f"{metric.name} cannot be read: {why}"
    return ""
