"""The baseline fleet, decision by decision: as young, as large and as busy as the canary, and gone afterwards."""

from collections.abc import Callable

import pytest
from msgspec import structs

from bleen.domain.canary import Affinity, CanaryStep, HeaderStep, Hold, Measure, MirrorStep, Resize, Weight
from bleen.domain.codec import decode, encode, plain
from bleen.domain.command import Abort, Advance, GoBack, Pause, Scale, Supersede, accept
from bleen.domain.comparison import Phase, comparison
from bleen.domain.decision import Decision, Done, Launch, Promote, Retire, Rollback, Shift, Wait
from bleen.domain.duration import seconds
from bleen.domain.errors import LawBroken
from bleen.domain.fleet import InstanceState, Slot
from bleen.domain.laws import check
from bleen.domain.rollout import Promoted, RolledBack, Rollout
from bleen.domain.service import BlueGreen, Canary
from bleen.domain.strategy import Analyse, Judge, KeepWarm, StartFleet
from bleen.domain.traffic import Baseline, Colour, Route, Split
from bleen.domain.verdict import Cause, Fail, Inconclusive, Pass
from tests.domain.world import FleetState, World, arrive

FAIR = Canary(baseline=True)
GOOD, BAD = Pass("it is not worse"), Fail("errors", "5 % of its requests fail")
NOT_YET = Inconclusive(Cause.MORE_REQUESTS, "4,000 more requests are needed", 4000, 80.0)


def steps(*written: CanaryStep, **options: object) -> Canary:
    """Return a canary of one's own, with a baseline fleet."""
    return Canary(steps=(*written, Weight(100.0)), baseline=True, **options)  # type: ignore[arg-type]


def parts(world: World) -> list[tuple[float, float]]:
    """Return the percentages of the new release (green) and of the baseline fleet that were shifted to, each pair once."""
    found = [
        (d.route.carries(Colour.GREEN) / 100, d.route.carries(Colour.BLUE, baseline=True) / 100)
        for d in world.log
        if isinstance(d, Shift)
    ]
    return [pair for i, pair in enumerate(found) if i == 0 or pair != found[i - 1]]


def measuring(strategy: Canary = FAIR, *, size: int = 10) -> tuple[World, Rollout]:
    """Return a world whose rollout has its first share, and no verdict yet."""
    world = World(verdict=NOT_YET).deployed(1, size=size)
    rollout, _ = world.turn(arrive(world, world.begin(2, strategy, size=size), Analyse))
    return world, rollout


def place_of(world: World, kind: type, *, baseline: bool) -> int:
    """Return the place among all decisions of the last one of ``kind`` about a baseline fleet, or about another."""
    return max(i for i, d in enumerate(world.log) if isinstance(d, kind) and getattr(d, "baseline", False) is baseline)


def beside(world: World) -> FleetState:
    """Return the baseline fleet, which is there."""
    return world.beside[Colour.BLUE]


# ---- its life ----


def test_it_starts_with_the_canary_has_as_much_as_it_and_ends_with_the_comparison() -> None:
    """Both are launched before either is awaited; 10 and 10 %; at 100 % no route names it, and then it is retired."""
    world = World(verdict=GOOD).deployed(1, size=10)
    rollout = world.run(world.begin(2, FAIR, size=10), seconds=30)
    assert rollout.outcome == Promoted() and not world.beside
    first, second = [d for d in world.log if isinstance(d, Launch | Wait)][:2]
    assert isinstance(first, Launch) and isinstance(second, Launch)
    assert (first.colour, first.release, first.baseline) == (Colour.GREEN, 2, False)
    assert (second.colour, second.release, second.baseline) == (Colour.BLUE, 1, True)
    assert first.size == second.size == 1
    assert parts(world) == [(0, 0), (10, 10), (100, 0)]
    promoted = next(i for i, d in enumerate(world.log) if isinstance(d, Promote))
    assert promoted < place_of(world, Retire, baseline=True) < place_of(world, Retire, baseline=False)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda world, rollout: setattr(world, "verdict", BAD) or rollout,
        lambda world, rollout: accept(rollout, Abort("ada"), world.now),
        lambda world, rollout: accept(rollout, Supersede("ada", 3), world.now),
        lambda world, rollout: accept(rollout, GoBack("ada"), world.now),
    ],
    ids=["verdict", "abort", "supersede", "rollback"],
)
def test_whatever_ends_the_canary_ends_it(refuse: Callable[[World, Rollout], Rollout]) -> None:
    """One shift takes both away; that is observed, and then the baseline fleet is retired, before the canary is."""
    world, rollout = measuring()
    before = len(world.log)
    ended = world.run(refuse(world, rollout))
    assert ended.retreat is not None and not world.beside and set(world.fleets) == {Colour.BLUE}
    after = [d for d in world.log[before:] if isinstance(d, Shift | Retire)]
    assert isinstance(after[0], Shift) and after[0].route.baseline is None and after[0].route.split.blue == 10_000
    assert [d.baseline for d in after if isinstance(d, Retire)] == [True, False]


