"""Fleets of the host agent: growing, shrinking, ending, with nobody's request lost."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bleen.domain.codec import decode
from bleen.domain.errors import Conflict, ImageRejected, InvalidInput, LawBroken, StorageFull
from bleen.domain.traffic import Colour, Route, Split
from bleen.providers.local.images import LocalImages
from bleen.providers.local.records import InstanceRecord
from tests.providers.local.world import BLUE, GREEN, World, fleet, get, ready, until


async def test_scaling_out_keeps_what_runs(world: World) -> None:
    """New instances join; the old ones are the same processes."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    (first,) = await ready(agent, 1)
    await agent.launch(world.order(3))
    assert (await ready(agent, 3))[0] == first


async def test_scaling_in_drains_before_it_stops(world: World) -> None:
    """Out of the gateway first; stopped only when its requests have ended."""
    agent = await world.agent()
    await agent.launch(world.order(2, drain=30))
    first, second = await ready(agent, 2)
    await until(lambda: len(world.endpoints()) == 2, "the gateway has both")
    world.gateways.active["dev.hello.blue.r1", second.address] = 1
    await agent.launch(world.order(1, drain=30))
    await until(lambda: world.endpoints() == [first.address], "it leaves the gateway")
    assert (await fleet(agent)).instances[1].state == "draining"
    assert await get(second) == second.name
    world.gateways.active.clear()
    await ready(agent, 1)
    assert set(world.processes().values()) == {first.name}


async def test_a_drain_has_an_end(world: World) -> None:
    """A request that never ends does not hold an instance for ever."""
    agent = await world.agent()
    await agent.launch(world.order(1, drain=0.5))
    (instance,) = await ready(agent, 1)
    world.gateways.active["dev.hello.blue.r1", instance.address] = 1
    began = time.monotonic()
    await agent.retire(BLUE, 1)
    assert 0.5 <= time.monotonic() - began < 5


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_a_fleet_is_there_for_what_a_dead_instance_was_asked(world: World, sent: signal.Signals) -> None:
    """Gateways ask its neighbours again, after a moment: a fleet that is retired just then waits for that."""
    agent = await world.agent()
    await agent.launch(world.order(2))
    dead, neighbour = await ready(agent, 2)
    os.kill(dead.pid, sent)
    await until(lambda: dead.pid not in world.processes(), "it is gone")
    retiring = asyncio.create_task(agent.retire(BLUE, 1))
    await asyncio.sleep(0.3)
    assert neighbour.address in world.endpoints() and neighbour.pid in world.processes()
    await retiring
    assert world.processes() == {}


async def test_scaling_in_and_out_again_ends_with_what_was_ordered_last(world: World) -> None:
    """An instance that is leaving goes, and comes back."""
    agent = await world.agent()
    await agent.launch(world.order(2))
    before = await ready(agent, 2)
    await agent.launch(world.order(1))
    await agent.launch(world.order(2))
    await until(lambda: before[1].pid not in world.processes(), "the second one leaves")
    after = await ready(agent, 2)
    assert after[0] == before[0]


async def test_a_fleet_that_a_gateway_names_is_not_retired(world: World) -> None:
    """Law 3, by what the gateway has; a silent gateway counts as naming it."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    (instance,) = await ready(agent, 1)
    await until(lambda: world.endpoints() == [instance.address], "the gateway has it")
    route = Route(environment="dev", service="hello", hosts=("hello.localhost",), split=Split.of(Colour.BLUE), blue=1)
    await world.gateway.set_route(route, 1)
    with pytest.raises(LawBroken):
        await agent.retire(BLUE, 1)
    await world.gateway.remove_route("dev", "hello", 2)
    world.gateways.regions["local"].answers = False
    with pytest.raises(LawBroken):
        await agent.retire(BLUE, 1)
    assert await get(instance) == instance.name
    world.gateways.regions["local"].answers = True
    await agent.retire(BLUE, 1)
    assert (await agent.observe(), world.processes()) == ([], {})
    assert "dev.hello.blue.r1" not in world.gateways.regions["local"].backends
    assert list((world.home / "fleets").iterdir()) == []


async def test_retiring_what_is_not_there_does_nothing(world: World) -> None:
    """An empty slot, or one with another release."""
    agent = await world.agent()
    await agent.retire(BLUE, 1)
    await agent.launch(world.order(1))
    await agent.retire(BLUE, 2)
    await ready(agent, 1)


async def test_a_slot_holds_one_release(world: World) -> None:
    """Another release is a conflict, and so is the same one with another command."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    with pytest.raises(Conflict):
        await agent.launch(world.order(1, release=2))
    with pytest.raises(Conflict):
        await agent.launch(world.order(1, GREETING="other"))
    await ready(agent, 1)


