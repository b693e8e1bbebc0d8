"""The kit of the port `Gateway`: subclass `GatewayContract`.

It needs the fixtures ``gateway`` and ``backends``, over the same gateways.
"""

import asyncio

import msgspec
import pytest

from bleen.domain.errors import InvalidInput, NotFound, StaleGeneration
from bleen.domain.traffic import (
    Backend,
    Baseline,
    Colour,
    CookieCohort,
    Endpoint,
    GatewaySeen,
    HeaderCohort,
    Mirror,
    Route,
    Split,
    Sticky,
)
from bleen.ports import Backends, Gateway

BLUE, GREEN = Split.of(Colour.BLUE), Split.of(Colour.GREEN)


def a_route(
    split: Split = BLUE,
    *,
    service: str = "hello",
    blue: int | None = 1,
    green: int | None = 2,
    preview: Colour | None = None,
    hosts: tuple[str, ...] = (),
) -> Route:
    return Route(
        environment="dev",
        service=service,
        hosts=hosts or (f"{service}.localhost",),
        split=split,
        blue=blue,
        green=green,
        preview=preview,
    )


COHORTS = (HeaderCohort("x-team", "a.b|c"), CookieCohort("beta", "yes"), HeaderCohort("x-team", "d"))


def directed(route: Route) -> Route:
    """Return ``route`` with cohorts, copies and affinity."""
    mirror, sticky = Mirror(2500, ("GET", "POST")), Sticky("user", 3600, Colour.GREEN)
    return msgspec.structs.replace(route, cohorts=COHORTS, mirror=mirror, sticky=sticky)


def fair(route: Route, share: int) -> Route:
    """Return ``route`` with so much of what blue has for a baseline fleet of the release in blue."""
    return msgspec.structs.replace(route, baseline=Baseline(Colour.BLUE, share))


def a_backend(colour: Colour, release: int, *endpoints: Endpoint, service: str = "hello", baseline: bool = False) -> Backend:
    return Backend("dev", service, colour, release, endpoints, baseline=baseline)


async def both_colours(backends: Backends, service: str = "hello") -> None:
    """Make blue r1 and green r2 known, and a baseline fleet of r1."""
    for colour, release, baseline in ((Colour.BLUE, 1, False), (Colour.GREEN, 2, False), (Colour.BLUE, 1, True)):
        await backends.set_backend(a_backend(colour, release, service=service, baseline=baseline))


async def seen_by_all(gateway: Gateway, service: str = "hello") -> GatewaySeen:
    """Return what every gateway has of the service; they agree."""
    seen = await gateway.observe("dev", service)
    assert seen
    assert len({(each.answered, each.route, each.generation) for each in seen}) == 1
    return seen[0]


