"""What an Envoy *has*, read from its administration interface."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from bleen.domain.codec import convert
from bleen.domain.errors import Unreachable
from bleen.domain.listing import Listing
from bleen.domain.traffic import Backend, BackendSeen, Colour, Endpoint, EndpointSeen, place
from bleen.providers.envoy.files import age_of
from bleen.providers.envoy.place import Place

T = TypeVar("T")
PATIENCE = 1.0
"""Seconds to wait for an answer; an Envoy that needs longer counts as silent."""


GLANCE = 0.025
"""Seconds for which an answer serves others who ask the same."""
SETTLED = 0.5
"""Seconds after a write in which no answer is shared."""


class RoutesSeen(msgspec.Struct, frozen=True):
    """The routes that an Envoy has. ``version`` is empty where it has none yet."""

    version: str = ""
    listings: Mapping[str, Listing] = {}
    refusal: str = ""
    """Why it refused the last file that it read, if it did."""


class _Metadata(msgspec.Struct):
    filter_metadata: dict[str, Any] = {}


class _VirtualHost(msgspec.Struct):
    name: str = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class RouteConfig(msgspec.Struct):
    """A route configuration, as far as Bleen reads it back: from a file or from a dump."""

    virtual_hosts: list[_VirtualHost] = []

    def listings(self) -> dict[str, Listing]:
        """Return what it was made from, by service."""
        found = [host.metadata.filter_metadata.get("bleen") for host in self.virtual_hosts]
        listings: list[Listing] = [convert(each, Listing) for each in found if each is not None]
        return {listing.key: listing for listing in listings}

    def has(self, name: str) -> bool:
        """Return whether there is a virtual host of that name."""
        return any(host.name == name for host in self.virtual_hosts)


class ClusterConfig(msgspec.Struct):
    """A cluster, as far as Bleen reads it back."""

    metadata: _Metadata = msgspec.field(default_factory=_Metadata)

    def backend(self) -> Backend:
        """Return what it was made from."""
        return convert(self.metadata.filter_metadata.get("bleen"), Backend)


class _Refusal(msgspec.Struct):
    details: str = ""


class _Dumped(msgspec.Struct):
    version_info: str = ""
    route_config: RouteConfig = msgspec.field(default_factory=RouteConfig)
    cluster: ClusterConfig = msgspec.field(default_factory=ClusterConfig)
    error_state: _Refusal = msgspec.field(default_factory=_Refusal)


class _Dump(msgspec.Struct):
    configs: list[_Dumped] = []


class _Socket(msgspec.Struct):
    address: str
    port_value: int


class _Address(msgspec.Struct):
    socket_address: _Socket


class _Health(msgspec.Struct):
    eds_health_status: str = "HEALTHY"
    failed_active_health_check: bool = False
    pending_active_hc: bool = False


class _Gauge(msgspec.Struct):
    name: str
    value: int = 0

    def __post_init__(self) -> None:
        self.value = int(self.value)


class _Host(msgspec.Struct):
    address: _Address
    health_status: _Health = msgspec.field(default_factory=_Health)
    stats: list[_Gauge] = []

    def seen(self) -> EndpointSeen:
        where = self.address.socket_address
        health = self.health_status
        sick = health.failed_active_health_check or health.pending_active_hc
        active = next((gauge.value for gauge in self.stats if gauge.name == "rq_active"), 0)
        return EndpointSeen(endpoint=Endpoint(address=where.address, port=where.port_value), healthy=not sick, active=active)


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Host] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = []


class _Listener(msgspec.Struct):
    name: str


class _Listeners(msgspec.Struct):
    listener_statuses: list[_Listener] = []


class _Stats(msgspec.Struct):
    stats: list[dict[str, Any]] = []


class Bucket(msgspec.Struct, frozen=True):
    """How many values of a histogram, counted since Envoy made it, are from ``lower_bound`` to below it plus ``width``."""

    lower_bound: float
    width: float
    count: int


class _Detail(msgspec.Struct):
    name: str
    totals: list[Bucket] | None = None


class _Details(msgspec.Struct):
    details: list[_Detail] = []


class _Stat(msgspec.Struct):
    name: str = ""
    value: int = 0
    histograms: _Details | None = None


class _Readings(msgspec.Struct):
    stats: list[_Stat] = []


class StatsSeen(msgspec.Struct, frozen=True):
    """Counters and gauges, and histograms, by their full names. What Envoy has never counted is missing."""

    values: Mapping[str, int]
    histograms: Mapping[str, Sequence[Bucket]]


class _Update(msgspec.Struct):
    last_updated: str = ""


class _Updates(msgspec.Struct):
    configs: list[_Update] = []


class Admin:
    """The administration interface of one Envoy. Every question raises Unreachable where it is silent."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._session: aiohttp.ClientSession | None = None
        self._last = RoutesSeen()
        self._routes = Glance(self.routes, place.routes)
        self._hosts = Glance(self.hosts, place.clusters)

    async def close(self) -> None:
        """Give back its sockets."""
        if self._session is not None:
            await self._session.close()

    async def _get(self, path: str) -> bytes:
        if self._session is None:
            # No kept connection: a new Envoy would have closed it under the next question.
            connector = aiohttp.UnixConnector(path=str(self.place.admin), force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=PATIENCE))
        async with self._session.get(URL(f"http://envoy{path}", encoded=True)) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def _ask(self, path: str, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(await self._get(path), type=kind, strict=False)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            why = str(error) or f"no answer within {PATIENCE:g} s"
            raise Unreachable(f"{self.place.name} did not answer", why=why, next="bleen doctor") from error

    async def route_version(self) -> tuple[str, str]:
        """Return the version of its routes, and why it refused the last file, if it did."""
        seen = await self._ask("/config_dump?resource=dynamic_route_configs&mask=version_info,error_state.details", _Dump)
        return (seen.configs[0].version_info, seen.configs[0].error_state.details) if seen.configs else ("", "")

    async def routes(self) -> RoutesSeen:
        """Return the routes that it has. A version is never used twice, so that one that is known is not read again."""
        version, refusal = await self.route_version()
        if not version or version != self._last.version:
            seen = await self._ask("/config_dump?resource=dynamic_route_configs", _Dump)
            config = seen.configs[0] if seen.configs else _Dumped()
            self._last = RoutesSeen(config.version_info, config.route_config.listings())
        return msgspec.structs.replace(self._last, refusal=refusal)

    async def backends(self, name: str = "") -> Mapping[str, Backend]:
        """Return the backend of that name, or all, that it has and that passed their first health check."""
        only = f"&name_regex=^{name.replace('.', '%5C.')}$" if name else ""
        seen = await self._ask(f"/config_dump?resource=dynamic_active_clusters{only}", _Dump)
        return {backend.name: backend for backend in (each.cluster.backend() for each in seen.configs)}

    async def hosts(self) -> Mapping[str, Sequence[EndpointSeen]]:
        """Return the endpoints of each backend."""
        seen = await self._ask("/clusters?format=json", _Clusters)
        return {each.name: [host.seen() for host in each.host_statuses] for each in seen.cluster_statuses}

    async def glance_routes(self) -> RoutesSeen:
        """Return the routes of a few milliseconds ago, at most."""
        return await self._routes.look()

    async def glance_hosts(self) -> Mapping[str, Sequence[EndpointSeen]]:
        """Return the endpoints of a few milliseconds ago, at most."""
        return await self._hosts.look()

    async def live(self) -> bool:
        """Return whether it has come up with all its files."""
        try:
            return (await self._get("/ready")).strip() == b"LIVE"
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def listening(self) -> Sequence[str]:
        """Return the names of the listeners that have their port."""
        return [each.name for each in (await self._ask("/listeners?format=json", _Listeners)).listener_statuses]

    async def active(self, backend: str) -> int:
        """Return the requests under way to a backend, also to endpoints that have been removed from it."""
        name = f"cluster.{backend}.upstream_rq_active"
        seen = await self._ask(f"/stats?format=json&type=Gauges&filter=^{name.replace('.', '%5C.')}$", _Stats)
        return sum(int(each["value"]) for each in seen.stats if each.get("name") == name)

    async def stats(self, pattern: str) -> StatsSeen:
        """Return the counters, gauges and histograms whose full name matches the regular expression ``pattern``."""
        query = f"/stats?format=json&histogram_buckets=detailed&filter=^(?:{quote(pattern)})$"
        found = (await self._ask(query, _Readings)).stats
        details = [each for stat in found if stat.histograms for each in stat.histograms.details]
        return StatsSeen(
            values={stat.name: stat.value for stat in found if stat.histograms is None},
            histograms={each.name: each.totals or () for each in details},
        )

    async def started(self) -> str:
        """Return when this process took its configuration, to the millisecond: another time is another process."""
        seen = await self._ask("/config_dump?mask=last_updated", _Updates)
        return next((each.last_updated for each in seen.configs if each.last_updated), "")


class Glance(Generic[T]):
    """One question that many ask at a time: those who come while it is on its way, or just after, share the answer.

    Not while what it is about changes: an answer is never older than the last write to ``file``, whoever wrote it.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], file: Path) -> None:
        self._ask = ask
        self._file = file
        self._answer: asyncio.Future[T] | None = None
        self._until = 0.0

    async def look(self) -> T:
        """Return the answer, or raise the error, of the last few milliseconds."""
        now = time.monotonic()
        if self._answer is None or (self._answer.done() and now >= self._until) or age_of(self._file) < SETTLED:
            self._until = now + GLANCE
            self._answer = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._answer)


def backend_seen(name: str, endpoints: Sequence[EndpointSeen]) -> BackendSeen:
    """Return what was seen of the backend of that name."""
    _, where, release = name.rsplit(".", 2)
    colour = next(each for each in Colour if where in (place(each), place(each, baseline=True)))
    return BackendSeen(colour, int(release[1:]), tuple(endpoints), baseline=where == place(colour, baseline=True))
