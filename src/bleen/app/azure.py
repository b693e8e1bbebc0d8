"""Azure, composed: the only module of this package that names its provider. Its SDK is imported only here, and late."""

import asyncio
import fcntl
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bleen.app.provided import OwnImages, Provided
from bleen.domain.codec import decode
from bleen.domain.errors import AlreadyRunning, BleenError, InvalidInput, NotFound, Unreachable
from bleen.domain.fidelity import GatewayMode
from bleen.domain.listing import service_key
from bleen.domain.traffic import WHOLE, Colour, Route
from bleen.interfaces.platform import AzureReport, Finding
from bleen.providers.local.images.keys import Keys
from bleen.providers.prober import Door, DoorOf
from bleen.settings import Settings

if TYPE_CHECKING:
    from bleen.ports import Backends, Gateway, Metrics
    from bleen.providers.azure.connection import Azure
    from bleen.providers.azure.lease import Holder, Lease
    from bleen.providers.azure.monitor import Counting
    from bleen.providers.azure.site import Site
    from bleen.providers.azure.smoke import Checked
    from bleen.providers.azure.table import Table, TableBlob


def read_site(path: Path) -> "Site":
    """Return the site that a file describes; InvalidInput says what is wrong with it."""
    from bleen.providers.azure.site import Site

    try:
        site: Site = decode(path.read_bytes(), Site)
    except OSError as error:
        raise InvalidInput("the site cannot be read", why=error.strerror or "", next=_WRITE, where=str(path)) from error
    except msgspec.MsgspecError as error:
        raise InvalidInput("this is no site", why=str(error), next=_WRITE, where=str(path)) from error
    return site


_WRITE = "terraform output -json sites | jq .REGION > site.json writes it"
_HTTPS = 443
"""Where Application Gateway answers for users."""


@asynccontextmanager
async def provided_by_azure(settings: Settings, own: OwnImages) -> AsyncIterator[Provided]:
    """Yield the ports of the site that ``settings`` name; InvalidInput where the site is of another place than they say."""
    site = site_of(settings)
    _check_installed()
    from bleen.providers.azure.connection import connected

    async with connected(site) as azure, _alone(settings, azure) as lease:
        found, close = _ports(settings, azure, own, lease)
        try:
            yield found
        finally:
            await close()


@asynccontextmanager
async def _alone(settings: Settings, azure: "Azure") -> "AsyncIterator[Lease]":
    """Be the only controller of a site; AlreadyRunning, at once or as soon as another one has it."""
    from bleen.providers.azure.lease import Lease

    id, descriptor = _own_id(settings.path / "azure")
    lease = Lease(azure.container, id, _holder(settings))
    try:
        await lease.take()
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(lease.keep())
            yield lease
            keeping.cancel()
    except* BleenError as lost:
        raise lost.exceptions[0] from None
    finally:
        await lease.give()
        os.close(descriptor)


def _holder(settings: Settings) -> "Holder":
    from bleen.providers.azure.lease import Holder

    return Holder(socket.gethostname(), os.getpid(), settings.home, datetime.now(UTC).replace(microsecond=0))


def _own_id(folder: Path) -> tuple[str, int]:
    """Return the id of this home's lease, and what holds the home: one that is started anew has the same, two at once not."""
    from bleen.providers.local.store import write_atomically

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "controller.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise AlreadyRunning(f"a controller of {folder.parent} runs already", next="bleen status; bleen down ends it") from None
    path = folder / "lease"
    if not path.exists():
        write_atomically(path, str(uuid.uuid4()).encode())
    return path.read_text().strip(), descriptor


def site_of(settings: Settings) -> "Site":
    """Return the site that ``settings`` name, which has to be where they say that this platform is."""
    site = read_site(Path(settings.azure_site))
    if (site.environment, (site.region,)) != (settings.environment, settings.regions):
        raise InvalidInput(
            f"this site is {site.environment} in {site.region}",
            why=f"this platform is {settings.environment} in {', '.join(settings.regions)}",
            next=f"set BLEEN_ENVIRONMENT={site.environment} and BLEEN_REGIONS={site.region}, or name another site",
            where=settings.azure_site,
        )
    if not site.account:
        raise InvalidInput("this site has no storage account", why=_STORAGE, next=_WRITE, where=settings.azure_site)
    return site


