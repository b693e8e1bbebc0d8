"""The canary, decision by decision: what the traffic may decide, and what it may not."""

from datetime import timedelta

import pytest
from msgspec import structs

from bleen.domain.canary import (
    Affinity,
    CanaryStep,
    CheckStep,
    CookieStep,
    Events,
    HeaderStep,
    Hold,
    JudgeStep,
    Measure,
    MirrorStep,
    Preset,
    Resize,
    Unsure,
    Weight,
)
from bleen.domain.check import HttpCheck
from bleen.domain.command import Advance, GoBack, Pause, Resume, Scale, Supersede, accept
from bleen.domain.comparison import Phase, comparison
from bleen.domain.decide import advance, decide
from bleen.domain.decision import AskHuman, Decision, Done, Launch, Promote, Retire, Rollback, Shift, Wait
from bleen.domain.duration import seconds
from bleen.domain.errors import LawBroken
from bleen.domain.fleet import InstanceState
from bleen.domain.laws import check
from bleen.domain.rollout import Promoted, RolledBack, Rollout, Superseded
from bleen.domain.service import BlueGreen, Canary
from bleen.domain.strategy import Analyse, Judge, KeepWarm, StartFleet, Stay
from bleen.domain.traffic import Colour, CookieCohort, HeaderCohort, Mirror
from bleen.domain.verdict import HOLDING, Cause, Fail, Inconclusive, Pass
from tests.domain.world import World, arrive

NORMAL = Canary()
GOOD, BAD = Pass("it is not worse"), Fail("errors", "5 % of its requests fail")
NOT_YET = Inconclusive(Cause.MORE_REQUESTS, "4,000 more requests are needed", 4000, 80.0)


def steps(*written: CanaryStep, **options: object) -> Canary:
    """Return a canary of one's own."""
    return Canary(steps=(*written, Weight(100.0)), **options)  # type: ignore[arg-type]


def weights(world: World) -> list[float]:
    """Return the percentages that the new release (green) was shifted to, each once."""
    found = [d.route.split.green / 100 for d in world.log if isinstance(d, Shift)]
    return [w for i, w in enumerate(found) if i == 0 or w != found[i - 1]]


def sizes(rollout: Rollout) -> list[int | None]:
    """Return the sizes that the new fleet is to have, in order."""
    return [s.size for s in rollout.steps if isinstance(s, StartFleet)]


def last(world: World) -> Decision:
    return world.log[-1]


# ---- the way that a good release takes ----


def test_the_normal_canary_gives_ten_percent_until_the_traffic_says_yes_and_then_all() -> None:
    """The preset of the mission: 10 % for up to 30 minutes, then everything."""
    world = World(verdict=GOOD).deployed(1, size=10)
    rollout = world.run(world.begin(2, NORMAL, size=10), seconds=30)
    assert rollout.outcome == Promoted()
    assert weights(world) == [0, 10, 100]
    assert [j.verdict for j in rollout.verdicts] == [GOOD]


def test_a_canary_has_instances_for_its_share_and_the_stable_fleet_keeps_all_of_its_own() -> None:
    """10 % of 10 instances is 1; the fleet grows to 10 before it gets everything; the old one never shrinks before."""
    world = World(verdict=NOT_YET).deployed(1, size=10)
    rollout = arrive(world, world.begin(2, NORMAL, size=10), Analyse)
    assert world.fleets[Colour.GREEN].size == 1
    assert world.fleets[Colour.BLUE].size == 10
    world.verdict = GOOD
    rollout = arrive(world, rollout, KeepWarm)
    assert world.fleets[Colour.GREEN].size == 10
    assert world.fleets[Colour.BLUE].size == 10


@pytest.mark.parametrize(("preset", "shares"), [(Preset.QUICK, [0, 20, 100]), (Preset.CAREFUL, [0, 1, 10, 50, 100])])
def test_presets_climb_as_they_say(preset: Preset, shares: list[float]) -> None:
    """Each weight waits for a verdict of its own."""
    world = World(verdict=GOOD).deployed(1, size=4)
    rollout = world.run(world.begin(2, Canary(preset=preset), size=4), seconds=30)
    assert weights(world) == shares
    assert len(rollout.verdicts) == len(shares) - 2


