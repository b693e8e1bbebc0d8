"""The gate: what traffic allows to say of a release, and what it does not."""

from datetime import timedelta
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.canary import Events, Number, Tolerance
from bleen.domain.codec import decode, encode
from bleen.domain.comparison import Phase
from bleen.domain.duration import seconds
from bleen.domain.gate import Gate, count, due
from bleen.domain.verdict import Cause, Fail, Inconclusive, Pass
from tests.domain.traffic import NEW, NOON, STABLE, Road, asked

QUEUE = Number("queue", query="queue_length", max=100.0)
JOBS = Events("jobs", bad="jobs_failed_total", total="jobs_total")


def cause(road: Road) -> Cause | None:
    verdict = road.assessment.verdict
    return verdict.cause if isinstance(verdict, Inconclusive) else None


def quick(**more: object) -> Road:
    """Return a road whose gate needs neither a bake nor a warm-up."""
    return Road(asked(bake=seconds(0), warm_up=seconds(0), **more))


# ---- good and bad releases ----


def test_a_release_that_is_like_the_other_passes() -> None:
    """Equal errors, equal latencies: Pass, and not before the bake is over."""
    road = Road(asked(bake=seconds(90)))
    road.learned().run(600, (50, 0.01), (150, 0.01), until=lambda a: isinstance(a.verdict, Pass))
    assert isinstance(road.assessment.verdict, Pass)
    assert road.gate.arrived is not None and road.now - road.gate.arrived >= timedelta(seconds=90)


def test_a_release_that_fails_more_fails_in_seconds() -> None:
    """5 % errors beside 0.5 %: Fail names the errors, both shares and what is tolerated."""
    road = quick().learned(share=0.005)
    road.run(30, (50, 0.05), (450, 0.005), until=lambda a: isinstance(a.verdict, Fail))
    verdict = road.assessment.verdict
    assert isinstance(verdict, Fail) and verdict.metric == "errors"
    assert "of r1's: more than 1.5 times as many" in verdict.why


def test_a_slow_release_fails_by_its_latency() -> None:
    """Half as slow again: Fail names the latency and the edge."""
    road = quick().learned()
    road.run(60, (50, 0.01), (450, 0.01), 1.5, until=lambda a: isinstance(a.verdict, Fail))
    verdict = road.assessment.verdict
    assert isinstance(verdict, Fail) and verdict.metric == "latency"
    assert "of its requests take longer than" in verdict.why


def test_a_totally_broken_release_is_caught_at_low_traffic() -> None:
    """20 of 20 requests fail beside 0 of 180, one request at a time: Fail before the twentieth."""
    road = Road()
    road.look(0)
    for _ in range(20):
        road.stable.met(9)
        road.look()
        road.new.met(1, 1)
        road.look()
    assert isinstance(road.assessment.verdict, Fail)


@pytest.mark.parametrize("requests", [1, 2, 10, 1000])
def test_a_single_failure_fails_nobody(requests: int) -> None:
    """One failure in 1, 2, 10 or 1,000 requests, beside a release that never failed."""
    road = Road()
    road.look(0)
    road.stable.met(1000)
    road.new.met(requests, 1)
    assert not isinstance(road.look().verdict, Fail)


def test_a_fault_that_comes_late_is_found_as_well() -> None:
    """Ten good minutes do not hide 20 % errors that come after them for more than a few seconds."""
    road = quick().learned()
    road.run(600, (10, 0.01), (90, 0.01))
    began = road.now
    road.run(60, (10, 0.2), (90, 0.01), until=lambda a: isinstance(a.verdict, Fail))
    assert isinstance(road.assessment.verdict, Fail)
    assert road.now - began <= timedelta(seconds=30)


def test_after_the_switch_the_release_is_compared_with_what_was_usual() -> None:
    """All traffic is on the new one: three times the usual errors are tolerated, ten times are not."""
    for share, fails in ((0.02, False), (0.1, True)):
        road = quick().learned(60)
        road.comparison = asked(Phase.AFTER, step=2, warm_up=seconds(0))
        road.run(60, (100, share), (0, 0.0), until=lambda a: isinstance(a.verdict, Fail))
        assert isinstance(road.assessment.verdict, Fail) is fails