_STORAGE = "Bleen keeps there what it orders, and machines report there"


def _ports(
    settings: Settings, azure: "Azure", own: OwnImages, lease: "Lease"
) -> tuple[Provided, Callable[[], Awaitable[None]]]:
    from bleen.providers.azure.builder import GalleryBuilder
    from bleen.providers.azure.fleet import Timing
    from bleen.providers.azure.fleets import AzureFleets
    from bleen.providers.azure.gallery import Gallery
    from bleen.providers.azure.images import CommandBake, GalleryImages, nobody
    from bleen.providers.azure.loads import AzureLoads

    gallery = Gallery(azure, Keys(settings.path / "keys"))
    bake = CommandBake(settings.azure_bake) if settings.azure_bake else nobody
    images = GalleryImages(azure, gallery, own.images, bake)
    makes = {GatewayMode.ENVOY: _envoys, GatewayMode.FLIP: _flip, GatewayMode.MIXED: _mixed}
    driver = makes[azure.site.gateway_mode](settings, azure, lease)
    timing = Timing(first=settings.azure_look.total_seconds())
    fleets = AzureFleets(azure, gallery, driver.backends, timing, lease.check)

    async def close() -> None:
        await fleets.close()
        await driver.close()

    found = Provided(
        fleets=fleets,
        gateway=driver.gateway,
        images=images,
        builder=GalleryBuilder(own.builder, images),
        golden=driver.golden,
        signals=driver.signals,
        door_of=driver.door_of,
        own_port=lambda environment, service: None,
        gateway_port=_HTTPS,
        gateway_mode=azure.site.gateway_mode,
        loads=AzureLoads(fleets).read,
    )
    return found, close


@dataclass(frozen=True)
class Driver:
    """What is different between the gateways of a site."""

    gateway: "Gateway"
    backends: "Backends"
    golden: "Metrics"
    signals: "Metrics"
    door_of: DoorOf
    close: Callable[[], Awaitable[None]]


def _envoys(settings: Settings, azure: "Azure", lease: "Lease") -> Driver:
    from bleen.providers.azure.gateway import AzureBackends, AzureGateway, Tier
    from bleen.providers.azure.metrics import AzureMetrics
    from bleen.providers.azure.sets import ScaleSets

    async def nothing() -> None:
        """Agents and Envoys go on by themselves."""

    tier = Tier(azure.blobs, ScaleSets(azure).members, lease=lease.id)
    gateway = AzureGateway(tier)
    door_of = Doors(azure.site, gateway).door_of
    return Driver(gateway, AzureBackends(tier), AzureMetrics(tier), AzureMetrics(tier), door_of, nothing)


def _flip(settings: Settings, azure: "Azure", lease: "Lease") -> Driver:
    from bleen.providers.azure.flip import Flip, FlipBackends, FlipGateway
    from bleen.providers.azure.monitor import MonitorMetrics
    from bleen.providers.azure.sight import Patience

    patience = Patience(first=settings.azure_look.total_seconds())
    flip = Flip(azure, patience, lease=lease.id, check=lease.check)
    gateway = FlipGateway(flip)
    door_of = FlipDoors(azure.site, gateway).door_of
    counting = _counting(azure, flip.blob)
    golden, signals = MonitorMetrics(counting), MonitorMetrics(counting)
    return Driver(gateway, FlipBackends(flip), golden, signals, door_of, _both(counting.close, flip.close))


def _mixed(settings: Settings, azure: "Azure", lease: "Lease") -> Driver:
    from bleen.providers.azure.mixed import Mixed, MixedBackends, MixedGateway
    from bleen.providers.azure.monitor import MonitorMetrics
    from bleen.providers.azure.sight import Patience

    mixed = Mixed(azure, Patience(first=settings.azure_look.total_seconds()), lease=lease.id, check=lease.check)
    gateway = MixedGateway(mixed)
    door_of = MixedDoors(azure.site, gateway).door_of
    counting = _counting(azure, mixed.blob)
    golden, signals = MonitorMetrics(counting), MonitorMetrics(counting)
    return Driver(gateway, MixedBackends(mixed), golden, signals, door_of, _both(counting.close, mixed.close))