def test_a_rollback_within_the_warm_time_has_none() -> None:
    """It ended with the comparison: going back is one split change, and starts nothing."""
    world = World(verdict=GOOD).deployed(1, size=4)
    rollout = arrive(world, world.begin(2, FAIR, size=4), KeepWarm)
    rollout, _ = world.turn(rollout)
    assert not world.beside
    before = len(world.log)
    world.run(accept(rollout, GoBack("ada"), world.now), seconds=60)
    assert not [d for d in world.log[before:] if isinstance(d, Launch)]


@pytest.mark.parametrize(
    ("strategy", "trusted", "stable"),
    [(FAIR, True, True), (FAIR, False, False), (BlueGreen(), False, True), (Canary(), False, True)],
)
def test_there_is_none_where_nothing_is_compared(strategy: Canary | BlueGreen, trusted: bool, stable: bool) -> None:
    """Not for a trusted release, not for the first one, and never unasked."""
    world = World(verdict=GOOD)
    if stable:
        world.deployed(1)
    world.run(world.begin(2, strategy, trusted=trusted), seconds=60)
    assert not [d for d in world.log if isinstance(d, Launch | Retire) and d.baseline]


def test_whoever_promotes_past_everything_waits_for_no_baseline_fleet() -> None:
    """``promote --full`` compares nothing any more: it has no part in any split to come, and goes."""
    world, rollout = measuring()
    world.run(accept(rollout, Advance("ada", full=True), world.now), seconds=60)
    assert parts(world)[-1] == (100, 0) and not world.beside and set(world.fleets) == {Colour.GREEN}


# ---- its size and its share ----


def test_it_grows_with_the_canary_and_not_for_the_switch() -> None:
    """1 instance at 10 %, 3 by a scale step, 5 at 50 %; all 10 for 100 % are the new release's alone."""
    strategy = steps(Weight(10.0), Measure(), Resize(3), Weight(50.0), Measure())
    world = World(verdict=GOOD).deployed(1, size=10)
    world.run(world.begin(2, strategy, size=10), seconds=30)
    sizes = {place: [d.size for d in world.log if isinstance(d, Launch) and d.baseline is place] for place in (False, True)}
    assert sizes == {False: [1, 3, 5, 10], True: [1, 3, 5]}
    assert parts(world) == [(0, 0), (10, 10), (50, 50), (100, 0)]


def test_it_never_has_more_than_the_stable_release_has() -> None:
    """Beyond 50 % nobody is left to have as much: it gets all that there is."""
    world = World(verdict=GOOD).deployed(1, size=10)
    world.run(world.begin(2, steps(Weight(80.0), Measure()), size=10), seconds=30)
    assert parts(world) == [(0, 0), (80, 20), (100, 0)]
    with pytest.raises(ValueError, match="part of its colour's weight"):
        Route("dev", "hello", (), Split.of(Colour.GREEN, 8000), 1, 2, baseline=Baseline(Colour.BLUE, 2001))
    with pytest.raises(ValueError, match="blue is empty"):
        Route("dev", "hello", (), Split.of(Colour.BLUE), green=2, baseline=Baseline(Colour.BLUE, 1))


