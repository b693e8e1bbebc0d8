"""What an Envoy counts, against requests that were really sent."""

from collections.abc import AsyncIterator

import pytest

from bleen.domain.traffic import Colour, Route, Split
from bleen.providers.envoy.stats import EnvoyMetrics
from tests.contracts.metrics import MetricsContract
from tests.fixtures.envoy import EnvoyRun
from tests.fixtures.misbehaving import Misbehaving
from tests.providers.envoy.world import World


@pytest.fixture
async def metrics(envoy: EnvoyRun) -> AsyncIterator[EnvoyMetrics]:
    metrics = EnvoyMetrics([envoy.place])
    yield metrics
    await metrics.close()


@pytest.fixture
async def server() -> AsyncIterator[Misbehaving]:
    async with Misbehaving() as server:
        yield server


@pytest.fixture
async def traffic(envoy: EnvoyRun, world: World) -> "EnvoyTraffic":
    traffic = EnvoyTraffic(envoy, world)
    await world.fill(Colour.BLUE, 1, "b1")
    await world.fill(Colour.GREEN, 2, "g1")
    await world.gateway.set_route(a_route(), 1)
    return traffic


def a_route(weight: int = 5_000) -> Route:
    """Return the route of a canary."""
    return Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN, weight), blue=1, green=2)


class EnvoyTraffic:
    """Real requests through a real Envoy."""

    def __init__(self, envoy: EnvoyRun, world: World) -> None:
        self.envoy = envoy
        self.world = world

    async def ask(self, release: int, status: int = 200, seconds: float = 0.0) -> None:
        path = f"/slow/{seconds}" if seconds else f"/status/{status}"
        answer = await self.world.ask(path, x_bleen_release=f"r{release}")
        assert answer.status_code == status and answer.headers["x-bleen-release"] == f"r{release}"

    async def silence(self) -> None:
        self.envoy.kill()

    async def restart(self) -> None:
        self.envoy.kill()
        await self.envoy.start()


class TestEnvoyKeepsThePort(MetricsContract):
    """Real Envoy, real requests."""
