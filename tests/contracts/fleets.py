"""The kit of the port `Fleets`: subclass `FleetsContract` and give it a fixture ``bench``, new and empty."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import pytest
from msgspec import structs

from bleen.domain.errors import Conflict, ImageRejected, LawBroken, NotFound
from bleen.domain.fleet import Fleet, FleetOrder, InstanceState, Slot
from bleen.domain.image import Digest
from bleen.domain.release import Runtime
from bleen.domain.traffic import BackendSeen, Baseline, Colour, Route, Split
from bleen.ports import Fleets, Gateway

BLUE = Slot(environment="dev", region="local", service="hello", colour=Colour.BLUE)
GREEN = structs.replace(BLUE, colour=Colour.GREEN)
BESIDE = structs.replace(BLUE, baseline=True)
ROUTE = Route(environment="dev", service="hello", hosts=("hello.localhost",), split=Split.of(Colour.BLUE), blue=1)
"""All requests to blue."""
PATIENCE = 20.0


class Workload(Protocol):
    """An image, and how to run it."""

    @property
    def image(self) -> Digest: ...

    @property
    def runtime(self) -> Runtime: ...


class FleetsBench(Protocol):
    """A provider, and what the kit needs around it."""

    fleets: Fleets
    gateway: Gateway
    good: Workload
    """Becomes ready within a few seconds, and says something."""
    crashing: Workload
    """Ends soon after each start."""
    never_healthy: Workload
    damaged: Workload
    """Its image is not what its digest says."""

    async def wait(self, seconds: float) -> None:
        """Let so much time pass; a provider with a clock of its own sets it forward."""


def order(work: Workload, size: int = 2, *, slot: Slot = BLUE, release: int = 1) -> FleetOrder:
    return FleetOrder(slot=slot, release=release, image=work.image, size=size, runtime=work.runtime)


async def seen(bench: FleetsBench, slot: Slot = BLUE) -> Fleet | None:
    return next((f for f in await bench.fleets.observe(slot.service) if f.slot == slot), None)


async def until(bench: FleetsBench, holds: Callable[[Fleet | None], bool], what: str, slot: Slot = BLUE) -> Fleet:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        fleet = await seen(bench, slot)
        if holds(fleet) and fleet is not None:
            return fleet
        await bench.wait(0.05)
    raise AssertionError(f"not in {PATIENCE:g} s: {what}; seen {await seen(bench, slot)}")


def is_ready(size: int) -> Callable[[Fleet | None], bool]:
    return lambda fleet: fleet is not None and fleet.ready == size == len(fleet.instances)


async def behind(bench: FleetsBench, slot: Slot = BLUE) -> Sequence[BackendSeen]:
    gateways = await bench.gateway.observe(slot.environment, slot.service)
    return [b for g in gateways for b in g.backends if b.colour is slot.colour]


async def soon(bench: FleetsBench, claim: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if await claim():
            return
        await bench.wait(0.05)
    raise AssertionError(f"not in {PATIENCE:g} s: {what}")


class FleetsContract:
    """What every provider of fleets does."""

    async def test_an_empty_machine_has_no_fleet(self, bench: FleetsBench) -> None:
        """Nothing was ordered, nothing is there."""
        assert list(await bench.fleets.observe()) == []
        assert list(await bench.fleets.observe("hello")) == []

    async def test_a_launched_fleet_becomes_ready(self, bench: FleetsBench) -> None:
        """As many instances as ordered, each with a name and an address of its own."""
        await bench.fleets.launch(order(bench.good, 3))
        fleet = await until(bench, is_ready(3), "three ready")
        assert (fleet.slot, fleet.release, fleet.size) == (BLUE, 1, 3)
        assert [i.name for i in fleet.instances] == [f"hello-blue-r1-{k}" for k in (1, 2, 3)]
        assert len({i.address for i in fleet.instances}) == 3

    async def test_launching_twice_is_launching_once(self, bench: FleetsBench) -> None:
        """The same order again changes nothing."""
        await asyncio.gather(*(bench.fleets.launch(order(bench.good)) for _ in range(3)))
        first = await until(bench, is_ready(2), "two ready")
        await bench.fleets.launch(order(bench.good))
        assert await seen(bench) == first

    async def test_the_gateway_has_what_is_ready(self, bench: FleetsBench) -> None:
        """Ready instances stand behind the fleet's backend."""
        await bench.fleets.launch(order(bench.good))
        fleet = await until(bench, is_ready(2), "two ready")

        async def complete() -> bool:
            backends = await behind(bench)
            addresses = [e.endpoint.address for b in backends for e in b.endpoints]
            return sorted(addresses) == sorted(i.address for i in fleet.instances)

        await soon(bench, complete, "the gateway has both")

    async def test_a_fleet_grows_and_shrinks(self, bench: FleetsBench) -> None:
        """What runs and is still wanted is left alone."""
        await bench.fleets.launch(order(bench.good, 1))
        (first,) = (await until(bench, is_ready(1), "one ready")).instances
        await bench.fleets.launch(order(bench.good, 3))
        assert (await until(bench, is_ready(3), "three ready")).instances[0] == first
        await bench.fleets.launch(order(bench.good, 1))
        assert (await until(bench, is_ready(1), "one ready")).instances == (first,)

    async def test_a_fleet_with_traffic_grows_and_shrinks(self, bench: FleetsBench) -> None:
        """Who comes is at the gateway, and who went is not; the route goes to whoever is there."""
        await bench.fleets.launch(order(bench.good, 1))
        (first,) = (await until(bench, is_ready(1), "one ready")).instances
        await bench.gateway.set_route(ROUTE, 1)
        for size in (3, 1):
            await bench.fleets.launch(order(bench.good, size))
            fleet = await until(bench, is_ready(size), f"{size} ready")
            assert fleet.instances[0] == first
            wanted = {i.address for i in fleet.instances}

            async def there(wanted: set[str] = wanted) -> bool:
                (gateway,) = await bench.gateway.observe("dev", "hello")
                has = {e.endpoint.address for b in gateway.backends for e in b.endpoints}
                return (gateway.route, has) == (ROUTE, wanted)

            await soon(bench, there, f"the gateway has {size}")

    async def test_a_slot_holds_one_release(self, bench: FleetsBench) -> None:
        """Another release must wait until the slot is empty."""
        await bench.fleets.launch(order(bench.good, 1))
        with pytest.raises(Conflict):
            await bench.fleets.launch(order(bench.good, 1, release=2))
        await bench.fleets.launch(order(bench.good, 1, slot=GREEN, release=2))
        await until(bench, is_ready(1), "green is ready", GREEN)

    async def test_a_retired_fleet_is_gone(self, bench: FleetsBench) -> None:
        """From the machine and from every gateway; its neighbour stays, and its slot is free."""
        await bench.fleets.launch(order(bench.good, 2))
        await bench.fleets.launch(order(bench.good, 1, slot=GREEN, release=2))
        await until(bench, is_ready(2), "blue is ready")
        await until(bench, is_ready(1), "green is ready", GREEN)
        await bench.fleets.retire(BLUE, 1)
        assert await seen(bench) is None
        assert list(await behind(bench)) == []
        await bench.fleets.launch(order(bench.good, 1, release=3))
        await until(bench, is_ready(1), "blue is ready again")
        assert (await seen(bench, GREEN)) is not None

    async def test_retiring_what_is_not_there_does_nothing(self, bench: FleetsBench) -> None:
        """Neither an empty slot nor another release."""
        await bench.fleets.retire(BLUE, 1)
        await bench.fleets.launch(order(bench.good, 1))
        await bench.fleets.retire(BLUE, 2)
        await until(bench, is_ready(1), "it stays")
        await asyncio.gather(*(bench.fleets.retire(BLUE, 1) for _ in range(3)))
        assert await seen(bench) is None

    async def test_a_fleet_that_a_gateway_names_is_not_retired(self, bench: FleetsBench) -> None:
        """Law 3: not while a route is observed that names it."""
        await bench.fleets.launch(order(bench.good, 1))
        before = await until(bench, is_ready(1), "it is ready")
        await bench.gateway.set_route(ROUTE, 1)
        with pytest.raises(LawBroken) as broken:
            await bench.fleets.retire(BLUE, 1)
        assert broken.value.law == 3
        assert await seen(bench) == before
        await bench.gateway.remove_route("dev", "hello", 2)
        await bench.fleets.retire(BLUE, 1)
        assert await seen(bench) is None

    async def test_a_baseline_fleet_runs_beside_the_fleet_of_its_colour(self, bench: FleetsBench) -> None:
        """The same release in the same colour, with instances of its own; its end leaves the other as it was."""
        await bench.fleets.launch(order(bench.good, 2))
        await bench.fleets.launch(order(bench.good, 1, slot=BESIDE))
        own = await until(bench, is_ready(2), "blue is ready")
        beside = await until(bench, is_ready(1), "it is ready beside blue", BESIDE)
        assert [i.name for i in beside.instances] == ["hello-blue-baseline-r1-1"]
        assert not {i.address for i in own.instances} & {i.address for i in beside.instances}
        assert {line.instance async for line in bench.fleets.logs("hello", instance="hello-blue-baseline-r1-1")}
        await bench.gateway.set_route(structs.replace(ROUTE, baseline=Baseline(Colour.BLUE, 1000)), 1)
        with pytest.raises(LawBroken):
            await bench.fleets.retire(BESIDE, 1)
        await bench.gateway.set_route(ROUTE, 2)
        await bench.fleets.retire(BESIDE, 1)
        assert await seen(bench, BESIDE) is None and await seen(bench) == own
        assert [b.baseline for b in await behind(bench)] == [False]

    async def test_a_crashing_fleet_counts_its_crashes(self, bench: FleetsBench) -> None:
        """It is started again and again, and says how it ended."""
        await bench.fleets.launch(order(bench.crashing, 1))
        fleet = await until(bench, lambda f: f is not None and f.instances[0].restarts >= 2, "two crashes")
        assert fleet.ready == 0
        assert fleet.instances[0].last_exit == "exit 1"

    async def test_a_fleet_that_is_never_healthy_is_never_ready(self, bench: FleetsBench) -> None:
        """And has nothing at the gateway."""
        await bench.fleets.launch(order(bench.never_healthy, 1))
        await bench.wait(0.5)
        fleet = await seen(bench)
        assert fleet is not None
        assert fleet.ready == 0
        assert fleet.instances[0].state is InstanceState.STARTING
        assert [e for b in await behind(bench) for e in b.endpoints] == []

    async def test_nothing_starts_from_a_damaged_image(self, bench: FleetsBench) -> None:
        """Law 6; and the slot stays empty."""
        with pytest.raises(ImageRejected):
            await bench.fleets.launch(order(bench.damaged, 1))
        assert await seen(bench) is None

    async def test_nothing_starts_from_an_image_that_is_not_there(self, bench: FleetsBench) -> None:
        """It says so at once."""
        missing = structs.replace(order(bench.good, 1), image=f"sha256:{0:064x}")
        with pytest.raises(NotFound):
            await bench.fleets.launch(missing)
        assert await seen(bench) is None

    async def test_instances_have_logs(self, bench: FleetsBench) -> None:
        """Of all instances in order of time, or of one; as many lines as asked for."""
        await bench.fleets.launch(order(bench.good, 2))
        fleet = await until(bench, is_ready(2), "two ready")
        lines = [line async for line in bench.fleets.logs("hello")]
        assert {line.instance for line in lines} == {i.name for i in fleet.instances}
        assert [line.at for line in lines] == sorted(line.at for line in lines)
        one = [line async for line in bench.fleets.logs("hello", instance="hello-blue-r1-2", lines=1)]
        assert [line.instance for line in one] == ["hello-blue-r1-2"]

    async def test_only_the_services_fleets_are_told(self, bench: FleetsBench) -> None:
        """`observe` of a service leaves others out; of none, it tells all."""
        other = structs.replace(BLUE, service="other")
        await bench.fleets.launch(order(bench.good, 1))
        await bench.fleets.launch(order(bench.good, 1, slot=other))
        assert [f.slot for f in await bench.fleets.observe("other")] == [other]
        assert {f.slot for f in await bench.fleets.observe()} == {BLUE, other}
