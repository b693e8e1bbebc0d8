"""What load balancers ask of an Envoy that has its machine to itself."""

from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec.structs import replace

from bleen.domain.listing import Listing
from bleen.domain.traffic import Colour
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.envoy.gateway import RouteTable
from bleen.providers.envoy.place import PROBE_PATH, Probes
from bleen.providers.envoy.ports import ServicePorts
from tests.contracts.gateway import BLUE, GREEN, a_route, both_colours
from tests.fixtures.envoy import EnvoyRun

INSIDE, SOURCE = "gateway.internal", "127.0.0.77"


@pytest.fixture
async def table(envoy: EnvoyRun) -> AsyncIterator[RouteTable]:
    envoy.place = replace(envoy.place, probes=Probes(INSIDE, SOURCE))
    yield (made := make(envoy))
    await made.admin.close()


def make(envoy: EnvoyRun) -> RouteTable:
    return RouteTable(envoy.place, ServicePorts(envoy.place.folder / "no-ports.json", 0, [envoy.place.address]))


async def asked(
    envoy: EnvoyRun, host: str = INSIDE, path: str = PROBE_PATH, source: str = "127.0.0.1", before: str = ""
) -> int:
    """Return what is answered to who asks from ``source``, and says that it asks for those ``before`` it."""
    transport = httpx.AsyncHTTPTransport(local_address=source)
    headers = {"host": host} | ({"x-forwarded-for": before} if before else {})
    async with httpx.AsyncClient(trust_env=False, transport=transport) as client:
        url = f"http://{envoy.place.address}:{envoy.place.port}{path}"
        return (await client.get(url, headers=headers)).status_code


async def test_an_envoy_is_well_once_it_has_all_of_its_routes(
    envoy: EnvoyRun, table: RouteTable, backends: EnvoyBackends
) -> None:
    """Not with the first of them; then for good, whatever is changed, and whoever is started anew."""
    await both_colours(backends)
    await table.put(Listing("dev", "hello", 1, a_route(BLUE)))
    assert await asked(envoy) == 404
    await table.open()
    assert await asked(envoy) == await asked(envoy, f"{INSIDE}:{envoy.place.port}") == 200
    envoy.kill()
    await envoy.start()
    assert await asked(envoy) == 200
    later = make(envoy)
    await later.put(Listing("dev", "hello", 2, a_route(GREEN)))
    assert await asked(envoy) == 200
    seen = await later.observe("dev", "hello")
    assert seen.route is not None and seen.route.split.weight(Colour.GREEN) == 10_000
    await later.admin.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "anybody.example"])
async def test_a_load_balancer_asks_by_any_name(envoy: EnvoyRun, table: RouteTable, host: str) -> None:
    """It is known by its address, and nobody else is, whoever they say they are."""
    assert await asked(envoy, host, source=SOURCE) == 404
    await table.open()
    assert await asked(envoy, host, source=SOURCE) == 200
    assert await asked(envoy, host, "/", source=SOURCE) == await asked(envoy, host) == 404
    assert await asked(envoy, host, before=SOURCE) == await asked(envoy, host, source=SOURCE, before="10.0.0.9") == 404


async def test_what_is_asked_belongs_to_no_service(envoy: EnvoyRun, table: RouteTable) -> None:
    """Other hosts and other paths are as they were, and an Envoy that nobody probes has no such host."""
    await table.open()
    assert await asked(envoy, "hello.localhost") == await asked(envoy, path="/") == 404
    envoy.place = replace(envoy.place, probes=None)
    other = make(envoy)
    await other.open()
    await other.put(Listing("dev", "hello", 1))
    assert await asked(envoy) == 404
    await other.admin.close()
