"""Instances outlive the agent, and the next agent adopts them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bleen.domain.errors import Unreachable
from bleen.domain.fleet import Fleet
from bleen.providers.local.fleets import AgentFleets
from bleen.providers.local.process import identify
from tests.providers.local.world import BLUE, World, fleet, get, ready, until


class AgentProcess:
    """An agent that can be killed."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.socket = folder / "agent.sock"
        self.fleets = AgentFleets(self.socket)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, **env: str) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.providers.local.agent_process", str(self.world.home), str(self.socket)),
            env=os.environ | env,
            stderr=(self.world.home / "agent.log").open("ab"),
        )
        await until(self.answers, "the agent answers")

    async def answers(self) -> bool:
        try:
            await self.fleets.health()
        except Unreachable:
            return False
        return True

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def fleet(self) -> Fleet:
        return next(iter(await self.fleets.observe("hello")))

    async def ready(self, count: int) -> Fleet:
        async def there() -> bool:
            fleets = await self.fleets.observe("hello")
            return bool(fleets) and fleets[0].ready == count

        await until(there, f"{count} instances ready")
        return await self.fleet()


@pytest.fixture
async def agent_process(world: World, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    there = AgentProcess(world, tmp_path)
    yield there
    if there.process is None or there.process.returncode is not None:
        await there.start()
    await there.fleets.stop_everything()
    assert there.process is not None
    assert await asyncio.wait_for(there.process.wait(), 10) == 0
    assert not there.socket.exists()
    await there.fleets.close()


async def test_a_killed_agent_leaves_instances_and_the_next_one_adopts_them(agent_process: AgentProcess) -> None:
    """Same processes, same state, nothing restarted; meanwhile they answer."""
    await agent_process.start()
    await agent_process.fleets.launch(agent_process.world.order(3))
    before = await agent_process.ready(3)
    await agent_process.kill()
    assert [await get(i) for i in before.instances] == [i.name for i in before.instances]
    await agent_process.start()
    after = await agent_process.fleet()
    assert after == before


async def test_an_instance_that_ended_while_the_agent_was_away_is_started_again(agent_process: AgentProcess) -> None:
    """How it ended is still told, and its neighbour is left alone."""
    await agent_process.start()
    await agent_process.fleets.launch(agent_process.world.order(2))
    before = await agent_process.ready(2)
    await agent_process.kill()
    os.kill(before.instances[0].pid, signal.SIGKILL)
    await agent_process.start()
    after = await agent_process.ready(2)
    assert (after.instances[0].restarts, after.instances[0].last_exit) == (1, "signal 9")
    assert after.instances[1] == before.instances[1]


async def test_an_adopted_instance_that_ends_is_noticed_at_once(agent_process: AgentProcess) -> None:
    """The next agent is not its parent, and watches it all the same."""
    await agent_process.start()
    await agent_process.fleets.launch(agent_process.world.order(1))
    before = await agent_process.ready(1)
    await agent_process.kill()
    await agent_process.start()
    os.kill(before.instances[0].pid, signal.SIGTERM)

    async def noticed() -> bool:
        return (await agent_process.fleet()).instances[0].restarts == 1

    await until(noticed, "its end is noticed")
    assert (await agent_process.ready(1)).instances[0].last_exit == "signal 15"


async def test_an_agent_killed_between_start_and_record_leaves_no_process(agent_process: AgentProcess) -> None:
    """The new process waits at its gate, which closes with the agent; the next agent starts one, not two."""
    await agent_process.start(DIE_BEFORE_RECORD="1")
    with pytest.raises(Unreachable):
        await agent_process.fleets.launch(agent_process.world.order(1))
        await agent_process.ready(1)
    assert agent_process.process is not None
    assert await agent_process.process.wait() == -signal.SIGKILL
    await until(lambda: agent_process.world.processes() == {}, "nothing ran unrecorded")
    await agent_process.start()
    await agent_process.ready(1)
    assert len(set(agent_process.world.processes().values())) == 1


async def test_a_process_that_could_not_be_recorded_is_found_and_adopted(world: World) -> None:
    """On a full disk there may be no record; the process itself says whose it is."""
    first = await world.agent()
    await first.launch(world.order(2))
    before = await ready(first, 2)
    await first.abandon()
    (record,) = (world.home / "fleets").rglob("instances/1.json")
    record.unlink()
    second = await world.agent()
    after = await ready(second, 2)
    assert [i.pid for i in after] == [i.pid for i in before]
    first.stopped.set()


async def test_a_process_of_no_fleet_is_ended(world: World) -> None:
    """What an agent started and no order names must not serve unknown to anyone."""
    first = await world.agent()
    await first.launch(world.order(1))
    (instance,) = await ready(first, 1)
    await first.abandon()
    (order,) = (world.home / "fleets").rglob("order.json")
    order.unlink()
    await world.agent()
    await until(lambda: identify(instance.pid) is None, "it ends")
    first.stopped.set()


async def test_a_retirement_goes_on_in_the_next_agent(world: World) -> None:
    """Once accepted, it ends, whoever is killed in between."""
    first = await world.agent()
    await first.launch(world.order(1, drain=60))
    (instance,) = await ready(first, 1)
    await until(lambda: world.endpoints() == [instance.address], "the gateway has it")
    world.gateways.active["dev.hello.blue.r1", instance.address] = 1
    ending = asyncio.create_task(first.retire(BLUE, 1))
    await until(lambda: world.endpoints() == [], "it leaves the gateway")
    await first.abandon()
    await asyncio.gather(ending, return_exceptions=True)
    second = await world.agent()
    assert (await fleet(second)).instances[0].pid == instance.pid
    world.gateways.active.clear()
    await until(lambda: world.processes() == {}, "it ends")
    first.stopped.set()

    async def gone() -> bool:
        return await second.observe() == []

    await until(gone, "it is forgotten")
