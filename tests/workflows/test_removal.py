"""Removing a service: the route first, then what runs, and the lock of its rollouts all along."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from bleen.domain.command import Pause
from bleen.domain.decision import AskHuman, Wait
from bleen.domain.errors import Conflict
from bleen.domain.fleet import Slot
from bleen.domain.ledger import Finished, RemovalDecided, RolloutStarted, ServiceRemoved
from bleen.domain.removal import Drain, Removing, Withdraw
from bleen.domain.rollout import Promoted
from bleen.workflows.activities import Activities
from bleen.workflows.herald import Herald
from bleen.workflows.messages import Refused, RemovalRequest, RolloutRequest, ScaleRequest, Started
from tests.fixtures.engine import RunningEngine
from tests.workflows.crew import crew
from tests.workflows.stage import ENVIRONMENT, Stage, eventually, quick


async def test_a_removed_service_has_no_route_and_no_fleet(stage: Stage) -> None:
    """Who asked and why stands in the ledger, each step before it is done; its releases stay."""
    await stage.deployed("1")
    await stage.idle()
    removing = await remove(stage, "nobody needs it")
    assert (removing.by, removing.reason) == ("ada", "nobody needs it")
    await stage.idle()
    assert await left(stage) == (None, ())
    steps = [(type(e.event.step), e.by) for e in await stage.entries(RemovalDecided)]  # type: ignore[union-attr]
    assert steps == [(Withdraw, "ada"), (Drain, "ada")]
    [gone] = await stage.entries(ServiceRemoved)
    assert (gone.by, gone.event.reason) == ("ada", "nobody needs it")  # type: ignore[union-attr]
    assert [release.number for release in await stage.memory.releases(stage.service)] == [1]
    await eventually(lambda: told(stage, f"ada removed {stage.service} from dev"), "people hear of it")


async def test_no_instance_ends_before_every_gateway_has_let_go(stage: Stage) -> None:
    """Law 3: a gateway that is late, or silent, is waited for, and the fleets are whole meanwhile."""
    await stage.deployed("1")
    await stage.idle()
    region, seen = stage.gateways.regions["local"], watch_retirements(stage)
    region.late = 30
    await remove(stage)
    await eventually(lambda: decided(stage, Withdraw), "the route is being withdrawn")
    region.answers = False
    await eventually(lambda: waiting(stage, "does not answer"), "it waits for the silent gateway")
    assert len(await stage.fleets.observe(stage.service)) == 1 and not seen
    region.late, region.answers = 0, True
    await stage.idle()
    assert await left(stage) == (None, ())
    assert seen and all(route is None for routes in seen for route in routes)


async def test_a_gateway_that_cannot_be_without_a_route_keeps_the_service(stage: Stage) -> None:
    """Nothing of it ends, it is not called gone, and the lock is free: the next release can be rolled out."""
    await stage.deployed("1")
    await stage.idle()
    stage.gateways.always_route = True
    await remove(stage)
    await stage.idle()
    assert not await stage.entries(ServiceRemoved)
    route, fleets = await left(stage)
    assert route is not None and len(fleets) == 1
    await stage.deployed("2")
    assert stage.serving == 2


async def test_silent_hosts_are_waited_for(stage: Stage) -> None:
    """What runs is unknown, and no service is called gone that may still run."""
    await stage.deployed("1")
    await stage.idle()
    stage.fleets.answers = False
    await remove(stage)
    await eventually(lambda: waiting(stage, "hosts do not answer"), "it waits for the hosts")
    assert not await stage.entries(ServiceRemoved)
    stage.fleets.answers = True
    await stage.idle()
    assert await left(stage) == (None, ())


async def test_a_rollout_under_way_keeps_a_service(stage: Stage) -> None:
    """Its id and what to do are told; once it is back, the service can be removed."""
    await stage.deployed("1")
    begun = await stage.deploy("2", quick(auto_promote=False))
    assert isinstance(begun, Started)
    await stage.deciding(AskHuman)
    with pytest.raises(Conflict, match=begun.rollout) as refused:
        await remove(stage)
    assert f"bleen abort {stage.service}" in refused.value.next
    assert not await stage.entries(RemovalDecided)


async def test_a_fleet_that_is_only_kept_warm_goes_with_its_service(stage: Stage) -> None:
    """The rollout gives way at once, and is finished in the ledger."""
    await stage.deployed("1")
    await stage.deployed("2", quick(warm="10m"))
    await stage.deciding(Wait, "stays warm")
    await remove(stage)
    await stage.idle()
    assert await left(stage) == (None, ())
    assert len(await stage.entries(Finished)) == len(await stage.entries(RolloutStarted)) == 2
    [drain] = [e.event.step for e in await stage.entries(RemovalDecided) if isinstance(e.event.step, Drain)]  # type: ignore[union-attr]
    assert {leaver.release for leaver in drain.fleets} == {1, 2}


async def test_two_removals_at_once_are_one(stage: Stage) -> None:
    """Both are given the same removal, and the ledger has it once; a late one finds the same end."""
    await stage.deployed("1")
    await stage.idle()
    first, second = await asyncio.gather(remove(stage, "first"), remove(stage, "second"))
    assert (first.since, first.reason) == (second.since, second.reason)
    await stage.idle()
    await remove(stage, "late")
    await stage.idle()
    assert len(await stage.entries(ServiceRemoved)) == 1


async def test_nothing_else_is_done_to_a_service_that_is_being_removed(stage: Stage) -> None:
    """Deployments, commands, another size: each is told so, at once."""
    await stage.deployed("1")
    await stage.idle()
    stage.fleets.answers = False
    await remove(stage)
    refused = await stage.deploy("2")
    assert isinstance(refused, Refused) and (refused.error, "is being removed" in refused.what) == ("Conflict", True)
    with pytest.raises(Conflict, match="is being removed"):
        await stage.control.command(ENVIRONMENT, stage.service, Pause("ada"))
    with pytest.raises(Conflict, match="is being removed"):
        await stage.control.scale(ScaleRequest(ENVIRONMENT, stage.service, 3, "ada"))
    assert await stage.progress() is None
    stage.fleets.answers = True
    await stage.idle()
    assert await stage.control.removing(ENVIRONMENT, stage.service) is None


async def test_a_removed_service_is_deployed_again_under_the_next_number(stage: Stage) -> None:
    """Its route counts as newer than the removal; going back past the removal takes a release by name."""
    await stage.deployed("1")
    await stage.idle()
    await remove(stage)
    await stage.idle()
    refused = await stage.rollback()
    assert isinstance(refused, Refused) and "was removed" in refused.what
    rollout = await stage.deployed("2")
    assert rollout == f"dev/{stage.service}/2" and isinstance(await stage.outcome(rollout), Promoted)
    await stage.idle()
    assert stage.serving == 2
    refused = await stage.rollback()
    assert isinstance(refused, Refused) and "no earlier release" in refused.what
    assert isinstance(await stage.rollback(to=1), Started)
    await stage.idle()
    assert stage.serving == 1
    await remove(stage)
    await stage.idle()
    assert len(await stage.entries(ServiceRemoved)) == 2


async def test_a_deployment_that_was_asked_for_before_does_not_bring_it_back(stage: Stage) -> None:
    """A long build must not undo a removal."""
    await stage.deployed("1")
    await stage.idle()
    await remove(stage)
    await stage.idle()
    [gone] = await stage.entries(ServiceRemoved)
    asked = gone.event.asked  # type: ignore[union-attr]
    request = RolloutRequest(ENVIRONMENT, stage.service, (), 1, quick(), 1, "ada", asked=asked - timedelta(microseconds=1))
    with pytest.raises(Conflict, match="was removed after"):
        await Activities(stage.world, Herald(stage.client, stage.queue, stage.clock))._planned(request, "key")


async def test_a_newer_route_is_withdrawn_too(stage: Stage) -> None:
    """Names are changed outside any rollout, and may come between: the removal takes a newer entry as its fence."""
    await stage.deployed("1")
    await stage.idle()
    assert stage.route is not None
    last = (await stage.entries())[-1].sequence
    await stage.world.gateway.set_route(structs.replace(stage.route, hosts=("other.localhost",)), last + 2)
    await remove(stage)
    await stage.idle()
    assert await left(stage) == (None, ())


async def test_a_removal_outlives_the_death_of_its_worker(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """Its successor goes on where it was, and enters nothing twice."""
    stage, socket = away
    async with crew(engine.address, stage.queue, socket) as worker:
        await stage.deployed("1")
        await stage.idle()
        stage.gateways.regions["local"].answers = False
        await remove(stage)
        await eventually(lambda: waiting(stage, "does not answer"), "it waits for the silent gateway")
        worker.kill()
        await worker.wait()
    stage.gateways.regions["local"].answers = True
    async with crew(engine.address, stage.queue, socket):
        await stage.idle()
    assert await left(stage) == (None, ())
    assert len(await stage.entries(RemovalDecided)) == 2
    assert len(await stage.entries(ServiceRemoved)) == 1


async def test_a_removal_whose_worker_dies_again_and_again_ends(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """Also where it takes over from a rollout that keeps a fleet warm."""
    stage, socket = away
    async with crew(engine.address, stage.queue, socket):
        await stage.deployed("1")
        await stage.deployed("2", quick(warm="10m"))
        await stage.deciding(Wait, "stays warm")
    asked = asyncio.create_task(remove(stage))
    for pause in (0.05, 0.3, 0.6):
        async with crew(engine.address, stage.queue, socket):
            await asyncio.sleep(pause)
    async with crew(engine.address, stage.queue, socket):
        await asked
        await stage.idle()
    assert await left(stage) == (None, ())
    assert len(await stage.entries(ServiceRemoved)) == 1


# ---- what the tests say and see ----


async def remove(stage: Stage, reason: str = "") -> Removing:
    """Ask for the removal."""
    return await stage.control.remove(RemovalRequest(ENVIRONMENT, stage.service, "ada", reason))


async def left(stage: Stage) -> tuple[object, Sequence[object]]:
    """Return the route and the fleets that are left."""
    [seen] = await stage.world.gateway.observe(ENVIRONMENT, stage.service)
    return seen.route, await stage.fleets.observe(stage.service)


async def told(stage: Stage, what: str) -> bool:
    """Return whether people were told."""
    return any(notice.what == what for notice in stage.notices.told)


async def decided(stage: Stage, kind: type) -> bool:
    """Return whether such a step was decided."""
    return any(isinstance(e.event.step, kind) for e in await stage.entries(RemovalDecided))  # type: ignore[union-attr]


async def waiting(stage: Stage, why: str) -> bool:
    """Return whether the removal waits, for that reason."""
    removing = await stage.control.removing(ENVIRONMENT, stage.service)
    return removing is not None and isinstance(removing.step, Wait) and why in removing.step.why


def watch_retirements(stage: Stage) -> list[tuple[object, ...]]:
    """Return a list that fills with what each gateway truly had whenever a fleet was ended."""
    found: list[tuple[object, ...]] = []
    retire = stage.fleets.retire

    async def watched(slot: Slot, release: int) -> None:
        listings = [region.listings.get(f"{ENVIRONMENT}/{stage.service}") for region in stage.gateways.regions.values()]
        found.append(tuple(listing and listing.route for listing in listings))
        await retire(slot, release)

    stage.fleets.retire = watched  # type: ignore[method-assign]
    return found
