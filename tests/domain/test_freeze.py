"""Rollouts in a freeze: what has not begun does not begin, what is under way finishes its step and holds."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.codec import decode, encode
from bleen.domain.command import Abort, Advance, Exempt, GoBack, Pause, Resume, Supersede, accept
from bleen.domain.decide import advance, decide
from bleen.domain.decision import AskHuman, Done, Launch, Promote, Retire, Rollback, Shift, Wait
from bleen.domain.duration import seconds
from bleen.domain.errors import NothingToDo
from bleen.domain.freeze import Closed
from bleen.domain.rollout import Aborted, Promoted, RolledBack, Rollout
from bleen.domain.service import BlueGreen
from bleen.domain.strategy import Commit, OpenPreview, SetWeight, StartFleet
from tests.domain.test_decide import JUDGED, until
from tests.domain.world import World, arrive

FREEZE = Closed("frozen by ada: a fair", None, holds=True)
NIGHT = Closed("outside its windows (mon 09:00-16:00 UTC)", None, holds=False)
ACTS = (Launch, Shift, Retire, Promote)


def held(world: World, rollout: Rollout, *, turns: int = 30) -> Rollout:
    """Take turns until a freeze holds it."""
    for _ in range(turns):
        rollout, decision = world.turn(rollout)
        if isinstance(decision, Wait) and "opens" in decision.why:
            return rollout
        world.tick()
    raise AssertionError(f"never held: {world.log[-3:]}")


@pytest.mark.parametrize("shut", [FREEZE, NIGHT])
def test_what_was_made_in_a_freeze_begins_when_it_ends(shut: Closed) -> None:
    """Nothing is launched before, and its deadline does not run."""
    world = World().deployed(1)
    world.closed = shut
    rollout = world.begin(2, BlueGreen(progress_deadline=seconds(60)))
    for _ in range(100):
        rollout, decision = world.turn(rollout)
        assert decision == Wait(f"it begins when dev opens: {shut.why}")
        world.tick(60)
    world.closed = None
    assert world.run(rollout, seconds=5).outcome == Promoted()


@pytest.mark.parametrize("step", [StartFleet, OpenPreview, SetWeight, Commit])
def test_a_rollout_under_way_finishes_its_step_and_holds(step: type) -> None:
    """Whatever step it is at; and it goes on by itself."""
    world = World().deployed(1)
    rollout = arrive(world, world.begin(2), step)
    at, world.closed = rollout.step, FREEZE
    rollout = held(world, rollout)
    assert rollout.step == at and rollout.held_since is not None
    world.log.clear()
    for _ in range(5):
        world.tick(3600)
        rollout, decision = world.turn(rollout)
        assert isinstance(decision, Wait) and decision.why.endswith("frozen by ada: a fair")
    assert not [d for d in world.log if isinstance(d, ACTS)]
    world.closed = None
    assert world.run(rollout, seconds=60).outcome == Promoted()


def test_a_window_that_closes_holds_nothing_that_has_begun() -> None:
    """A canary of a day outlives many a night."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2), Launch)
    world.closed = NIGHT
    assert world.run(rollout, seconds=60).outcome == Promoted()


def test_what_was_done_stays_done_while_it_is_held() -> None:
    """A gateway that lost its route has it again, though the environment is frozen."""
    world = World(gateways=2).deployed(1)
    rollout = arrive(world, world.begin(2), OpenPreview)
    world.closed = FREEZE
    rollout = held(world, rollout)
    lost, world.routes[1] = world.routes[1], None
    world.tick()
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift) and decision.route == lost


@pytest.mark.parametrize(
    ("command", "outcome"), [(Abort("ada"), Aborted("ada")), (GoBack("ada"), RolledBack("asked for by ada"))]
)
def test_going_back_is_never_held(command: Abort | GoBack, outcome: Aborted | RolledBack) -> None:
    """By a person."""
    world = World().deployed(1)
    rollout = arrive(world, world.begin(2), SetWeight)
    world.closed = FREEZE
    rollout = accept(held(world, rollout), command, world.now)
    assert world.run(rollout, seconds=60).outcome == outcome
    assert world.serving() == {1}


def test_a_release_that_dies_in_a_freeze_goes_back_by_itself() -> None:
    """And the service with it."""
    world = World().deployed(1)
    rollout = arrive(world, world.begin(2), Commit)
    world.closed = FREEZE
    rollout = held(world, rollout)
    world.bad = {2}
    world.fleets[rollout.target_colour].states = []
    rollout, _ = until(world, rollout, Rollback)
    assert isinstance(world.run(rollout, seconds=60).outcome, RolledBack)


