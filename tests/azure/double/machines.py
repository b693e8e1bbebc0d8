"""What runs on a machine: real processes of the local provider, kept by the guest that real machines would have, or a clock."""

import asyncio
import base64
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from bleen.domain.codec import encode
from bleen.domain.fleet import FleetOrder, Instance, InstanceState
from bleen.domain.signals import Usage
from bleen.providers.azure.assignment import read_assignment
from bleen.providers.azure.connections import Everywhere
from bleen.providers.azure.guest import REFRESH_SECONDS, Guest, word_of
from bleen.providers.azure.reports import Reports
from bleen.providers.local.agent import Agent
from bleen.providers.local.machine import Machine as LocalMachine
from bleen.providers.local.parts import PartRunner
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateways
from tests.azure.double.storage import Blob, Storage


class Machine(Protocol):
    """One machine that runs."""

    @property
    def health(self) -> str:
        """What the health extension has found; empty where it has not looked yet."""

    async def end(self) -> None:
        """End it as a terminate notification does."""

    async def kill(self) -> None:
        """Let it vanish."""


class Machines(Protocol):
    """Starts them."""

    async def start(self, scale_set: str, name: str, user_data: str) -> Machine: ...

    async def close(self) -> None: ...


class RealMachine:
    """A guest, and the extension that asks what a page on its machine would say of ``instance``."""

    def __init__(self, guest: Guest, instance: Callable[[], Awaitable[Instance | None]], every: float, refresh: float) -> None:
        self.health = ""
        self._guest = guest
        self._instance = instance
        self._tasks = [asyncio.create_task(guest.run(every, refresh)), asyncio.create_task(self._ask(every))]

    async def _ask(self, every: float) -> None:
        while True:
            self.health = word_of(await self._instance()).lower()
            await asyncio.sleep(every)

    async def rest(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def end(self) -> None:
        await self.rest()
        await self._guest.end()

    async def kill(self) -> None:
        await self.end()


class RealMachines:
    """Machines that are really processes of one host agent, each with a fleet of one."""

    def __init__(self, machine: LocalMachine, every: float = 0.05, refresh: float = REFRESH_SECONDS) -> None:
        self.reports: Reports | None = None
        """Set it before the first start."""
        # Each is a region to the agent: without that in their names, the end of one would take the others along.
        machine = replace(machine, several_regions=True)
        self._agent = Agent(
            machine, Everywhere(MemoryBackends(MemoryGateways())), PartRunner((), machine.home, machine.shelf, machine.backoff)
        )
        self._every, self._refresh = every, refresh
        self._started: list[RealMachine] = []

    async def begin(self) -> None:
        await self._agent.begin()

    async def start(self, scale_set: str, name: str, user_data: str) -> Machine:
        assert self.reports is not None
        guest = Guest(self._agent, _order(user_data), (scale_set, name), self.reports)
        await guest.begin()
        machine = RealMachine(guest, partial(self._instance, name), self._every, self._refresh)
        self._started.append(machine)
        return machine

    async def _instance(self, name: str) -> Instance | None:
        """Return what runs on the machine of that name: it is the region of its guest's only fleet."""
        fleets = [fleet for fleet in await self._agent.observe() if fleet.slot.region == name]
        return next((instance for fleet in fleets for instance in fleet.instances), None)

    async def close(self) -> None:
        await asyncio.gather(*(machine.rest() for machine in self._started))
        await self._agent.stop_everything()


def _order(user_data: str) -> FleetOrder:
    assignment = read_assignment(user_data)
    assert assignment is not None, "these user data assign nothing"
    return assignment.order


_addresses = itertools.count(1)


@dataclass
class LightMachine:
    """A machine of which there is only what it reports."""

    storage: Storage
    place: tuple[str, str]
    order: FleetOrder
    ready_at: float
    sick: bool = False
    silent: bool = False
    """Whether the health extension gets no answer that it understands."""
    used: Usage | None = None
    """What its guest says that the instance uses; None: it does not measure."""

    def __post_init__(self) -> None:
        k = next(_addresses)
        self.address = f"10.{k // 65_536}.{k // 256 % 256}.{k % 256}"
        self.since = datetime.now(UTC)
        self._report(InstanceState.STARTING)

    @property
    def health(self) -> str:
        if time.monotonic() < self.ready_at:
            return "initializing"
        self._report(InstanceState.SICK if self.sick else InstanceState.READY)
        if self.silent:
            return "unknown"
        return "unhealthy" if self.sick else "healthy"

    def uses(self, cpu: float, memory: int) -> None:
        """Report that the instance, which is ready, uses so much."""
        self.used = Usage(cpu, memory)
        self._report(InstanceState.READY)

    def _report(self, state: InstanceState) -> None:
        name = f"{self.place[1]}-1"
        instance = Instance(name, self.address, self.order.runtime.port, state, self.since)
        told = {"instance": instance} | ({"used": self.used} if self.used else {})
        metadata = {key: base64.b64encode(encode(value)).decode() for key, value in told.items()}
        self.storage.blobs["machines/instances/" + "/".join(self.place)] = Blob(b"", metadata=metadata)

    async def end(self) -> None:
        self.storage.blobs.pop("machines/instances/" + "/".join(self.place), None)

    async def kill(self) -> None:
        """Its report stays."""


class LightMachines:
    """Machines that are ready ``ready_after`` seconds after they were made."""

    def __init__(self, storage: Storage, ready_after: float = 0.0) -> None:
        self.ready_after = ready_after
        self.started: list[LightMachine] = []
        self._storage = storage

    async def start(self, scale_set: str, name: str, user_data: str) -> Machine:
        machine = LightMachine(self._storage, (scale_set, name), _order(user_data), time.monotonic() + self.ready_after)
        self.started.append(machine)
        return machine

    async def close(self) -> None:
        return None
