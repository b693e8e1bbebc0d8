"""Application Gateways: one document each, taken only as a whole, one update at a time, and slowly.

While an update runs the document shows what is to be; what traffic meets is another thing, and the tests ask for it.
"""

import asyncio
import copy
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from azure.mgmt.network.models import ApplicationGateway

from tests.azure.double.bodies import check
from tests.azure.double.faults import Faults, Refused
from tests.azure.double.operations import Operations

_PARTS = ("backendAddressPools", "backendHttpSettingsCollection", "httpListeners", "probes", "requestRoutingRules")
_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-bleen-dev-weu"


@dataclass
class Edge:
    """One gateway."""

    name: str
    body: dict[str, Any]
    state: str = "Succeeded"
    etag: str = field(default_factory=lambda: f'W/"{uuid.uuid4()}"')
    traffic: dict[str, str] = field(default_factory=dict)
    """Which pool each rule sends requests to, by the names of rules."""
    updates: int = 0
    """How many were begun."""
    fails: Refused | None = None
    """How the next update ends."""
    meddled: dict[str, str] | None = None
    """Tags that somebody else adds, right after the document is read next."""
    members: dict[str, set[str]] = field(default_factory=dict)
    """Which machines traffic meets behind each pool of one that mixes, by service."""
    changes: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Each that ``entered``, ``left`` or is ``gone``: of which pool, which machine, and how many were there then."""
    under_way: int = 0
    """Changes of interfaces that it follows."""

    def begin(self) -> None:
        """Follow a change of an interface."""
        self.under_way += 1
        self.state = "Updating"
        self.touch()

    def end(self) -> None:
        """Be at rest where nothing else is under way."""
        self.under_way -= 1
        if not self.under_way:
            self.state = "Succeeded"
            self.touch()

    def pool_id(self, name: str) -> str:
        """Return the id of a pool."""
        return _id_of(self, name)

    def references(self) -> dict[str, str]:
        """Return which pool each rule refers to in the document."""
        rules = self.body["properties"]["requestRoutingRules"]
        return {rule["name"]: rule["properties"]["backendAddressPool"]["id"].rpartition("/")[2] for rule in rules}

    def touch(self) -> None:
        self.etag = f'W/"{uuid.uuid4()}"'


class Edges:
    """The resource provider. ``make`` is what ``terraform apply`` does."""

    def __init__(self, faults: Faults, operations: Operations) -> None:
        self.all: dict[str, Edge] = {}
        self.going = asyncio.Event()
        """While it is cleared, no update ends."""
        self.going.set()
        self._faults = faults
        self._operations = operations

    def make(self, name: str, services: Mapping[str, tuple[str, ...]]) -> Edge:
        """Make one as the module gateway-appgw-flip does, with the hosts of each service's listener."""
        edge = Edge(name, _body(f"{_GROUP}/providers/Microsoft.Network/applicationGateways/{name}", services))
        edge.traffic = edge.references()
        self.all[name] = edge
        return edge

    def mix(self, name: str, services: Mapping[str, tuple[str, ...]]) -> Edge:
        """Make one as the module gateway-appgw-mixed does: a rule and an empty pool for each service."""
        edge = Edge(name, _mixed_body(f"{_GROUP}/providers/Microsoft.Network/applicationGateways/{name}", services))
        edge.members = {service: set() for service in services}
        self.all[name] = edge
        return edge

    def of_pool(self, id: str) -> Edge | None:
        """Return the gateway that has the pool of that id."""
        pools = {part["id"]: edge for edge in self.all.values() for part in edge.body["properties"]["backendAddressPools"]}
        return pools.get(id)

    async def answer(self, request: web.Request, rest: str) -> web.Response:
        """GET or PUT NAME."""
        edge = self.all.get(rest)
        if edge is None:
            raise Refused(404, "ResourceNotFound", f"The Resource 'applicationGateways/{rest}' was not found.")
        if request.method == "GET":
            answer = web.json_response(_seen(edge))
            if edge.meddled:
                edge.body["tags"] |= edge.meddled
                edge.meddled = None
                edge.touch()
            return answer
        if request.method != "PUT":
            raise Refused(405, "MethodNotAllowed")
        if request.headers.get("If-Match", edge.etag) != edge.etag:
            raise Refused(412, "PreconditionFailed", "The etag does not match")
        if edge.state == "Updating":
            raise Refused(409, "AnotherOperationInProgress", "Another operation on this resource is in progress")
        body = await request.json()
        check(body, ApplicationGateway)
        _check_references(body)
        return self._put(edge, body, request)

    def _put(self, edge: Edge, body: dict[str, Any], request: web.Request) -> web.Response:
        edge.body = body
        edge.state = "Updating"
        edge.updates += 1
        edge.touch()
        path = self._operations.begin(f"update {edge.name}", self._update(edge))
        url = f"{request.scheme}://{request.host}{path}?api-version=2026-03-01"
        headers = {"Azure-AsyncOperation": url, "Retry-After": f"{self._operations.retry_after:g}"}
        return web.json_response(_seen(edge), headers=headers)

    async def _update(self, edge: Edge) -> None:
        await asyncio.sleep(self._faults.slow)
        await self.going.wait()
        failure, edge.fails = edge.fails, None
        edge.state = "Failed" if failure else "Succeeded"
        edge.touch()
        if failure:
            raise failure
        edge.traffic = edge.references()

    def by_hand(self, edge: Edge, rule: str, pool: str) -> None:
        """Let somebody change a rule in the portal, at once."""
        for each in edge.body["properties"]["requestRoutingRules"]:
            if each["name"] == rule:
                each["properties"]["backendAddressPool"] = {"id": _id_of(edge, pool)}
        edge.traffic = edge.references()
        edge.touch()


