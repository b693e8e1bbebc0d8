"""The host agent, asked over its socket, and fleets in memory keep the same contract."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bleen.domain.image import Digest, Directory
from bleen.domain.release import Runtime
from bleen.ports import Fleets, Gateway
from bleen.providers.local.api import serve
from bleen.providers.local.fleets import AgentFleets
from bleen.providers.local.images import LocalImages
from bleen.providers.local.watchdog import lock_home
from tests.contracts.fleets import FleetsContract
from tests.providers.local.world import World, until


@dataclass
class Work:
    image: Digest
    runtime: Runtime


@dataclass
class LocalBench:
    fleets: Fleets
    gateway: Gateway
    good: Work
    crashing: Work
    never_healthy: Work
    damaged: Work

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def damaged_image(world: World, folder: Path) -> Digest:
    """Return an image of which one file was changed behind its digest."""
    (folder / "bad").mkdir()
    (folder / "bad" / "run.py").write_text("print('good')")
    images = LocalImages(world.home)
    image = await images.build("bad", Directory(path="bad", version="1"), folder)
    path = images.tree(image.digest) / "run.py"
    path.chmod(0o600)
    path.write_text("print('evil')")
    return image.digest


class TestLocalFleets(FleetsContract):
    """The host agent."""

    @pytest.fixture
    async def bench(self, world: World, tmp_path: Path) -> AsyncIterator[LocalBench]:
        agent = world.make()
        path = tmp_path / "agent.sock"
        serving = asyncio.create_task(serve(agent, path, lock_home(world.home)))
        await until(path.exists, "the agent answers")
        fleets = AgentFleets(path)
        work = {name: Work(world.digest, world.order(MISBEHAVE=name).runtime) for name in ("", "crash", "never-healthy")}
        damaged = Work(await damaged_image(world, tmp_path), work[""].runtime)
        yield LocalBench(fleets, world.gateway, work[""], work["crash"], work["never-healthy"], damaged)
        await fleets.stop_everything()
        await asyncio.wait_for(serving, 10)
        await fleets.close()
