"""What people can tell a running rollout, at any moment of it."""

import asyncio
import contextlib
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from bleen.domain.check import HttpCheck
from bleen.domain.command import Abort, Advance, Command, GoBack, Pause, Resume, Supersede
from bleen.domain.decision import AskHuman, Measure, Wait
from bleen.domain.errors import NothingToDo, StorageFull
from bleen.domain.ledger import Commanded, Scaled, Settled
from bleen.domain.rollout import Aborted, Promoted, RolledBack, Rollout
from bleen.domain.service import BlueGreen, Checks
from bleen.providers.memory.fleets import Behaviour
from bleen.workflows.activities import Activities
from bleen.workflows.control import Control
from bleen.workflows.herald import Herald
from bleen.workflows.messages import Refused, Resized, RolloutInput, RolloutRequest, ScaleRequest, Started, Steered
from bleen.workflows.rollout import RolloutWorkflow
from bleen.workflows.starting import rollout_id
from tests.workflows.stage import ENVIRONMENT, Stage, eventually, quick

PROBED = Checks(before=(HttpCheck("/smoke"),))


async def test_an_approval_is_asked_for_and_taken(stage: Stage) -> None:
    """The switch waits for a person, and not a moment longer."""
    rollout = await asking(stage)
    assert stage.serving == 1
    await tell(stage, Advance("ada"))
    assert isinstance(await stage.settled(rollout), Promoted)


async def test_a_pause_holds_and_a_resume_goes_on(stage: Stage) -> None:
    """Approved while paused is resumed and approved."""
    rollout = await asking(stage)
    paused = await tell(stage, Pause("ada"))
    assert paused.paused_by == "ada"
    await stage.deciding(Wait, "paused by ada")
    await tell(stage, Resume("ada"))
    await stage.deciding(AskHuman)
    await tell(stage, Advance("ada"))
    assert isinstance(await stage.settled(rollout), Promoted)


async def test_an_abort_goes_back_from_every_phase(stage: Stage) -> None:
    """Starting, checking, asking: the old release has all traffic, and the new fleet is gone."""
    await stage.deployed("1")
    await stage.behave("2", Behaviour(ready_after=None))
    await aborted(stage, "2", quick(), Wait)
    stage.prober.go.clear()
    await aborted(stage, "3", quick(checks=PROBED), Measure)
    stage.prober.go.set()
    await aborted(stage, "4", quick(auto_promote=False), AskHuman)


async def test_a_command_ends_running_checks(stage: Stage) -> None:
    """They hear of it and stop, instead of running on for nobody."""
    await stage.deployed("1")
    stage.prober.go.clear()
    await aborted(stage, "2", quick(checks=PROBED), Measure)

    async def cancelled() -> bool:
        return stage.prober.cancelled == stage.prober.asked

    await eventually(cancelled, "the check was cancelled")


async def test_a_full_promotion_skips_checks_and_approval(stage: Stage) -> None:
    """In the middle of a check that never ends."""
    await stage.deployed("1")
    stage.prober.go.clear()
    begun = await stage.deploy("2", quick(auto_promote=False, checks=PROBED))
    assert isinstance(begun, Started)
    await stage.deciding(Measure)
    await tell(stage, Advance("ada", full=True))
    assert isinstance(await stage.settled(begun.rollout), Promoted)


async def test_a_rollback_in_the_warm_window_is_one_split_change(stage: Stage) -> None:
    """Nothing is started and nothing is checked again."""
    await stage.deployed("1")
    rollout = await stage.deployed("2", quick(warm="10m", abort_delay="10m"))
    await stage.deciding(Wait, "stays warm")
    before = len(stage.gateways.splits)
    assert isinstance(await stage.rollback(), Rollout)
    assert isinstance(await eventually(lambda: rolled_back(stage, rollout), "it is rolled back"), RolledBack)
    assert stage.serving == 1
    assert len(stage.gateways.splits) == before + 1


async def test_a_rollback_after_the_warm_window_is_a_rollout_without_steps(stage: Stage) -> None:
    """The old release starts anew, without checks or approval, because it was promoted lately."""
    await stage.deployed("1")
    stage.prober.failing.add("GET /smoke is 200")
    await stage.deployed("2", quick())
    await stage.idle()
    back = await stage.rollback()
    assert isinstance(back, Started) and back.release.number == 1
    assert isinstance(await stage.settled(back.rollout), Promoted)
    assert stage.serving == 1


