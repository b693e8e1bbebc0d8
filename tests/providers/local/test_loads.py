"""What real instances use."""

import os
import signal
from datetime import UTC, datetime

import psutil

from bleen.domain.canary import Analysis
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.signals import Load
from bleen.providers.local.loads import LocalLoads, measure
from tests.providers.local.world import GREEN, World, fleet, get, ready, until

COMPARISON = Comparison("dev", "hello", 1, datetime(2026, 1, 1, tzinfo=UTC), 2, 1, Phase.BESIDE, Analysis())
BUSY = """
import runpy, sys, time
while time.process_time() < 0.5:
    pass
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


async def read(loads: LocalLoads) -> dict[int, Load]:
    return {load.release: load for load in await loads.read(COMPARISON)}


async def test_each_release_has_the_load_of_its_own_instances(world: World) -> None:
    """Processor time and memory of the processes, in a sandbox or out of it."""
    agent = await world.agent()
    loads = LocalLoads(agent)
    await agent.launch(world.order(1))
    (only,) = await ready(agent, 1)
    assert set(await read(loads)) == {1}
    busy = ("python3", "-c", BUSY, "{app}/serve.py", "{address}", "{port}")
    await agent.launch(world.order(2, slot=GREEN, release=2, command=busy))
    await ready(agent, 2, GREEN)
    found = await read(loads)
    assert found[2].cpu >= 1.0 > found[1].cpu > 0
    assert found[1].memory >= psutil.Process(only.pid).memory_info().rss // 2
    assert found[2].memory > found[1].memory


async def test_what_an_instance_starts_is_its_own(world: World) -> None:
    """A child's memory is its instance's."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    (only,) = await ready(agent, 1)
    before = measure({only.pid})[only.pid]
    await get(only, "/child")
    assert measure({only.pid})[only.pid].memory > before.memory


async def test_processor_time_is_not_given_back(world: World) -> None:
    """An instance that was killed, and one that left, have used what they have used."""
    agent = await world.agent()
    loads = LocalLoads(agent)
    await agent.launch(world.order(2))
    first, _ = await ready(agent, 2)
    before = (await read(loads))[1].cpu
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: _restarted(world), "it runs again")
    after = (await read(loads))[1].cpu
    assert after > before
    await agent.launch(world.order(1))
    await ready(agent, 1)
    assert (await read(loads))[1].cpu >= after


async def _restarted(world: World) -> bool:
    seen = await fleet(world.agents[0])
    return seen.ready == 2 and seen.instances[0].restarts == 1


def test_a_process_that_is_gone_has_no_load() -> None:
    """Nobody to ask, nothing told."""
    assert measure({2**22 - 1}) == {} and measure(set()) == {}
