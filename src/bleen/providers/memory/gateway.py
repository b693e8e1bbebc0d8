"""Gateways in memory, with every fault that a real one has. For tests and dry runs.

`MemoryGateway` and `MemoryBackends` are the two halves of one `MemoryGateways`, as the files of an Envoy are.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bleen.domain.errors import BleenError, InvalidInput, LawBroken, NotConverged, Unreachable
from bleen.domain.listing import Listing, named, owners, refuse, service_key
from bleen.domain.traffic import Backend, BackendSeen, EndpointSeen, GatewaySeen, Route


class MemoryRegion:
    """The gateway of one region, and what is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answers = True
        """False: it is silent; what is written to it arrives all the same, as in a file."""
        self.late = 0
        """The next writes to it are seen only after so many observations; writing them again does not help."""
        self.loses = 0
        """So many of the next writes never arrive."""
        self.stale = False
        """True: it reports what it had when this was set."""
        self.listings: dict[str, Listing] = {}
        self.backends: dict[str, Backend] = {}
        self._coming: list[tuple[int, Listing]] = []
        self._reported: dict[str, Listing] = {}

    def ask(self) -> None:
        """Raise Unreachable where it is silent."""
        if not self.answers:
            raise Unreachable(f"gateway {self.name} did not answer", next="bleen doctor")

    def write(self, listing: Listing) -> None:
        """Take ``listing``, as well as the faults allow; NotConverged where it is not there at once."""
        if self.loses:
            self.loses -= 1
            raise NotConverged(f"gateway {self.name} did not take the routes", why="the write was lost", next="bleen doctor")
        self._coming.append((self.late, listing))
        if self.late or self.stale or not self.answers:
            raise NotConverged(f"gateway {self.name} did not take the routes", why="it is slow", next="bleen doctor")
        self.look()

    def look(self) -> Mapping[str, Listing]:
        """Return the listings as an observation finds them; each look brings late writes nearer."""
        arrived = [listing for left, listing in self._coming if left <= 0]
        self._coming = [(left - 1, listing) for left, listing in self._coming if left > 0]
        for listing in arrived:
            held = self.listings.get(listing.key)
            if held is None or held.generation <= listing.generation:
                self.listings[listing.key] = listing
        if not self.stale:
            self._reported = dict(self.listings)
        return self._reported

    def written(self) -> Mapping[str, Listing]:
        """Return what it has or is about to have."""
        coming = {listing.key: listing for _, listing in sorted(self._coming, key=lambda each: each[1].generation)}
        return self.listings | coming


class MemoryGateways:
    """The gateways of ``regions``, and what stands behind them."""

    def __init__(self, regions: Iterable[str] = ("local",)) -> None:
        self.regions = {name: MemoryRegion(name) for name in regions}
        self.sick: set[str] = set()
        """The addresses of instances that a gateway finds unhealthy."""
        self.active: dict[tuple[str, str], int] = {}
        """Requests under way, by backend and address, at each gateway."""
        self.splits: list[Route] = []
        """Every route that was set, in order."""
        self.always_route = False
        """Whether they cannot be without a route: some products' rules refer to something, always."""


class MemoryGateway:
    """Keeps the port `Gateway`."""

    def __init__(self, gateways: MemoryGateways) -> None:
        self.gateways = gateways
        self._ports: dict[str, int] = {}

    def service_port(self, environment: str, service: str) -> int | None:
        """Return the port that the service has of its own; None before its first route, and after its last."""
        return self._ports.get(service_key(environment, service))

    async def set_route(self, route: Route, generation: int) -> None:
        """Give every gateway ``route``, and return when each one reports it."""
        self._put(Listing(route.environment, route.service, generation, route))
        self.gateways.splits.append(route)
        self._ports.setdefault(service_key(route.environment, route.service), max(self._ports.values(), default=8099) + 1)

    async def remove_route(self, environment: str, service: str, generation: int) -> None:
        """Answer 404 for the service at every gateway."""
        if self.gateways.always_route:
            raise InvalidInput(f"the gateway cannot be without a route to {service}", why="it is of a kind that cannot")
        self._put(Listing(environment, service, generation))
        self._ports.pop(service_key(environment, service), None)

    def _put(self, listing: Listing) -> None:
        regions = list(self.gateways.regions.values())
        for region in regions:
            refuse(listing, region.written(), region.backends)
        late: list[BleenError] = []
        for region in regions:
            try:
                region.write(listing)
            except NotConverged as error:
                late.append(error)
        if late:
            raise late[0]

    async def observe(self, environment: str, service: str) -> Sequence[GatewaySeen]:
        """Return what each gateway *has* of the service; a silent one has ``answered`` False."""
        return [self._seen(region, environment, service) for region in self.gateways.regions.values()]

    async def hosts(self) -> Mapping[str, str]:
        """Return which service answers to which host name."""
        found: dict[str, str] = {}
        for region in self.gateways.regions.values():
            region.ask()
            found |= owners(region.look())
        return found

    def _seen(self, region: MemoryRegion, environment: str, service: str) -> GatewaySeen:
        seen = GatewaySeen(gateway=region.name, region=region.name, answered=region.answers)
        if not region.answers:
            return seen
        listing = region.look().get(service_key(environment, service)) or Listing(environment, service, 0)
        mine = [b for _, b in sorted(region.backends.items()) if (b.environment, b.service) == (environment, service)]
        return msgspec.structs.replace(
            seen,
            route=listing.route,
            generation=listing.generation,
            backends=tuple(self._backend_seen(backend) for backend in mine),
        )

    def _backend_seen(self, backend: Backend) -> BackendSeen:
        return BackendSeen(
            colour=backend.colour,
            release=backend.release,
            baseline=backend.baseline,
            endpoints=tuple(
                EndpointSeen(
                    endpoint=endpoint,
                    healthy=endpoint.address not in self.gateways.sick,
                    active=self.gateways.active.get((backend.name, endpoint.address), 0),
                )
                for endpoint in backend.endpoints
            ),
        )


class MemoryBackends:
    """Keeps the port `Backends`."""

    def __init__(self, gateways: MemoryGateways) -> None:
        self.gateways = gateways

    async def set_backend(self, backend: Backend) -> None:
        """Give every gateway exactly these endpoints, and return when each one reports them."""
        for region in self.gateways.regions.values():
            region.backends[backend.name] = backend
        for region in self.gateways.regions.values():
            region.ask()

    async def remove_backend(self, name: str) -> None:
        """Forget the backend; LawBroken(3) where a gateway is observed to route to it."""
        for region in self.gateways.regions.values():
            region.ask()
            if self._routes_to(region, name):
                raise LawBroken(3, f"gateway {region.name} still has a route to {name}")
        for region in self.gateways.regions.values():
            region.backends.pop(name, None)

    async def routed(self, name: str) -> bool:
        """Return whether some gateway is observed to name the backend in a route; True where one is silent."""
        regions = self.gateways.regions.values()
        return any(not region.answers or self._routes_to(region, name) for region in regions)

    def _routes_to(self, region: MemoryRegion, name: str) -> bool:
        return any(name in named(listing.route) for listing in region.look().values() if listing.route)

    async def active(self, name: str, address: str) -> int:
        """Return the requests under way to one endpoint, over all gateways that answer."""
        answering = sum(region.answers for region in self.gateways.regions.values())
        return self.gateways.active.get((name, address), 0) * answering
