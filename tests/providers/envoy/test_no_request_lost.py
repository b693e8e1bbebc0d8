"""No request is lost by a switch, a scale-in or a frozen instance, that a healthy instance could have served."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from bleen.domain.traffic import Colour
from bleen.providers.load import Generator, Load, Mode, Outcome
from tests.contracts.gateway import BLUE, GREEN, a_route, seen_by_all
from tests.fixtures.envoy import EnvoyRun, until
from tests.providers.envoy.world import World

MODES = {Mode.KEEP_ALIVE: "/", Mode.NEW: "/", Mode.SLOW: "/slow/0.7", Mode.STREAM: "/stream/0.7"}


@asynccontextmanager
async def load(world: World, mode: Mode = Mode.KEEP_ALIVE, rate: float = 300) -> AsyncIterator[Outcome]:
    """Ask for the service all the while; the outcome is complete when the block is left."""
    where = Load(world.place.port, rate, mode, host="hello.localhost", path=MODES[mode], mark="x-instance")
    generator = Generator(where)
    task = asyncio.create_task(generator.run())
    await asyncio.sleep(0.2)
    yield generator.outcome
    generator.stop()
    await task


def lost(outcome: Outcome) -> list[str]:
    """Return how requests failed, and assert that there were some requests."""
    assert len(outcome.samples) > 20
    return [sample.failure for sample in outcome.failures]


@pytest.mark.parametrize("mode", MODES)
async def test_a_switch_loses_nothing(world: World, mode: Mode) -> None:
    """Blue to green in the order that loses nothing, ended by SIGTERM to blue, in every way of asking."""
    blue = "dev.hello.blue.r1"
    endpoints = await world.fill(Colour.BLUE, 1, "blue-1", "blue-2")
    await world.gateway.set_route(a_route(BLUE, green=None), 1)
    async with load(world, mode, 60 if mode is Mode.STREAM else 300) as outcome:
        await world.fill(Colour.GREEN, 2, "green-1", "green-2")
        await world.gateway.set_route(a_route(GREEN), 2)
        await asyncio.sleep(0.1)
        await world.gateway.set_route(a_route(GREEN, blue=None), 3)
        await world.backends.set_backend(world.backend(Colour.BLUE, 1, ()))
        for endpoint in endpoints:
            await until(lambda address=endpoint.address: _idle(world, blue, address))  # type: ignore[misc]
        await asyncio.gather(*(world.instances.stop(name) for name in ("blue-1", "blue-2")))
        await world.backends.remove_backend(blue)
    assert lost(outcome) == []
    assert {sample.answered_by[:4] for sample in outcome.samples} == {"blue", "gree"}


async def _idle(world: World, name: str, address: str) -> bool:
    return await world.backends.active(name, address) == 0


@pytest.mark.parametrize("mode", [Mode.KEEP_ALIVE, Mode.SLOW])
async def test_a_scale_in_of_the_live_colour_loses_nothing(world: World, mode: Mode) -> None:
    """One instance of two leaves: out of the backend, observed, drained, SIGTERM."""
    name = "dev.hello.blue.r1"
    first, second = await world.fill(Colour.BLUE, 1, "blue-1", "blue-2")
    await world.gateway.set_route(a_route(BLUE, green=None), 1)
    async with load(world, mode) as outcome:
        await world.backends.set_backend(world.backend(Colour.BLUE, 1, (second,)))
        await until(lambda: _idle(world, name, first.address))
        await world.instances.stop("blue-1")
        await asyncio.sleep(0.2)
        await world.backends.set_backend(world.backend(Colour.BLUE, 1, (second, await world.instances.start("blue-3"))))
        await asyncio.sleep(0.2)
    assert lost(outcome) == []
    assert outcome.samples[-1].answered_by in ("blue-2", "blue-3")


async def test_an_instance_killed_at_once_loses_no_get(world: World) -> None:
    """SIGKILL under load: what it had begun is asked again elsewhere."""
    await world.fill(Colour.BLUE, 1, "blue-1", "blue-2")
    await world.gateway.set_route(a_route(BLUE, green=None), 1)
    async with load(world, Mode.SLOW) as outcome:
        world.instances.signal("blue-1", signal.SIGKILL)
        await asyncio.sleep(0.3)
    assert lost(outcome) == []


async def test_a_frozen_instance_loses_no_get(world: World) -> None:
    """SIGSTOP: it is found sick and spared; what it holds is asked again elsewhere when it is replaced."""
    await world.fill(Colour.BLUE, 1, "blue-1", "blue-2")
    await world.gateway.set_route(a_route(BLUE, green=None), 1)
    async with load(world) as outcome:
        world.instances.signal("blue-1", signal.SIGSTOP)
        await until(lambda: _one_is_sick(world))
        spared = len(outcome.samples)
        await asyncio.sleep(0.2)
        world.instances.signal("blue-1", signal.SIGKILL)
    assert lost(outcome) == []
    assert {sample.answered_by for sample in outcome.samples[spared:]} == {"blue-2"}


async def _one_is_sick(world: World) -> bool:
    return (await seen_by_all(world.gateway)).backends[0].healthy == 1


async def test_an_instance_that_fails_its_health_path_first_loses_nothing(world: World) -> None:
    """The habit of many servers: sick on purpose, then gone. Requests that it has are not cut when it is found sick."""
    await world.fill(Colour.BLUE, 1, "blue-1", "blue-2")
    await world.gateway.set_route(a_route(BLUE, green=None), 1)
    async with load(world, Mode.SLOW) as outcome:
        world.instances.signal("blue-1", signal.SIGUSR1)
        await until(lambda: _one_is_sick(world))
        await world.instances.stop("blue-1")
    assert lost(outcome) == []


@pytest.mark.parametrize("frozen", ["gateway", "instances"])
async def test_a_machine_that_stalls_loses_nothing(world: World, envoy: EnvoyRun, frozen: str) -> None:
    """Two seconds in which the gateway, or every instance, gets no processor time: all is answered in the end."""
    names = ("blue-1", "blue-2")
    await world.fill(Colour.BLUE, 1, *names)
    await world.gateway.set_route(a_route(BLUE, green=None), 1)
    send = [envoy.process.send_signal] if frozen == "gateway" else [partial(world.instances.signal, name) for name in names]
    async with load(world, Mode.NEW) as outcome:
        for each in send:
            each(signal.SIGSTOP)
        await asyncio.sleep(2)
        for each in send:
            each(signal.SIGCONT)
        await asyncio.sleep(0.2)
    assert lost(outcome) == []
