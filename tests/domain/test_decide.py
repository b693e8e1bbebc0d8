"""Blue-green, decision by decision."""

from datetime import timedelta

import pytest
from msgspec import structs

from bleen.domain.check import CheckTime, HttpCheck
from bleen.domain.command import Abort, Advance, GoBack, Pause, Resume, Scale, Supersede, accept
from bleen.domain.decide import advance, applied, decide
from bleen.domain.decision import AskHuman, Decision, Done, Launch, Measure, Promote, Retire, Rollback, Shift, Wait
from bleen.domain.duration import seconds
from bleen.domain.errors import LawBroken, NothingToDo, Unreachable
from bleen.domain.fleet import InstanceState
from bleen.domain.laws import check
from bleen.domain.rollout import Aborted, Failed, Promoted, RolledBack, Rollout, Superseded
from bleen.domain.service import BlueGreen, Checks
from bleen.domain.traffic import Colour, Route, Split
from tests.domain.world import World

CHECKED = BlueGreen(checks=Checks(before=(HttpCheck("/"),), after=(HttpCheck("/"),)))
JUDGED = BlueGreen(auto_promote=False)


def until(world: World, rollout: Rollout, kind: type[Decision], *, turns: int = 50) -> tuple[Rollout, Decision]:
    """Take turns until a decision of ``kind`` was carried out."""
    for _ in range(turns):
        rollout, decision = world.turn(rollout)
        if isinstance(decision, kind):
            return rollout, decision
        world.tick()
    raise AssertionError(f"no {kind.__name__} in {turns} turns: {world.log}")


def kinds(world: World) -> list[str]:
    """Return the decisions so far, waits left out."""
    return [type(d).__name__ for d in world.log if not isinstance(d, Wait)]


def test_a_first_deployment_launches_previews_shifts_and_promotes() -> None:
    """With nothing there before, the new release gets all traffic and nothing is retired."""
    world = World()
    rollout = world.run(world.begin(1), seconds=60)
    assert rollout.outcome == Promoted()
    assert kinds(world) == ["Launch", "Shift", "Shift", "Promote", "Done"]
    assert world.serving() == {1}


def test_a_second_deployment_keeps_the_old_fleet_warm_then_unlists_and_retires_it() -> None:
    """The old fleet leaves the route before it is retired, and only after the warm time."""
    world = World().deployed(1)
    started = world.now
    rollout = world.run(world.begin(2), seconds=60)
    assert kinds(world) == ["Launch", "Shift", "Shift", "Promote", "Shift", "Retire", "Done"]
    assert world.now - started >= rollout.strategy.warm
    assert set(world.fleets) == {Colour.GREEN}


def test_a_check_that_fails_on_the_preview_refuses_the_release_before_any_traffic() -> None:
    """A bad green never receives traffic."""
    world = World(failing_checks=True).deployed(1)
    rollout = world.run(world.begin(2, CHECKED))
    assert isinstance(rollout.outcome, RolledBack) and "check" in rollout.outcome.reason
    assert all(d.route.split == Split.of(Colour.BLUE) for d in world.log if isinstance(d, Shift))


def test_a_check_that_fails_after_the_switch_reverses_it() -> None:
    """The old release has all traffic again, and the new one is retired."""
    world = World().deployed(1)
    rollout, measure = until(world, world.begin(2, CHECKED), Measure)
    assert isinstance(measure, Measure) and measure.when is CheckTime.BEFORE
    world.failing_checks = True
    rollout = world.run(rollout)
    assert isinstance(rollout.outcome, RolledBack)
    assert world.serving() == {1} and set(world.fleets) == {Colour.BLUE}


def test_a_release_that_crashes_at_start_is_refused_with_its_last_exit() -> None:
    """Three crashes with nothing ready are enough; nobody waits for the deadline."""
    world = World(bad={2}).deployed(1)
    started = world.now
    rollout = world.run(world.begin(2))
    assert isinstance(rollout.outcome, RolledBack) and "exit 1" in rollout.outcome.reason
    assert world.now - started < timedelta(minutes=2)


def test_without_progress_until_the_deadline_it_goes_back() -> None:
    """A fleet that never becomes ready is refused after progress_deadline."""
    world = World().deployed(1)
    rollout = world.begin(2, BlueGreen(progress_deadline=seconds(60)))
    rollout, _ = until(world, rollout, Launch)
    for _ in range(70):
        world.now += timedelta(seconds=1)
        rollout, decision = world.turn(rollout)
        if isinstance(decision, Rollback):
            break
    assert isinstance(rollout.retreat, RolledBack) and "no progress for 1m" in rollout.retreat.reason


def test_a_judgement_waits_for_a_person_and_its_time_does_not_run_out() -> None:
    """Approval has no deadline unless the file gives it one."""
    world = World().deployed(1)
    rollout, ask = until(world, world.begin(2, JUDGED), AskHuman)
    world.tick(100_000)
    rollout, decision = world.turn(rollout)
    assert decision == ask
    rollout = accept(rollout, Advance("ada"), world.now)
    assert world.run(rollout, seconds=60).outcome == Promoted()


