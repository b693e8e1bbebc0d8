"""Counters that are told late, and a minute at once: what the gate makes of them, and what it does not."""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.canary import Tolerance
from bleen.domain.comparison import Phase
from bleen.domain.duration import seconds
from bleen.domain.gate import count
from bleen.domain.signals import Counters, Sample, golden, keep
from bleen.domain.verdict import Assessment, Cause, Fail, Inconclusive, Pass
from tests.domain.traffic import NEW, NOON, STABLE, Road, asked

MINUTE, LATE = 60, 150
"""Seconds that are told at once, and after which they are."""


@dataclass
class LateRoad(Road):
    """Its counters have no latencies, and tell each minute as a whole, some time after it has ended."""

    told: list[tuple[float, tuple[Counters, ...]]] = field(default_factory=list)

    def sample(self) -> Sample:
        passed = (self.now - NOON).total_seconds()
        if passed % MINUTE == 0:
            plain = tuple(Counters(s.release, s.requests, s.failed) for s in (self.stable, self.new))
            self.told.append((passed, plain))
        at, counters = max(((a, c) for a, c in self.told if a <= passed - LATE), default=(-LATE, ()), key=lambda one: one[0])
        nothing = tuple(Counters(each, 0) for each in (STABLE, NEW))
        return Sample(self.now, counters or nothing, self.epoch, until=NOON + timedelta(seconds=at))


def late(phase: Phase = Phase.BESIDE, **more: object) -> LateRoad:
    """Return a road on which a release is judged by errors alone."""
    judged = {"latency": Tolerance(weight=0.0), "bake": seconds(0), "slack": 3.0, **more}
    return LateRoad(asked(phase, **judged))  # type: ignore[arg-type]


def next_step(road: Road, phase: Phase = Phase.BESIDE) -> None:
    road.comparison = structs.replace(road.comparison, step=road.comparison.step + 1, since=road.now, phase=phase)


def cause(assessment: Assessment) -> Cause | None:
    return assessment.verdict.cause if isinstance(assessment.verdict, Inconclusive) else None


def test_a_good_release_passes_by_what_it_met_in_this_step() -> None:
    """Not before the first minutes of it are told; minutes are counted once each."""
    road = late()
    road.look(0)
    road.run(900, (10, 0.0), (30, 0.0), until=lambda a: isinstance(a.verdict, Pass))
    assert isinstance(road.assessment.verdict, Pass)
    assert timedelta(seconds=LATE) < road.now - NOON < timedelta(minutes=10)
    assert road.gate.requests % (10 * MINUTE) == 0


def test_a_bad_release_fails_as_soon_as_it_is_told() -> None:
    """One minute of a quarter that fails is enough."""
    road = late()
    road.look(0)
    road.run(900, (10, 0.25), (30, 0.0), until=lambda a: isinstance(a.verdict, Fail))
    assert isinstance(road.assessment.verdict, Fail)
    assert road.now - NOON <= timedelta(seconds=LATE + 2 * MINUTE)


def test_what_was_met_before_a_step_is_no_evidence_for_it() -> None:
    """A step that begins after ten good minutes needs minutes of its own, though those before it arrive meanwhile."""
    road = late(requests=100)
    road.look(0)
    road.run(600, (10, 0.0), (30, 0.0), until=lambda a: isinstance(a.verdict, Pass))
    next_step(road)
    began = road.now
    road.run(900, (0, 0.0), (30, 0.0), until=lambda a: isinstance(a.verdict, Pass) or road.gate.in_step > 0)
    assert not isinstance(road.assessment.verdict, Pass)
    assert road.gate.in_step == 0 and road.now - began == timedelta(seconds=900)


def test_what_was_met_before_a_step_is_evidence_against_it() -> None:
    """A release that began to fail before it got more traffic is found all the same."""
    road = late()
    road.look(0)
    road.run(100, (10, 0.3), (30, 0.0))
    next_step(road)
    road.run(LATE, (10, 0.3), (30, 0.0), until=lambda a: isinstance(a.verdict, Fail))
    assert isinstance(road.assessment.verdict, Fail)


def test_between_two_minutes_a_busy_release_is_not_called_idle() -> None:
    """No requests are said to be missing that nobody could have told yet; the rate is that of the last minute."""
    road = late()
    road.look(0)
    for _ in range(600):
        road.serve((1, 0.0), (3, 0.0))
        assert cause(road.look()) is not Cause.NO_TRAFFIC
    assert road.assessment.rate == pytest.approx(1.0, abs=0.01)


def test_a_release_without_requests_is_called_idle_once_that_is_known() -> None:
    """Silence is no pass, and is said when the minutes without requests are told."""
    road = late()
    road.look(0)
    road.run(LATE, (0, 0.0), (30, 0.0))
    assert cause(road.assessment) is not Cause.NO_TRAFFIC
    road.run(2 * MINUTE, (0, 0.0), (30, 0.0))
    assert cause(road.assessment) is Cause.NO_TRAFFIC


def test_after_the_switch_what_was_usual_is_learned_from_what_arrives() -> None:
    """The stable release's minutes from before are told after it has no traffic any more; then the new one is judged."""
    for share, verdict in ((0.0, Pass), (0.5, Fail)):
        road = late(Phase.BEFORE)
        road.look(0)
        road.run(100, (0, 0.0), (30, 0.0))
        next_step(road, Phase.AFTER)
        road.run(900, (30, share), (0, 0.0), until=lambda a: isinstance(a.verdict, Pass | Fail))
        assert isinstance(road.assessment.verdict, verdict)


def test_counters_that_began_anew_are_not_taken_for_silence() -> None:
    """After a controller is replaced, what was met meanwhile is not known; nothing of it is subtracted."""
    road = late()
    road.look(0)
    road.run(600, (10, 0.0), (30, 0.0))
    counted, road.epoch = road.gate.requests, "two"
    road.look(20)
    assert cause(road.assessment) is not Cause.NO_TRAFFIC
    assert road.gate.requests == counted


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=6, max_size=12), st.integers(0, 11))
def test_nothing_passes_within_the_delay(minutes: list[tuple[int, int]], step: int) -> None:
    """Whatever the traffic was: evidence for a release is of minutes that began in this step, law 9."""
    road = late()
    road.look(0)
    for number, (new, stable) in enumerate(minutes):
        if number == step:
            next_step(road)
        for _ in range(MINUTE):
            road.serve((new, 0.0), (stable, 0.0))
            verdict = road.look().verdict
            assert not (isinstance(verdict, Pass) and road.now - road.comparison.since < timedelta(seconds=LATE))


def test_signals_of_late_counters_are_those_of_their_last_minute() -> None:
    """Read each second, and told each minute: the rate is requests over the time in which they were met."""
    road, kept = late(), deque[Sample](maxlen=10)
    for _ in range(400):
        road.serve((5, 0.0), (3, 0.0))
        road.look()
        keep(kept, road.sample())
    assert len(kept) == 2
    seen = golden(kept[0], kept[1], NEW)
    assert seen is not None and seen.rate == pytest.approx(5.0) and seen.p95 is None


def test_a_sample_that_tells_nothing_newer_changes_no_evidence() -> None:
    """A correction waits for the next minute: it is in its sum."""
    road = late()
    road.look(0)
    road.run(300, (10, 0.0), (30, 0.0))
    sample, before = road.sample(), road.gate
    more = tuple(structs.replace(each, requests=each.requests + 50) for each in sample.releases)
    after = count(before, road.comparison, structs.replace(sample, releases=more))
    assert (after.requests, after.canary, after.errors) == (before.requests, before.canary, before.errors)
