"""A whole platform in one process: the real API on a real port, over the memory providers."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from bleen import __version__
from bleen.domain.errors import Unreachable
from bleen.domain.fidelity import GatewayMode
from bleen.domain.issuer import Access
from bleen.interfaces.api import Providers, build_api
from bleen.interfaces.api.server import config_of
from bleen.interfaces.platform import Finding, Server
from bleen.interfaces.views import Part, PlatformView
from bleen.ports import Issuers
from bleen.providers.memory.almanac import MemoryAlmanac
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.builder import MemoryBuilder
from bleen.providers.memory.fleets import MemoryFleets
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.memory.images import MemoryImages
from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.memory.log import MemoryLog, MemorySeal
from bleen.providers.memory.metrics import MemoryMetrics
from bleen.providers.memory.notices import MemoryNotices
from bleen.providers.memory.scanner import MemoryScanner
from bleen.settings import read_settings
from bleen.workflows.notary import Notary
from bleen.workflows.world import World
from tests.interfaces.inline import InlineControl, ScriptedProber

T = TypeVar("T")
TOKEN = "a-token-of-the-tests"


class Estate:
    """The memory providers, the API over them, and the loop that they live in. Keeps `Platform`."""

    def __init__(self, home: Path, regions: tuple[str, ...] = ("local",)) -> None:
        self.settings = read_settings({"BLEEN_HOME": str(home)})
        self.images = MemoryImages()
        self.bases = MemoryBases(self.images)
        self.scanner = MemoryScanner(self.images)
        self.builder = MemoryBuilder(self.images, self.bases)
        self.gateways = MemoryGateways(regions)
        self.gateway = MemoryGateway(self.gateways)
        self.fleets = MemoryFleets(self.images, MemoryBackends(self.gateways))
        self.ledger = MemoryLedger()
        prober, metrics, notices = ScriptedProber(), MemoryMetrics(), MemoryNotices()
        self.notices = notices
        self.metrics = metrics
        world = World(
            self.images,
            self.bases,
            self.fleets,
            self.gateway,
            self.ledger,
            prober,
            metrics,
            notices,
            self.scanner,
            self.builder,
            regions,
        )
        self.control = InlineControl(world)
        self.providers = Providers(
            control=self.control,
            ledger=self.ledger,
            almanac=MemoryAlmanac(),
            freezes=world.freezes,
            notary=Notary(self.ledger, MemoryLog(self.ledger), MemorySeal()),
            fleets=self.fleets,
            gateway=self.gateway,
            images=self.images,
            bases=self.bases,
            scanner=self.scanner,
            builder=self.builder,
            metrics=metrics,
            notices=notices,
            platform=self._describe,
            own_port=self.gateway.service_port,
            regions=regions,
        )
        self.api = build_api(self.providers, TOKEN)
        self.address = ""
        self.port = 0
        """0: any free one."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    async def _describe(self) -> PlatformView:
        parts = (Part("controller", "running", pid=1), Part("ledger", "running", detail="in memory"))
        regions = self.providers.regions
        return PlatformView(__version__, self.address, self.settings.home, "dev", regions, 8080, parts)

    # ---- a platform, as the command line sees it ----

    def up(self, *, foreground: bool = False) -> Server:
        """Answer on a free port."""
        if self._thread is None:
            started = threading.Event()
            self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
            self._thread.start()
            assert started.wait(10)
        return self.server()

    def down(self) -> bool:
        """End it; False where it did not run."""
        if self._thread is None or self._uvicorn is None:
            return False
        self._uvicorn.should_exit = True
        self._thread.join(10)
        self._thread = None
        return True

    def doctor(self) -> Sequence[Finding]:
        """One thing is well, and one is not."""
        return (
            Finding("python", "good", "3.11"),
            Finding("isolation", "warning", "no user namespaces here", "instances run as plain processes"),
        )

    def server(self) -> Server:
        """Return where it answers."""
        if self._thread is None:
            raise Unreachable("no platform runs here", why=f"{self.settings.home} has none", next="bleen up")
        return Server(self.address, TOKEN)

    # ---- for tests ----

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return 0 if self._uvicorn is None else len(self._uvicorn.server_state.connections)

    def watch(self, *environments: str) -> None:
        """Let nobody approve in ``environments`` what they deployed themselves. Before it is up."""
        self.providers = replace(self.providers, four_eyes=frozenset(environments))
        self.api = build_api(self.providers, TOKEN)

    def behind(self, mode: GatewayMode) -> None:
        """Have gateways of a ``mode``. Before it is up."""
        self.providers = replace(self.providers, gateway_mode=mode)
        self.api = build_api(self.providers, TOKEN)

    def name(self, *hosts: str) -> None:
        """Answer to ``hosts`` too. Before it is up."""
        self.providers = replace(self.providers, hosts=hosts)
        self.api = build_api(self.providers, TOKEN)

    def believe(self, access: Access, issuers: Issuers) -> None:
        """Believe ``issuers``. Before it is up."""
        self.providers = replace(self.providers, access=access, issuers=issuers)
        self.api = build_api(self.providers, TOKEN)

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop of the platform."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)

    def _serve(self, started: threading.Event) -> None:
        asyncio.run(self._answer(started))

    async def _answer(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        config = config_of(self.api)
        config.port, config.timeout_graceful_shutdown = self.port, 1
        server = self._uvicorn = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        started.set()
        await task