def test_a_fleet_is_never_smaller_than_its_minimum_or_than_its_scale_step_says() -> None:
    """``min_instances`` counts from the start, ``scale`` from its step on, and neither exceeds the service."""
    world = World().deployed(1, size=10)
    least = world.begin(2, structs.replace(NORMAL, min_instances=3), size=10)
    assert sizes(least) == [3, None]
    scaled = world.begin(2, steps(Weight(10.0), Resize(5), Measure(), Weight(50.0), Measure()), size=10)
    assert sizes(scaled) == [1, 5, None]


def test_the_first_release_of_a_service_has_nothing_to_be_compared_with_and_takes_all_traffic() -> None:
    """A canary of a service that nothing serves is a plain deployment."""
    world = World()
    rollout = world.run(world.begin(1, NORMAL), seconds=60)
    assert rollout.outcome == Promoted() and world.serving() == {1}
    assert not any(isinstance(s, Analyse) for s in rollout.steps)
    assert comparison(rollout) is None


def test_going_back_to_a_trusted_release_measures_nothing() -> None:
    """Law 10's rollback, after the warm time: no step of the canary runs again."""
    world = World().deployed(1)
    rollout = world.begin(2, NORMAL, trusted=True)
    assert not any(isinstance(s, Analyse) for s in rollout.steps)
    assert world.run(rollout, seconds=60).outcome == Promoted()


# ---- verdicts ----


def test_a_fail_rolls_back_at_once_and_says_what_the_traffic_said() -> None:
    """The stable release has everything again; the reason is the verdict's."""
    world = World(verdict=NOT_YET).deployed(1, size=10)
    rollout = arrive(world, world.begin(2, NORMAL, size=10), Analyse)
    world.verdict = BAD
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Rollback) and "5 % of its requests fail" in decision.why
    rollout = world.run(rollout)
    assert isinstance(rollout.outcome, RolledBack)
    assert world.serving() == {1} and set(world.fleets) == {Colour.BLUE}


def test_a_fail_counts_at_every_step_from_the_starting_step_on_also_in_a_pause() -> None:
    """Background analysis: a pause, and a person's pause, do not protect a bad release."""
    world = World(verdict=NOT_YET).deployed(1, size=4)
    rollout = arrive(world, world.begin(2, steps(Weight(10.0), Hold()), size=4), Judge)
    rollout = accept(rollout, Pause("ada"), world.now)
    world.verdict = BAD
    _, decision = world.turn(rollout)
    assert isinstance(decision, Rollback)


def test_before_the_starting_step_only_a_measurement_may_roll_back() -> None:
    """``starting_step`` leaves the traffic of earlier steps alone."""
    strategy = steps(Weight(10.0), Hold(seconds(60)), Weight(50.0), Measure())
    strategy = structs.replace(strategy, analysis=structs.replace(strategy.analysis, starting_step=3))
    world = World(verdict=BAD).deployed(1, size=4)
    rollout = arrive(world, world.begin(2, strategy, size=4), Stay)
    _, decision = world.turn(rollout)
    assert isinstance(decision, Wait)
    world.tick(61)
    rollout = world.run(rollout)
    assert isinstance(rollout.outcome, RolledBack)


def test_a_fail_after_the_promotion_goes_back_to_the_warm_colour_in_one_shift() -> None:
    """Post-promotion watch: the verdict came late, and the old fleet is still there."""
    world = World(verdict=GOOD).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), KeepWarm)
    assert rollout.outcome == Promoted()
    asked = comparison(rollout)
    assert asked is not None and asked.phase is Phase.AFTER
    world.verdict, before = BAD, len(world.log)
    rollout = world.run(rollout)
    assert isinstance(rollout.outcome, RolledBack)
    assert world.serving() == {1}
    assert len([d for d in world.log[before:] if isinstance(d, Shift)]) == 2, "back, and the name taken away"


