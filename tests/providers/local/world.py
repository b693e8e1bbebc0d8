"""A home with a real agent on it, in this process or in one of its own, and gateways in memory."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from msgspec import structs

from bleen.domain.duration import seconds
from bleen.domain.fleet import Fleet, FleetOrder, Instance, Isolation, Slot
from bleen.domain.image import Directory
from bleen.domain.release import Health, Runtime, SecretRef, Stop
from bleen.domain.traffic import Colour
from bleen.providers.local.agent import Agent
from bleen.providers.local.backoff import Backoff
from bleen.providers.local.images import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.parts import Part, PartRunner
from bleen.providers.local.process import marked
from bleen.providers.local.sandbox import Level, probe_isolation
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways

APP = Path(__file__).parent / "app"
BLUE = Slot(environment="dev", region="local", service="hello", colour=Colour.BLUE)
GREEN = structs.replace(BLUE, colour=Colour.GREEN)
BACKOFF = Backoff(first=0.2, longest=1.0, forgiven_after=60.0)
PATIENCE = 20.0


def free_port() -> int:
    """Return a port that nobody has on any loopback address that matters here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(claim: Callable[[], Awaitable[bool] | bool], what: str, patience: float = PATIENCE) -> None:
    """Return once ``claim`` holds; fail with ``what`` when it does not in time."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        holds = claim()
        if holds if isinstance(holds, bool) else await holds:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not in {patience:g} s: {what}")


class World:
    """One home, with the image of the test application in it."""

    def __init__(self, home: Path, digest: str, *, isolation: Isolation | None = None) -> None:
        self.home = home
        self.digest = digest
        self.gateways = MemoryGateways()
        self.gateway = MemoryGateway(self.gateways)
        level = probe_isolation()
        self.level = Level(isolation=Isolation.PROCESS, reason="as ordered") if isolation is Isolation.PROCESS else level
        self.port = free_port()
        self.agents: list[Agent] = []

    def make(self, *parts: Part) -> Agent:
        """Return a new agent."""
        images, secrets = LocalImages(self.home), FolderSecrets(self.home)
        machine = Machine(home=self.home, images=images, secrets=secrets, level=self.level, backoff=BACKOFF)
        backends = {"local": MemoryBackends(self.gateways)}
        agent = Agent(machine, backends, PartRunner(parts, self.home, machine.shelf, BACKOFF))
        self.agents.append(agent)
        return agent

    async def agent(self, *parts: Part) -> Agent:
        """Return a new agent that has begun."""
        agent = self.make(*parts)
        await agent.parts.begin()
        await agent.begin()
        return agent

    async def close(self) -> None:
        for agent in self.agents:
            if not agent.stopped.is_set():
                await agent.stop_everything()
        assert self.processes() == {}, "something outlived its agent"

    def processes(self) -> dict[int, str]:
        """Return every process of this home: pid to instance."""
        found = marked({"BLEEN_HOME": str(self.home)})
        return {pid: env["BLEEN_INSTANCE"] for pid, env in found.items() if "BLEEN_INSTANCE" in env}

    def order(
        self,
        size: int = 2,
        *,
        slot: Slot = BLUE,
        release: int = 1,
        command: tuple[str, ...] = ("python3", "{app}/serve.py", "{address}", "{port}"),
        files: dict[str, str] | None = None,
        drain: float = 5.0,
        kill_after: float = 5.0,
        grace: float = 20.0,
        **env: str | SecretRef,
    ) -> FleetOrder:
        """Return an order for the test application."""
        runtime = Runtime(
            command=command,
            port=self.port,
            health=Health(path="/healthz", interval=seconds(0.1), timeout=seconds(0.5), failures=2, start_grace=seconds(grace)),
            stop=Stop(drain=seconds(drain), kill_after=seconds(kill_after)),
            env=env,
            files=files or {},
        )
        return FleetOrder(slot=slot, release=release, image=self.digest, size=size, runtime=runtime)

    def endpoints(self, name: str = "dev.hello.blue.r1") -> list[str]:
        """Return the addresses that the gateway has behind a backend."""
        backend = self.gateways.regions["local"].backends.get(name)
        return [e.address for e in backend.endpoints] if backend else []


async def build_app(home: Path) -> str:
    """Return the digest of the test application's image, newly in ``home``."""
    image = await LocalImages(home).build("hello", Directory(path="app", version="1"), APP.parent)
    return image.digest


async def fleet(agent: Agent, slot: Slot = BLUE) -> Fleet:
    """Return the fleet in ``slot``."""
    return next(f for f in await agent.observe() if f.slot == slot)


async def ready(agent: Agent, count: int, slot: Slot = BLUE) -> list[Instance]:
    """Return the instances once exactly ``count`` are there and ready."""

    async def all_ready() -> bool:
        seen = await fleet(agent, slot)
        return seen.ready == count == len(seen.instances)

    await until(all_ready, f"{count} instances ready in {slot}")
    return list((await fleet(agent, slot)).instances)


async def get(instance: Instance, path: str = "/") -> str:
    """Return what the instance answers."""
    async with httpx.AsyncClient(timeout=10) as client:
        return (await client.get(f"http://{instance.address}:{instance.port}{path}")).text