class GatewayContract:
    """What the port promises."""

    async def test_a_service_that_was_never_set_has_no_route(self, gateway: Gateway) -> None:
        """Before the first route, a gateway answers, and has nothing."""
        seen = await seen_by_all(gateway)
        assert (seen.answered, seen.route, seen.generation, seen.backends) == (True, None, 0, ())

    @pytest.mark.parametrize(
        "route",
        [
            a_route(),
            a_route(Split(blue=1, green=9999), preview=Colour.GREEN),
            a_route(blue=None, green=None),
            a_route(Split(blue=5000, green=5000), green=None, preview=Colour.BLUE),
            a_route(GREEN, hosts=("Hello.Example.com", "hello.localhost")),
            directed(a_route(Split(blue=9000, green=1000), preview=Colour.GREEN)),
            directed(a_route(GREEN, preview=Colour.BLUE)),
            directed(a_route()),
            directed(a_route(green=None, preview=Colour.GREEN)),
            fair(a_route(Split(blue=9000, green=1000), preview=Colour.GREEN), 1000),
            fair(a_route(Split(blue=5000, green=5000), preview=Colour.GREEN), 5000),
            fair(directed(a_route(Split(blue=9000, green=1000), preview=Colour.GREEN)), 2500),
        ],
    )
    async def test_what_was_set_is_what_is_observed(self, gateway: Gateway, backends: Backends, route: Route) -> None:
        """Every route comes back from the gateway equal, with its generation."""
        await both_colours(backends)
        await gateway.set_route(route, 7)
        seen = await seen_by_all(gateway)
        assert (seen.route, seen.generation) == (route, 7)

    async def test_setting_twice_is_setting_once(self, gateway: Gateway, backends: Backends) -> None:
        """The same route under the same generation is there already."""
        await both_colours(backends)
        await gateway.set_route(a_route(), 1)
        await gateway.set_route(a_route(), 1)
        assert (await seen_by_all(gateway)).route == a_route()

    async def test_an_older_generation_is_refused(self, gateway: Gateway, backends: Backends) -> None:
        """A split that was decided before the one in force loses, however late it arrives."""
        await both_colours(backends)
        await gateway.set_route(a_route(GREEN), 5)
        with pytest.raises(StaleGeneration):
            await gateway.set_route(a_route(BLUE), 4)
        with pytest.raises(StaleGeneration):
            await gateway.remove_route("dev", "hello", 4)
        assert (await seen_by_all(gateway)).route == a_route(GREEN)

    async def test_one_generation_names_one_route(self, gateway: Gateway, backends: Backends) -> None:
        """Another route under the generation in force is refused."""
        await both_colours(backends)
        await gateway.set_route(a_route(GREEN), 5)
        with pytest.raises(StaleGeneration):
            await gateway.set_route(a_route(BLUE), 5)

    async def test_of_two_at_once_the_newer_wins(self, gateway: Gateway, backends: Backends) -> None:
        """Promote and roll back, issued in the same instant and in either order: the larger generation is in force."""
        await both_colours(backends)
        for newer, older in ((2, 1), (4, 3)):
            orders = [(a_route(BLUE), newer), (a_route(GREEN), older)]
            if newer == 2:
                orders.reverse()
            outcomes = await asyncio.gather(*(gateway.set_route(*order) for order in orders), return_exceptions=True)
            assert all(outcome is None or isinstance(outcome, StaleGeneration) for outcome in outcomes)
            seen = await seen_by_all(gateway)
            assert (seen.route, seen.generation) == (a_route(BLUE), newer)

    async def test_no_weight_to_a_backend_that_is_not_known(self, gateway: Gateway, backends: Backends) -> None:
        """A route to nowhere would answer 503: it is refused, and the old one stays."""
        await both_colours(backends)
        await gateway.set_route(a_route(), 1)
        with pytest.raises(NotFound, match="r9"):
            await gateway.set_route(a_route(GREEN, green=9), 2)
        assert (await seen_by_all(gateway)).route == a_route()

    @pytest.mark.parametrize("what", ["cohorts", "mirror"])
    async def test_no_cohort_and_no_copies_to_a_backend_that_is_not_known(
        self, gateway: Gateway, backends: Backends, what: str
    ) -> None:
        """Requests that nobody could serve are refused, though the split gives it no weight."""
        await both_colours(backends)
        await gateway.set_route(a_route(), 1)
        bare = a_route(BLUE, green=9, preview=Colour.GREEN)
        with pytest.raises(NotFound, match="r9"):
            await gateway.set_route(msgspec.structs.replace(bare, **{what: getattr(directed(bare), what)}), 2)
        assert (await seen_by_all(gateway)).route == a_route()
        await gateway.set_route(bare, 2)

    async def test_a_slot_without_weight_may_come_before_its_backend(self, gateway: Gateway, backends: Backends) -> None:
        """Only weight needs instances."""
        await both_colours(backends)
        await gateway.set_route(a_route(BLUE, green=9), 1)
        assert (await seen_by_all(gateway)).route == a_route(BLUE, green=9)

    async def test_two_services_have_routes_of_their_own(self, gateway: Gateway, backends: Backends) -> None:
        """Setting one, many times and at once, leaves the other as it was."""
        for service in ("hello", "other"):
            await both_colours(backends, service)
        await asyncio.gather(gateway.set_route(a_route(), 1), gateway.set_route(a_route(GREEN, service="other"), 9))
        await gateway.set_route(a_route(GREEN), 2)
        assert (await seen_by_all(gateway)).route == a_route(GREEN)
        assert (await seen_by_all(gateway, "other")).generation == 9

    async def test_two_services_cannot_share_a_host(self, gateway: Gateway, backends: Backends) -> None:
        """A host name that another service answers to, or has as its preview, is refused by name."""
        for service in ("hello", "other"):
            await both_colours(backends, service)
        await gateway.set_route(a_route(), 1)
        for host in ("hello.localhost", "HELLO.localhost", "preview.hello.localhost"):
            with pytest.raises(InvalidInput, match=r"dev/hello"):
                await gateway.set_route(a_route(service="other", hosts=(host,)), 1)
        await gateway.set_route(a_route(service="other"), 1)

    async def test_it_says_who_answers_to_which_name(self, gateway: Gateway, backends: Backends) -> None:
        """Previews included; a removed service answers to none."""
        assert await gateway.hosts() == {}
        await both_colours(backends)
        await gateway.set_route(a_route(hosts=("Hello.localhost",)), 1)
        assert await gateway.hosts() == {"hello.localhost": "dev/hello", "preview.hello.localhost": "dev/hello"}
        await gateway.remove_route("dev", "hello", 2)
        assert await gateway.hosts() == {}

    async def test_a_host_name_that_is_none_is_refused(self, gateway: Gateway, backends: Backends) -> None:
        """What no request can name is refused before any gateway sees it."""
        await both_colours(backends)
        for host in ("*", "a b", "", "x.localhost:80"):
            with pytest.raises(InvalidInput):
                await gateway.set_route(a_route(hosts=(host,)), 1)

    async def test_a_removed_service_has_no_route(self, gateway: Gateway, backends: Backends) -> None:
        """Removed, its generation stays, so that an older route stays refused; its host is free for others."""
        for service in ("hello", "other"):
            await both_colours(backends, service)
        await gateway.set_route(a_route(), 3)
        await gateway.remove_route("dev", "hello", 4)
        await gateway.remove_route("dev", "hello", 4)
        seen = await seen_by_all(gateway)
        assert (seen.answered, seen.route, seen.generation) == (True, None, 4)
        with pytest.raises(StaleGeneration):
            await gateway.set_route(a_route(), 3)
        await gateway.set_route(a_route(service="other", hosts=("hello.localhost",)), 1)

    async def test_removing_what_is_not_there_is_no_error(self, gateway: Gateway) -> None:
        """It ensures a state."""
        await gateway.remove_route("dev", "nobody", 1)
        assert (await seen_by_all(gateway, "nobody")).route is None