def test_without_a_verdict_in_time_the_normal_canary_is_rolled_back_and_never_promoted() -> None:
    """Absence of evidence is not success (law 9); the reason says how much was missing."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = world.run(world.begin(2, NORMAL, size=2), seconds=5, turns=800)
    assert isinstance(rollout.outcome, RolledBack)
    assert "no verdict in 30m: 4,000 more requests" in rollout.outcome.reason
    assert not any(isinstance(d, Promote) for d in world.log)


def test_the_careful_canary_asks_a_person_instead_and_goes_on_when_told_to() -> None:
    """The ledger keeps who went on without a pass."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = world.begin(2, steps(Weight(10.0), Measure(seconds(60)), inconclusive=Unsure.ASK), size=2)
    rollout = arrive(world, rollout, Analyse)
    for _ in range(80):
        world.tick()
        rollout, decision = world.turn(rollout)
    assert isinstance(decision, AskHuman)
    rollout = accept(rollout, Advance("ada"), world.now)
    rollout = world.run(rollout, seconds=60)
    assert rollout.outcome == Promoted()
    assert [(j.verdict, j.by) for j in rollout.verdicts] == [(NOT_YET, "ada")]


@pytest.mark.parametrize("cause", HOLDING)
def test_while_nothing_can_be_learned_nothing_is_decided_however_long_it_lasts(cause: Cause) -> None:
    """Metrics gone, a shared outage, a sick stable release: hold, neither promote nor abort; then go on by itself."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), Analyse)
    world.verdict = Inconclusive(cause, "so")
    for _ in range(100):
        world.tick(60)
        rollout, decision = world.turn(rollout)
        assert isinstance(decision, Wait) and decision.until is None
    world.verdict = GOOD
    assert world.run(rollout, seconds=30).outcome == Promoted()


def test_time_in_which_nothing_could_be_learned_is_given_back_to_the_measurement() -> None:
    """Half an hour without metrics is no half hour of measuring."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), Analyse)
    world.tick(2000)
    seen = world.watched(rollout)
    assert seen.assessment is not None
    held = structs.replace(seen, assessment=structs.replace(seen.assessment, held=1000.0))
    decision = decide(advance(rollout, held, world.now), held, world.now)
    assert isinstance(decision, Wait) and decision.until == rollout.since + timedelta(seconds=2800)


def test_a_controller_that_was_away_for_hours_decides_nothing_on_what_it_knew_before() -> None:
    """Old evidence is no evidence: the deadline passed while nobody looked."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), Analyse)
    world.turn(rollout)
    world.verdict = None
    world.tick(7200)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Wait) and rollout.retreat is None


def test_evidence_of_another_step_passes_no_measurement() -> None:
    """A pass at 10 % says nothing of 50 %."""
    world = World(verdict=GOOD).deployed(1, size=4)
    rollout = arrive(world, world.begin(2, Canary(preset=Preset.CAREFUL), size=4), Analyse)
    first = rollout.step
    rollout, _ = world.turn(rollout)
    world.verdict = None
    for _ in range(20):
        world.tick()
        rollout, _ = world.turn(rollout)
    assert isinstance(rollout.current, Analyse) and rollout.step > first
    assert world.serving() == {1, 2}


def test_a_promotion_without_a_verdict_breaks_law_nine() -> None:
    """Whoever decides it: the laws look themselves."""
    world = World(verdict=GOOD).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), KeepWarm)
    forged = structs.replace(rollout, verdicts=())
    with pytest.raises(LawBroken, match="law 9"):
        check(forged, world.observe(), Promote(2, "because"))


def test_promote_full_skips_every_measurement_and_nothing_rolls_it_back_by_itself() -> None:
    """CanaryPromoteFull: a person decides against the evidence, under their own name."""
    world = World(verdict=NOT_YET).deployed(1, size=4)
    rollout = arrive(world, world.begin(2, NORMAL, size=4), Analyse)
    rollout = accept(rollout, Advance("ada", full=True), world.now)
    world.verdict = BAD
    rollout = world.run(rollout, seconds=60)
    assert rollout.outcome == Promoted() and rollout.full_by == "ada"


# ---- steps of one's own ----


def test_cohorts_and_copies_reach_the_new_release_and_leave_with_the_switch() -> None:
    """HeaderRoute, HostMirrorRoute: the gateway is told at their step, keeps them at later ones, and loses them at the end."""
    world = World(verdict=GOOD).deployed(1, size=4)
    strategy = steps(HeaderStep("X-Team", "beta"), CookieStep("tester", "yes"), MirrorStep(50.0), Weight(10.0), Measure())
    rollout = world.run(world.begin(2, strategy, size=4), seconds=60)
    assert rollout.outcome == Promoted()
    routes = [d.route for d in world.log if isinstance(d, Shift)]
    cohorts = (HeaderCohort("x-team", "beta"), CookieCohort("tester", "yes"))
    assert [r.cohorts for r in routes[:3]] == [(), cohorts[:1], cohorts]
    ten = next(r for r in routes if r.split.green == 1000)
    assert (ten.cohorts, ten.mirror) == (cohorts, Mirror(5000, ("GET", "HEAD")))
    assert (routes[-1].cohorts, routes[-1].mirror) == ((), None)


def test_a_mirror_of_nothing_ends_the_mirror() -> None:
    """``percent: 0`` takes it away again."""
    world = World(verdict=GOOD).deployed(1, size=2)
    world.run(world.begin(2, steps(MirrorStep(100.0), Hold(seconds(5)), MirrorStep(0.0), Weight(10.0)), size=2), seconds=30)
    mirrors = [d.route.mirror is not None for d in world.log if isinstance(d, Shift)]
    assert mirrors[1] and not mirrors[2] and not mirrors[-1]


def test_going_back_takes_cohorts_and_copies_away_in_the_same_shift() -> None:
    """Nobody is left on a release that was refused."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, steps(HeaderStep("x-team", "beta"), Weight(10.0), Measure()), size=2), Analyse)
    rollout = accept(rollout, GoBack("ada"), world.now)
    before = len(world.log)
    world.run(rollout)
    back = next(d for d in world.log[before:] if isinstance(d, Shift))
    assert back.route.cohorts == () and back.route.split.blue == 10_000


