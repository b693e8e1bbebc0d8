"""Where one region of one environment stands in Azure, and what the Terraform modules call its resources."""

from enum import StrEnum

from bleen.domain.codec import Value
from bleen.domain.fidelity import GatewayMode
from bleen.domain.fleet import Slot
from bleen.domain.traffic import Colour

PROBED = "gateway.internal"
"""The host name by which load balancers ask an Envoy whether it is well: no service has it."""


class Container(StrEnum):
    """The containers of the storage account: each has writers of its own, as the module gateway gives the roles."""

    ROUTES = "routes"
    """The controller writes, agents of gateways read."""
    GATEWAYS = "gateways"
    """What each Envoy has: its agent writes."""
    MACHINES = "machines"
    """Reports and logs: the machines write."""
    OPERATIONS = "operations"
    """The controller alone."""
    IMAGES = "images"
    """Provenance: the image pipeline writes."""


class Site(Value, frozen=True):
    """One region. Its names are those of ``examples/infrastructure/terraform/modules``."""

    environment: str
    region: str
    """As Bleen calls it."""
    subscription: str
    group: str
    """The resource group."""
    suffix: str
    """What every name ends in: project, environment, short location."""
    gallery: str
    gallery_group: str
    """The gallery's resource group: that of the primary region."""
    location: str
    """As Azure calls the region."""
    account: str
    """The URL of the storage account."""
    gateway_mode: GatewayMode = GatewayMode.ENVOY
    """What splits its traffic."""
    gateway: str = ""
    """Where checks ask: the URL of the internal load balancer of the Envoys, or of the internal listener of a gateway that
    flips, at which the idle colours answer; empty with one that mixes."""
    vault: str = ""
    """The URL of the Key Vault that has the secrets of its services."""
    endpoint: str = "https://management.azure.com"
    """Of Resource Manager."""
    monitor: str = ""
    """Where Azure Monitor tells what it counts; empty: where it does for the location."""

    def scale_set(self, slot: Slot) -> str:
        """Return the name of the scale set of a slot."""
        return f"vmss-{slot.service}-{slot.place}-{self.suffix}"

    @property
    def gateways(self) -> str:
        """The name of the scale set of the Envoys."""
        return f"vmss-gateway-{self.suffix}"

    @property
    def edge(self) -> str:
        """The name of the Application Gateway that Bleen drives, in a mode that has no Envoys."""
        return f"agw-{self.gateway_mode.removeprefix('appgw-')}-{self.suffix}"

    @property
    def edge_id(self) -> str:
        """Its id in Resource Manager."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return f"{group}/providers/Microsoft.Network/applicationGateways/{self.edge}"

    @property
    def counted_at(self) -> str:
        """The URL of Azure Monitor's data plane."""
        return self.monitor or f"https://{self.location}.metrics.monitor.azure.com"

    def slot(self, service: str, place: str) -> Slot | None:
        """Return the slot that a scale set's tags ``service`` and ``colour`` name; None where they name none."""
        colour, _, beside = place.partition("-")
        if not service or colour not in set(Colour) or beside not in ("", "baseline"):
            return None
        return Slot(self.environment, self.region, service, Colour(colour), baseline=bool(beside))
