"""Rollouts on a real engine, against a world in memory."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from bleen.domain.check import HttpCheck
from bleen.domain.command import Advance, Scale
from bleen.domain.decision import AskHuman, Decision, Measure, Shift, Wait
from bleen.domain.errors import Conflict, InvalidInput, StartFailed, Unreachable
from bleen.domain.ledger import Checked, Commanded, Decided, Finished, ReleaseMade, RolloutStarted, Scaled, Settled
from bleen.domain.listing import Listing
from bleen.domain.rollout import Aborted, Failed, Promoted, RolledBack, Superseded
from bleen.domain.service import Checks
from bleen.domain.trace import trace_of
from bleen.domain.traffic import Colour, Route, Split
from bleen.providers.memory.fleets import Behaviour
from bleen.workflows.activities import Activities
from bleen.workflows.herald import Herald
from bleen.workflows.messages import Refused, Resized, RolloutRequest, Started, Unchanged
from bleen.workflows.starting import Starting, rollout_id
from tests.fixtures.engine import RunningEngine
from tests.workflows.stage import ENVIRONMENT, Stage, eventually, quick


def names(decisions: list[Decision]) -> list[str]:
    """Return the decisions by name, waits left out."""
    return [type(d).__name__ for d in decisions if not isinstance(d, Wait)]


async def test_a_deployment_is_decided_recorded_and_carried_out(stage: Stage) -> None:
    """The second release takes all traffic, the first is retired, and the ledger has it all."""
    await stage.deployed("1")
    second = await stage.deployed("2")
    await stage.idle()
    assert stage.serving == 2
    assert [f.release for f in await stage.fleets.observe(stage.service)] == [2]
    assert names(await stage.decisions(second)) == ["Launch", "Shift", "Shift", "Promote", "Shift", "Retire", "Done"]
    events = [e.event for e in await stage.entries() if e.rollout == second]
    kinds = [type(event) for event in events]
    assert kinds[0] is RolloutStarted and kinds[-1] is Finished and Settled in kinds
    assert isinstance(events[0], RolloutStarted) and events[0].trace == trace_of(events[0].rollout)


async def test_a_decision_is_in_the_ledger_before_it_is_carried_out(stage: Stage) -> None:
    """Law 7: the generation of every route is the sequence of the shift that asked for it."""
    await stage.deployed("1")
    await stage.deployed("2")
    await stage.idle()
    shifts = [e for e in await stage.entries(Decided) if isinstance(e.event, Decided) and isinstance(e.event.decision, Shift)]
    listing = next(iter(stage.gateways.regions["local"].listings.values()))
    assert listing.generation in {entry.sequence for entry in shifts}
    assert listing.generation == shifts[-1].sequence


async def test_a_release_that_serves_is_unchanged(stage: Stage) -> None:
    """Deploying it again changes nothing, whether its old fleet is warm or gone."""
    await stage.deployed("1")
    await stage.idle()
    assert isinstance(await stage.deploy("1"), Unchanged)
    await stage.deployed("2", quick(warm="10m"))
    assert isinstance(await stage.deploy("2"), Unchanged)


async def test_a_host_name_of_another_service_is_refused_before_anything_is_made(stage: Stage) -> None:
    """The answer names the other service; no image, no release, no fleet. Taken meanwhile, the rollout goes back at once."""
    await stage.deployed("1")
    await stage.idle()
    other = structs.replace(stage.request("2").spec, service=f"{stage.service}-too", hosts=(f"{stage.service}.localhost",))
    refused = await stage.control.deploy(structs.replace(stage.request("2"), spec=other))
    assert isinstance(refused, Refused) and f"dev/{stage.service} answers to" in refused.what
    assert len(await stage.entries(ReleaseMade)) == 1 and not await stage.fleets.observe(other.service)


async def test_a_host_name_that_is_lost_in_mid_rollout_ends_it(stage: Stage) -> None:
    """It does not wait for its deadline: no gateway will ever take the route."""
    stage.prober.go.clear()
    begun = await stage.deploy("1", quick(auto_promote=False, checks=Checks(before=(HttpCheck("/smoke"),))))
    assert isinstance(begun, Started)
    await stage.deciding(Measure)
    gateways = stage.gateways.regions["local"]
    taken = Listing("dev", "thief", 1, Route("dev", "thief", (f"{stage.service}.localhost",), Split.of(Colour.BLUE)))
    gateways.listings = {taken.key: taken}
    stage.prober.go.set()
    await stage.deciding(AskHuman)
    await stage.control.command("dev", stage.service, Advance("ada"))
    outcome = await stage.settled(begun.rollout)
    assert isinstance(outcome, Failed) and "dev/thief answers to" in outcome.reason


async def test_another_size_of_the_same_release_is_given_to_its_fleet(stage: Stage) -> None:
    """A change of the number of instances alone needs no rollout, and is in the ledger."""
    await stage.deployed("1")
    await stage.idle()
    unchanged = await stage.deploy("1", instances=5)
    assert isinstance(unchanged, Unchanged) and unchanged.resized == Resized(1, 2, 5)
    assert [f.size for f in await stage.fleets.observe(stage.service)] == [5]
    assert [e.event for e in await stage.entries(Scaled)] == [Scaled(1, 5, 2)]


async def test_another_size_in_the_warm_time_is_no_new_rollout(stage: Stage) -> None:
    """The rollout that keeps the old fleet warm takes it over, and the answer says so."""
    await stage.deployed("1")
    await stage.deployed("2", quick(warm="10m"))
    unchanged = await stage.deploy("2", quick(warm="10m"), instances=5)
    assert isinstance(unchanged, Unchanged) and unchanged.resized == Resized(2, 2, 5)
    await eventually(lambda: sized(stage, 5), "both fleets have five instances")
    assert not await stage.entries(Scaled)


async def test_another_size_in_mid_rollout_is_taken_over(stage: Stage) -> None:
    """Deploying the release that is on its way with more instances joins its rollout."""
    await stage.deployed("1")
    begun = await stage.deploy("2", quick(auto_promote=False))
    await stage.deciding(AskHuman)
    joined = await stage.deploy("2", quick(auto_promote=False), instances=3)
    assert isinstance(begun, Started) and isinstance(joined, Started) and joined.rollout == begun.rollout

    await eventually(lambda: sized(stage, 3), "both fleets have three instances")


async def sized(stage: Stage, size: int) -> bool:
    """Return whether every fleet has that size."""
    return {f.size for f in await stage.fleets.observe(stage.service)} == {size}


async def test_a_source_that_cannot_be_built_is_refused(stage: Stage) -> None:
    """A refusal is a value, with the domain's words."""
    stage.images.fail_build("9", "no such version")
    refused = await stage.deploy("9")
    assert isinstance(refused, Refused)
    assert (refused.error, refused.why) == ("BuildFailed", "no such version")


