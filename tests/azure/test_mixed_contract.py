"""A gateway that mixes keeps the contracts of `Gateway` and `Backends`, but for what it declares that it cannot.

What is declared is tested in `test_mixed.py`: refused in our own words, with nothing changed.
"""

import pytest

from bleen.domain.errors import StaleGeneration
from bleen.domain.traffic import Colour, Route, Split
from bleen.ports import Backends, Gateway
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.mixing import MixedRun, machine
from tests.contracts.backends import HERE, NAME, BackendsContract
from tests.contracts.gateway import BLUE, GREEN, GatewayContract, a_backend, a_route, both_colours, seen_by_all


@pytest.fixture
def gateway(mixing: MixedRun) -> Gateway:
    return mixing.gateway


@pytest.fixture
def backends(cloud: Cloud, mixing: MixedRun) -> Backends:
    """The endpoints of the kit are those of machines: one half of each colour."""
    for number, endpoint in enumerate(HERE):
        name = machine("hello", list(Colour)[number % 2], number)
        cloud.nics.make(name.rpartition("_")[0], name, endpoint.address)
    return mixing.backends


class TestMixedGateway(GatewayContract):
    """The kit. Declared: shares of machines that are there, no cohorts, copies, affinity or baseline; names are Terraform's."""

    @pytest.mark.parametrize(
        "route",
        [
            a_route(),
            a_route(Split(blue=5000, green=5000), preview=Colour.GREEN),
            a_route(GREEN, preview=Colour.BLUE),
            a_route(blue=None, green=None),
            a_route(BLUE, green=None, preview=Colour.BLUE),
            a_route(GREEN, hosts=("Hello.Example.com", "hello.localhost")),
        ],
    )
    async def test_what_was_set_is_what_is_observed(self, gateway: Gateway, backends: Backends, route: Route) -> None:
        """Every route that the machines can give comes back, with its generation."""
        await both_colours(backends)
        await backends.set_backend(a_backend(Colour.BLUE, 1, HERE[0], HERE[2]))
        await backends.set_backend(a_backend(Colour.GREEN, 2, HERE[1], HERE[3]))
        await gateway.set_route(route, 7)
        seen = await seen_by_all(gateway)
        assert (seen.route, seen.generation) == (route, 7)

    async def test_no_cohort_and_no_copies_to_a_backend_that_is_not_known(  # type: ignore[override]
        self, gateway: Gateway, backends: Backends
    ) -> None:
        """Declared: there are neither."""

    async def test_a_removed_service_has_no_route(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: its host stays its own, for the listener is Terraform's. Its generation stays, too."""
        await both_colours(backends)
        await gateway.set_route(a_route(), 3)
        await gateway.remove_route("dev", "hello", 4)
        await gateway.remove_route("dev", "hello", 4)
        seen = await seen_by_all(gateway)
        assert (seen.answered, seen.route, seen.generation) == (True, None, 4)
        with pytest.raises(StaleGeneration):
            await gateway.set_route(a_route(), 3)


class TestMixedBackends(BackendsContract):
    """The kit. Declared: no baseline fleet in a route; requests under way are not counted."""

    async def test_law_3_a_baseline_fleet_in_a_route_stays(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: there is none."""

    async def test_nothing_is_under_way_where_nobody_asked(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: nobody counts. Who leaves has its whole time, as if one request were always under way."""
        await backends.set_backend(a_backend(Colour.BLUE, 1, *HERE))
        assert await backends.active(NAME, HERE[0].address) == 1

    async def test_membership_follows_what_was_set(self, gateway: Gateway, backends: Backends, pools: Edge) -> None:
        """With a route, who comes enters the pool, and who goes has left it when the order returns."""
        await both_colours(backends)
        await gateway.set_route(a_route(BLUE), 1)
        for endpoints in ((HERE[0],), (HERE[0], HERE[2]), (HERE[2],)):
            await backends.set_backend(a_backend(Colour.BLUE, 1, *endpoints))
            assert len(pools.members["hello"]) == len(endpoints)