def _id_of(edge: Edge, pool: str) -> str:
    return next(str(each["id"]) for each in edge.body["properties"]["backendAddressPools"] if each["name"] == pool)


def _check_references(body: dict[str, Any]) -> None:
    pools = {pool["id"] for pool in body["properties"]["backendAddressPools"]}
    for rule in body["properties"]["requestRoutingRules"]:
        pool = rule["properties"]["backendAddressPool"]["id"]
        if pool not in pools:
            raise Refused(
                400, "InvalidResourceReference", f"Resource {pool} referenced by resource {rule['name']} was not found"
            )


def _seen(edge: Edge) -> dict[str, Any]:
    """Answer with what only Azure sets, too: in each part, an etag and how it is."""
    body = copy.deepcopy(edge.body)
    body |= {"id": f"{_GROUP}/providers/Microsoft.Network/applicationGateways/{edge.name}", "name": edge.name}
    body |= {"etag": edge.etag, "type": "Microsoft.Network/applicationGateways"}
    body["properties"] |= {
        "provisioningState": edge.state,
        "operationalState": "Running",
        "resourceGuid": str(uuid.UUID(int=1)),
    }
    for part in _PARTS:
        for each in body["properties"][part]:
            each |= {"etag": edge.etag, "type": f"Microsoft.Network/applicationGateways/{part}"}
            each["properties"]["provisioningState"] = edge.state
    return body


def _body(id: str, services: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in _PARTS}
    for number, (service, hosts) in enumerate(sorted(services.items())):
        for part, found in _of_service(id, service, hosts, 100 + 2 * number).items():
            parts[part] += found
    sku = {"name": "WAF_v2", "tier": "WAF_v2"}
    return {"location": "weu", "tags": {"project": "bleen"}, "zones": ["1", "2", "3"], "properties": {"sku": sku, **parts}}


def _mixed_body(id: str, services: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a body with the public half of each service alone, whose rule refers to a pool of the service's name."""
    body = _body(id, services)
    properties = body["properties"]
    for part in ("httpListeners", "requestRoutingRules"):
        properties[part] = [each for each in properties[part] if each["name"] in services]
    for rule in properties["requestRoutingRules"]:
        rule["properties"]["backendAddressPool"] = {"id": f"{id}/backendAddressPools/{rule['name']}"}
    pools = [{"id": f"{id}/backendAddressPools/{name}", "name": name, "properties": {}} for name in sorted(services)]
    return body | {"properties": properties | {"backendAddressPools": pools}}


def _of_service(id: str, service: str, hosts: tuple[str, ...], priority: int) -> dict[str, list[dict[str, Any]]]:
    def part(kind: str, name: str, **properties: Any) -> dict[str, Any]:
        return {"id": f"{id}/{kind}/{name}", "name": name, "properties": properties}

    def rule(name: str, colour: str, priority: int) -> dict[str, Any]:
        return part(
            "requestRoutingRules",
            name,
            ruleType="Basic",
            priority=priority,
            httpListener={"id": f"{id}/httpListeners/{name}"},
            backendAddressPool={"id": f"{id}/backendAddressPools/{service}-{colour}"},
            backendHttpSettings={"id": f"{id}/backendHttpSettingsCollection/{service}"},
        )

    named = {"hostName": hosts[0]} if len(hosts) == 1 else {"hostNames": list(hosts)}
    colours, preview = ("blue", "green"), f"{service}-preview"
    addresses = [{"ipAddress": f"10.0.0.{priority}"}]
    return {
        "backendAddressPools": [part("backendAddressPools", f"{service}-{c}", backendAddresses=addresses) for c in colours],
        "backendHttpSettingsCollection": [part("backendHttpSettingsCollection", service, port=8080, protocol="Http")],
        "httpListeners": [part("httpListeners", each, protocol="Https", **named) for each in (service, preview)],
        "probes": [part("probes", service, protocol="Http", path="/", interval=5, timeout=4)],
        "requestRoutingRules": [rule(service, "blue", priority), rule(preview, "green", priority + 1)],
    }