def test_a_rollout_that_goes_back_begins_in_a_freeze() -> None:
    """It is exempt from its beginning."""
    world = World().deployed(1).deployed(2)
    world.closed = FREEZE
    assert world.run(world.begin(1, exempt="it goes back"), seconds=60).outcome == Promoted()


def test_an_approver_has_it_go_on() -> None:
    """With a reason, which it keeps."""
    world = World().deployed(1)
    world.closed = FREEZE
    rollout = held(world, world.begin(2))
    rollout = accept(rollout, Exempt("grace", "a hole is open"), world.now)
    assert rollout.exempt == "grace: a hole is open"
    assert world.run(rollout, seconds=60).outcome == Promoted()


def test_what_no_freeze_holds_cannot_be_exempt() -> None:
    """It would lift a freeze to come."""
    world = World().deployed(1)
    with pytest.raises(NothingToDo, match="no freeze holds dev/hello/2"):
        accept(world.begin(2), Exempt("grace", "?"), world.now)


def test_an_approval_in_a_freeze_is_kept_for_its_end() -> None:
    """The yes counts, and nothing moves."""
    world = World().deployed(1)
    rollout, _ = until(world, world.begin(2, JUDGED), AskHuman)
    world.closed = FREEZE
    rollout = held(world, accept(rollout, Advance("ada"), world.now))
    assert world.serving() == {1}
    world.closed = None
    assert world.run(rollout, seconds=60).outcome == Promoted()


def test_no_deadline_runs_while_a_freeze_holds() -> None:
    """Neither that of its progress, nor that of a question, also where somebody pauses it meanwhile."""
    world = World().deployed(1)
    rollout = arrive(world, world.begin(2, BlueGreen(progress_deadline=seconds(60))), OpenPreview)
    world.closed = FREEZE
    rollout = held(world, rollout)
    world.tick(1000)
    rollout, _ = world.turn(accept(rollout, Pause("ada"), world.now))
    world.tick(1000)
    rollout = accept(rollout, Resume("ada"), world.now)
    assert world.now - rollout.since < timedelta(seconds=60)
    rollout, _ = world.turn(rollout)
    world.tick(1000)
    world.routes[0] = None  # its step is to be done again, long after its deadline
    rollout, decision = world.turn(rollout)
    assert isinstance(decision, Shift) and rollout.retreat is None


def test_a_newer_release_is_let_past_one_that_is_promoted() -> None:
    """Else an override would wait for the end of the freeze behind it."""
    world = World().deployed(1)
    rollout = arrive(world, world.begin(2), Commit)
    world.closed = FREEZE
    for _ in range(5):
        rollout, _ = world.turn(rollout)
        world.tick()
    assert rollout.outcome == Promoted() and rollout.held_since
    rollout = accept(rollout, Supersede("ada", 3), world.now)
    assert world.run(rollout).outcome == Promoted()
    assert world.run(world.begin(3, exempt="ada: a hole is open"), seconds=60).outcome == Promoted()


@given(st.lists(st.tuples(st.sampled_from(["tick", "freeze", "night", "thaw", "back", "pause", "go"]), st.integers(1, 40))))
def test_in_a_freeze_no_step_begins_and_no_way_back_is_closed(story: list[tuple[str, int]]) -> None:
    """Whatever comes in whatever order: the law of this module."""
    world = World().deployed(1)
    rollout = world.begin(2)
    for word, ticks in story:
        match word:
            case "freeze":
                world.closed = FREEZE
            case "night":
                world.closed = NIGHT
            case "thaw":
                world.closed = None
            case "pause" | "go" | "back":
                told = {"pause": Pause("a"), "go": Resume("a"), "back": GoBack("a")}[word]
                try:
                    rollout = accept(rollout, told, world.now)
                except NothingToDo:
                    continue
        for _ in range(ticks):
            before = rollout
            seen = world.watched(rollout)
            rollout, decision = world.turn(rollout)
            if isinstance(decision, Done):
                return
            rollout = decode(encode(rollout), Rollout)
            if before.retreat is not None:
                open_seen = structs.replace(seen, closed=None)
                assert decide(advance(before, open_seen, seen.at), open_seen, seen.at) == decision
            elif world.closed is FREEZE:
                assert rollout.step == before.step or rollout.step == len(rollout.steps)
            assert rollout.since <= world.now
            world.tick()
