"""What a guest keeps: the fleet of one machine, its page for the health extension, its reports."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from azure.identity.aio import ManagedIdentityCredential
from azure.storage.blob.aio import BlobServiceClient

from bleen.app.told import identify
from bleen.ports import Secrets
from bleen.providers.azure.assignment import Assignment
from bleen.providers.azure.connections import Connections, Everywhere
from bleen.providers.azure.health import HealthPage
from bleen.providers.azure.life import Life, Times
from bleen.providers.azure.metadata import ADDRESS, MachineTold, Metadata
from bleen.providers.azure.reports import Reports
from bleen.providers.azure.site import Container
from bleen.providers.azure.storage import blob_service
from bleen.providers.azure.vault import VaultSecrets
from bleen.providers.local.agent import Agent
from bleen.providers.local.images.provider import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.parts import PartRunner
from bleen.providers.local.sandbox import probe_isolation
from bleen.settings import Settings


async def keep(settings: Settings, stopped: asyncio.Event) -> None:
    """Keep the machine's instance until ``stopped``, then end it. PortTaken where the page cannot be."""
    page = HealthPage(settings.guest_port)
    await page.start()
    metadata = Metadata(settings.guest_metadata or ADDRESS)
    try:
        told = await identify(metadata, settings.path / "machine.json", stopped)
        if told is not None:
            await _keep(settings, told, metadata, page, stopped)
    finally:
        await metadata.close()
        await page.close()


async def _keep(settings: Settings, told: MachineTold, metadata: Metadata, page: HealthPage, stopped: asyncio.Event) -> None:
    async with (
        ManagedIdentityCredential() as credential,
        VaultSecrets(credential) as secrets,
        _agent(settings, told.address, secrets) as agent,
        _accounts(credential) as reports_of,
    ):

        async def settle(assignment: Assignment) -> Reports:
            await secrets.at(assignment.vault or "")
            return reports_of(assignment.account)

        life = Life(told, metadata, agent, settle, Times())
        page.word = life.health
        running, stopping = asyncio.create_task(life.run()), asyncio.create_task(stopped.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            stopping.cancel()
            running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await life.end()


@asynccontextmanager
async def _agent(settings: Settings, address: str, secrets: Secrets) -> AsyncIterator[Agent]:
    """Adopt what an earlier guest started, and lend who keeps it; what still runs at the end goes on."""
    home = settings.path
    level = await asyncio.to_thread(probe_isolation)
    images = LocalImages(Path(settings.guest_images or home))
    machine = Machine(home, images, secrets, level, address=address)
    agent = Agent(machine, Everywhere(Connections()), PartRunner((), home, machine.shelf))
    await agent.begin()
    try:
        yield agent
    finally:
        await agent.abandon()


@asynccontextmanager
async def _accounts(credential: ManagedIdentityCredential) -> AsyncIterator[Callable[[str], Reports]]:
    """Lend the reports of any account, for whom this machine is: its managed identity, and never a person's sign-in."""
    opened: list[BlobServiceClient] = []

    def reports_of(account: str) -> Reports:
        opened.append(blob_service(account, credential))
        return Reports(opened[-1].get_container_client(Container.MACHINES))

    try:
        yield reports_of
    finally:
        for each in opened:
            await each.close()
