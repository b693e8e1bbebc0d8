"""Every request that a client sent is counted once, whatever becomes of the instances meanwhile."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.signals import Sample
from bleen.domain.traffic import Colour, Endpoint
from bleen.providers.envoy.admin import Admin
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.envoy.gateway import EnvoyGateway
from bleen.providers.envoy.meter import COUNTERS, ClusterSeen, Meter
from bleen.providers.envoy.process import envoy_argv, is_serving, write_bootstrap
from bleen.providers.envoy.stats import EnvoyMetrics
from bleen.providers.load import Generator, Load
from bleen.providers.odometer import Odometer
from tests.contracts.gateway import GREEN, a_route
from tests.contracts.metrics import a_comparison, has, of, read_until
from tests.fixtures.envoy import EnvoyRun, Instances, until
from tests.providers.envoy.world import World

LOADS = {"GET": ("/", 250.0), "POST": ("/slow/0.6", 50.0)}
"""How often, and what: what is asked by POST is asked once, so that an instance that is killed under it fails it."""


@pytest.fixture
async def metrics(world: World) -> AsyncIterator[EnvoyMetrics]:
    metrics = EnvoyMetrics([world.place])
    yield metrics
    await metrics.close()


@asynccontextmanager
async def load(world: World) -> AsyncIterator[Counter[str]]:
    """Ask all the while; when the block is left, the counter tells how many answers of each class were seen."""
    loads = [
        Load(world.place.port, rate, host="hello.localhost", path=path, method=method) for method, (path, rate) in LOADS.items()
    ]
    generators = [Generator(each) for each in loads]
    tasks = [asyncio.create_task(each.run()) for each in generators]
    seen: Counter[str] = Counter()
    yield seen
    for generator in generators:
        generator.stop()
    for outcome in await asyncio.gather(*tasks):
        seen.update("2xx" if not sample.failure else f"{sample.failure[0]}xx" for sample in outcome.samples)


async def watch(metrics: EnvoyMetrics, seen: list[Sample]) -> None:
    """Read each second, as one who watches a rollout does."""
    while True:
        seen.append(await metrics.read(a_comparison()))
        await asyncio.sleep(1)


async def test_changes_of_a_backend_lose_no_request(world: World, metrics: EnvoyMetrics) -> None:
    """Instances come, go and are killed under load; classes, failures and latencies are what the clients saw."""
    first, second = await world.fill(Colour.GREEN, 2, "g1", "g2")
    third = await world.instances.start("g3")
    await world.gateway.set_route(a_route(GREEN, blue=None), 1)
    read: list[Sample] = []
    watching = asyncio.create_task(watch(metrics, read))

    async def have(*endpoints: Endpoint) -> None:
        await world.backends.set_backend(world.backend(Colour.GREEN, 2, endpoints))

    async with load(world) as seen:
        for endpoints in ((first, second, third), (first, second), (first, second, third)):
            await asyncio.sleep(0.5)
            await have(*endpoints)
        await asyncio.sleep(0.5)
        world.instances.signal("g1", signal.SIGKILL)
        await have(second, third)
        await asyncio.sleep(0.5)
        world.instances.signal("g2", signal.SIGKILL)
        await have()  # so that some fail on any machine, wherever the requests were when the two were killed
        await asyncio.sleep(0.3)
        await have(third)
        await asyncio.sleep(0.5)
    watching.cancel()
    last = of(await read_until(metrics, lambda s: of(s, 2).latency.total >= seen["2xx"]), 2)
    assert seen.keys() == {"2xx", "5xx"}
    assert (last.classes, last.failed) == (seen, seen["5xx"])
    assert last.latency.total == seen["2xx"]
    told = [of(sample, 2).requests for sample in read]
    assert len(told) >= 3 and told == sorted(told)


async def test_a_release_that_is_emptied_keeps_its_counts(world: World, metrics: EnvoyMetrics) -> None:
    """Its last instance leaves, the gateway's own 503s count, and another instance comes."""
    endpoints = await world.fill(Colour.GREEN, 2, "g1")
    await world.gateway.set_route(a_route(GREEN, blue=None), 1)
    for number in range(3):
        for have, status in ((endpoints, 200), ((), 503)):
            await world.backends.set_backend(world.backend(Colour.GREEN, 2, have))
            assert (await world.ask()).status_code == status
        assert of(await metrics.read(a_comparison()), 2).classes == {"2xx": number + 1, "5xx": number + 1}


