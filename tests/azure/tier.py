"""A tier of real Envoys, each with its agent, that pull their routes from the double's storage."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from azure.storage.blob.aio import BlobServiceClient

from bleen.providers.azure.gateway import AzureBackends, AzureGateway, Patience, Tier
from bleen.providers.azure.gateway_agent import GatewayAgent
from bleen.providers.azure.site import Container
from bleen.providers.azure.storage import blob_service
from tests.azure.double.cloud import Cloud
from tests.azure.world import KEY, site
from tests.fixtures.envoy import EnvoyRun
from tests.providers.local.world import until

PATIENCE = Patience(converge=5.0, silent=4.0, look=0.02, members=0.1)
"""The dates of blobs are whole seconds: a report is up to a second younger than it seems."""
EVERY = 0.05


@dataclass
class Member:
    """One Envoy and what is beside it."""

    envoy: EnvoyRun
    agent: GatewayAgent
    blobs: BlobServiceClient
    task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.agent.name

    def begin(self, every: float = EVERY) -> None:
        self.task = asyncio.create_task(self.agent.run(every, refresh=0.5))

    async def rest(self) -> None:
        """End the agent, as a crash does."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


class TierRun:
    """Starts them, and has the two ports over them."""

    def __init__(self, cloud: Cloud, home: Path) -> None:
        self.cloud = cloud
        self.members: list[Member] = []
        self.machines: set[str] = set()
        """Those that exist, as Azure would say."""
        self._home = home
        self._blobs = blob_service(site(cloud).account, KEY)
        self.tier = Tier(self._blobs, self._exist, PATIENCE)
        self.gateway, self.backends = AzureGateway(self.tier), AzureBackends(self.tier)

    async def _exist(self) -> set[str]:
        return self.machines

    async def start(self, name: str, *, begin: bool = True) -> Member:
        """Return a new Envoy with its agent, once it has reported."""
        envoy = EnvoyRun(self._home / name, "local", f"127.0.0.{len(self.members) + 1}")
        await envoy.start()
        member = self.beside(envoy, name)
        self.members.append(member)
        self.machines.add(name)
        if begin:
            member.begin()
            await self.reported(name)
        return member

    def beside(self, envoy: EnvoyRun, name: str) -> Member:
        """Return an agent beside an Envoy."""
        blobs = blob_service(site(self.cloud).account, KEY, user_agent=name)
        agent = GatewayAgent(envoy.place, name, blobs)
        return Member(envoy, agent, blobs)

    async def reported(self, name: str) -> None:
        await until(lambda: f"{Container.GATEWAYS}/{name}" in self.cloud.storage.blobs, f"{name} reports")

    async def close(self) -> None:
        for member in self.members:
            await member.rest()
            await member.agent.close()
            await member.blobs.close()
            member.envoy.kill()
        await self._blobs.close()
