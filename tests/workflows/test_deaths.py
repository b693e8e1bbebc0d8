"""kill -9 of the worker and of the engine, in the middle of rollouts."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from bleen.domain.check import HttpCheck
from bleen.domain.command import Abort, Advance
from bleen.domain.decision import AskHuman, Measure, Wait
from bleen.domain.errors import Unreachable
from bleen.domain.ledger import Commanded, Decided, Finished, RolloutStarted
from bleen.domain.rollout import Promoted
from bleen.domain.service import Checks
from bleen.providers.memory.fleets import Behaviour
from bleen.workflows.messages import Started
from bleen.workflows.starting import rollout_id
from tests.fixtures.engine import RunningEngine
from tests.workflows.crew import crew
from tests.workflows.stage import ENVIRONMENT, Stage, eventually, quick


async def test_a_rollout_outlives_the_death_of_its_worker(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """Its successor goes on where it was, from what is seen, and asks the same question."""
    stage, socket = away
    async with crew(engine.address, stage.queue, socket) as worker:
        await stage.deployed("1")
        begun = await stage.deploy("2", quick(auto_promote=False))
        assert isinstance(begun, Started)
        await stage.deciding(AskHuman)
        worker.kill()
        await worker.wait()
    before = await stage.decisions(begun.rollout)
    async with crew(engine.address, stage.queue, socket):
        await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
        assert isinstance(await stage.settled(begun.rollout), Promoted)
        await stage.idle()
    assert (await stage.decisions(begun.rollout))[: len(before)] == before


async def test_a_successor_does_not_wait_for_the_dead(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """The engine would keep what it has for the worker that had the rollout, and for its watch, for seconds."""
    stage, socket = away
    async with crew(engine.address, stage.queue, socket) as worker:
        await stage.deployed("1")
        begun = await stage.deploy("2", quick(auto_promote=False))
        assert isinstance(begun, Started)
        await stage.deciding(AskHuman)
        await eventually(lambda: watched(stage), "the engine has the end of the workflow task")
        worker.kill()
        await worker.wait()
    async with crew(engine.address, stage.queue, socket):
        before = time.monotonic()
        await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
        assert time.monotonic() - before < 5


async def test_checks_of_a_dead_worker_are_run_again(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """By its successor, after three missed seconds of heartbeats."""
    stage, socket = away
    async with crew(engine.address, stage.queue, socket) as worker:
        await stage.deployed("1")
        stage.prober.go.clear()
        begun = await stage.deploy("2", quick(checks=Checks(before=(HttpCheck("/smoke"),))))
        assert isinstance(begun, Started)
        await stage.deciding(Measure)
        worker.kill()
        await worker.wait()
    stage.prober.go.set()
    async with crew(engine.address, stage.queue, socket):
        assert isinstance(await stage.settled(begun.rollout), Promoted)


async def test_a_worker_that_dies_again_and_again_loses_nothing(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """Killed at random moments, it ends with one release, each rollout finished once, and a route that is explained."""
    stage, socket = away
    chance = random.Random(7)
    async with crew(engine.address, stage.queue, socket):
        await stage.deployed("1")
        await stage.idle()
    await stage.behave("2", Behaviour(ready_after=0.5))
    asked = asyncio.create_task(stage.deploy("2"))
    for _ in range(4):
        async with crew(engine.address, stage.queue, socket):
            await asyncio.sleep(chance.uniform(0.05, 0.6))
    async with crew(engine.address, stage.queue, socket):
        begun = await asked
        assert isinstance(begun, Started)
        assert isinstance(await stage.settled(begun.rollout), Promoted)
        await stage.idle()
    kinds = [type(e.event) for e in await stage.entries()]
    assert kinds.count(RolloutStarted) == kinds.count(Finished) == 2
    generation = next(iter(stage.gateways.regions["local"].listings.values())).generation
    assert generation in {e.sequence for e in await stage.entries(Decided)}
    assert [f.release for f in await stage.fleets.observe(stage.service)] == [2]


async def test_a_rollout_outlives_the_death_of_the_engine(own_engine: RunningEngine) -> None:
    """No acknowledged command is lost or taken twice, and nobody needs to connect anew."""
    async with Stage(await own_engine.client()).working() as stage:
        await stage.deployed("1")
        begun = await stage.deploy("2", quick(auto_promote=False))
        assert isinstance(begun, Started)
        await stage.deciding(AskHuman)
        await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
        own_engine.kill()
        own_engine.start()
        assert isinstance(await eventually(lambda: stage.outcome(begun.rollout), "it is promoted", deadline=60), Promoted)
        await eventually(lambda: ended(stage), "it has cleaned up", deadline=60)
        assert len(await stage.entries(Commanded)) == 1
        assert stage.serving == 2


async def test_an_engine_that_dies_in_every_phase_delays_only(own_engine: RunningEngine) -> None:
    """Starting, asking, keeping warm: three deaths in one rollout."""
    async with Stage(await own_engine.client()).working() as stage:
        await stage.deployed("1")
        await stage.behave("2", Behaviour(ready_after=1.0))
        begun = await stage.deploy("2", quick(auto_promote=False, warm="10m"))
        assert isinstance(begun, Started)
        await again(own_engine, stage)
        await stage.deciding(AskHuman)
        await again(own_engine, stage)
        await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
        await stage.deciding(Wait, "stays warm")
        await again(own_engine, stage)
        stage.clock.turn(minutes=11)
        await eventually(lambda: ended(stage), "it has cleaned up", deadline=60)
        assert [f.release for f in await stage.fleets.observe(stage.service)] == [2]


async def test_a_dead_engine_is_said_to_be_unreachable(own_engine: RunningEngine) -> None:
    """In the domain's words, and in seconds rather than minutes."""
    stage = Stage(await own_engine.client())
    own_engine.kill()
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(Unreachable):
        await stage.control.command(ENVIRONMENT, stage.service, Abort("ada"))
    with pytest.raises(Unreachable):
        await stage.progress()
    assert loop.time() - before < 30
    own_engine.start()


async def again(engine: RunningEngine, stage: Stage) -> None:
    """Kill the engine and start it; return when it answers about the rollout."""
    engine.kill()
    engine.start()

    async def answers() -> bool:
        try:
            return await stage.progress() is not None
        except Unreachable:
            return False

    await eventually(answers, "the engine answers again", deadline=60)


async def watched(stage: Stage) -> bool:
    """Return whether the watch of the rollout has begun."""
    described = await stage.client.get_workflow_handle(rollout_id(ENVIRONMENT, stage.service)).describe()
    return any(p.activity_type.name == "watch" for p in described.raw_description.pending_activities)


async def ended(stage: Stage) -> bool:
    """Return whether every rollout of the ledger is finished; asks no engine."""
    return len(await stage.entries(Finished)) == len(await stage.entries(RolloutStarted))
