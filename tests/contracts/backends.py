"""The kit of the port `Backends`: subclass `BackendsContract`.

It needs the fixtures ``gateway`` and ``backends``, over the same gateways.
"""

import asyncio

import pytest

from bleen.domain.errors import LawBroken
from bleen.domain.traffic import Backend, BackendSeen, Colour, Endpoint
from bleen.ports import Backends, Gateway
from tests.contracts.gateway import BLUE, GREEN, a_backend, a_route, both_colours, fair, seen_by_all

HERE = tuple(Endpoint(address=f"127.76.0.{n}", port=9) for n in range(1, 5))
"""Endpoints where nobody listens: membership does not depend on health."""
NAME = "dev.hello.blue.r1"
BESIDE = "dev.hello.blue-baseline.r1"


class BackendsContract:
    """What the port promises."""

    async def test_a_backend_is_exactly_what_was_set(self, gateway: Gateway, backends: Backends) -> None:
        """Endpoints come and go; the last order is what every gateway reports."""
        for endpoints in (HERE[:1], HERE, HERE[2:], HERE[:2], ()):
            await backends.set_backend(a_backend(Colour.BLUE, 1, *endpoints))
            (seen,) = (await seen_by_all(gateway)).backends
            assert (seen.colour, seen.release) == (Colour.BLUE, 1)
            assert {each.endpoint for each in seen.endpoints} == set(endpoints)

    async def test_another_health_path_is_taken(self, gateway: Gateway, backends: Backends) -> None:
        """How a backend is probed can change while its endpoints stay."""
        plain = a_backend(Colour.BLUE, 1, *HERE)
        await backends.set_backend(plain)
        await backends.set_backend(
            Backend("dev", "hello", Colour.BLUE, 1, HERE, health_path="/up", health_interval=0.5, health_timeout=0.25)
        )
        await backends.set_backend(plain)
        assert len((await seen_by_all(gateway)).backends) == 1

    async def test_many_orders_at_once_all_arrive(self, gateway: Gateway, backends: Backends) -> None:
        """Orders that come together are carried out together."""
        await asyncio.gather(*(backends.set_backend(a_backend(Colour.BLUE, n, *HERE)) for n in range(1, 21)))
        seen: tuple[BackendSeen, ...] = (await seen_by_all(gateway)).backends
        assert {each.release for each in seen} == set(range(1, 21))

    async def test_services_do_not_see_each_other(self, gateway: Gateway, backends: Backends) -> None:
        """A service named as the beginning of another has backends of its own."""
        await backends.set_backend(a_backend(Colour.BLUE, 1, service="hello-again"))
        assert (await seen_by_all(gateway)).backends == ()

    async def test_a_backend_in_no_route_can_be_removed(self, gateway: Gateway, backends: Backends) -> None:
        """Removed once or twice, it is gone."""
        await backends.set_backend(a_backend(Colour.BLUE, 1, *HERE))
        await backends.remove_backend(NAME)
        await backends.remove_backend(NAME)
        assert (await seen_by_all(gateway)).backends == ()

    async def test_law_3_a_backend_in_a_route_stays(self, gateway: Gateway, backends: Backends) -> None:
        """With weight or without: what a gateway names is not removed."""
        await both_colours(backends)
        await gateway.set_route(a_route(GREEN), 1)
        for name in (NAME, "dev.hello.green.r2"):
            assert await backends.routed(name)
            with pytest.raises(LawBroken):
                await backends.remove_backend(name)
        await gateway.set_route(a_route(GREEN, blue=None), 2)
        assert not await backends.routed(NAME)
        await backends.remove_backend(NAME)

    async def test_law_3_a_baseline_fleet_in_a_route_stays(self, gateway: Gateway, backends: Backends) -> None:
        """It is named only where it has a part, and apart from the fleet in its colour; then it can go, and that one stays."""
        await both_colours(backends)
        await gateway.set_route(fair(a_route(), 1), 1)
        for name in (NAME, BESIDE):
            assert await backends.routed(name)
            with pytest.raises(LawBroken):
                await backends.remove_backend(name)
        await gateway.set_route(a_route(), 2)
        assert await backends.routed(NAME) and not await backends.routed(BESIDE)
        await backends.remove_backend(BESIDE)
        seen = (await seen_by_all(gateway)).backends
        assert {(each.colour, each.release, each.baseline) for each in seen} == {
            (Colour.BLUE, 1, False),
            (Colour.GREEN, 2, False),
        }

    async def test_a_baseline_fleet_has_endpoints_of_its_own(self, gateway: Gateway, backends: Backends) -> None:
        """Of one colour and release, and yet two backends."""
        await backends.set_backend(a_backend(Colour.BLUE, 1, *HERE[:2]))
        await backends.set_backend(a_backend(Colour.BLUE, 1, *HERE[2:], baseline=True))
        seen = (await seen_by_all(gateway)).backends
        assert {each.baseline: {e.endpoint for e in each.endpoints} for each in seen} == {
            False: set(HERE[:2]),
            True: set(HERE[2:]),
        }

    async def test_a_removed_route_frees_its_backends(self, gateway: Gateway, backends: Backends) -> None:
        """After the service was removed nothing routes to them."""
        await both_colours(backends)
        await gateway.set_route(a_route(BLUE), 1)
        await gateway.remove_route("dev", "hello", 2)
        assert not await backends.routed(NAME)

    async def test_nothing_is_under_way_where_nobody_asked(self, gateway: Gateway, backends: Backends) -> None:
        """An endpoint with no request, or that is not there, has none."""
        await backends.set_backend(a_backend(Colour.BLUE, 1, *HERE))
        assert await backends.active(NAME, HERE[0].address) == 0
        assert await backends.active("dev.hello.green.r9", "127.76.9.9") == 0