async def test_an_image_that_is_not_what_it_was_is_refused(stage: Stage) -> None:
    """Law 6, before there is a rollout."""
    release = (await started(stage, "1")).release
    await stage.idle()
    stage.images.reject(release.image)
    refused = await stage.control.deploy(structs.replace(stage.request("1"), image=release.image))
    assert isinstance(refused, Refused) and refused.error == "ImageRejected"


async def test_what_cannot_be_launched_is_rolled_back_at_once(stage: Stage) -> None:
    """Trying again cannot help: nobody waits for the progress deadline."""
    await stage.deployed("1")
    await stage.idle()
    stage.fleets.refusal = StartFailed("its command is not executable")
    outcome = await stage.settled((await started(stage, "2")).rollout)
    assert isinstance(outcome, RolledBack) and "not executable" in outcome.reason


async def test_a_release_that_crashes_is_rolled_back(stage: Stage) -> None:
    """The old release never loses the traffic."""
    await stage.deployed("1")
    await stage.behave("2", Behaviour(ready_after=None, crashes_after=0.2, words="boom"))
    outcome = await stage.settled((await started(stage, "2")).rollout)
    assert isinstance(outcome, RolledBack) and "boom" in outcome.reason
    assert stage.serving == 1


async def test_a_first_release_that_fails_says_so(stage: Stage) -> None:
    """There is nothing to go back to, and the next one may try."""
    await stage.behave("1", Behaviour(ready_after=None, crashes_after=0.2))
    assert isinstance(await stage.settled((await started(stage, "1")).rollout), Failed)
    await stage.idle()
    await stage.deployed("2")
    assert stage.serving == 2


