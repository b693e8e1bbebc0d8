"""Routes at one or more Envoys: written as files, believed when Envoy reports them."""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from bleen.domain.errors import BleenError, NotConverged, Unreachable
from bleen.domain.listing import Listing, owners, reached, refuse, service_key
from bleen.domain.traffic import GatewaySeen, Route
from bleen.providers.envoy.admin import Admin, RouteConfig, RoutesSeen, backend_seen
from bleen.providers.envoy.backends import stored_backends
from bleen.providers.envoy.files import writing
from bleen.providers.envoy.place import Place, Probes
from bleen.providers.envoy.ports import ServicePorts, is_free
from bleen.providers.envoy.render import PROBED, listeners, routes
from bleen.providers.envoy.table import Published, Rounds

Listings = Mapping[str, Listing]
PORT_TRIES = 3
PORT_PATIENCE = 0.5
"""Seconds for Envoy to open a port before it counts as taken."""


class EnvoyGateway:
    """Port `Gateway` over the Envoys of ``places``. ``folder`` remembers the services' own ports, from ``services`` up."""

    def __init__(self, places: Sequence[Place], folder: Path, services: int = 8100) -> None:
        self._ports = ServicePorts(folder / "service-ports.json", services, [place.address for place in places])
        self._tables = [RouteTable(place, self._ports) for place in places]

    async def close(self) -> None:
        """Give back its sockets."""
        for table in self._tables:
            await table.admin.close()

    def service_port(self, environment: str, service: str) -> int | None:
        """Return the port that the service has of its own; None before its first route, and after its last."""
        return self._ports.all().get(service_key(environment, service))

    async def set_route(self, route: Route, generation: int) -> None:
        """Give every gateway ``route``, and return when each one reports it."""
        key = service_key(route.environment, route.service)
        if self._ports.give(key):
            for table in self._tables:
                table.forget_port(key)
        await self._put(Listing(route.environment, route.service, generation, route))

    async def remove_route(self, environment: str, service: str, generation: int) -> None:
        """Answer 404 for the service at every gateway, and close the port of its own."""
        key = service_key(environment, service)
        await self._put(Listing(environment, service, generation))
        self._ports.drop(key)
        _raise_first(await asyncio.gather(*(table.close_port(key) for table in self._tables), return_exceptions=True))

    async def _put(self, listing: Listing) -> None:
        # All are asked before any is told: a refusal leaves no gateway changed. One that is silent hinders no other.
        if len(self._tables) > 1:
            asked = await asyncio.gather(*(table.check(listing) for table in self._tables), return_exceptions=True)
            _raise_first(error for error in asked if not isinstance(error, Unreachable))
        told = await asyncio.gather(*(table.put(listing) for table in self._tables), return_exceptions=True)
        _raise_first(told)

    async def observe(self, environment: str, service: str) -> Sequence[GatewaySeen]:
        """Return what each gateway *has* of the service; a silent one has ``answered`` False."""
        return await asyncio.gather(*(table.observe(environment, service) for table in self._tables))

    async def hosts(self) -> Mapping[str, str]:
        """Return which service answers to which host name at any gateway."""
        found = await asyncio.gather(*(table.hosts() for table in self._tables))
        return {host: key for owned in found for host, key in owned.items()}