def test_before_it_has_requests_nothing_is_said() -> None:
    """In the phase BEFORE the gate learns, and its verdict is that there is no traffic."""
    road = Road(asked(Phase.BEFORE))
    road.run(20, (0, 0.0))
    assert cause(road) is Cause.NO_TRAFFIC
    assert road.assessment.requests == 0


# ---- what is still missing ----


def test_too_few_requests_are_said_with_their_number_and_time() -> None:
    """More requests are needed: how many, and how long that takes at the rate of late."""
    road = quick().learned()
    verdict = road.run(20).verdict
    assert isinstance(verdict, Inconclusive) and verdict.cause is Cause.MORE_REQUESTS
    assert verdict.requests is not None and verdict.requests > 0
    assert verdict.seconds == pytest.approx(verdict.requests / 10, rel=0.2)


def test_a_step_that_asks_for_requests_gets_them_before_it_passes() -> None:
    """Evidence that suffices earlier waits for the number of requests that the step names."""
    road = Road(structs.replace(quick().comparison, requests=30_000)).learned()
    road.run(400, (50, 0.01), (50, 0.01), until=lambda a: isinstance(a.verdict, Pass))
    verdict = road.assessment.verdict
    assert isinstance(verdict, Inconclusive) and verdict.requests == 30_000 - road.gate.in_step


def test_evidence_for_a_release_is_gathered_anew_in_each_step() -> None:
    """A new step: evidence against it stays, evidence for it begins at nothing."""
    road = quick().learned()
    before = road.run(200)
    road.comparison = structs.replace(road.comparison, step=2)
    after = road.look()
    assert [r.worse for r in after.readings] == pytest.approx([r.worse for r in before.readings], abs=0.1)
    assert all(abs(r.fine) < 0.1 for r in after.readings)
    assert any(abs(r.fine) > 1 for r in before.readings)


# ---- failures that are not the release's ----


def test_both_releases_failing_is_a_shared_outage() -> None:
    """Half of all requests fail on both: held, and nothing is counted against the canary."""
    road = quick().learned()
    road.run(10)
    before = road.gate
    road.run(20, (10, 0.6), (90, 0.5))
    assert cause(road) is Cause.SHARED_OUTAGE
    assert road.assessment.held >= 15
    assert road.gate.errors.evidence.worse < 3 * before.errors.evidence.worse


def test_a_stable_release_that_fails_alone_is_sick() -> None:
    """The stable one fails and the new one does not: said, and no pass comes of it."""
    road = quick().learned()
    road.run(10)
    road.run(20, (10, 0.0), (90, 0.5))
    assert cause(road) is Cause.STABLE_SICK


def test_without_requests_for_half_a_minute_there_is_no_traffic() -> None:
    """Either release without requests for 30 s: NO_TRAFFIC, which is never a pass."""
    for new, stable in (((0, 0.0), (90, 0.0)), ((10, 0.0), (0, 0.0))):
        road = quick().learned()
        road.run(5)
        road.run(31, new, stable)
        assert cause(road) is Cause.NO_TRAFFIC


def test_a_baseline_fleet_without_requests_or_with_an_outage_is_named() -> None:
    """It is what the release is compared with: of the stable fleet nothing is known here."""
    for stable, why in (((0, 0.0), "has had no requests for 30 s"), ((90, 0.5), "fails, and it does not")):
        road = quick().learned()
        road.comparison = structs.replace(road.comparison, fair=True)
        road.run(31, (10, 0.0), stable)
        verdict = road.assessment.verdict
        assert isinstance(verdict, Inconclusive) and f"r{STABLE}'s baseline fleet {why}" in verdict.why


def test_a_silent_gateway_holds_everything() -> None:
    """While nobody counts, the verdict says so and the time is held; it goes on by itself."""
    road = quick().learned()
    road.run(10)
    evidence = road.gate.errors.evidence
    for _ in range(60):
        road.lose_sight()
    assert cause(road) is Cause.METRICS_GONE
    assert road.assessment.held == pytest.approx(60)
    assert road.gate.errors.evidence == evidence
    road.run(3)
    assert cause(road) is Cause.MORE_REQUESTS


def test_an_old_sample_says_nothing_about_now() -> None:
    """Six seconds after the last sample the metrics count as gone."""
    road = quick().learned()
    road.run(10)
    road.now += timedelta(seconds=6)
    assert cause(road) is Cause.METRICS_GONE


# ---- counters and clocks that misbehave ----


