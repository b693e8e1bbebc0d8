"""What Azure Monitor counts of an Application Gateway keeps the contract of `Metrics`, but for what is declared here.

What is counted there, and what is not, is tested in `test_monitor.py`.
"""

import pytest

from bleen.ports import Metrics
from tests.azure.counting import EdgeTraffic, Reading, backend
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.flipping import FlipRun
from tests.azure.mixing import MixedRun
from tests.contracts.metrics import MetricsContract, Traffic, a_comparison, of, read_until


class Declared(MetricsContract):
    """The kit. Declared: no latencies, and no baseline fleets, which such gateways do not have."""

    timed = False

    @pytest.fixture
    def metrics(self, traffic: EdgeTraffic) -> Metrics:
        return traffic.reading

    async def test_latencies_lie_in_their_buckets(self, metrics: Metrics, traffic: Traffic) -> None:
        """Declared: Monitor has averages, and of an average nobody makes a distribution. There are none."""
        await traffic.ask(2, seconds=0.3)
        counted = of(await read_until(metrics, self.has(2, 1)), 2)
        assert (counted.latency.total, counted.latency.quantile(0.95)) == (0, None)

    async def test_a_baseline_fleet_is_told_apart(self, metrics: Metrics, traffic: Traffic) -> None:
        """Declared: there is none. To ask for it is to ask of another epoch all the same."""
        plain, fair = await metrics.read(a_comparison()), await metrics.read(a_comparison(fair=True))
        assert plain.epoch != fair.epoch


class TestMixed(Declared):
    """Both releases in one pool, told apart by the addresses of machines."""

    @pytest.fixture
    async def traffic(self, cloud: Cloud, pools: Edge, mixing: MixedRun) -> EdgeTraffic:
        places = {release: ("hello", f"10.0.0.{release}") for release in (1, 2)}
        for release, (_, address) in places.items():
            await mixing.backends.set_backend(backend(release, address))
        reading = Reading(cloud, mixing.there, mixing.mixed.blob)
        await reading.go_on(3)
        return EdgeTraffic(cloud, pools, reading, places)


class TestFlip(Declared):
    """Each release in the pool of its colour, behind the address of a load balancer."""

    @pytest.fixture
    async def traffic(self, cloud: Cloud, edge: Edge, flipping: FlipRun) -> EdgeTraffic:
        for release in (1, 2):
            await flipping.backends.set_backend(backend(release, f"10.9.9.{release}"))
        reading = Reading(cloud, flipping.there, flipping.flip.blob)
        await reading.go_on(3)
        return EdgeTraffic(cloud, edge, reading, {1: ("hello-blue", "10.0.0.7"), 2: ("hello-green", "10.0.0.8")})
