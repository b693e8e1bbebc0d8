"""A canary that is measured, as the ledger and the status tell of it."""

from datetime import UTC, datetime, timedelta

from msgspec import structs

from bleen.domain.canary import Measure, Unsure, Weight
from bleen.domain.command import Pause, Resume
from bleen.domain.decision import Launch, Rollback, Shift, Wait
from bleen.domain.duration import Duration
from bleen.domain.ledger import Commanded, Decided, Entry, Event, Finished, Measured, RolloutStarted, Settled
from bleen.domain.plan import Intent, plan
from bleen.domain.rollout import Observation, Promoted, ReleaseRef, RolledBack, Rollout
from bleen.domain.service import Canary
from bleen.domain.strategy import Analyse
from bleen.domain.traffic import Colour, GatewaySeen, Route, Split
from bleen.domain.verdict import Assessment, Cause, Fail, Inconclusive, Pass, Reading, Verdict
from bleen.domain.views import explain, history
from bleen.interfaces.views import ExplainedLine, Explanation
from bleen.interfaces.words import event_words

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = ReleaseRef(1, "1.0", "sha256:" + "a" * 64)
NEW = ReleaseRef(2, "2.0", "sha256:" + "b" * 64)
MORE = Inconclusive(Cause.MORE_REQUESTS, "about 1,200 more requests to it are needed, for its errors", 1200, 24.0)
WORSE = Fail("errors", "5.2 % of its requests fail, and 0.1 % of r1's: more than 1.5 times as many (420 and 3,900 of late)")


def canary(otherwise: Unsure | None = None) -> Rollout:
    """Return a rollout whose traffic decides since noon, at 10 %."""
    steps = (Weight(10.0), Measure(Duration(minutes=30)), Weight(50.0), Measure(Duration(minutes=30)), Weight(100.0))
    strategy = Canary(steps=steps, inconclusive=otherwise)
    seen = Observation(NOW, (), (GatewaySeen("g", "local", True, Route("dev", "shop", ("shop",), Split.of(Colour.BLUE), 1)),))
    intent = Intent("dev/shop/2", "dev", "shop", ("shop",), ("local",), NEW, strategy, 4, "ada")
    made = plan(intent, {1: OLD, 2: NEW}, seen, NOW)
    step = next(n for n, step in enumerate(made.steps) if isinstance(step, Analyse))
    return structs.replace(made, step=step, step_since=NOW)


def readings(errors: float = 0.2, worse: float = 2.3, fine: float = 0.4) -> tuple[Reading, ...]:
    """Return what both releases' traffic shows, and a number of one's own."""
    return (
        Reading("errors", "%", errors, 0.11, 1.5, worse, 4.6, fine, 3.0),
        Reading("latency", "ms", 1250.0, 48.0, 1.5, -3.0, 4.6, 3.4, 3.0),
        Reading("queue-of-a-very-long-name-that-is-cut", "", 12.0, None, 1.0, 2.0, 3.0, 0.0, 1.0),
    )


def assessment(
    verdict: Verdict = MORE, *, at: datetime = NOW, step: int | None = None, requests: int = 1234, held: float = 0.0
) -> Assessment:
    """Return what the traffic has shown."""
    return Assessment(at, verdict, canary().step if step is None else step, requests, 9 * requests, 50.0, readings(), held=held)


def story(seconds: int = 600, every: int = 15, *, bad: bool = True) -> list[Entry]:
    """Return the entries of a canary that is measured for so long, at 10 % and, where it is good, at 50 %."""
    rollout = canary()
    route = rollout.route(Colour.GREEN, weight=1000)
    events: list[tuple[float, Event]] = [
        (0, RolloutStarted(rollout)),
        (1, Decided(Launch(Colour.GREEN, 2, 1, "r2 needs 1 instance in green"))),
        (4, Decided(Shift(route, "r2 is ready for 10 % of the traffic"))),
        (5, Decided(Wait("10 % of the traffic decides about r2"))),
    ]
    half = seconds / 2
    for second in range(10, seconds, every):
        later = not bad and second >= half
        if later and not any(isinstance(e, Decided) and isinstance(e.decision, Shift) and e.decision.route.split.green == 5000
                             for _, e in events):  # fmt: skip
            events.append((second, Decided(Shift(rollout.route(Colour.GREEN, weight=5000), "r2 is ready for 50 %"))))
        part = (second - half if later else second) / half
        known = _wave(second, 0.1 + (2.4 * second / seconds if bad else 0.02), min(part * (3.2 if bad else -1.0), 4.7), part)
        at = NOW + timedelta(seconds=second)
        found = Assessment(at, MORE, rollout.step, second * 50, second * 450, 50.0, known)
        events.append((second, Measured(found)))
    events += _ending(rollout, seconds, bad=bad)
    return [
        Entry(n + 1, NOW + timedelta(seconds=after), f"k{n}", "dev", "shop", event, by="ada", rollout=rollout.id)
        for n, (after, event) in enumerate(events)
    ]


def _wave(second: int, errors: float, worse: float, part: float) -> tuple[Reading, ...]:
    wobble = (second * 7919 % 31) / 31
    return (
        Reading(
            "errors", "%", errors + 0.05 * wobble, 0.1 + 0.04 * wobble, 1.5, worse, 4.6, max(0.0, 3.1 * part - wobble), 3.0
        ),
        Reading("latency", "ms", 52 + 6 * wobble, 48 + 5 * wobble, 1.5, -2 + wobble, 4.6, 3.3 * part, 3.0),
        Reading("queue", "", 4.0 + wobble, None, 1.0, 0.0, 3.0, 1.0, 1.0),
    )


def _ending(rollout: Rollout, seconds: int, *, bad: bool) -> list[tuple[float, Event]]:
    verdict = WORSE if bad else Pass("errors and latency are no worse than is tolerated")
    known = _wave(seconds, 2.6 if bad else 0.1, 4.7 if bad else -1.0, 1.0)
    last = assessment(verdict, at=NOW + timedelta(seconds=seconds), step=rollout.step, requests=seconds * 50)
    last = structs.replace(last, readings=known)
    if not bad:
        whole = rollout.route(Colour.GREEN)
        return [
            (seconds, Measured(last)),
            (seconds + 1, Commanded(Pause("ada"))),
            (seconds + 20, Commanded(Resume("ada"))),
            (seconds + 21, Decided(Shift(whole, "r2 is ready for 100 % of the traffic"))),
            (seconds + 23, Settled(Promoted(), 2)),
            (seconds + 60, Finished()),
        ]
    outcome = RolledBack(f"its traffic says no: {WORSE.why}")
    return [
        (seconds, Measured(last)),
        (seconds, Decided(Rollback(outcome, outcome.reason))),
        (seconds + 0.3, Decided(Shift(rollout.route(Colour.BLUE), "r1 has all traffic again"))),
        (seconds + 0.6, Settled(outcome, 1)),
        (seconds + 40, Finished()),
    ]


def explanation(entries: list[Entry]) -> Explanation:
    """Return what the API makes of ``entries``."""
    (summary,) = history(entries)
    lines = tuple(
        ExplainedLine(
            sequence=line.sequence, at=line.at, after=(line.at - summary.started).total_seconds(), kind=line.kind,
            what=event_words(line.event), why=line.why, by=line.by, evidence=line.evidence, event=line.event,
        )
        for line in explain(entries)
    )  # fmt: skip
    return Explanation(summary, lines)