def test_counters_that_begin_anew_lose_no_evidence() -> None:
    """A gateway restarted, with or without another epoch: that second is dropped, all others stay."""
    for epoch in ("one", "two"):
        road = quick().learned()
        road.run(30)
        evidence, requests = road.gate.errors.evidence, road.gate.requests
        road.epoch, road.new, road.stable = epoch, type(road.new)(NEW), type(road.stable)(1)
        road.serve((5, 1.0), (45, 0.0))
        road.look()
        assert road.gate.errors.evidence == evidence
        road.run(1)
        assert road.gate.requests == requests + 10


def test_a_release_that_vanishes_and_comes_back_is_not_counted_twice() -> None:
    """A sample that leaves the canary out for once adds nothing of its past when it comes back."""
    road = quick().learned()
    road.run(20)
    requests, hidden = road.gate.requests, road.new
    road.new = type(road.new)(NEW)
    road.look()
    road.new = hidden
    road.look()
    assert road.gate.requests == requests
    road.run(1)
    assert road.gate.requests == requests + 10


def test_a_release_that_appears_late_is_counted_from_its_first_request() -> None:
    """The sample before had no canary: its first counters are all new."""
    road = quick().learned()
    road.serve((7, 0.0), (63, 0.0))
    assert road.look().requests == 7


@pytest.mark.parametrize("jump", [-7200.0, -1.0, 7200.0])
def test_a_clock_that_jumps_costs_a_second_and_no_evidence(jump: float) -> None:
    """Hours forward, or back: the evidence stays, what lies between is not counted, and it goes on."""
    road = quick().learned()
    road.run(30)
    evidence, requests = road.gate.errors.evidence, road.gate.requests
    road.serve((1000, 1.0), (9000, 0.0))
    road.look(jump)
    assert road.gate.errors.evidence == evidence
    road.run(2)
    assert road.gate.requests == requests + 20


def test_a_clock_that_jumped_back_hours_does_not_stop_the_bake() -> None:
    """The bake begins anew at the jump, and a good release passes minutes later, not hours."""
    road = Road(asked(bake=seconds(30))).learned()
    road.run(20, (50, 0.01), (50, 0.01))
    road.look(-7200)
    road.run(400, (50, 0.01), (50, 0.01), until=lambda a: isinstance(a.verdict, Pass))
    assert isinstance(road.assessment.verdict, Pass)


def test_events_are_not_counted_across_a_clock_that_jumped() -> None:
    """Events are read every 5 s: those of a reading before the jump are not subtracted after it."""
    road = quick(metrics=(JOBS,)).learned()
    road.new.custom, road.stable.custom = {"jobs": (0.0, 10.0)}, {"jobs": (0.0, 90.0)}
    road.look()
    road.new.custom, road.stable.custom = {}, {}
    road.look(-7200)
    road.new.custom, road.stable.custom = {"jobs": (900.0, 1000.0)}, {"jobs": (0.0, 9000.0)}
    road.look()
    assert road.gate.events["jobs"].of == 0


def test_a_gap_between_samples_is_held() -> None:
    """A minute without a sample is not counted, and given back to the measurement."""
    road = quick().learned()
    road.run(10)
    held = road.assessment.held
    assert road.look(60).held == held + 60


# ---- metrics of one's own ----


def test_a_number_out_of_bounds_fails_after_its_strikes() -> None:
    """Three readings above the bound in a row fail; two do not, and one within begins anew."""
    road = quick(metrics=(QUEUE,)).learned()
    for value, fails in ((200.0, False), (200.0, False), (5.0, False), (200.0, False), (200.0, False), (200.0, True)):
        road.numbers = {"queue": value}
        road.serve((10, 0.01), (90, 0.01))
        verdict = road.look().verdict
        assert isinstance(verdict, Fail) is fails
    assert isinstance(verdict, Fail) and verdict.why == "queue is 200, above 100, 3 times in a row"


@pytest.mark.parametrize("broken", [{"numbers": {"queue": nan}}, {"failures": {"queue": "no such metric"}}])
def test_a_number_that_cannot_be_read_is_neither_good_nor_bad(broken: dict[str, dict[str, object]]) -> None:
    """NaN or a failing query, three times in a row: METRICS_GONE names it; it fails nobody and passes nobody."""
    road = quick(metrics=(QUEUE,)).learned()
    road.numbers = {"queue": 5.0}
    road.run(3)
    road.numbers = {}
    for name, value in broken.items():
        setattr(road, name, value)
    road.run(2)
    assert cause(road) is Cause.MORE_REQUESTS
    road.run(1)
    verdict = road.assessment.verdict
    assert isinstance(verdict, Inconclusive) and verdict.cause is Cause.METRICS_GONE and "queue" in verdict.why