@pytest.mark.parametrize("step", [HeaderStep("x-team", "beta"), CookieStep("team", "beta"), MirrorStep(100.0)])
def test_going_back_takes_cohorts_and_copies_away_also_where_there_was_no_weight(step: CanaryStep) -> None:
    """The stable release had all traffic throughout: it is not back before it has these requests, too."""
    world = World().deployed(1, size=2)
    rollout = arrive(world, world.begin(2, steps(step, Hold(), abort_delay=seconds(60)), size=2), Judge)
    rollout = accept(rollout, GoBack("ada"), world.now)
    while rollout.outcome is None:
        rollout, _ = world.turn(rollout)
        world.tick()
    assert isinstance(last(world), Wait) and world.fleets[Colour.GREEN].size == 2
    assert all(route and not route.cohorts and route.mirror is None for route in world.routes)


def test_users_stay_with_their_release_only_while_both_have_a_share() -> None:
    """Affinity is part of the route between the first weight and the last."""
    world = World(verdict=GOOD).deployed(1, size=2)
    world.run(world.begin(2, structs.replace(NORMAL, affinity=Affinity()), size=2), seconds=30)
    sticky = [(d.route.split.green, d.route.sticky is not None) for d in world.log if isinstance(d, Shift)]
    assert sticky == [(0, False), (1000, True), (10_000, False), (10_000, False)]


def test_a_timed_pause_ends_by_itself_and_one_without_time_waits_for_a_person() -> None:
    """``pause`` with and without ``for``."""
    world = World(verdict=GOOD).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, steps(Weight(10.0), Hold(seconds(60)), Hold()), size=2), Stay)
    world.tick(61)
    rollout = arrive(world, rollout, Judge)
    _, decision = world.turn(rollout)
    assert isinstance(decision, AskHuman) and decision.question == "Go on?"
    rollout = accept(rollout, Advance("ada"), world.now)
    assert world.run(rollout, seconds=30).outcome == Promoted()