def test_beside_copies_it_has_as_many_requests_as_are_copied() -> None:
    """A mirrored canary has no weight; and one that colleagues alone reach is compared with the stable fleet."""
    strategy = steps(
        HeaderStep("x-team", "beta"), Hold(), MirrorStep(30.0), Measure(), MirrorStep(0.0), Weight(10.0), Measure()
    )
    world = World(verdict=NOT_YET).deployed(1, size=10)
    rollout = arrive(world, world.begin(2, strategy, size=10), Judge)
    asked = comparison(rollout)
    assert asked is not None and (asked.phase, asked.fair) == (Phase.BESIDE, False)
    rollout = arrive(world, accept(rollout, Advance("ada"), world.now), Analyse)
    asked = comparison(rollout)
    assert asked is not None and asked.fair
    world.verdict = GOOD
    world.run(rollout, seconds=30)
    assert parts(world) == [(0, 0), (0, 30), (0, 0), (10, 10), (100, 0)]


def test_it_stays_as_large_as_the_canary_when_the_service_is_scaled() -> None:
    """In mid-rollout, both become the same part of the new size."""
    world, rollout = measuring(steps(Weight(50.0), Measure()), size=4)
    assert (world.fleets[Colour.GREEN].size, beside(world).size) == (2, 2)
    rollout = accept(rollout, Scale("ada", 8), world.now)
    for _ in range(6):
        rollout, _ = world.turn(rollout)
        world.tick()
    assert (world.fleets[Colour.GREEN].size, beside(world).size, world.fleets[Colour.BLUE].size) == (4, 4, 8)


def test_users_keep_their_release_beside_a_baseline_fleet() -> None:
    """Affinity is about releases, and both fleets run the stable one."""
    world, _ = measuring(structs.replace(FAIR, affinity=Affinity()))
    route = world.routes[0]
    assert route is not None and route.sticky is not None and route.baseline == Baseline(Colour.BLUE, 1000)


def test_the_verdict_is_about_the_baseline_fleet_while_both_have_requests() -> None:
    """Before, what is usual is learned of the stable fleet; after, there is nobody to compare with."""
    world = World(verdict=NOT_YET).deployed(1, size=10)
    rollout = arrive(world, world.begin(2, FAIR, size=10), StartFleet)
    learning = comparison(rollout)
    rollout = arrive(world, rollout, Analyse)
    measured = comparison(rollout)
    world.verdict = GOOD
    after = comparison(arrive(world, rollout, KeepWarm))
    assert [(c.phase, c.fair) for c in (learning, measured, after) if c] == [
        (Phase.BEFORE, False),
        (Phase.BESIDE, True),
        (Phase.AFTER, False),
    ]
    assert measured is not None
    counted = {(r, b) for r in (1, 2, 3) for b in (False, True) if measured.counts(r, baseline=b)}
    assert counted == {(1, True), (2, False)}


# ---- when it fails ----


def test_a_stable_release_that_does_not_start_any_more_is_named() -> None:
    """The rollout ends before anyone relies on it, and the new release is not said to have crashed."""
    world = World(verdict=GOOD).deployed(1)
    rollout = world.begin(2, FAIR)
    while not world.beside:
        rollout, _ = world.turn(rollout)
    world.tick()
    beside(world).states, beside(world).restarts = [InstanceState.CRASHED], 3
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Rollback) and isinstance(decision.outcome, RolledBack)
    assert decision.outcome.reason == "the baseline fleet of r1 crashed 3 times and none became ready: exit 1"
    assert world.run(rollout).outcome != Promoted() and not world.beside


def test_one_that_crashes_while_it_grows_is_no_reason_to_go_back() -> None:
    """It has served before: its part goes to the stable fleet until it is back, and the canary waits for it."""
    world, rollout = measuring(steps(Weight(10.0), Measure(), Weight(50.0), Measure()), size=4)
    world.verdict = GOOD
    rollout = arrive(world, rollout, StartFleet)
    beside(world).states, beside(world).restarts = [InstanceState.CRASHED] * beside(world).size, 9
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift) and decision.route.baseline is None and rollout.retreat is None
    assert world.run(rollout, seconds=30).outcome == Promoted()


def test_one_that_is_never_ready_ends_the_rollout_at_its_deadline_and_is_named() -> None:
    """Without it there is no fair comparison, and a release is not promoted without the one that was asked for."""
    world = World(verdict=GOOD).deployed(1)
    rollout = world.begin(2, FAIR)
    for _ in range(3):
        rollout, _ = world.turn(rollout)
        world.tick()
        if world.beside:
            beside(world).states = [InstanceState.STARTING]
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Wait) and decision.why == "0 of 1 instances of r1's baseline fleet are ready"
    world.now += FAIR.progress_deadline
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Rollback) and "0 of 1 of its baseline fleet" in decision.why