def test_there_is_no_pass_before_every_number_was_read() -> None:
    """Good traffic, and a number that was never told: it waits."""
    road = quick(metrics=(QUEUE,)).learned()
    road.run(400, (100, 0.0), (100, 0.0))
    assert cause(road) is Cause.BAKING


def test_metrics_are_due_at_their_own_pace() -> None:
    """Never read: due. Read just now: not before its interval is over, nor after a clock that jumped back."""
    road = quick(metrics=(QUEUE,))
    assert due(road.gate, road.comparison, NOON) == [QUEUE]
    road.numbers = {"queue": 1.0}
    road.look(0)
    assert due(road.gate, road.comparison, NOON + timedelta(seconds=9)) == []
    assert due(road.gate, road.comparison, NOON + timedelta(seconds=10)) == [QUEUE]
    assert due(road.gate, road.comparison, NOON - timedelta(hours=1)) == [QUEUE]


def test_a_service_without_requests_is_judged_by_its_events() -> None:
    """A queue worker: no request at all, and its failing jobs roll it back."""
    off = Tolerance(weight=0.0)
    road = quick(errors=off, latency=off, metrics=(JOBS,))
    road.stable.custom = {"jobs": (0.0, 0.0)}
    road.look(0)
    for n in range(1, 40):
        road.stable.custom = {"jobs": (n // 10, n * 50.0)}
        road.new.custom = {"jobs": (n * 5.0, n * 50.0)}
        verdict = road.look().verdict
        if isinstance(verdict, Fail):
            break
    assert isinstance(verdict, Fail) and verdict.metric == "jobs"


def test_a_service_without_requests_passes_by_its_events() -> None:
    """A queue worker whose jobs fail as they always do is promoted, though no request was ever counted."""
    off = Tolerance(weight=0.0)
    road = quick(errors=off, latency=off, metrics=(JOBS,))
    road.stable.custom = {"jobs": (0.0, 0.0)}
    road.look(0)
    for n in range(1, 400):
        road.stable.custom = {"jobs": (n // 5, n * 50.0)}
        road.new.custom = {"jobs": (n // 5, n * 50.0)}
        if isinstance(road.look().verdict, Pass):
            break
    assert isinstance(road.assessment.verdict, Pass)


def test_latencies_in_one_bucket_do_not_keep_a_release_from_passing() -> None:
    """Everything is faster than the first bound: the release is promoted; half of its requests beyond it fail it."""
    for slow, wanted in ((0.0, Pass), (0.5, Fail)):
        road = quick()
        road.look(0)
        for second in range(600):
            if second > 5:
                road.new.met(50, 0, (9.5,) * round(50 * (1 - slow)) + (95.0,) * round(50 * slow))
            road.stable.met(450, 0, (9.5,) * 450)
            if isinstance(road.look().verdict, wanted):
                break
        assert isinstance(road.assessment.verdict, wanted)


# ---- laws ----


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 60), st.integers(0, 2**32))
def test_a_gate_that_was_written_down_goes_on_exactly(cut: int, seed: int) -> None:
    """Written to JSON and read back after any second, it comes to the same evidence, bit by bit."""
    kept, restarted = (quick(metrics=(QUEUE,)).learned(10) for _ in range(2))
    for road in (kept, restarted):
        road.random.seed(seed)
        for second in range(60):
            if road is restarted and second == cut:
                road.gate = decode(encode(road.gate), Gate)
            road.run(1, (20, 0.03), (80, 0.01))
    assert kept.gate == restarted.gate


def test_a_gate_is_small() -> None:
    """Half an hour of evidence is less than 10 KB of JSON."""
    road = quick().learned()
    road.run(60)
    assert len(encode(road.gate)) < 10_000


def test_a_sample_that_is_counted_twice_changes_nothing() -> None:
    """The same counters at the same moment tell nothing new."""
    road = quick().learned()
    road.run(10)
    again = count(road.gate, road.comparison, road.sample())
    assert again.errors.evidence == road.gate.errors.evidence
    assert again.requests == road.gate.requests