def test_a_judgement_that_nobody_gives_in_time_rolls_back() -> None:
    """``judge`` with ``within``: the deadline is in the decision, for people to see."""
    world = World(verdict=GOOD).deployed(1, size=2)
    strategy = steps(Weight(10.0), JudgeStep("Are the graphs good?", seconds(60)))
    rollout = arrive(world, world.begin(2, strategy, size=2), Judge)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, AskHuman) and decision.question == "Are the graphs good?"
    assert decision.until == rollout.since + timedelta(seconds=60)
    world.tick(61)
    rollout = world.run(rollout)
    assert isinstance(rollout.outcome, RolledBack) and "nobody answered within 1m" in rollout.outcome.reason


def test_a_canary_that_its_author_abandoned_is_rolled_back_after_its_patience() -> None:
    """Nobody comes back to a pause: after a day the stable release has everything again."""
    world = World(verdict=GOOD).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, steps(Weight(10.0), Hold()), size=2), Judge)
    world.tick(86_401)
    rollout = world.run(rollout)
    assert isinstance(rollout.outcome, RolledBack) and "abandoned" in rollout.outcome.reason


def test_a_check_between_weights_may_roll_back() -> None:
    """Each check step has results of its own."""
    world = World(verdict=GOOD).deployed(1, size=4)
    strategy = steps(Weight(10.0), CheckStep((HttpCheck("/"),)), Weight(50.0), CheckStep((HttpCheck("/deep"),)))
    rollout = world.begin(2, strategy, size=4)
    for _ in range(60):
        rollout, _ = world.turn(rollout)
        world.tick()
        world.failing_checks = rollout.weight == 5000
        if rollout.outcome:
            break
    assert isinstance(rollout.outcome, RolledBack)
    assert [(r.passed, r.place) for r in rollout.results] == [(True, 2), (False, 4)]


# ---- services without traffic ----


def test_fleets_that_take_work_from_a_queue_stand_side_by_side_and_nothing_is_routed_before_the_switch() -> None:
    """A weight is a share of instances; the verdict comes from what they count themselves."""
    world = World(verdict=GOOD).deployed(1, size=10)
    counted = structs.replace(Canary().analysis, metrics=(Events("jobs", "failed_total", "jobs_total", page="/metrics"),))
    rollout = world.begin(2, Canary(side_by_side=True, analysis=counted), size=10)
    assert sizes(rollout) == [1, None]
    rollout = arrive(world, rollout, Analyse)
    asked = comparison(rollout)
    assert asked is not None and asked.phase is Phase.BESIDE
    assert (asked.analysis.errors.weight, asked.analysis.latency.weight) == (0, 0)
    assert (world.fleets[Colour.BLUE].size, world.fleets[Colour.GREEN].size) == (10, 1)
    rollout = arrive(world, rollout, KeepWarm)
    asked = comparison(rollout)
    assert asked is not None and asked.phase is Phase.BESIDE, "the old fleet works on while it is warm"
    assert weights(world) == [0, 100]


# ---- what can come between ----


def test_a_weight_waits_for_the_instances_of_its_share() -> None:
    """Law 2: 50 % needs half of the fleet, ready."""
    world = World(verdict=GOOD).deployed(1, size=4)
    rollout = world.begin(2, steps(Weight(25.0), Measure(), Weight(50.0), Measure()), size=4)
    shares = []
    for _ in range(80):
        rollout, decision = world.turn(rollout)
        if isinstance(decision, Shift) and decision.route.split.green:
            shares.append((decision.route.split.green, world.fleets[Colour.GREEN].ready))
        world.tick()
    assert shares[:3] == [(2500, 1), (5000, 2), (10_000, 4)]


def test_a_fleet_that_grows_is_left_to_grow_however_long_its_instances_take() -> None:
    """Seen: the growth to full size and the size of the share gave orders in turn, for ever."""
    world = World(verdict=GOOD).deployed(1, size=4)
    rollout = arrive(world, world.begin(2, NORMAL, size=4), Analyse)
    for _ in range(5):
        rollout, _ = world.turn(rollout)
    grown = [d.size for d in world.log if isinstance(d, Launch)]
    assert grown == [1, 4]


