"""A gateway that flips, in the double, and the ports over it as a controller has them."""

from collections.abc import Mapping

from msgspec import structs

from bleen.domain.fidelity import GatewayMode
from bleen.providers.azure.flip import Flip, FlipBackends, FlipGateway
from bleen.providers.azure.sight import Patience
from bleen.providers.azure.site import Site
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.world import azure, site

PATIENCE = Patience(converge=3.0, look=0.02, again=0.02, first=0.05, longest=0.4)
HOSTS = {"hello": ("hello.localhost", "hello.example.com", "preview.hello.localhost"), "other": ("other.localhost",)}


class FlipRun:
    """One controller's."""

    def __init__(self, cloud: Cloud, patience: Patience = PATIENCE) -> None:
        self.there = azure(cloud)
        self.there.site = site_of(cloud, GatewayMode.FLIP)
        self.flip = Flip(self.there, patience)
        self.gateway, self.backends = FlipGateway(self.flip), FlipBackends(self.flip)

    async def close(self) -> None:
        """End it as a crash does: what was begun goes on in Azure."""
        await self.flip.close()
        await self.there.close()


def site_of(cloud: Cloud, mode: GatewayMode) -> Site:
    """Return the site as it is with a gateway of that mode."""
    return structs.replace(site(cloud), gateway_mode=mode)


def make_edge(cloud: Cloud, hosts: Mapping[str, tuple[str, ...]] = HOSTS) -> Edge:
    """Make the gateway of the site, as `terraform apply` leaves it: blue serves, and green is at the internal listener."""
    return cloud.edges.make(site_of(cloud, GatewayMode.FLIP).edge, hosts)
