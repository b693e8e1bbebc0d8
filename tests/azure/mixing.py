"""A gateway that mixes, in the double, and the ports over it as a controller has them."""

from collections.abc import Mapping

from msgspec import structs

from bleen.domain.fidelity import GatewayMode
from bleen.domain.traffic import Backend, Colour, Endpoint
from bleen.providers.azure.mixed import Mixed, MixedBackends, MixedGateway
from bleen.providers.azure.sight import Patience
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.flipping import HOSTS, PATIENCE, site_of
from tests.azure.world import azure

PATIENT = structs.replace(PATIENCE, converge=15.0)
"""What takes several operations, one after another, on a machine that is busy with other tests."""


class MixedRun:
    """One controller's."""

    def __init__(self, cloud: Cloud, patience: Patience = PATIENT) -> None:
        self.there = azure(cloud)
        self.there.site = site_of(cloud, GatewayMode.MIXED)
        self.mixed = Mixed(self.there, patience)
        self.gateway, self.backends = MixedGateway(self.mixed), MixedBackends(self.mixed)

    async def close(self) -> None:
        """End it as a crash does: what was begun goes on in Azure."""
        await self.mixed.close()
        await self.there.close()


def make_pools(cloud: Cloud, hosts: Mapping[str, tuple[str, ...]] = HOSTS) -> Edge:
    """Make the gateway of the site, as `terraform apply` leaves it: nobody is in a pool."""
    return cloud.edges.mix(site_of(cloud, GatewayMode.MIXED).edge, hosts)


def machine(service: str, colour: Colour, number: int) -> str:
    """Return the name of a machine as a scale set would give it."""
    return f"vmss-{service}-{colour}-bleen-dev-weu_{number:08d}"


def address(colour: Colour, number: int, service: str = "hello") -> str:
    return f"10.{['hello', 'other'].index(service)}.{list(Colour).index(colour)}.{number}"


def a_fleet(cloud: Cloud, colour: Colour, release: int, count: int, service: str = "hello", first: int = 1) -> Backend:
    """Make the interfaces of so many machines, where they are not there, and return the backend that they are."""
    for number in range(first, first + count):
        name = machine(service, colour, number)
        if f"nic-{name}" not in cloud.nics.all:
            cloud.nics.make(name.rpartition("_")[0], name, address(colour, number, service))
    endpoints = tuple(Endpoint(address(colour, number, service), 8080) for number in range(first, first + count))
    return Backend("dev", service, colour, release, endpoints)


def shares(edge: Edge, service: str = "hello") -> tuple[int, int]:
    """Return how many machines of blue and of green traffic meets."""
    there = edge.members[service]
    blue, green = (sum(name.startswith(f"vmss-{service}-{colour}-") for name in there) for colour in Colour)
    return blue, green