def test_a_canary_whose_instances_all_died_is_rolled_back_without_waiting_for_statistics() -> None:
    """Its share of the users gets errors now."""
    world = World(verdict=NOT_YET).deployed(1, size=4)
    rollout = arrive(world, world.begin(2, NORMAL, size=4), Analyse)
    world.fleets[Colour.GREEN].states = [InstanceState.CRASHED]
    _, decision = world.turn(rollout)
    assert isinstance(decision, Rollback) and "none of its instances can serve" in decision.why


def test_scaling_in_mid_canary_keeps_its_share() -> None:
    """RolloutScalingDuringUpdate: the service doubles, and the canary with it."""
    world = World(verdict=NOT_YET).deployed(1, size=10)
    rollout = arrive(world, world.begin(2, NORMAL, size=10), Analyse)
    rollout = accept(rollout, Scale("ada", 20), world.now)
    for _ in range(10):
        rollout, _ = world.turn(rollout)
        world.tick()
    assert {c: f.size for c, f in world.fleets.items()} == {Colour.BLUE: 20, Colour.GREEN: 2}
    world.verdict = GOOD
    rollout = arrive(world, rollout, KeepWarm)
    assert world.fleets[Colour.GREEN].size == 20


def test_a_pause_stops_the_clock_of_a_measurement() -> None:
    """Two hours of pause are not two hours of measuring."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), Analyse)
    rollout = accept(rollout, Pause("ada"), world.now)
    world.tick(7200)
    rollout = accept(rollout, Resume("ada"), world.now)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Wait) and rollout.retreat is None


def test_a_newer_release_supersedes_a_canary_in_order() -> None:
    """AbortAndUpdate: the canary's share goes back first."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), Analyse)
    rollout = accept(rollout, Supersede("ada", 3), world.now)
    rollout = world.run(rollout)
    assert rollout.outcome == Superseded(3)
    assert world.serving() == {1}


def test_a_gateway_that_lost_the_weight_is_given_it_again_while_measuring() -> None:
    """What a gateway has is read, never assumed."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), Analyse)
    world.routes[0] = rollout.route(Colour.BLUE)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift) and decision.route.split.green == 1000


def test_waiting_on_is_no_new_decision_while_only_figures_change() -> None:
    """Else the ledger would have an entry a second."""
    world = World(verdict=NOT_YET).deployed(1, size=2)
    rollout = arrive(world, world.begin(2, NORMAL, size=2), Analyse)
    rollout, first = world.turn(rollout)
    world.verdict = Inconclusive(Cause.MORE_REQUESTS, "3,000 more requests are needed", 3000, 60.0)
    world.tick()
    rollout, second = world.turn(rollout)
    assert first == second and isinstance(first, Wait)


def test_a_release_tried_after_a_refused_one_starts_from_nothing() -> None:
    """BadToGood: verdicts belong to one rollout."""
    world = World(verdict=BAD).deployed(1, size=2)
    assert isinstance(world.run(world.begin(2, NORMAL, size=2)).outcome, RolledBack)
    world.verdict = GOOD
    assert world.run(world.begin(3, NORMAL, size=2), seconds=30).outcome == Promoted()
    assert world.serving() == {3}


def test_a_service_changes_from_blue_green_to_canary_and_back() -> None:
    """BlueGreenToCanary: the strategy belongs to the rollout, not to what runs."""
    world = World(verdict=GOOD).deployed(1, size=2)
    for number, strategy in ((2, NORMAL), (3, BlueGreen()), (4, NORMAL)):
        assert world.run(world.begin(number, strategy, size=2), seconds=60).outcome == Promoted()
    assert world.serving() == {4} and len(world.fleets) == 1


def test_the_phase_follows_the_traffic() -> None:
    """Before the first weight there is only the stable release to learn from; with all of it, only the past."""
    world = World(verdict=GOOD).deployed(1, size=2)
    rollout, phases = world.begin(2, NORMAL, size=2), []
    for _ in range(80):
        asked = comparison(rollout)
        phases.append(asked.phase if asked else None)
        rollout, decision = world.turn(rollout)
        world.tick(20)
        if isinstance(decision, Done):
            break
    assert list(dict.fromkeys(phases)) == [Phase.BEFORE, Phase.BESIDE, Phase.AFTER]
    assert isinstance(decision, Done) and any(isinstance(d, Retire) for d in world.log)
