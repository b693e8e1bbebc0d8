"""Fleets in memory keep the contract of fleets."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bleen.domain.image import Digest, Pypi
from bleen.domain.release import Runtime
from bleen.ports import Fleets, Gateway
from bleen.providers.memory.fleets import Behaviour, MemoryFleets
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.memory.images import MemoryImages
from tests.contracts.fleets import FleetsContract


@dataclass
class Work:
    image: Digest
    runtime: Runtime


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class MemoryBench:
    fleets: Fleets
    gateway: Gateway
    good: Work
    crashing: Work
    never_healthy: Work
    damaged: Work
    clock: Clock

    async def wait(self, seconds: float) -> None:
        self.clock.now += timedelta(seconds=seconds)


class TestMemoryFleets(FleetsContract):
    """Memory."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> MemoryBench:
        clock, images, gateways = Clock(), MemoryImages(), MemoryGateways()
        fleets = MemoryFleets(images, MemoryBackends(gateways), clock)
        work = []
        for version in ("1", "2", "3", "4"):
            image = await images.build("hello", Pypi(package="hello", version=version), tmp_path)
            work.append(Work(image.digest, Runtime(command=("run", version))))
        good, crashing, never, damaged = work
        fleets.behaviours |= {
            good.image: Behaviour(ready_after=0.2),
            crashing.image: Behaviour(ready_after=None, crashes_after=0.1),
            never.image: Behaviour(ready_after=None),
        }
        images.reject(damaged.image)
        return MemoryBench(fleets, MemoryGateway(gateways), good, crashing, never, damaged, clock)
