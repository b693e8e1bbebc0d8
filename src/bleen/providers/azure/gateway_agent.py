"""The agent beside one Envoy of the tier: pulls routes and backends, applies them, and reports what its Envoy *has*.

Envoy reads files on its own machine: with storage, the controller or this agent away it goes on with the last good ones.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping

from azure.storage.blob.aio import BlobServiceClient

from bleen.domain.errors import BleenError, Unreachable
from bleen.domain.traffic import Backend
from bleen.providers.azure.gateway_report import EnvoyReport, GatewayReports
from bleen.providers.azure.site import Container
from bleen.providers.azure.table import Held, Table, TableBlob
from bleen.providers.envoy.admin import StatsSeen
from bleen.providers.envoy.backends import BackendTable, Change, EnvoyBackends
from bleen.providers.envoy.gateway import RouteTable
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.ports import ServicePorts
from bleen.providers.envoy.stats import read_stats

log = logging.getLogger("bleen.gateway")

_LEAVING_SECONDS = 900.0
"""So long an endpoint that left a backend is asked after: as long as the longest drain."""


class GatewayAgent:
    """``run`` it beside the Envoy of ``place``; ``name`` is that of the machine."""

    def __init__(self, place: Place, name: str, blobs: BlobServiceClient) -> None:
        self.name = name
        self._place = place
        self._blob = TableBlob(blobs.get_container_client(Container.ROUTES))
        self._reports = GatewayReports(blobs.get_container_client(Container.GATEWAYS))
        self._routes = RouteTable(place, ServicePorts(place.folder / "no-ports.json", 0, [place.address]))
        self._members = BackendTable(place)
        self._backends = EnvoyBackends([place])
        self._held = Held()
        self._applied = 0
        self._tried = 0
        """The version that was tried last, applied whole or not."""
        self._trouble = ""
        self._left: dict[str, dict[str, float]] = defaultdict(dict)
        """By backend and address: when an endpoint left."""
        self._reported: EnvoyReport | None = None
        self._reported_at = 0.0

    async def close(self) -> None:
        """Give back the sockets."""
        for each in (self._routes.admin, self._members.admin, self._backends):
            await each.close()

    async def run(self, every: float = 1.0, refresh: float = 5.0) -> None:
        """Pull and apply each ``every`` seconds until cancelled, and as often report what is new; all of it each ``refresh``.

        Apart from each other: an Envoy that takes its time over a change is not silent meanwhile.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self.turn, every))
            tasks.create_task(self._repeat(lambda: self.report(refresh), every))

    async def _repeat(self, act: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            try:
                await act()
            except Exception:  # a defect in here must not leave the Envoy unattended
                log.exception("%s: unexpected", self.name)
            await asyncio.sleep(every)

    async def turn(self) -> None:
        """Pull and apply once. Nothing that fails takes anything away from what Envoy has."""
        trouble = ""
        try:
            trouble = await self._pull()
            if self._held.table.version > self._applied:
                await self._apply(self._held.table)
                self._applied = self._held.table.version
            if not trouble:  # also where there are no routes yet: whoever waits for some would be replaced meanwhile
                await self._routes.open()
        except BleenError as error:
            trouble = str(error).splitlines()[0]
        if trouble and trouble != self._trouble:
            log.warning("%s: %s", self.name, trouble)
        self._trouble, self._tried = trouble, self._held.table.version

    async def _pull(self) -> str:
        """Read the table where it is a new one; return what is wrong with it."""
        found = await self._blob.newer(self._held.etag)
        if found is None:
            return ""
        here, there = self._held.table.version, found.table.version
        if there < here:
            # Storage that failed over may show what was: older routes may name what has ended.
            return f"storage has version {there} of the routes, older than {here}, which was here"
        self._held = found
        return ""

    async def _apply(self, table: Table) -> None:
        """Give Envoy what it lacks: first who stands behind, then the routes, then what no route names goes."""
        has = await self._members.admin.backends()
        wanted = table.by_name()
        for name, backend in has.items():
            self._note_leaving(backend, wanted.get(name))
        changed = [backend for name, backend in wanted.items() if has.get(name) != backend]
        _raise(await asyncio.gather(*(self._members.put(Change(b.name, b)) for b in changed), return_exceptions=True))
        await self._apply_routes(table)
        for name in has.keys() - wanted.keys():
            await self._backends.remove_backend(name)

    async def _apply_routes(self, table: Table) -> None:
        seen = (await self._routes.admin.routes()).listings
        changed = [each for key, each in table.by_key().items() if seen.get(key) != each]
        # A host name that moves is given up before it is taken.
        for listing in sorted(changed, key=lambda each: each.route is not None):
            await self._routes.put(listing)

    def _note_leaving(self, before: Backend, after: Backend | None) -> None:
        stay = {each.address for each in after.endpoints} if after else set()
        for endpoint in before.endpoints:
            if endpoint.address not in stay:
                self._left[before.name].setdefault(endpoint.address, time.monotonic())

    async def report(self, refresh: float = 0.0) -> None:
        """Tell what Envoy has, where that has changed, or was not told for ``refresh`` seconds."""
        report = await self._seen()
        if report == self._reported and time.monotonic() - self._reported_at < refresh:
            return
        try:
            await self._reports.write(report)
        except BleenError as error:
            log.warning("%s: %s", self.name, error)
            return
        self._reported, self._reported_at = report, time.monotonic()

    async def _seen(self) -> EnvoyReport:
        """Return what Envoy has now."""
        version = self._tried  # before the look: what is tried later may not be there yet
        try:
            admin = self._members.admin
            routes, backends, hosts = await asyncio.gather(self._routes.admin.routes(), admin.backends(), admin.hosts())
            stats, started = await read_stats(admin, list(backends)) if backends else (StatsSeen({}, {}), "")
        except Unreachable as error:
            return EnvoyReport(self.name, self._place.region, answered=False, trouble=self._trouble or str(error))
        return EnvoyReport(
            gateway=self.name,
            region=self._place.region,
            answered=True,
            version=version,
            listings=tuple(routes.listings[key] for key in sorted(routes.listings)),
            backends=tuple(backends[name] for name in sorted(backends)),
            endpoints={name: tuple(found) for name, found in hosts.items()},
            leaving=await self._leaving(),
            stats=stats,
            started=started,
            trouble=self._trouble,
        )

    async def _leaving(self) -> Mapping[str, Mapping[str, int]]:
        now = time.monotonic()
        for left in self._left.values():
            for address in [each for each, at in left.items() if now - at > _LEAVING_SECONDS]:
                del left[address]
        leaving = [(name, tuple(left)) for name, left in self._left.items()]  # others may leave while these are counted
        counts = {name: {address: await self._backends.active(name, address) for address in left} for name, left in leaving}
        return {name: found for name, found in counts.items() if found}


def _raise(outcomes: list[BaseException | None]) -> None:
    for outcome in outcomes:
        if outcome is not None:
            raise outcome