def _raise_first(outcomes: Iterable[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


class RouteTable:
    """The routes of one Envoy."""

    def __init__(self, place: Place, ports: ServicePorts) -> None:
        self.place = place
        self.admin = Admin(place)
        self._ports = ports
        self._routes = Published(place, place.routes)
        self._listeners = Published(place, place.listeners)
        self._rounds: Rounds[Listing] = Rounds(self._commit)
        self._heard: set[str] = set()
        """Listeners that Envoy is known to have."""
        self._opening = asyncio.Lock()
        self._moved = False
        """Whether a service has another port than the routes say."""
        file = _routes_file(place) if place.probes else None
        self._open = file is not None and file.resources[0].has(PROBED)

    async def open(self) -> None:
        """Have Envoy answer load balancers from now on, also after its own restart: it has the routes that it ought to have."""
        if self._open or self.place.probes is None:
            return
        async with writing(self.place.routes):
            await self._publish(list(newest(*await self._held()).values()), self.place.probes)
        self._open = True

    async def check(self, listing: Listing) -> None:
        """Raise what speaks against ``listing``."""
        (stored, seen), known = await asyncio.gather(self._held(), self._known([listing]))
        refuse(listing, newest(stored, seen), known)

    async def put(self, listing: Listing) -> None:
        """Write ``listing``, together with what else is waiting, and return when Envoy has it."""
        await self._listen(listing.key)
        await self._rounds.put(listing)

    async def observe(self, environment: str, service: str) -> GatewaySeen:
        """Return what this Envoy has of the service."""
        seen = GatewaySeen(gateway=self.place.region, region=self.place.region, answered=False)
        try:
            has, hosts = await asyncio.gather(self.admin.glance_routes(), self.admin.glance_hosts())
        except Unreachable:
            return seen
        listing = has.listings.get(service_key(environment, service)) or Listing(environment, service, 0)
        mine = sorted(name for name in hosts if name.rsplit(".", 2)[0] == f"{environment}.{service}")
        return msgspec.structs.replace(
            seen,
            answered=True,
            route=listing.route,
            generation=listing.generation,
            backends=tuple(backend_seen(name, hosts[name]) for name in mine),
        )

    async def hosts(self) -> Mapping[str, str]:
        """Return which service answers to which host name here."""
        return owners(newest(*await self._held()))

    async def _commit(self, changes: Mapping[int, Listing]) -> Mapping[int, Exception]:
        async with writing(self.place.routes):
            (stored, seen), known = await asyncio.gather(self._held(), self._known(changes.values()))
            current = newest(stored, seen)
            refusals: dict[int, Exception] = {}
            for number, change in changes.items():
                try:
                    refuse(change, current, known)
                    current[change.key] = change
                except BleenError as error:
                    refusals[number] = error
            if self._moved or not current == stored == seen:
                await self._publish(list(current.values()))
        return refusals

    async def _publish(self, listings: Sequence[Listing], probes: Probes | None = None) -> None:
        version = str(time.time_ns())  # never used before: an older write that Envoy reads late is not taken for this one

        async def has() -> str:
            seen, refusal = await self.admin.route_version()
            return "" if seen == version else refusal or f"it has version {seen or 'none'} still, not {version}"

        probes = self.place.probes if self._open else probes
        await self._routes.publish(routes(listings, self._ports.all(), version, probes), has)
        self._moved = False

    async def _held(self) -> tuple[Listings | None, Listings | None]:
        """Return what the file says and what Envoy has; Unreachable where neither can be read."""
        file = stored_routes(self.place)
        stored = None if file is None else file.listings
        try:
            version, _ = await self.admin.route_version()
            if file is not None and version == file.version:
                return stored, stored
            return stored, (await self.admin.routes()).listings
        except Unreachable:
            if stored is None:
                raise
            return stored, None

    async def _known(self, changes: Iterable[Listing]) -> Collection[str]:
        """Return which of the backends that get weight Envoy has: it takes a route to others, and answers 503."""
        wanted = sorted({name for change in changes if change.route for name in reached(change.route)})
        try:
            if len(wanted) > 2:
                return (await self.admin.backends()).keys()
            return {name for found in await asyncio.gather(*map(self.admin.backends, wanted)) for name in found}
        except Unreachable:
            return (stored_backends(self.place) or {}).keys()

    async def _listen(self, key: str) -> None:
        """Open the service's own port: another one where it is taken, none where that fails too. Routes matter more."""
        name = f"service/{key}"
        if name in self._heard or key not in self._ports.all():
            return
        async with self._opening, writing(self.place.listeners):
            for _ in range(PORT_TRIES):
                if await self._opens(name) or is_free(self.place.address, self._ports.all()[key]):
                    return
                self._ports.move(key)
                self._moved = True
            self._ports.drop(key)

    def forget_port(self, key: str) -> None:
        """Believe no longer that Envoy has the service's own port: it is another one now."""
        self._heard.discard(f"service/{key}")

    async def close_port(self, key: str) -> None:
        """Close the service's own port, whose number it has no longer; return when Envoy has closed it."""
        name = f"service/{key}"
        self.forget_port(key)

        async def has() -> str:
            return f"{name} has its port still" if name in await self.admin.listening() else ""

        async with self._opening, writing(self.place.listeners):
            if await has():
                await self._listeners.publish(listeners(self.place, self._ports.all(), str(time.time_ns())), has)

    async def _opens(self, name: str) -> bool:
        async def has() -> str:
            self._heard.update(await self.admin.listening())
            return "" if name in self._heard else f"{name} has no port"

        try:
            if name not in self._heard and await has():
                content = listeners(self.place, self._ports.all(), str(time.time_ns()))
                await self._listeners.publish(content, has, PORT_PATIENCE)
        except NotConverged:
            return False
        except Unreachable:
            return True  # the routes are written next, and say so
        return True


def newest(*sources: Listings | None) -> dict[str, Listing]:
    """Return of each service the listing with the largest generation; of equal ones, the first."""
    best: dict[str, Listing] = {}
    for source in sources:
        for key, listing in (source or {}).items():
            if key not in best or best[key].generation < listing.generation:
                best[key] = listing
    return best


class _RoutesFile(msgspec.Struct):
    version_info: str
    resources: Annotated[list[RouteConfig], msgspec.Meta(min_length=1)]


def stored_routes(place: Place) -> RoutesSeen | None:
    """Return what the routes file says; None where there is none that can be read."""
    file = _routes_file(place)
    try:
        return None if file is None else RoutesSeen(file.version_info, file.resources[0].listings())
    except msgspec.MsgspecError:
        return None


def _routes_file(place: Place) -> _RoutesFile | None:
    try:
        return msgspec.json.decode(place.routes.read_bytes(), type=_RoutesFile)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