async def test_nothing_starts_from_a_damaged_image(world: World) -> None:
    """Law 6: the image is read again before a fleet starts from it."""
    tree = LocalImages(world.home).tree(world.digest)
    script = tree / "serve.py"
    script.chmod(0o600)
    script.write_text("print('evil')")
    agent = await world.agent()
    with pytest.raises(ImageRejected):
        await agent.launch(world.order(1))
    assert (await agent.observe(), world.processes()) == ([], {})


async def test_nothing_starts_again_from_an_image_that_was_damaged_meanwhile(world: World) -> None:
    """Law 6 holds for `bleen up` too: the next agent verifies before it starts anything."""
    first = await world.agent()
    await first.launch(world.order(1))
    await ready(first, 1)
    await first.stop_everything()
    script = LocalImages(world.home).tree(world.digest) / "serve.py"
    script.chmod(0o600)
    script.write_text("print('evil')")
    second = await world.agent()

    async def refused() -> bool:
        return (await fleet(second)).instances[0].restarts >= 1

    await until(refused, "it is refused")
    assert "serve.py" in (await fleet(second)).instances[0].last_exit
    assert world.processes() == {}


async def test_a_file_outside_its_folder_is_refused(world: World) -> None:
    """The files of a release stay in $BLEEN_FILES."""
    agent = await world.agent()
    with pytest.raises(InvalidInput):
        await agent.launch(world.order(1, files={"../../token": "x"}))


async def test_everything_stops_and_starts_again_from_its_orders(world: World) -> None:
    """`bleen down` leaves no process; `bleen up` runs what ran."""
    agent = await world.agent()
    await agent.launch(world.order(2))
    before = await ready(agent, 2)
    await agent.stop_everything()
    assert world.processes() == {}
    again = await ready(await world.agent(), 2)
    assert [(i.name, i.address, i.restarts) for i in again] == [(i.name, i.address, 0) for i in before]


async def test_a_gateway_that_is_away_stops_no_fleet(world: World) -> None:
    """Instances start and crash and come back; the gateway is told when it is there again."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    (instance,) = await ready(agent, 1)
    await until(lambda: world.endpoints() == [instance.address], "the gateway has it")
    world.gateways.regions["local"].answers = False
    await agent.launch(world.order(2))
    await ready(agent, 2)
    os.kill(instance.pid, signal.SIGKILL)

    async def replaced() -> bool:
        return (await fleet(agent)).instances[0].restarts == 1

    await until(replaced, "it is replaced all the same")
    instances = await ready(agent, 2)
    world.gateways.regions["local"].answers = True
    await until(lambda: world.endpoints() == [i.address for i in instances], "the gateway has both")


async def test_a_full_disk_refuses_a_launch_and_leaves_what_runs(small_world: World) -> None:
    """Instances go on, and even crash and come back; what could not be written is written when there is room."""
    agent = await small_world.agent()
    await agent.launch(small_world.order(1))
    (first,) = await ready(agent, 1)
    ballast = small_world.home / "ballast"
    fill(ballast)
    with pytest.raises(StorageFull):
        await agent.launch(small_world.order(1, slot=GREEN, release=2, files={"large": "x" * 100_000}))
    with pytest.raises(StorageFull):
        await agent.launch(small_world.order(2))
    assert await ready(agent, 1) == [first]
    os.kill(first.pid, signal.SIGKILL)

    async def replaced() -> bool:
        return (await fleet(agent)).instances[0].restarts == 1

    await until(replaced, "its end is noticed")
    (again,) = await ready(agent, 1)
    (record,) = (small_world.home / "fleets").rglob("instances/1.json")
    ballast.unlink()
    await until(lambda: decode(record.read_bytes(), InstanceRecord).restarts == 1, "the record is written")
    await agent.abandon()
    assert (await ready(await small_world.agent(), 1))[0].pid == again.pid
    agent.stopped.set()


def fill(path: Path) -> None:
    """Leave no room on the disk of ``path``."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass


async def test_logs_are_kept_with_the_time_at_which_they_were_seen(world: World) -> None:
    """All instances in order of time, or one; then new lines while they come."""
    agent = await world.agent()
    await agent.launch(world.order(2))
    first, second = await ready(agent, 2)
    await get(first, "/say/hello")
    lines = [line async for line in agent.logs("hello")]
    assert sorted(line.instance for line in lines) == [first.name, first.name, second.name]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert [line.text async for line in agent.logs("hello", instance=first.name, lines=1)] == ["hello"]
    follow = agent.logs("hello", instance=second.name, lines=1, follow=True)
    assert (await anext(follow)).text == f"serving on {second.address}:{world.port}"
    await get(second, "/say/again")
    assert (await asyncio.wait_for(anext(follow), 5)).text == "again"
