"""The ports `Gateway` and `Backends` over a tier of Envoys: written as one blob, believed when every Envoy reports it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec
from azure.storage.blob.aio import BlobServiceClient

from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, InvalidInput, LawBroken, NotConverged, Unreachable
from bleen.domain.listing import Listing, claimed, named, owners, refuse, service_key
from bleen.domain.traffic import Backend, GatewaySeen, Route
from bleen.providers.azure.gateway_report import EnvoyReport, GatewayReports, Heard
from bleen.providers.azure.site import PROBED, Container
from bleen.providers.azure.table import Table, TableBlob, with_backends, with_listing, without
from bleen.providers.envoy.admin import backend_seen

Members = Callable[[], Awaitable[Collection[str]]]
"""Returns the names of the machines of the tier that exist."""


class Patience(Value, frozen=True):
    """Seconds."""

    converge: float = 15.0
    """For every Envoy to report a change."""
    silent: float = 20.0
    """After which an Envoy that has not reported counts as silent."""
    look: float = 0.2
    """Between two looks at the reports."""
    members: float = 60.0
    """Between two questions which machines there are, asked only while an Envoy is silent."""


class Tier:
    """The Envoys of one site, as their agents report them.

    A silent one may serve old routes: it counts until its machine is gone. ``members`` says which machines there are;
    without it, a silent one stays silent. ``lease`` is the id of the one under which the routes are written.
    """

    def __init__(
        self, blobs: BlobServiceClient, members: Members | None = None, patience: Patience | None = None, *, lease: str = ""
    ) -> None:
        self.blob = TableBlob(blobs.get_container_client(Container.ROUTES), lease)
        self.patience = patience or Patience()
        self._reports = GatewayReports(blobs.get_container_client(Container.GATEWAYS))
        self._members = members
        self._asked = float("-inf")
        self._lately: asyncio.Future[Mapping[str, EnvoyReport]] | None = None
        self._until = 0.0

    async def heard(self) -> Mapping[str, EnvoyReport]:
        """Return what each Envoy has, by name; a silent one has not ``answered``. Unreachable while storage is away."""
        found = await self._reports.read()
        silent = [name for name, each in found.items() if each.age > self.patience.silent]
        gone = await self._gone(silent) if silent else ()
        return {name: self._fresh(each) for name, each in found.items() if name not in gone}

    async def _gone(self, silent: Sequence[str]) -> Collection[str]:
        if self._members is None or time.monotonic() - self._asked < self.patience.members:
            return ()
        self._asked = time.monotonic()
        there = await self._members()
        gone = [name for name in silent if name not in there]
        for name in gone:
            await self._reports.remove(name)
        return gone

    def _fresh(self, heard: Heard) -> EnvoyReport:
        if heard.age <= self.patience.silent:
            return heard.report
        trouble = f"it has not reported for {heard.age:.0f} s"
        return msgspec.structs.replace(heard.report, answered=False, trouble=trouble)

    async def converge(self, version: int, lacks: Callable[[EnvoyReport], str]) -> None:
        """Return when every Envoy reports what ``lacks`` asks for (an empty answer); NotConverged names one that does not.

        What it had before it read ``version`` does not count: a table between the two may be on its way to it.
        """
        deadline = time.monotonic() + self.patience.converge
        while True:
            missing = await self._missing(version, lacks)
            if not missing:
                return
            if time.monotonic() > deadline:
                next = "bleen status; an Envoy whose machine is deleted counts no more"
                raise NotConverged("not every gateway has the change", why=missing, next=next)
            await asyncio.sleep(self.patience.look)

    async def heard_lately(self) -> Mapping[str, EnvoyReport]:
        """Return what `heard` does, shared by all who watch: what is older than a change does not show it yet."""
        if self._lately is None or (self._lately.done() and time.monotonic() >= self._until):
            self._until = time.monotonic() + self.patience.look
            self._lately = asyncio.ensure_future(self.heard())
        return await asyncio.shield(self._lately)

    async def _missing(self, version: int, lacks: Callable[[EnvoyReport], str]) -> str:
        try:
            reports = await self.heard_lately()
        except Unreachable as error:
            return str(error)
        if not reports:
            return "no gateway has ever reported"
        for name, report in sorted(reports.items()):
            lack = lacks(report) if report.answered else "it is silent"
            if not lack and report.version < version:
                lack = f"it has read version {report.version} of the routes, not {version}"
            if lack:
                return f"{name}: {lack}" + (f" ({report.trouble})" if report.trouble else "")
        return ""


class AzureGateway:
    """The port `Gateway`."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier

    async def set_route(self, route: Route, generation: int) -> None:
        """Give every gateway ``route``, and return when each one reports it."""
        if PROBED in claimed(route):  # no Envoy would take the routes of any service then
            why = "load balancers ask the gateways by that name whether they are well"
            next = f"write another name into hosts: in the file of {route.service}"
            raise InvalidInput(f"{PROBED} can be no service's", why=why, next=next)
        await self._put(Listing(route.environment, route.service, generation, route))

    async def remove_route(self, environment: str, service: str, generation: int) -> None:
        """Answer 404 for the service at every gateway."""
        await self._put(Listing(environment, service, generation))

    async def _put(self, listing: Listing) -> None:
        def edit(table: Table) -> Table:
            refuse(listing, table.by_key(), table.by_name())
            return with_listing(table, listing)

        def lacks(report: EnvoyReport) -> str:
            has = report.listing(listing.key)
            if has == listing or (has is not None and has.generation > listing.generation):
                return ""
            return f"it has generation {has.generation if has else 0} of {listing.key}, not {listing.generation}"

        await self._tier.converge(await self._tier.blob.change(edit), lacks)

    async def observe(self, environment: str, service: str) -> Sequence[GatewaySeen]:
        """Return what each gateway *has* of the service; a silent one has ``answered`` False."""
        try:
            reports = await self._tier.heard_lately()
        except BleenError:
            return [GatewaySeen(gateway="storage", region="", answered=False)]
        return [_seen(report, environment, service) for _, report in sorted(reports.items())]

    async def hosts(self) -> Mapping[str, str]:
        """Return which service answers to which host name."""
        return owners((await self._tier.blob.read()).table.by_key())