async def test_a_rollback_to_a_given_release_supersedes_what_runs(stage: Stage) -> None:
    """Neither the release that serves nor the one that is on its way."""
    for version in ("1", "2"):
        await stage.deployed(version)
        await stage.idle()
    await asking(stage, "3")
    back = await stage.rollback(to=1)
    assert isinstance(back, Started) and back.release.number == 1
    await stage.idle()
    assert stage.serving == 1


async def test_a_rollback_with_nothing_to_go_back_to_is_refused(stage: Stage) -> None:
    """With the reason, and nothing changes."""
    refused = await stage.rollback()
    assert isinstance(refused, Refused) and refused.error == "NothingToDo"
    await stage.deployed("1")
    await stage.idle()
    refused = await stage.rollback()
    assert isinstance(refused, Refused) and refused.error == "NothingToDo"
    refused = await stage.rollback(to=9)
    assert isinstance(refused, Refused) and refused.error == "NotFound"


@pytest.mark.parametrize("command", [Resume("ada"), Supersede("ada", 3)], ids=lambda c: type(c).__name__)
async def test_a_command_that_makes_no_sense_leaves_no_trace(stage: Stage, command: Command) -> None:
    """It is refused before it is in any history."""
    await asking(stage)
    handle = stage.client.get_workflow_handle(rollout_id(ENVIRONMENT, stage.service))
    with pytest.raises(NothingToDo):
        await tell(stage, command)
    history = await handle.fetch_history()
    # The number of events says nothing: the watching activity may be taken up anew at any time.
    assert not [e for e in history.events if e.HasField("workflow_execution_update_accepted_event_attributes") and _sent(e)]
    assert not await stage.entries(Commanded)


async def test_a_command_to_nobody_says_so(stage: Stage) -> None:
    """Before the first rollout, and after the last."""
    with pytest.raises(NothingToDo):
        await tell(stage, Abort("ada"))
    await stage.deployed("1")
    await stage.idle()
    with pytest.raises(NothingToDo):
        await tell(stage, Abort("ada"))


async def test_a_late_command_says_so_on_the_time_skipping_server_too(time_skipping: Client) -> None:
    """One server says "already completed", the other "not found": both are a conflict here."""
    async with Stage(time_skipping).working() as stage:
        release = await ActivityEnvironment().run(
            Activities(stage.world, Herald(stage.client, stage.queue, stage.clock)).prepare_release, stage.request("1")
        )
        request = RolloutRequest(ENVIRONMENT, stage.service, ("hello.localhost",), release.number, quick(), 1, "ada")
        await time_skipping.execute_workflow(
            RolloutWorkflow.run,
            RolloutInput(request),
            id=rollout_id(ENVIRONMENT, stage.service),
            task_queue=stage.queue,
        )
        assert stage.serving == 1
        with pytest.raises(NothingToDo):
            await Control(time_skipping, stage.queue).command(ENVIRONMENT, stage.service, Abort("ada"))


async def test_a_service_is_scaled_outside_any_rollout(stage: Stage) -> None:
    """It is in the ledger with who asked, before it is done; the same size again is no entry."""
    refused = await scale(stage, 4)
    assert isinstance(refused, Refused) and refused.error == "NothingToDo"
    await stage.deployed("1")
    await stage.idle()
    stage.fleets.refusal = StorageFull("no room")
    asked = asyncio.create_task(scale(stage, 4))
    await eventually(lambda: stage.entries(Scaled), "the entry")
    stage.fleets.refusal = None
    assert await asked == Resized(1, 2, 4)
    assert await scale(stage, 4) == Resized(1, 4, 4)
    assert [(e.event, e.by) for e in await stage.entries(Scaled)] == [(Scaled(1, 4, 2), "ada")]
    assert [f.size for f in await stage.fleets.observe(stage.service)] == [4]


