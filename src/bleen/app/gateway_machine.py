"""A machine of the gateways' scale set: what it is told, where its Envoy lives, and what is beside that."""

import asyncio
import os

from azure.identity.aio import ManagedIdentityCredential

from bleen.app.told import identify
from bleen.domain.errors import NotFound
from bleen.providers.azure.assignment import GatewayAssignment, read_gateway
from bleen.providers.azure.gateway_agent import GatewayAgent
from bleen.providers.azure.gateway_health import EnvoyHealth
from bleen.providers.azure.health import HealthPage
from bleen.providers.azure.metadata import ADDRESS, MachineTold, Metadata
from bleen.providers.azure.site import PROBED
from bleen.providers.azure.storage import blob_service
from bleen.providers.envoy.place import Place, Probes
from bleen.providers.envoy.process import envoy_argv, write_bootstrap
from bleen.settings import Settings

PROBES = Probes(name=PROBED, source="168.63.129.16")
"""Application Gateway asks by the name that its module gives; from the address, says Microsoft's *Azure Load Balancer health
probes*, every load balancer asks, and by which name is not said."""


async def learn(settings: Settings) -> MachineTold:
    """Return what this machine is, as soon as that is known."""
    metadata = Metadata(settings.guest_metadata or ADDRESS)
    try:
        told = await identify(metadata, settings.path / "machine.json", asyncio.Event())
    finally:
        await metadata.close()
    if told is None:
        raise NotFound("nobody says what this machine is", next="journalctl -u bleen-gateway-agent says why")
    return told


def place_of(settings: Settings, told: MachineTold, assignment: GatewayAssignment) -> Place:
    """Return where the Envoy of this machine lives: it listens at the machine's private address."""
    return Place(
        region=assignment.region,
        folder=settings.path / "gateway" / assignment.region,
        admin=settings.runtime_path / "gateway.sock",
        port=assignment.port,
        address=told.address,
        probes=PROBES,
    )


async def prepare(settings: Settings) -> list[str]:
    """Write what Envoy starts from, and return the command that starts it, one thread for each processor."""
    told = await learn(settings)
    place = place_of(settings, told, read_gateway(told.user_data))
    write_bootstrap(place)
    return envoy_argv(place, len(os.sched_getaffinity(0)))


async def attend(settings: Settings) -> None:
    """Keep the Envoy of this machine in what storage says, and answer for it, until cancelled. PortTaken."""
    told = await learn(settings)
    assignment = read_gateway(told.user_data)
    place = place_of(settings, told, assignment)
    page = HealthPage(assignment.health_port)
    health = EnvoyHealth(place, PROBES.name)
    page.word = health.word
    async with ManagedIdentityCredential(client_id=assignment.client_id) as credential:
        blobs = blob_service(assignment.account, credential)
        agent = GatewayAgent(place, told.name, blobs)
        try:
            await page.start()
            await agent.run()
        finally:
            await page.close()
            for each in (health, agent, blobs):
                await each.close()
