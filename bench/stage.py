"""A real platform for measurements: its own home and ports, and what a program does to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from msgspec import structs

from bleen.app.home import free_port
from bleen.app.platform import LocalPlatform
from bleen.domain.codec import convert
from bleen.domain.errors import Transient
from bleen.domain.release import Stop
from bleen.domain.service import BlueGreen
from bleen.domain.told import named
from bleen.domain.views import RolloutSummary
from bleen.interfaces.client import Client
from bleen.interfaces.repository import LoadedService, find_service, runtime_of
from bleen.interfaces.repository.examples import examples_folder
from bleen.settings import Ports, Settings, read_settings
from bleen.workflows.messages import DeployRequest, Refused, Started

T = TypeVar("T")
ENVIRONMENT, PERSON = "dev", "bench"


class TooLate(Exception):
    """What was waited for did not come."""


class Stage:
    """One running platform."""

    def __init__(self, platform: LocalPlatform) -> None:
        self.platform = platform
        self.client = Client(platform.server())

    @property
    def gateway(self) -> int:
        """The port of the gateway."""
        return self.platform.ports().gateway

    def deploy(self, loaded: LoadedService) -> RolloutSummary:
        """Deploy a changed service; return its rollout once it has its outcome."""
        return self.settled(loaded.service.service, self.begin(loaded))

    def begin(self, loaded: LoadedService) -> str:
        """Deploy a changed service; return the id of its rollout at once."""
        request = DeployRequest(
            environment=ENVIRONMENT,
            spec=loaded.service,
            runtime=runtime_of(loaded),
            folder=str(loaded.folder),
            by=PERSON,
            base=loaded.base,
        )
        result = self.client.deploy(request)
        if isinstance(result, Refused):
            raise named(result.error)(result.what, why=result.why, next=result.next)
        assert isinstance(result, Started), result
        return result.rollout

    def settled(self, service: str, id: str, seconds: float = 120) -> RolloutSummary:
        """Return the rollout once it has its outcome; TooLate after ``seconds``."""
        return until(lambda: self._settled(service, id), f"{id} did not settle", seconds)

    def _settled(self, service: str, id: str) -> RolloutSummary | None:
        rollouts = self.client.history(ENVIRONMENT, service).rollouts
        return next((r for r in rollouts if r.id == id and r.outcome is not None), None)

    def ended(self, service: str, seconds: float = 120) -> None:
        """Return when nothing of ``service`` is under way: the old fleet is gone."""
        until(lambda: self.client.service(ENVIRONMENT, service).progress is None, f"{service} does not come to rest", seconds)


def until(question: Callable[[], T | None], otherwise: str, seconds: float = 60) -> T:
    """Return the first answer that is true; TooLate with ``otherwise`` and the last error."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            if answer := question():
                return answer
        except Transient as error:
            last = str(error)
        time.sleep(0.02)
    raise TooLate(f"{otherwise} in {seconds:g} s; {last}")


async def away(doing: Callable[[], T]) -> T:
    """Run it in a thread."""
    return await asyncio.to_thread(doing)


def settings_in(home: Path) -> Settings:
    """Return the settings of a platform in ``home`` that meets no other: every port is a free one."""
    settings = read_settings({"BLEEN_HOME": str(home)})
    return structs.replace(settings, ports=Ports(gateway=0, api=0, services=free_port()))


@asynccontextmanager
async def running() -> AsyncIterator[Stage]:
    """Yield a new platform, and end it with nothing left."""
    with TemporaryDirectory(prefix="bleen-bench-") as folder:
        platform = LocalPlatform(settings_in(Path(folder) / "home"))
        try:
            await away(platform.up)
            yield Stage(platform)
        finally:
            await away(platform.down)


def example(name: str, *, strategy: dict[str, object] | None = None, stop: Stop | None = None) -> LoadedService:
    """Return an example service that is quick to come to rest: its old fleet is retired at once."""
    loaded = find_service(examples_folder(), name)
    service = loaded.service
    quick = structs.replace(service.strategy, **structs.asdict(_strategy(strategy or {})) | {"checks": service.strategy.checks})
    return replace(loaded, service=structs.replace(service, strategy=quick, stop=stop or service.stop))


def _strategy(changed: dict[str, object]) -> BlueGreen:
    plain = {"type": "blue-green", "warm": "0s", "abort_delay": "0s", **changed}
    quick: BlueGreen = convert(plain, BlueGreen)
    return quick


def changed(loaded: LoadedService, **env: str) -> LoadedService:
    """Return the service with another environment: a new release."""
    return replace(loaded, service=structs.replace(loaded.service, env={**loaded.service.env, **env}))
