"""A gateway that flips keeps the contracts of `Gateway` and `Backends`, but for what it declares that it cannot.

What is declared is tested in `test_flip.py`: refused in our own words, with nothing changed.
"""

import pytest

from bleen.domain.errors import InvalidInput, StaleGeneration
from bleen.domain.traffic import Colour, Route
from bleen.ports import Backends, Gateway
from tests.azure.flipping import FlipRun
from tests.contracts.backends import HERE, NAME, BackendsContract
from tests.contracts.gateway import BLUE, GREEN, GatewayContract, a_backend, a_route, both_colours, seen_by_all


@pytest.fixture
def gateway(flipping: FlipRun) -> Gateway:
    return flipping.gateway


@pytest.fixture
def backends(flipping: FlipRun) -> Backends:
    return flipping.backends


class TestFlipGateway(GatewayContract):
    """The kit. Declared: no shares, cohorts, copies, affinity or baseline; no removal; names are Terraform's."""

    @pytest.mark.parametrize(
        "route",
        [
            a_route(),
            a_route(GREEN, preview=Colour.BLUE),
            a_route(blue=None, green=None),
            a_route(BLUE, green=None, preview=Colour.BLUE),
            a_route(GREEN, hosts=("Hello.Example.com", "hello.localhost")),
        ],
    )
    async def test_what_was_set_is_what_is_observed(self, gateway: Gateway, backends: Backends, route: Route) -> None:
        """Every route of one colour comes back, with its generation."""
        await super().test_what_was_set_is_what_is_observed(gateway, backends, route)

    async def test_an_older_generation_is_refused(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: no removal. A split that was decided before the one in force loses all the same."""
        await both_colours(backends)
        await gateway.set_route(a_route(GREEN), 5)
        with pytest.raises(StaleGeneration):
            await gateway.set_route(a_route(BLUE), 4)
        assert (await seen_by_all(gateway)).route == a_route(GREEN)

    async def test_no_cohort_and_no_copies_to_a_backend_that_is_not_known(  # type: ignore[override]
        self, gateway: Gateway, backends: Backends
    ) -> None:
        """Declared: there are neither."""

    async def test_it_says_who_answers_to_which_name(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: no removal. Previews included."""
        assert await gateway.hosts() == {}
        await both_colours(backends)
        await gateway.set_route(a_route(hosts=("Hello.localhost",)), 1)
        assert await gateway.hosts() == {"hello.localhost": "dev/hello", "preview.hello.localhost": "dev/hello"}

    async def test_a_removed_service_has_no_route(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: it cannot be removed, and its route stays."""
        await both_colours(backends)
        await gateway.set_route(a_route(), 3)
        with pytest.raises(InvalidInput, match="cannot answer 404"):
            await gateway.remove_route("dev", "hello", 4)
        assert (await seen_by_all(gateway)).route == a_route()


class TestFlipBackends(BackendsContract):
    """The kit. Declared: no baseline fleet in a route; requests under way are not counted; no removal."""

    async def test_law_3_a_baseline_fleet_in_a_route_stays(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: there is none."""

    async def test_a_removed_route_frees_its_backends(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: a route cannot be removed; its backends stay named."""
        await both_colours(backends)
        await gateway.set_route(a_route(BLUE), 1)
        with pytest.raises(InvalidInput):
            await gateway.remove_route("dev", "hello", 2)
        assert await backends.routed(NAME)

    async def test_nothing_is_under_way_where_nobody_asked(self, gateway: Gateway, backends: Backends) -> None:
        """Declared: nobody counts. Who leaves has its whole time, as if one request were always under way."""
        await backends.set_backend(a_backend(Colour.BLUE, 1, *HERE))
        assert await backends.active(NAME, HERE[0].address) == 1