async def test_a_failed_check_refuses_the_release_before_any_traffic(stage: Stage) -> None:
    """No route gave it weight."""
    await stage.deployed("1")
    stage.prober.failing.add("GET /smoke is 200")
    begun = await started(stage, "2", checks=Checks(before=(HttpCheck("/smoke"),)))
    assert isinstance(await stage.settled(begun.rollout), RolledBack)
    assert [e.event.results[0].passed for e in await stage.entries(Checked) if isinstance(e.event, Checked)] == [False]
    assert not any(served(route, 2) for route in stage.gateways.splits)


async def test_a_failed_check_after_the_switch_reverses_it(stage: Stage) -> None:
    """All traffic is back on the old release."""
    await stage.deployed("1")
    stage.prober.failing.add("GET /smoke is 200")
    begun = await started(stage, "2", checks=Checks(after=(HttpCheck("/smoke"),)))
    assert isinstance(await stage.settled(begun.rollout), RolledBack)
    assert any(served(route, 2) for route in stage.gateways.splits)
    assert stage.serving == 1


async def test_the_old_fleet_is_kept_warm_and_then_retired(stage: Stage) -> None:
    """Ten minutes by the clock of who observes, in no time."""
    await stage.deployed("1")
    await stage.deployed("2", quick(warm="10m"))
    await stage.deciding(Wait, "stays warm")
    stage.clock.turn(minutes=9)
    assert len(await stage.fleets.observe(stage.service)) == 2
    stage.clock.turn(minutes=2)
    await stage.idle()
    assert [f.release for f in await stage.fleets.observe(stage.service)] == [2]


async def test_a_release_without_progress_is_rolled_back_at_its_deadline(stage: Stage) -> None:
    """It never becomes ready, and never crashes."""
    await stage.deployed("1")
    await stage.behave("2", Behaviour(ready_after=None))
    begun = await started(stage, "2")
    await stage.deciding(Wait, "0 of 2")
    stage.clock.turn(minutes=11)
    outcome = await stage.settled(begun.rollout)
    assert isinstance(outcome, RolledBack) and "no progress" in outcome.reason


async def test_equal_waits_are_recorded_once(stage: Stage) -> None:
    """Waiting on is no new decision, whatever interrupts it."""
    await stage.deployed("1")
    rollout = await stage.deployed("2", quick(warm="10m"))
    await stage.deciding(Wait, "stays warm")
    for _ in range(3):
        await stage.control.command(ENVIRONMENT, stage.service, Scale("ada", 2))
    await eventually(lambda: count(stage, Commanded, 3), "three commands are recorded")
    waits = [d for d in await stage.decisions(rollout) if isinstance(d, Wait) and "stays warm" in d.why]
    assert len(waits) == 1