def _counting(azure: "Azure", routes: "TableBlob") -> "Counting":
    """Return what asks Azure Monitor, once for verdicts and for people."""
    from bleen.providers.azure.monitor import Counting, Monitor

    async def read() -> "Table":
        return (await routes.read()).table

    return Counting(Monitor(azure.metrics, azure.site).ask, read, azure.site.gateway_mode)


def _both(*closings: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        for each in closings:
            await each()

    return close


class Doors:
    """Where checks ask: the Envoys' own address, with the name of the service."""

    def __init__(self, site: "Site", gateway: "Gateway") -> None:
        self._site = site
        self._gateway = gateway

    async def door_of(self, service: str, release: int) -> Door:
        """Return it; Unreachable where the gateways know no name of the service yet. A header names the release there."""
        return Door(self.inside(), await self.host_of(service))

    def inside(self) -> str:
        """Return the URL at which gateways answer inside the network; Unreachable where the site does not tell it."""
        if not self._site.gateway:
            advice = "terraform output sites tells it as gateway"
            raise Unreachable("the site does not say where its gateways answer", next=advice)
        return self._site.gateway

    async def host_of(self, service: str) -> str:
        """Return a name of the service, that of no preview; Unreachable where the gateways know none yet."""
        key = service_key(self._site.environment, service)
        hosts = sorted(host for host, owner in (await self._gateway.hosts()).items() if owner == key)
        if not hosts:
            raise Unreachable(f"the gateways know no name of {service} yet", next=f"bleen status {service}")
        return next(host for host in hosts if f"preview.{host}" in hosts)


class EdgeDoors(Doors):
    """Where checks ask behind a gateway that heeds no header: what it has of a service decides who answers where."""

    _lacks = "is nowhere to be asked"
    """What is said of a release for which nothing answers alone."""

    async def door_of(self, service: str, release: int) -> Door:
        """Return it; Unreachable where nothing answers for the release alone."""
        host = await self.host_of(service)
        for seen in await self._gateway.observe(self._site.environment, service):
            if seen.route is not None and (door := self._door(seen.route, release, host)) is not None:
                return door
        raise Unreachable(f"r{release} of {service} {self._lacks}", next=f"bleen status {service}")

    def _door(self, route: Route, release: int, host: str) -> Door | None:
        """Return where the release alone answers by ``route``; None where it does not."""
        raise NotImplementedError


class FlipDoors(EdgeDoors):
    """Behind a gateway that flips: the public name for the release that serves, and the internal listener for the preview."""

    _lacks = "is at no listener now"

    def _door(self, route: Route, release: int, host: str) -> Door | None:
        if any(route.release(each) == release and route.split.weight(each) for each in Colour):
            return Door(f"https://{host}")
        at_preview = route.preview is not None and route.release(route.preview) == release
        return Door(self.inside(), host) if at_preview else None


class MixedDoors(EdgeDoors):
    """Behind a gateway that mixes: the public name, for a release that has all traffic. Any member of the pool may answer."""

    _lacks = "has not all traffic now"

    def _door(self, route: Route, release: int, host: str) -> Door | None:
        has_all = any(route.release(each) == release and route.split.weight(each) == WHOLE for each in Colour)
        return Door(f"https://{host}") if has_all else None


def _check_installed() -> None:
    try:
        import bleen.providers.azure.connection  # noqa: F401
    except ImportError as error:
        raise NotFound("the Azure SDK is not installed", why=str(error), next="pip install 'bleen[azure]'") from error


def look(path: Path) -> AzureReport:
    """Return what a site looks like from here. Nothing is changed."""
    site = read_site(path)
    if not site.account:
        raise InvalidInput("this site has no storage account", why=_STORAGE, next=_WRITE, where=str(path))
    try:
        from bleen.providers.azure.smoke import NOT_VERIFIED
    except ImportError as error:
        raise NotFound("the Azure SDK is not installed", why=str(error), next="pip install 'bleen[azure]'") from error
    return AzureReport(tuple(_finding(each) for each in asyncio.run(_checked(site))), NOT_VERIFIED)


async def _checked(site: "Site") -> "Sequence[Checked]":
    from bleen.providers.azure.connection import connected
    from bleen.providers.azure.smoke import smoke

    async with connected(site) as azure:
        return await smoke(azure)


def _finding(checked: "Checked") -> Finding:
    return Finding(checked.name, "good" if checked.good else "bad", checked.detail, checked.next)
