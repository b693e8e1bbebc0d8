"""Network interfaces of machines, and through them who is in which pool of an Application Gateway.

Each is taken only as a whole, and slowly: meanwhile it shows what is to be, and the gateway is being updated, too. Who is
behind a pool for traffic is another thing, and the tests ask for it.
"""

import asyncio
import base64
import copy
import uuid
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from azure.mgmt.network.models import NetworkInterface

from bleen.domain.codec import decode
from bleen.domain.fleet import Instance
from tests.azure.double.bodies import check
from tests.azure.double.edges import Edge, Edges
from tests.azure.double.faults import Faults, Refused
from tests.azure.double.operations import Operations
from tests.azure.double.storage import Storage

_PROVIDERS = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-bleen-dev-weu/providers"
_NETWORK = f"{_PROVIDERS}/Microsoft.Network"
_POOLS = "applicationGatewayBackendAddressPools"


@dataclass
class Nic:
    """One interface."""

    name: str
    scale_set: str
    machine: str
    body: dict[str, Any]
    address: str = ""
    """Empty: the one that the machine's report tells."""
    state: str = "Succeeded"
    etag: str = field(default_factory=lambda: f'W/"{uuid.uuid4()}"')
    fails: Refused | None = None
    """How the next operation on it ends."""
    changes: int = 0
    """How many operations were begun."""

    @property
    def pools(self) -> set[str]:
        """The ids of the pools that it says it is in."""
        return {each["id"] for each in self._place.get(_POOLS) or []}

    @property
    def _place(self) -> dict[str, Any]:
        place: dict[str, Any] = self.body["properties"]["ipConfigurations"][0]["properties"]
        return place

    def put(self, pool: str, *, inside: bool) -> None:
        """Write the pool into its body, or out of it."""
        self._place[_POOLS] = [{"id": each} for each in sorted((self.pools - {pool}) | ({pool} if inside else set()))]

    def touch(self) -> None:
        self.etag = f'W/"{uuid.uuid4()}"'