async def test_a_silent_ledger_delays_and_loses_nothing(stage: Stage) -> None:
    """Nothing is done that is not recorded; what went wrong is shown; it goes on by itself."""
    await stage.deployed("1")
    await stage.idle()
    begun = await started(stage, "2", auto_promote=False)
    await stage.deciding(AskHuman)
    stage.ledger.error = Unreachable("the ledger does not answer")
    await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
    await eventually(lambda: error_shown(stage, "ledger"), "the error is shown")
    assert stage.serving == 1
    stage.ledger.error = None
    assert isinstance(await stage.settled(begun.rollout), Promoted)
    assert [type(e.event.command) for e in await stage.entries(Commanded) if isinstance(e.event, Commanded)] == [Advance]


async def test_a_ledger_that_refuses_an_entry_refuses_no_release(stage: Stage) -> None:
    """What could not be entered is not carried out, and is decided anew: the release does not pay for it."""
    await stage.deployed("1")
    await stage.idle()
    begun = await started(stage, "2", auto_promote=False)
    await stage.deciding(AskHuman)
    stage.ledger.refusal = InvalidInput("no such kind of entry")
    await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
    await eventually(lambda: error_shown(stage, "could not be entered"), "the error is shown")
    assert stage.serving == 1
    stage.ledger.refusal = None
    assert isinstance(await stage.settled(begun.rollout), Promoted)
    assert stage.serving == 2


async def test_a_lost_route_is_set_again(stage: Stage) -> None:
    """A gateway that does not take a route is asked again, and the error is not for ever."""
    await stage.deployed("1")
    await stage.idle()
    stage.gateways.regions["local"].loses = 6
    assert isinstance(await stage.settled((await started(stage, "2")).rollout), Promoted)
    assert stage.serving == 2


async def test_a_fault_in_a_provider_is_shown_and_tried_again(stage: Stage) -> None:
    """An unknown exception of an activity does not fail the rollout."""
    await stage.deployed("1")
    await stage.idle()
    begun = await started(stage, "2", auto_promote=False)
    await stage.deciding(AskHuman)
    stage.ledger.error = ZeroDivisionError("a fault")
    await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
    await eventually(lambda: error_shown(stage, "a fault"), "the error is shown")
    stage.ledger.error = None
    assert isinstance(await stage.settled(begun.rollout), Promoted)


async def test_a_long_history_goes_on_in_a_new_run(forgetful_engine: RunningEngine) -> None:
    """Nothing of the rollout is lost when its workflow continues as new."""
    async with Stage(await forgetful_engine.client()).working() as stage:
        await stage.deployed("1")
        rollout = await stage.deployed("2", quick(warm="10m"))
        await stage.deciding(Wait, "stays warm")
        for size in (3, 4, 5, 6, 7, 8):
            await stage.control.command(ENVIRONMENT, stage.service, Scale("ada", size))
        await stage.rollback()
        await stage.idle()
        handle = stage.client.get_workflow_handle(rollout_id(ENVIRONMENT, stage.service))
        assert (await handle.describe()).raw_description.workflow_execution_info.first_run_id != (
            await handle.describe()
        ).run_id
        keys = [e.key for e in await stage.entries() if e.rollout == rollout]
        assert len(keys) == len(set(keys))
        assert len(await stage.entries(Commanded)) == 7
        assert isinstance(await stage.outcome(rollout), RolledBack) and stage.serving == 1


async def test_a_cancelled_workflow_compensates_as_an_abort_does(stage: Stage) -> None:
    """The engine's own cancel leaves no half-way state."""
    await stage.deployed("1")
    begun = await started(stage, "2", auto_promote=False)
    await stage.deciding(AskHuman)
    await stage.client.get_workflow_handle(rollout_id(ENVIRONMENT, stage.service)).cancel()
    assert isinstance(await stage.settled(begun.rollout), Aborted)
    await stage.idle()
    assert [f.release for f in await stage.fleets.observe(stage.service)] == [1]


# ---- a newer release ----