def test_a_judgement_with_a_time_goes_on_by_itself() -> None:
    """auto_promote_after switches even if no one came."""
    world = World().deployed(1)
    rollout, ask = until(world, world.begin(2, structs.replace(JUDGED, auto_promote_after=seconds(30))), AskHuman)
    assert isinstance(ask, AskHuman) and ask.until is not None
    world.tick(31)
    _, decision = world.turn(rollout)
    assert isinstance(decision, Shift)


def test_promote_without_a_judgement_says_how_to_skip_checks() -> None:
    """A promote that nobody waits for is refused with the command that would do something."""
    world = World().deployed(1)
    with pytest.raises(NothingToDo, match="--full"):
        accept(world.begin(2), Advance("ada"), world.now)


def test_promote_full_skips_checks_and_judgement() -> None:
    """BlueGreenPromoteFull: checks and approval are passed over, capacity is not."""
    world = World(failing_checks=True).deployed(1)
    rollout = accept(world.begin(2, structs.replace(CHECKED, auto_promote=False)), Advance("ada", full=True), world.now)
    rollout = world.run(rollout, seconds=60)
    assert rollout.outcome == Promoted() and "Measure" not in kinds(world)


def test_a_pause_holds_and_its_time_does_not_count_against_the_deadline() -> None:
    """A paused rollout neither goes on nor times out."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2), Launch)
    rollout = accept(rollout, Pause("ada"), world.now)
    world.tick(100_000)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Wait) and "paused by ada" in decision.why
    rollout = accept(rollout, Resume("ada"), world.now)
    assert world.run(rollout, seconds=60).outcome == Promoted()


def test_an_abort_works_while_paused() -> None:
    """Going back stays possible at any time."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2), Launch)
    rollout = accept(accept(rollout, Pause("ada"), world.now), Abort("bob"), world.now)
    assert world.run(rollout).outcome == Aborted("bob")


def test_rollback_in_the_warm_time_is_one_split_change() -> None:
    """Nothing is launched, checked or asked: the first thing done is the shift."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2, CHECKED), Promote)
    world.tick()
    rollout, _ = world.turn(rollout)
    rollout = accept(rollout, GoBack("ada"), world.now)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift) and decision.route.split == Split.of(Colour.BLUE)
    rollout = world.run(rollout)
    assert rollout.outcome == RolledBack("asked for by ada")
    assert set(world.fleets) == {Colour.BLUE}


def test_a_rollback_waits_for_nothing_even_where_the_old_fleet_lost_an_instance() -> None:
    """Going back to one of two instances is allowed where the broken release has no more to offer."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2), Promote)
    world.fleets[Colour.BLUE].states[0] = InstanceState.CRASHED
    world.fleets[Colour.GREEN].states = [InstanceState.SICK, InstanceState.READY]
    rollout = accept(rollout, GoBack("ada"), world.now)
    _, decision = world.turn(rollout)
    assert isinstance(decision, Shift)


def test_a_dead_stable_release_goes_back_by_itself_while_the_old_one_is_warm() -> None:
    """None of the new instances can serve, the old fleet is whole: nobody needs to be asked."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2), Promote)
    world.fleets[Colour.GREEN].states = [InstanceState.CRASHED] * 2
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Rollback)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift)


def test_a_newer_release_ends_an_unpromoted_rollout_by_going_back_first() -> None:
    """Superseded in order: the old release has all traffic before the newer one begins."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2), Launch)
    rollout = accept(rollout, Supersede("ada", 3), world.now)
    started = world.now
    rollout = world.run(rollout)
    assert rollout.outcome == Superseded(3) and set(world.fleets) == {Colour.BLUE}
    assert world.now - started < timedelta(seconds=20), "a superseded fleet is not kept"


def test_a_newer_release_ends_the_warm_time() -> None:
    """The promoted release stays promoted; its warm predecessor makes room."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2), Promote)
    rollout = world.run(accept(rollout, Supersede("ada", 3), world.now))
    assert rollout.outcome == Promoted() and set(world.fleets) == {Colour.GREEN}
    assert world.run(world.begin(3), seconds=60).outcome == Promoted()


def test_a_sick_stable_fleet_can_be_fixed_forward() -> None:
    """Nothing asks the old release to be healthy before the new one may come."""
    world = World().deployed(1)
    world.bad.add(1)
    world.fleets[Colour.BLUE].states = [InstanceState.CRASHED] * 2
    assert world.run(world.begin(2), seconds=60).outcome == Promoted()


def test_preview_instances_grow_to_full_size_before_the_switch() -> None:
    """BlueGreenPreviewReplicaCount: one instance for the preview, all of them before traffic."""
    world = World().deployed(1, size=4)
    world.run(world.begin(2, BlueGreen(preview_instances=1), size=4), seconds=60)
    assert [d.size for d in world.log if isinstance(d, Launch)] == [1, 4]


def test_scaling_during_a_rollout_resizes_both_fleets() -> None:
    """RolloutScalingDuringUpdate: the stable fleet grows at once, the new one with its step."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2, JUDGED), AskHuman)
    rollout = accept(rollout, Scale("ada", 5), world.now)
    rollout, _ = world.turn(rollout)
    rollout, _ = world.turn(rollout)
    assert {f.size for f in world.fleets.values()} == {5}


