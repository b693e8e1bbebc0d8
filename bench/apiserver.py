"""The API over a ledger of PostgreSQL, with nothing else running: ``python -m bench.apiserver URL PORT``."""

import sys
from collections.abc import Sequence

import uvloop

from bleen import __version__
from bleen.app.loading import loading
from bleen.domain.command import Command
from bleen.domain.errors import NothingToDo
from bleen.domain.image import Image
from bleen.domain.notice import Notice
from bleen.domain.pipeline import Building
from bleen.domain.removal import Removing
from bleen.domain.renewal import Asked, Timetable
from bleen.domain.rollout import Rollout
from bleen.interfaces.api import Providers, build_api, serve
from bleen.interfaces.views import PlatformView
from bleen.ports import Tell
from bleen.providers.memory.almanac import MemoryAlmanac
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.builder import MemoryBuilder
from bleen.providers.memory.fleets import MemoryFleets
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.memory.images import MemoryImages
from bleen.providers.memory.log import MemorySeal
from bleen.providers.memory.metrics import MemoryMetrics
from bleen.providers.memory.notices import MemoryNotices
from bleen.providers.memory.scanner import MemoryScanner
from bleen.providers.postgres.ledger import PostgresLedger
from bleen.providers.postgres.log import PostgresLog
from bleen.workflows.freezing import Freezes
from bleen.workflows.messages import (
    BuildRequest,
    DeployRequest,
    DeployResult,
    Progress,
    RemovalRequest,
    RenewalState,
    RollbackRequest,
    ScaleRequest,
    ScaleResult,
)
from bleen.workflows.notary import Notary
from bleen.workflows.world import utc_now

TOKEN = "bench"


class Idle:
    """Keeps `Controls`: nothing is under way, and nothing can be."""

    async def deploy(self, request: DeployRequest) -> DeployResult:
        raise NothingToDo("this server only reads")

    async def build(self, wanted: BuildRequest, tell: Tell) -> Image:
        raise NothingToDo("this server only reads")

    async def builds(self) -> Sequence[Building]:
        return ()

    async def command(self, environment: str, service: str, command: Command) -> Rollout:
        raise NothingToDo("this server only reads")

    async def rollback(self, request: RollbackRequest) -> DeployResult | Rollout:
        raise NothingToDo("this server only reads")

    async def scale(self, request: ScaleRequest) -> ScaleResult:
        raise NothingToDo("this server only reads")

    async def remove(self, request: RemovalRequest) -> Removing:
        raise NothingToDo("this server only reads")

    async def removing(self, environment: str, service: str) -> Removing | None:
        return None

    async def progress(self, environment: str, service: str) -> Progress | None:
        return None

    async def renew(self, asked: Asked, timetable: Timetable) -> None:
        raise NothingToDo("this server only reads")

    async def renewal(self) -> RenewalState | None:
        return None

    async def tell(self, notice: Notice) -> None:
        """Nobody hears of it."""

    async def active(self) -> Sequence[tuple[str, str]]:
        return ()


async def _platform() -> PlatformView:
    return PlatformView(__version__, "", "", "dev", ("local",), 8080)


def providers(url: str) -> Providers:
    """Return the API's ports over the ledger of ``url``."""
    images, gateways, ledger = MemoryImages(), MemoryGateways(("local",)), PostgresLedger(url)
    bases = MemoryBases(images)
    return Providers(
        control=Idle(),
        ledger=ledger,
        notary=Notary(ledger, PostgresLog(ledger.database), MemorySeal()),
        almanac=MemoryAlmanac(),
        freezes=Freezes(ledger, utc_now),
        fleets=MemoryFleets(images, MemoryBackends(gateways)),
        gateway=MemoryGateway(gateways),
        images=images,
        bases=bases,
        scanner=MemoryScanner(images),
        builder=MemoryBuilder(images, bases),
        metrics=MemoryMetrics(),
        notices=MemoryNotices(),
        platform=_platform,
        own_port=lambda environment, service: None,
    )


if __name__ == "__main__":
    with loading():  # as the controller does: what stays is set aside, and no collection looks through it
        api = build_api(providers(sys.argv[1]), TOKEN)
    uvloop.run(serve(api, int(sys.argv[2])))