async def test_a_rollback_keeps_the_size_of_what_it_replaces(stage: Stage) -> None:
    """What was scaled is not made smaller by going back."""
    for version in ("1", "2"):
        await stage.deployed(version)
        await stage.idle()
    await scale(stage, 5)
    back = await stage.rollback()
    assert isinstance(back, Started)
    await stage.settled(back.rollout)
    await stage.idle()
    assert [(f.release, f.size) for f in await stage.fleets.observe(stage.service)] == [(1, 5)]


async def test_a_rollout_that_goes_back_still_takes_a_size(stage: Stage) -> None:
    """While the refused fleet is kept for a look at it, the old one is what serves."""
    await stage.deployed("1")
    await stage.idle()
    await stage.deploy("2", quick(auto_promote=False, abort_delay="10m"))
    await stage.deciding(AskHuman)
    await tell(stage, Abort("ada"))
    await stage.deciding(Wait, "is kept a little")
    assert isinstance(await scale(stage, 4), Steered)

    async def grown() -> bool:
        return {f.release: f.size for f in await stage.fleets.observe(stage.service)} == {1: 4, 2: 2}

    await eventually(grown, "the old fleet has four instances")


async def test_commands_that_race_are_taken_one_after_the_other(stage: Stage) -> None:
    """One of two opposite commands wins, the other hears why, and the ledger has what was taken."""
    rollout = await asking(stage)
    commands = (Advance("ada"), Abort("bob"), GoBack("eve"), Pause("ada"), Resume("ada"))
    answers = await asyncio.gather(*(tell(stage, c) for c in commands), return_exceptions=True)
    assert all(isinstance(a, Rollout | NothingToDo) for a in answers)
    if isinstance(answers[3], Rollout) and isinstance(answers[4], NothingToDo):
        with contextlib.suppress(NothingToDo):  # an abort that came after the pause has ended it
            await tell(stage, Resume("ada"))
    await stage.settled(rollout)
    await stage.idle()
    # The approval may have won so far that the rollout was promoted first, and then went back.
    settled = [e.event.outcome for e in await stage.entries(Settled) if isinstance(e.event, Settled) and e.rollout == rollout]
    assert isinstance(settled[-1], Aborted | RolledBack)
    taken = [e.event.command for e in await stage.entries(Commanded) if isinstance(e.event, Commanded)]
    assert {c for c, a in zip(commands, answers, strict=True) if isinstance(a, Rollout)} <= set(taken)
    assert stage.serving == 1


async def test_every_rollout_under_way_is_listed(stage: Stage) -> None:
    """And none that is over."""
    assert await stage.control.active() == []
    await asking(stage)

    async def listed() -> bool:
        return await stage.control.active() == [(ENVIRONMENT, stage.service)]

    await eventually(listed, "it is listed")


async def asking(stage: Stage, version: str = "2") -> str:
    """Bring a rollout to the moment where it asks for approval; return its id."""
    if stage.serving is None:
        await stage.deployed("1")
        await stage.idle()
    begun = await stage.deploy(version, quick(auto_promote=False))
    assert isinstance(begun, Started)
    await stage.deciding(AskHuman)
    return begun.rollout


async def aborted(stage: Stage, version: str, strategy: BlueGreen, phase: type[Any]) -> None:
    """Abort the rollout of ``version`` when it decides ``phase``, and see that nothing is left of it."""
    begun = await stage.deploy(version, strategy)
    assert isinstance(begun, Started)
    await stage.deciding(phase)
    await tell(stage, Abort("ada"))
    assert await stage.settled(begun.rollout) == Aborted("ada")
    await stage.idle()
    assert stage.serving == 1
    assert [f.release for f in await stage.fleets.observe(stage.service)] == [1]


async def tell(stage: Stage, command: Command) -> Rollout:
    return await stage.control.command(ENVIRONMENT, stage.service, command)


async def scale(stage: Stage, size: int) -> object:
    return await stage.control.scale(ScaleRequest(ENVIRONMENT, stage.service, size, "ada"))


async def rolled_back(stage: Stage, rollout: str) -> RolledBack | None:
    outcome = await stage.outcome(rollout)
    return outcome if isinstance(outcome, RolledBack) else None


def _sent(event: Any) -> bool:
    """Return whether an event of the history accepted a command."""
    accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request
    return bool(accepted.input.name == "command")
