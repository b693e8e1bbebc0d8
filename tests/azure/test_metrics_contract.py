"""What two Envoys count, as their agents report it, keeps the contract of `Metrics`: requests go to one and to the other."""

import itertools

import pytest

from bleen.providers.azure.metrics import AzureMetrics
from tests.azure.tier import TierRun
from tests.contracts.metrics import MetricsContract
from tests.fixtures.envoy import Instances, until
from tests.providers.envoy.test_stats import EnvoyTraffic, both_releases
from tests.providers.envoy.world import World


class TierTraffic(EnvoyTraffic):
    """Real requests through a tier of real Envoys, in turn."""

    def __init__(self, tier: TierRun, world: World) -> None:
        super().__init__(tier.members[0].envoy, world)
        self._tier = tier
        self._turns = itertools.cycle(member.envoy.place for member in tier.members)

    async def ask(self, release: int, status: int = 200, seconds: float = 0.0, *, baseline: bool = False) -> None:
        self.world.place = next(self._turns)
        await super().ask(release, status, seconds, baseline=baseline)

    async def silence(self) -> None:
        await super().silence()
        await self._reported(answered=False)

    async def restart(self) -> None:
        await self.silence()
        await self.envoy.start()
        await self._reported(answered=True)

    async def _reported(self, *, answered: bool) -> None:
        async def reported() -> bool:
            seen = await self._tier.gateway.observe("dev", "hello")
            return [each.answered for each in seen] == [answered, True]

        await until(reported)


@pytest.fixture
def metrics(tier: TierRun) -> AzureMetrics:
    return AzureMetrics(tier.tier)


@pytest.fixture
async def traffic(tier: TierRun, instances: Instances) -> TierTraffic:
    world = World(tier.members[0].envoy.place, tier.gateway, tier.backends, instances)  # type: ignore[arg-type]
    await both_releases(world)
    return TierTraffic(tier, world)


class TestAzureMetrics(MetricsContract):
    """The kit."""
