"""The controller, composed: worker, activities and API in one process. ``python -m bleen.app controller``."""

import asyncio
import logging
import shutil
import sys
from functools import cached_property
from pathlib import Path

import uvloop
from temporalio.client import Client

from bleen import __version__
from bleen.app.home import read_address, read_token
from bleen.app.parts import database_of, embedded_of, engine_of
from bleen.app.provided import OwnImages, Provided, provided
from bleen.domain.errors import BleenError
from bleen.domain.issuer import Access
from bleen.interfaces.api.providers import Providers
from bleen.interfaces.api.server import build_api, serve
from bleen.interfaces.repository.access import read_access
from bleen.interfaces.repository.channels import load_channels
from bleen.interfaces.views import Part, PlatformView
from bleen.ports import Issuers
from bleen.providers.almanac import HolidayAlmanac
from bleen.providers.custom import CustomMetrics
from bleen.providers.hook import Hook
from bleen.providers.local.fleets import AgentFleets
from bleen.providers.local.heap import keep_giving_back
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.notices.channels import ChannelNotices
from bleen.providers.postgres.embedded import app_url, database_url
from bleen.providers.postgres.ledger import PostgresLedger
from bleen.providers.postgres.log import PostgresLog
from bleen.providers.prober import GatewayProber
from bleen.providers.scanning.scanner import ImageScanner
from bleen.providers.signing import FileSeal
from bleen.settings import EngineAccess, Settings, read_settings
from bleen.workflows.connection import connect, keep_history
from bleen.workflows.control import Control
from bleen.workflows.notary import Notary
from bleen.workflows.tracer import Tracer
from bleen.workflows.worker import run_worker
from bleen.workflows.world import World

log = logging.getLogger("bleen.controller")

_LEAST_FREE = 8_000_000
"""Bytes: with less, the ledger and the engine stop writing at any moment."""


class Controller:
    """Every port of one platform, and what stands on them."""

    def __init__(self, settings: Settings, client: Client, own: OwnImages, provided: Provided) -> None:
        self.settings = settings
        self.client = client
        self.provided = provided
        self.access = read_access(settings.access_file)
        self.agent = AgentFleets(settings.runtime_path / "agent.sock")
        self.own = own
        self.scanner = ImageScanner(own.builder, own.bases, osv_url=settings.osv_url)
        self.ledger = _ledger(settings)
        self.notices = _notices(settings)
        self.seal = FileSeal(settings.path / "audit", settings.environment)
        self.notary = Notary(self.ledger, PostgresLog(self.ledger.database), self.seal)
        self.control = Control(client, self.queue, self._trouble)
        self.metrics = CustomMetrics(provided.golden, provided.fleets, settings.prometheus_url, loads=provided.loads)

    @property
    def queue(self) -> str:
        """The task queue: two environments may share an engine."""
        return f"bleen-{self.settings.environment}"

    @cached_property
    def world(self) -> World:
        """The ports that rollouts need."""
        return World(
            images=self.provided.images,
            bases=self.own.bases,
            fleets=self.provided.fleets,
            gateway=self.provided.gateway,
            ledger=self.ledger,
            prober=GatewayProber(self.provided.door_of),
            metrics=self.metrics,
            notices=self.notices,
            scanner=self.scanner,
            builder=self.provided.builder,
            regions=self.settings.regions,
        )

    def providers(self) -> Providers:
        """Return the ports that the API needs."""
        return Providers(
            control=self.control,
            patches=self.settings.patches,
            ledger=self.ledger,
            notary=self.notary,
            almanac=HolidayAlmanac(),
            freezes=self.world.freezes,
            fleets=self.provided.fleets,
            gateway=self.provided.gateway,
            images=self.provided.images,
            bases=self.own.bases,
            scanner=self.scanner,
            builder=self.provided.builder,
            metrics=self.provided.signals,
            notices=self.notices,
            export=self.own.images.export,
            platform=self._platform,
            own_port=self.provided.own_port,
            environment=self.settings.environment,
            regions=self.settings.regions,
            gateway_port=self.provided.gateway_port,
            gateway_mode=self.provided.gateway_mode,
            four_eyes=frozenset(self.settings.four_eyes),
            hosts=self.settings.hosts,
            rate=self.settings.rate,
            strangers_rate=self.settings.strangers_rate,
            access=self.access,
            issuers=_issuers(self.access),
            trouble=self._trouble,
        )

    async def run(self) -> None:
        """Work and answer until stopped by a signal."""
        stop = asyncio.Event()
        api = build_api(self.providers(), read_token(self.settings))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_worker(self.client, self.world, stop, self.queue))
            renewing = self.control.keep_renewing(self.settings.patches)
            doing = (self.notary.run(), keep_giving_back(), renewing, self._trace())
            beside = [tasks.create_task(each) for each in doing]
            try:
                await serve(api, self.settings.ports.api)
            finally:
                for task in beside:
                    task.cancel()
                stop.set()

    async def _trace(self) -> None:
        """Tell what rollouts did, where somebody collects it."""
        if self.settings.traces_url:
            from bleen.providers.otlp import OtlpTraces  # 2 MB, for whoever uses it

            traces = OtlpTraces(self.settings.path / "traces.json", self.settings.environment)
            await Tracer(self.ledger, traces).run()

    def _trouble(self) -> str:
        free = shutil.disk_usage(self.settings.home).free
        return f"no room on the disk of {self.settings.home}: {free / 1e6:.0f} MB are free" if free < _LEAST_FREE else ""

    async def _platform(self) -> PlatformView:
        settings = self.settings
        return PlatformView(
            version=__version__,
            server=read_address(settings),
            home=settings.home,
            environment=settings.environment,
            regions=settings.regions,
            gateway_port=self.provided.gateway_port,
            parts=tuple(
                Part(name=p.name, state=str(p.state), pid=p.pid, since=p.since, restarts=p.restarts, detail=p.last_exit)
                for p in await self.agent.parts()
            ),
        )


def _notices(settings: Settings) -> ChannelNotices | Hook:
    hook = Hook(settings.notify)
    if not settings.channels:
        return hook
    channels, secrets = load_channels(Path(settings.channels)), FolderSecrets(settings.path)
    return ChannelNotices(channels, secrets, settings.path / "secrets", hook)


def _issuers(access: Access) -> Issuers | None:
    if not access.issuers:
        return None
    from bleen.providers.oidc import OidcIssuers  # 3 MB, for whoever uses it

    return OidcIssuers(access)


def _ledger(settings: Settings) -> PostgresLedger:
    if settings.database_url:
        return PostgresLedger(settings.database_url, owner_url=settings.database_owner_url)
    server = database_of(settings)
    return PostgresLedger(app_url(server), owner_url=database_url(server))


async def _main(settings: Settings) -> None:
    embedded = not settings.engine_address
    for part in embedded_of(settings):
        await part.wait_until_ready()
    client = await connect(EngineAccess(address=engine_of(settings).address) if embedded else settings.engine)
    if embedded:
        await keep_history(client)
    own = OwnImages(settings)
    async with provided(settings, own) as found:
        await Controller(settings, client, own, found).run()


def main() -> int:
    """Run until stopped; return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        uvloop.run(_main(read_settings()))
    except BleenError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except KeyboardInterrupt:
        return 0
    return 0