async def test_a_newer_release_supersedes_in_order(stage: Stage) -> None:
    """The running rollout goes back first; then the waiting one begins by itself."""
    await stage.deployed("1")
    second = await started(stage, "2", auto_promote=False)
    await stage.deciding(AskHuman)
    third = await started(stage, "3")
    assert third.rollout == ""
    assert await stage.settled(second.rollout) == Superseded(3)
    assert isinstance(await stage.settled(f"{ENVIRONMENT}/{stage.service}/3"), Promoted)
    await stage.idle()
    assert stage.serving == 3


async def test_of_those_who_wait_the_last_wins(stage: Stage) -> None:
    """The ones between are never started, and the ledger says who replaced them."""
    await stage.deployed("1")
    await started(stage, "2", auto_promote=False)
    await stage.deciding(AskHuman)
    await asyncio.gather(stage.deploy("3"), stage.deploy("4"))
    last = await started(stage, "5")
    await stage.idle()
    assert stage.serving == last.release.number


async def test_a_deployment_that_was_held_up_does_not_undo_a_newer_one(stage: Stage, client: Client) -> None:
    """By a long build, or by the death of who built: refused beside the newer one, and after it. Asked for anew, it goes."""
    await stage.deployed("1")
    activities = Activities(stage.world, Herald(stage.client, stage.queue, stage.clock))
    late = await ActivityEnvironment().run(activities.prepare_release, stage.request("2"))
    request = RolloutRequest(ENVIRONMENT, stage.service, (f"{stage.service}.localhost",), late.number, quick(), 2, "ada")
    held_up = structs.replace(request, token="held up", asked=datetime.now(UTC) - timedelta(minutes=1))
    begin = Starting(client, stage.world, stage.queue).begin

    newer = await started(stage, "3", auto_promote=False)
    await stage.deciding(AskHuman)
    with pytest.raises(Conflict, match="r2 is not rolled out") as refusal:
        await ActivityEnvironment().run(begin, held_up)
    assert refusal.value.why == "r3 was asked for after it"
    await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
    assert isinstance(await stage.settled(newer.rollout), Promoted)
    await stage.idle()
    with pytest.raises(Conflict, match="r2 is not rolled out"):
        await ActivityEnvironment().run(begin, held_up)
    assert stage.serving == 3

    again = await ActivityEnvironment().run(begin, structs.replace(held_up, token="again", asked=datetime.now(UTC)))
    assert again is not None and isinstance(await stage.settled(again.rollout), Promoted)
    assert stage.serving == 2


async def test_a_promoted_release_is_superseded_without_waiting_for_its_warm_fleet(stage: Stage) -> None:
    """The old fleet makes room at once."""
    await stage.deployed("1")
    await stage.deployed("2", quick(warm="1h"))
    await started(stage, "3")
    assert isinstance(await stage.settled(f"{ENVIRONMENT}/{stage.service}/3"), Promoted)


async def test_many_deployments_at_once_end_in_one_release(stage: Stage) -> None:
    """Whatever the order, one rollout at a time (law 5), and the last that waited serves."""
    await asyncio.gather(*(stage.deploy(str(n)) for n in range(1, 7)))
    await stage.idle()
    begun = [e for e in await stage.entries() if isinstance(e.event, RolloutStarted | Finished)]
    assert [type(e.event) for e in begun] == [RolloutStarted, Finished] * (len(begun) // 2)
    assert stage.serving is not None and len(await stage.fleets.observe(stage.service)) == 1


async def started(stage: Stage, version: str, **options: Any) -> Started:
    """Deploy ``version``, and return that it has started."""
    result = await stage.deploy(version, quick(**options))
    assert isinstance(result, Started), result
    return result


async def count(stage: Stage, kind: type[Any], wanted: int) -> bool:
    return len(await stage.entries(kind)) >= wanted


async def error_shown(stage: Stage, words: str) -> bool:
    progress = await stage.progress()
    return progress is not None and words in progress.error


def served(route: Route, release: int) -> bool:
    """Return whether ``route`` gives ``release`` weight."""
    return any(route.release(c) == release and route.split.weight(c) > 0 for c in Colour)
