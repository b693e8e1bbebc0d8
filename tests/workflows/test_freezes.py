"""Rollouts of the real engine in a freeze: held, gone on by themselves, gone back; also where the controller dies meanwhile."""

from uuid import uuid4

from temporalio.client import Client

from bleen.domain.calendar import Calendar, Holiday
from bleen.domain.command import Abort, Advance, Exempt
from bleen.domain.decision import AskHuman, Launch, Wait
from bleen.domain.ledger import CalendarSet, Commanded, Draft, EnvironmentFrozen, EnvironmentThawed, Event
from bleen.domain.rollout import Aborted, Promoted
from bleen.workflows.messages import Started
from tests.workflows.stage import ENVIRONMENT, Stage, eventually, quick
from tests.workflows.test_commands import tell


async def enter(stage: Stage, event: Event) -> None:
    """Enter what the API enters."""
    await stage.memory.append(Draft(f"freeze/{uuid4()}", ENVIRONMENT, "", event, by="ada"))
    await stage.world.freezes.times(ENVIRONMENT, now=True)


async def freeze(stage: Stage) -> None:
    await enter(stage, EnvironmentFrozen("a fair"))


async def thaw(stage: Stage) -> None:
    await enter(stage, EnvironmentThawed("it is over"))


async def asking(stage: Stage) -> str:
    """Return a rollout that waits for a person."""
    await stage.deployed("1")
    begun = await stage.deploy("2", quick(auto_promote=False))
    assert isinstance(begun, Started)
    await stage.deciding(AskHuman)
    return begun.rollout


async def test_a_rollout_under_way_holds_and_goes_on_by_itself(stage: Stage) -> None:
    """Approved in the freeze, it moves nothing until the thaw, and then everything."""
    rollout = await asking(stage)
    await freeze(stage)
    await stage.deciding(AskHuman)
    await tell(stage, Advance("ada"))
    held = await stage.deciding(Wait, "it goes on when dev opens: frozen by ada: a fair")
    assert held.rollout.held_since is not None and stage.serving == 1
    await thaw(stage)
    assert isinstance(await stage.settled(rollout), Promoted)
    waits = [d for d in await stage.decisions(rollout) if isinstance(d, Wait) and "opens" in d.why]
    assert len(waits) == 1  # holding on is no new decision


async def test_a_held_rollout_is_aborted_at_once(stage: Stage) -> None:
    """The freeze is still on."""
    rollout = await asking(stage)
    await freeze(stage)
    await tell(stage, Advance("ada"))
    await stage.deciding(Wait, "opens")
    await tell(stage, Abort("ada"))
    assert await stage.settled(rollout) == Aborted("ada")
    assert stage.serving == 1


async def test_a_release_that_waited_its_turn_does_not_begin_in_a_freeze(stage: Stage) -> None:
    """The one before it ends in the freeze; it waits, and an approver lets it begin."""
    await asking(stage)
    await freeze(stage)
    assert await stage.deploy("3") == Started("", (await stage.ledger.release(stage.service, 3)))
    held = await stage.deciding(Wait, "it begins when dev opens")
    assert not held.rollout.admitted and held.rollout.target.number == 3
    assert not [d for d in await stage.decisions(held.rollout.id) if isinstance(d, Launch)]
    await tell(stage, Exempt("grace", "a hole is open"))
    assert isinstance(await stage.settled(held.rollout.id), Promoted)
    [told] = [e for e in await stage.entries(Commanded) if isinstance(e.event.command, Exempt)]  # type: ignore[union-attr]
    assert told.by == "grace"


async def test_going_back_by_a_new_rollout_is_not_held(stage: Stage) -> None:
    """The old fleet is gone: it takes a rollout, and that one begins in the freeze."""
    await stage.deployed("1")
    await stage.deployed("2")
    await stage.idle()
    await freeze(stage)
    begun = await stage.rollback()
    assert isinstance(begun, Started)
    assert isinstance(await stage.settled(begun.rollout), Promoted)
    assert stage.serving == 1


async def test_a_holiday_holds_nothing_that_has_begun(stage: Stage) -> None:
    """Today is one, by the calendar that somebody set meanwhile."""
    rollout = await asking(stage)
    today = f"{stage.clock():%Y-%m-%d}"
    await enter(stage, CalendarSet(Calendar(), (Holiday(today, "May Day"),)))
    await tell(stage, Advance("ada"))
    assert isinstance(await stage.settled(rollout), Promoted)


async def test_a_controller_that_dies_while_it_holds_is_followed_by_one_that_holds(client: Client) -> None:
    """Nothing moves in between, and the thaw is heard by the one that came after."""
    stage = Stage(client)
    async with stage.working():
        rollout = await asking(stage)
        await freeze(stage)
        await tell(stage, Advance("ada"))
        await stage.deciding(Wait, "opens")
    async with stage.working():
        held = await stage.deciding(Wait, "opens")
        assert held.rollout.held_since is not None and stage.serving == 1
        await thaw(stage)
        assert isinstance(await stage.settled(rollout), Promoted)


async def test_a_ledger_that_is_silent_opens_nothing(stage: Stage) -> None:
    """What was read last counts."""
    from bleen.domain.errors import Unreachable

    rollout = await asking(stage)
    await freeze(stage)
    await tell(stage, Advance("ada"))
    await stage.deciding(Wait, "opens")
    stage.ledger.error = Unreachable("the ledger is away")
    closed = await stage.world.freezes.closed(ENVIRONMENT)
    assert closed is not None
    stage.ledger.error = None
    await thaw(stage)

    async def promoted() -> bool:
        return isinstance(await stage.outcome(rollout), Promoted)

    await eventually(promoted, "it goes on")