@pytest.mark.parametrize("paused", [False, True])
def test_what_cannot_serve_gives_its_part_back_at_once(paused: bool) -> None:
    """Also in a pause: its users are not kept waiting. The canary keeps its own, and is not blamed."""
    world, rollout = measuring()
    if paused:
        rollout = accept(rollout, Pause("ada"), world.now)
    beside(world).states = [InstanceState.CRASHED]
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift) and (decision.route.baseline, decision.route.split.green) == (None, 1000)
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Wait) and rollout.retreat is None


def test_once_it_can_serve_again_it_has_its_part_again() -> None:
    """The comparison goes on; meanwhile it is said that one side has no requests."""
    world, rollout = measuring()
    beside(world).states = [InstanceState.CRASHED]
    rollout, _ = world.turn(rollout)
    world.verdict = Inconclusive(Cause.NO_TRAFFIC, "r1 has had no requests for 30 s")
    rollout, decision = world.turn(rollout)
    assert decision.why == "r2 or r1's baseline fleet gets no requests: nothing can be said about it"
    world.tick()
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift) and decision.route.baseline == Baseline(Colour.BLUE, 1000)


def test_no_share_goes_to_one_that_cannot_bear_it() -> None:
    """Law 2, for the third fleet as for the others."""
    world, rollout = measuring(steps(Weight(50.0), Measure()), size=4)
    beside(world).states[0] = InstanceState.SICK
    world.routes = [structs.replace(r, baseline=None) for r in world.routes if r]
    route = structs.replace(world.routes[0], baseline=Baseline(Colour.BLUE, 5000))
    with pytest.raises(LawBroken) as broken:
        check(rollout, world.observe(), Shift(route, "too early"))
    assert broken.value.law == 2 and "2 instances of r1's baseline fleet and 1 can serve" in str(broken.value)


def test_it_is_not_retired_while_a_gateway_may_name_it() -> None:
    """Law 3: neither while one does, nor while one is silent."""
    world, rollout = measuring()
    retire = Retire(Colour.BLUE, 1, "too early", baseline=True)
    for _ in range(2):
        with pytest.raises(LawBroken) as broken:
            check(rollout, world.observe(), retire)
        assert broken.value.law == 3
        world.routes = [structs.replace(r, baseline=None) for r in world.routes if r]
        world.silent = {0}
    world.silent = set()
    check(rollout, world.observe(), retire)


@pytest.mark.parametrize("colour", Colour)
def test_one_that_nobody_took_away_is_cleared_by_the_next_rollout(colour: Colour) -> None:
    """A rollout that was ended from outside leaves its baseline fleet, perhaps in a route: no later one is stuck for it."""
    world = World(verdict=GOOD).deployed(7, size=2)
    world.beside[colour] = FleetState(7 if colour is Colour.BLUE else 6, 1, [InstanceState.READY])
    if colour is Colour.BLUE:
        world.routes = [structs.replace(r, baseline=Baseline(Colour.BLUE, 500)) for r in world.routes if r]
    rollout = world.run(world.begin(8, FAIR), seconds=30)
    assert rollout.outcome == Promoted() and not world.beside


# ---- what was written before there were any ----


@pytest.mark.parametrize(
    "value",
    [
        Slot("dev", "local", "hello", Colour.BLUE),
        Route("dev", "hello", ("hello.localhost",), Split.of(Colour.BLUE), blue=1),
        StartFleet(2),
        Launch(Colour.BLUE, 1, 2, "why"),
        Retire(Colour.BLUE, 1, "why"),
    ],
)
def test_values_of_before_can_still_be_read(value: Slot | Route | StartFleet | Decision) -> None:
    """Ledgers, the agent's records and the engine's histories do not have the new key."""
    old = {key: part for key, part in plain(value).items() if key != "baseline"}
    assert len(old) == len(plain(value)) - 1
    assert decode(encode(old), type(value)) == value


def test_nothing_is_left_once_it_is_done() -> None:
    """The last decision comes after the baseline fleet's end, also with no warm time at all."""
    world = World(verdict=GOOD).deployed(1)
    world.run(world.begin(2, structs.replace(FAIR, warm=seconds(0))))
    assert isinstance(world.log[-1], Done) and not world.beside and len(world.fleets) == 1