async def test_a_service_counts_once_whatever_port_was_asked(world: World, metrics: EnvoyMetrics) -> None:
    """Its own port and the shared one count in one place, which another service's port does not disturb."""
    await world.fill(Colour.GREEN, 2, "g1")
    await world.gateway.set_route(a_route(GREEN, blue=None), 1)
    port = world.gateway.service_port("dev", "hello")
    own = replace(world, place=msgspec.structs.replace(world.place, port=port))
    for where in (world, own):
        assert (await where.ask()).status_code == 200
    await world.gateway.set_route(a_route(GREEN, blue=None, green=None, service="other"), 1)
    for where in (world, own):
        assert (await where.ask()).status_code == 200
    assert of(await metrics.read(a_comparison()), 2).classes == {"2xx": 4}


async def test_the_gateway_forgets_what_nobody_asks_for(home: Path, instances: Instances) -> None:
    """Releases come and go for years: counters that no request meets are given up, and the sums go on."""
    run = EnvoyRun(home)
    place = run.place
    write_bootstrap(place)
    config = msgspec.json.decode(place.bootstrap.read_bytes()) | {"stats_eviction_interval": "1s"}
    place.bootstrap.write_bytes(msgspec.json.encode(config))
    process = await asyncio.create_subprocess_exec(*envoy_argv(place))
    world = World(place, EnvoyGateway([place], home / "gateway", services=0), EnvoyBackends([place]), instances)
    metrics, admin = EnvoyMetrics([place]), Admin(place)
    try:
        await until(lambda: is_serving(place))
        await world.fill(Colour.GREEN, 2, "g1")
        await world.gateway.set_route(a_route(GREEN, blue=None), 1)
        for requests in (1, 2):
            await world.ask()
            await read_until(metrics, has(2, requests))
            await until(lambda: forgotten(admin))
            assert has(2, requests)(await metrics.read(a_comparison()))
    finally:
        process.kill()
        await process.wait()
        for each in (metrics, admin, world.gateway, world.backends):
            await each.close()


async def forgotten(admin: Admin) -> bool:
    """Return whether it counts nothing any more."""
    await asyncio.sleep(0.1)
    return not (await admin.stats("bleen[.](request|latency)[.].*")).values


few = st.integers(0, 5)
steps = st.lists(
    st.tuples(
        st.dictionaries(st.tuples(st.sampled_from([0, 101, 200, 404, 503]), st.sampled_from(["-", "UPE", "DC", "UC,DC"])), few),
        st.dictionaries(st.sampled_from(COUNTERS), few),
    ),
    max_size=6,
)


@given(steps, st.data())
def test_sums_never_go_down_whatever_was_forgotten(grown: list[tuple[Any, Any]], data: st.DataObject) -> None:
    """Each counter grows, or begins anew: the sums, failures among them, only grow, and no more failed than were asked."""
    where = ("local", "dev.hello.green.r2")
    meter, ended, values = Meter(Odometer()), Counter[Any](), Counter[str]()
    before = meter.count(2, [where[1]], {})
    for more_ended, more_values in grown:
        for forgotten in data.draw(st.lists(st.sampled_from(sorted(ended)), unique=True)) if ended else ():
            del ended[forgotten]
        ended.update(more_ended)
        values.update(more_values)
        now = meter.count(2, [where[1]], {where: ClusterSeen(dict(ended), {}, dict(values))})
        assert before.failed <= now.failed <= now.requests
        assert all(now.classes.get(name, 0) >= count for name, count in before.classes.items())
        assert now.reasons.get("broken", 0) >= before.reasons.get("broken", 0)
        before = now
