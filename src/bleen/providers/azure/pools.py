"""Application Gateway's pools and the network interfaces of machines: who is in which pool, and the same with one changed.

The gateway's document does not say who its members are to be: each interface names its pools itself. Azure takes an
interface only as a whole: what was read is sent back as it was, but for the pool that it enters or leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from azure.mgmt.network.models import ApplicationGateway, NetworkInterface, NetworkInterfaceIPConfiguration

from bleen.domain.codec import Value
from bleen.providers.azure.edge import SUCCEEDED, UNDER_WAY, hosts_of, last_of
from bleen.providers.azure.errors import word

_POOLS = "applicationGatewayBackendAddressPools"


class Pool(Value, frozen=True):
    """The pool of one service, and the names that its listener answers to, in lower case."""

    id: str
    hosts: tuple[str, ...]


class Edge(Value, frozen=True):
    """The gateway as it was read. ``state`` is Azure's word for how its last update went."""

    etag: str
    state: str
    pools: Mapping[str, Pool]
    """By service: those with a rule and a pool of its name, as the module gateway-appgw-mixed makes them."""

    @property
    def updating(self) -> bool:
        """Whether an update is under way: then members may be there that have no traffic yet, or have it still."""
        return self.state in UNDER_WAY

    @property
    def succeeded(self) -> bool:
        """Whether its traffic is what its members say."""
        return self.state == SUCCEEDED


@dataclass(frozen=True)
class Interface:
    """The network interface of a machine, as it was read."""

    name: str
    machine: str
    """The name of the virtual machine."""
    address: str
    etag: str
    state: str
    pools: frozenset[str]
    """The ids of the pools that it is in, in lower case."""
    found: NetworkInterface = field(compare=False, repr=False, default_factory=NetworkInterface)

    @property
    def place(self) -> str:
        """The scale set of its machine: of a Flexible one each is called {scale-set-name}_{8-char-guid}."""
        return self.machine.rpartition("_")[0]

    @property
    def updating(self) -> bool:
        """Whether an operation on it is under way."""
        return self.state in UNDER_WAY

    @property
    def failed(self) -> bool:
        """Whether its last operation failed: then it shows what was to be."""
        return self.state not in UNDER_WAY and self.state != SUCCEEDED

    def within(self, pool: Pool) -> bool:
        """Return whether it says that it is in ``pool``."""
        return pool.id.lower() in self.pools


@dataclass(frozen=True)
class Estate:
    """What Resource Manager told: the gateway, and the interfaces of all machines of the resource group."""

    edge: Edge
    interfaces: tuple[Interface, ...]

    @cached_property
    def members(self) -> tuple[Interface, ...]:
        """The interfaces that are in a pool, of whatever service."""
        ids = {pool.id.lower() for pool in self.edge.pools.values()}
        return tuple(each for each in self.interfaces if ids & each.pools)

    @cached_property
    def by_address(self) -> Mapping[str, Interface]:
        """The interfaces by the address of their machine."""
        return {each.address: each for each in self.interfaces}


def edge_of(found: ApplicationGateway) -> Edge:
    """Return what Azure answered of the gateway, as far as a deployment is concerned with it."""
    rules = {each.name or "": each for each in found.request_routing_rules or []}
    ids = {each.name or "": each.id or "" for each in found.backend_address_pools or []}
    listeners = {each.name or "": each for each in found.http_listeners or []}
    pools = {
        name: Pool(ids[name], hosts_of(listeners.get(last_of(rule.http_listener))))
        for name, rule in rules.items()
        if name in ids and last_of(rule.backend_address_pool) == name
    }
    return Edge(found.etag or "", word(found.provisioning_state) or SUCCEEDED, pools)


def interface_of(found: NetworkInterface) -> Interface | None:
    """Return the interface of a machine; None for those of anything else, such as a private endpoint."""
    machine, place = last_of(found.virtual_machine), _place(found)
    if not machine or not found.name or place is None:
        return None
    pools = frozenset((each.id or "").lower() for each in place.application_gateway_backend_address_pools or [])
    address, state = place.private_ip_address or "", word(found.provisioning_state) or SUCCEEDED
    return Interface(found.name, machine, address, found.etag or "", state, pools, found)


def _place(found: NetworkInterface) -> NetworkInterfaceIPConfiguration | None:
    """Return the part of an interface that has its address: the primary one of several."""
    places = found.ip_configurations or []
    return next((each for each in places if each.primary), places[0] if places else None)


def placed(interface: Interface, pool: Pool, *, inside: bool) -> NetworkInterface:
    """Return the whole interface, without what only Azure sets, in or out of ``pool``."""
    body: dict[str, Any] = interface.found.as_dict(exclude_readonly=True)
    places = body["properties"]["ipConfigurations"]
    place = next((each for each in places if each["properties"].get("primary")), places[0])["properties"]
    others = [{"id": each["id"]} for each in place.get(_POOLS) or [] if each["id"].lower() != pool.id.lower()]
    place[_POOLS] = [*others, {"id": pool.id}] if inside else others
    return NetworkInterface(body)