def test_nothing_is_promoted_while_a_gateway_is_silent() -> None:
    """Intention is not observation: the other gateway may still send everything to the old release."""
    world = World(gateways=2).deployed(1)
    rollout, _ = until(world, world.begin(2, JUDGED), AskHuman)
    rollout = accept(rollout, Advance("ada"), world.now)
    world.silent.add(1)
    for _ in range(20):
        rollout, decision = world.turn(rollout)
        assert not isinstance(decision, Promote | Retire)
        world.tick()
    world.silent.clear()
    assert world.run(rollout, seconds=60).outcome == Promoted()


def test_a_rollback_moves_the_gateways_that_answer_at_once() -> None:
    """A dead gateway does not hold the others on the bad release."""
    world = World(gateways=2).deployed(1)
    rollout, _ = until(world, world.begin(2), Promote)
    world.silent.add(0)
    _, decision = world.turn(accept(rollout, GoBack("ada"), world.now))
    assert isinstance(decision, Shift)
    assert world.routes[1] is not None and world.routes[1].split == Split.of(Colour.BLUE)


def test_a_first_release_that_fails_after_the_switch_is_left_serving() -> None:
    """Law 4: the last serving fleet is never destroyed, not even a failed one."""
    world = World()
    rollout, _ = until(world, world.begin(1, CHECKED), Measure)
    world.failing_checks = True
    rollout = world.run(rollout)
    assert isinstance(rollout.outcome, Failed) and world.serving() == {1}


def test_an_observation_from_before_the_last_act_decides_nothing() -> None:
    """What was seen before a shift says nothing about after it."""
    world = World().deployed(1)
    rollout = world.begin(2)
    stale = world.observe()
    world.tick()
    rollout, _ = world.turn(rollout)
    assert isinstance(decide(advance(rollout, stale, world.now), stale, world.now), Wait)


def test_no_plan_is_made_blindly() -> None:
    """With a silent gateway nobody knows which colour serves."""
    world = World().deployed(1)
    world.silent.add(0)
    with pytest.raises(Unreachable):
        world.begin(2)


def test_the_release_that_serves_is_not_deployed_again() -> None:
    """The same release twice is nothing to do."""
    with pytest.raises(NothingToDo):
        World().deployed(1).begin(1)


@pytest.mark.parametrize(
    ("decision", "law"),
    [
        (Retire(Colour.BLUE, 1, ""), 3),
        (Promote(2, ""), 3),
        (
            Shift(Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN), blue=1, green=2), ""),
            2,
        ),
        (Shift(Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN), blue=1), ""), 2),
    ],
)
def test_a_decision_that_breaks_a_law_is_stopped(decision: Decision, law: int) -> None:
    """Whoever asks, and whatever decide said."""
    world = World().deployed(1)
    rollout = world.begin(2)
    with pytest.raises(LawBroken) as broken:
        check(rollout, world.observe(), decision)
    assert broken.value.law == law


def test_the_old_fleet_is_not_retired_before_the_new_one_is_promoted() -> None:
    """Law 10: what cannot be undone happens last."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2, JUDGED), AskHuman)
    world.routes = [rollout.route(Colour.GREEN, listed=(Colour.GREEN,))]
    with pytest.raises(LawBroken) as broken:
        check(rollout, world.observe(), Retire(Colour.BLUE, 1, ""))
    assert broken.value.law == 10


def test_done_is_reached_from_everywhere_twice() -> None:
    """A rollout that is done stays done: asking again changes nothing."""
    world = World().deployed(1)
    rollout = world.run(world.begin(2), seconds=60)
    seen = world.observe()
    decision = decide(advance(rollout, seen, world.now), seen, world.now)
    assert isinstance(decision, Done)
    assert applied(rollout, decision, world.now) == rollout


@pytest.mark.parametrize("before", [0, 1])
def test_a_rollout_that_the_engine_set_back_catches_up_with_the_world(before: int) -> None:
    """What was done within a lost task is not undone: the traffic stays where it is, and the rollout ends."""
    world = World() if before == 0 else World().deployed(1)
    rollout, _ = until(world, world.begin(before + 1), Launch)
    world.tick()
    early = rollout
    rollout, _ = until(world, rollout, Promote)
    world.log.clear()
    rollout = world.run(early, seconds=60)
    assert rollout.outcome == Promoted() and world.serving() == {before + 1}
    assert [d.route.split for d in world.log if isinstance(d, Shift)] in ([], [Split.of(Colour.GREEN)])
