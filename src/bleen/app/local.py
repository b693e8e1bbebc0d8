"""One machine, composed: instances by the host agent, one Envoy per region."""

from bleen.app.provided import OwnImages, Provided
from bleen.domain.errors import Unreachable
from bleen.providers.envoy.gateway import EnvoyGateway
from bleen.providers.envoy.place import gateway_folder, places
from bleen.providers.envoy.stats import EnvoyMetrics
from bleen.providers.local.fleets import AgentFleets
from bleen.providers.local.loads import LocalLoads
from bleen.providers.prober import Door
from bleen.settings import Settings


def provided_by_machine(settings: Settings, own: OwnImages) -> Provided:
    """Return the ports of this machine."""
    there = places(settings, settings.ports.gateway)
    gateway = EnvoyGateway(there, gateway_folder(settings), settings.ports.services)
    fleets = AgentFleets(settings.runtime_path / "agent.sock")

    async def door_of(service: str, release: int) -> Door:
        port = gateway.service_port(settings.environment, service)
        if port is None:
            raise Unreachable(f"{service} has no port of its own yet", next=f"bleen status {service}")
        return Door(f"http://127.0.0.1:{port}")

    return Provided(
        fleets=fleets,
        gateway=gateway,
        images=own.images,
        builder=own.builder,
        golden=EnvoyMetrics(there),
        signals=EnvoyMetrics(there),
        door_of=door_of,
        own_port=gateway.service_port,
        gateway_port=settings.ports.gateway,
        loads=LocalLoads(fleets).read,
    )