def _seen(report: EnvoyReport, environment: str, service: str) -> GatewaySeen:
    if not report.answered:
        return GatewaySeen(gateway=report.gateway, region=report.region, answered=False)
    listing = report.listing(service_key(environment, service)) or Listing(environment, service, 0)
    mine = sorted(name for name in report.endpoints if name.rsplit(".", 2)[0] == f"{environment}.{service}")
    return GatewaySeen(
        gateway=report.gateway,
        region=report.region,
        answered=True,
        route=listing.route,
        generation=listing.generation,
        backends=tuple(backend_seen(name, report.endpoints[name]) for name in mine),
    )


class AzureBackends:
    """The port `Backends`."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier

    async def set_backend(self, backend: Backend) -> None:
        """Give every gateway exactly these endpoints, and return when each one reports them."""

        def lacks(report: EnvoyReport) -> str:
            return "" if report.backend(backend.name) == backend else f"it does not have {backend.name} as ordered"

        version = await self._tier.blob.change(lambda table: with_backends(table, {backend.name: backend}))
        await self._tier.converge(version, lacks)

    async def remove_backend(self, name: str) -> None:
        """Forget the backend; LawBroken(3) where a gateway is observed to route to it."""
        for report in (await self._tier.heard()).values():
            if not report.answered:
                raise Unreachable(f"gateway {report.gateway} is silent", why=report.trouble, next="bleen status")
            if report.routes_to(name):
                raise LawBroken(3, f"gateway {report.gateway} still has a route to {name}")

        def edit(table: Table) -> Table:
            # An Envoy may be about to take a route that was written: it counts as one that it has.
            if any(name in named(each.route) for each in table.listings if each.route):
                raise LawBroken(3, f"a route to {name} is written already")
            return without(table, name)

        version = await self._tier.blob.change(edit)
        await self._tier.converge(version, lambda report: f"it has {name} still" if report.backend(name) else "")

    async def routed(self, name: str) -> bool:
        """Return whether some gateway is observed to name the backend in a route; True where one is silent."""
        try:
            reports = await self._tier.heard()
        except Unreachable:
            return True
        return any(not report.answered or report.routes_to(name) for report in reports.values())

    async def active(self, name: str, address: str) -> int:
        """Return the requests under way to one endpoint, over all gateways that answer."""
        return sum(each.active(name, address) for each in (await self._tier.heard()).values() if each.answered)