class Nics:
    """The resource provider. Machines of scale sets have theirs as soon as they are made, in no pool of a gateway."""

    def __init__(self, faults: Faults, operations: Operations, edges: Edges, storage: Storage) -> None:
        self.all: dict[str, Nic] = {}
        self.one_at_a_time = False
        """Whether the gateway refuses a change of an interface while it is updated."""
        self._faults = faults
        self._operations = operations
        self._edges = edges
        self._storage = storage

    def make(self, scale_set: str, machine: str, address: str = "") -> Nic:
        """Make that of a machine, as its scale set does."""
        name = f"nic-{machine}"
        self.all[name] = nic = Nic(name, scale_set, machine, _body(scale_set), address)
        return nic

    def of(self, machine: str) -> Nic:
        return self.all[f"nic-{machine}"]

    def remove(self, machine: str) -> None:
        """Let it go with its machine."""
        self.all.pop(f"nic-{machine}", None)
        for edge in self._edges.all.values():
            for service, members in edge.members.items():
                if machine in members:
                    members.discard(machine)
                    edge.changes.append(("gone", service, machine, len(members)))

    def by_hand(self, machine: str, edge: Edge, service: str, *, inside: bool) -> None:
        """Let somebody change it in the portal, at once."""
        nic = self.of(machine)
        nic.put(edge.pool_id(service), inside=inside)
        nic.touch()
        self._arrive(nic)

    async def answer(self, request: web.Request, rest: str) -> web.Response:
        """GET all; GET or PUT NAME."""
        if not rest:
            return web.json_response({"value": [self._seen(each) for each in self.all.values()]})
        nic = self.all.get(rest)
        if nic is None:
            raise Refused(404, "ResourceNotFound", f"The Resource 'networkInterfaces/{rest}' was not found.")
        if request.method == "GET":
            return web.json_response(self._seen(nic))
        if request.method != "PUT":
            raise Refused(405, "MethodNotAllowed")
        if request.headers.get("If-Match", nic.etag) != nic.etag:
            raise Refused(412, "PreconditionFailed", "The etag does not match")
        body = await request.json()
        check(body, NetworkInterface)
        self._refuse(nic, body)
        return self._put(nic, body, request)

    def _refuse(self, nic: Nic, body: dict[str, Any]) -> None:
        after = {each["id"] for each in body["properties"]["ipConfigurations"][0]["properties"].get(_POOLS) or []}
        for id in after:
            if self._edges.of_pool(id) is None:
                raise Refused(400, "InvalidResourceReference", f"Resource {id} referenced by {nic.name} was not found")
        edges = [edge for id in after ^ nic.pools if (edge := self._edges.of_pool(id)) is not None]
        busy = self.one_at_a_time and any(edge.state == "Updating" for edge in edges)
        if busy or nic.state == "Updating":
            raise Refused(409, "AnotherOperationInProgress", "Another operation on this or dependent resource is in progress")

    def _put(self, nic: Nic, body: dict[str, Any], request: web.Request) -> web.Response:
        before, nic.body, nic.state = nic.pools, body, "Updating"
        nic.changes += 1
        nic.touch()
        edges = [edge for id in before ^ nic.pools if (edge := self._edges.of_pool(id)) is not None]
        for edge in edges:
            edge.begin()
        path = self._operations.begin(f"change {nic.name}", self._change(nic, edges))
        url = f"{request.scheme}://{request.host}{path}?api-version=2026-03-01"
        headers = {"Azure-AsyncOperation": url, "Retry-After": f"{self._operations.retry_after:g}"}
        return web.json_response(self._seen(nic), headers=headers)

    async def _change(self, nic: Nic, edges: list[Edge]) -> None:
        await asyncio.sleep(self._faults.slow)
        await self._edges.going.wait()
        failure, nic.fails = nic.fails, None
        nic.state = "Failed" if failure else "Succeeded"
        nic.touch()
        for edge in edges:
            edge.end()
        if failure:
            raise failure
        if nic.name in self.all:
            self._arrive(nic)

    def _arrive(self, nic: Nic) -> None:
        """Have traffic meet what the interface says."""
        for edge in self._edges.all.values():
            for service, members in edge.members.items():
                inside = edge.pool_id(service) in nic.pools
                if inside is (nic.machine in members):
                    continue
                members.symmetric_difference_update({nic.machine})
                edge.changes.append(("entered" if inside else "left", service, nic.machine, len(members)))

    def _seen(self, nic: Nic) -> dict[str, Any]:
        """Answer with what only Azure sets, too."""
        body, id = copy.deepcopy(nic.body), f"{_NETWORK}/networkInterfaces/{nic.name}"
        body |= {"id": id, "name": nic.name, "etag": nic.etag, "type": "Microsoft.Network/networkInterfaces"}
        machine = f"{_PROVIDERS}/Microsoft.Compute/virtualMachines/{nic.machine}"
        body["properties"] |= {"provisioningState": nic.state, "virtualMachine": {"id": machine}, "macAddress": "00-0D-3A"}
        place = body["properties"]["ipConfigurations"][0]
        place |= {"id": f"{id}/ipConfigurations/internal", "etag": nic.etag}
        place["properties"] |= {"privateIPAddress": nic.address or self._told(nic), "provisioningState": nic.state}
        return body

    def _told(self, nic: Nic) -> str:
        """Return the address in the machine's report: its processes listen where this machine has room."""
        report = self._storage.blobs.get(f"machines/instances/{nic.scale_set}/{nic.machine}")
        if report is None or "instance" not in report.metadata:
            return ""
        instance: Instance = decode(base64.b64decode(report.metadata["instance"]), Instance)
        return instance.address


def _body(scale_set: str) -> dict[str, Any]:
    balancer = f"{_NETWORK}/loadBalancers/lbi/backendAddressPools/{scale_set}"
    place = {
        "primary": True,
        "privateIPAllocationMethod": "Dynamic",
        "privateIPAddressVersion": "IPv4",
        "subnet": {"id": f"{_NETWORK}/virtualNetworks/vnet/subnets/services"},
        "loadBalancerBackendAddressPools": [{"id": balancer}],
    }
    properties = {
        "enableAcceleratedNetworking": True,
        "networkSecurityGroup": {"id": f"{_NETWORK}/networkSecurityGroups/nsg"},
        "ipConfigurations": [{"name": "internal", "properties": place}],
    }
    return {"location": "weu", "tags": {"project": "bleen"}, "properties": properties}
