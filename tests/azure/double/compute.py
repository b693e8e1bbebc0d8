"""Scale sets in Flexible orchestration, and their machines."""

import asyncio
import itertools
import re
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from azure.mgmt.compute.models import VirtualMachineScaleSetUpdate, VirtualMachineScaleSetVMInstanceRequiredIDs

from tests.azure.double.bodies import check
from tests.azure.double.faults import Faults, Refused
from tests.azure.double.gallery import PROVIDER
from tests.azure.double.machines import Machine, Machines
from tests.azure.double.network import Network
from tests.azure.double.nics import Nics
from tests.azure.double.operations import Operations

_instants = itertools.count()


@dataclass
class Vm:
    """One machine."""

    name: str
    zone: str
    machine: Machine
    made: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=next(_instants) % 1_000_000))
    deleting: bool = False
    state: str = "Succeeded"


@dataclass
class ScaleSet:
    """One scale set."""

    name: str
    tags: dict[str, str]
    capacity: int = 0
    user_data: str = ""
    image: str = ""
    zones: tuple[str, ...] = ("1", "2", "3")
    etag: str = field(default_factory=lambda: f'"{uuid.uuid4()}"')
    machines: dict[str, Vm] = field(default_factory=dict)
    under_way: int = 0
    """Operations."""
    upgrade_mode: str = "Manual"
    watched: bool = True
    """Whether it has the health extension."""
    starts: int = 0
    """How many machines were ever started in it."""

    def touch(self) -> None:
        self.etag = f'"{uuid.uuid4()}"'

    @property
    def id(self) -> str:
        return f"{PROVIDER}/virtualMachineScaleSets/{self.name}"


class Compute:
    """The resource provider. ``make`` is what ``terraform apply`` does."""

    def __init__(self, faults: Faults, operations: Operations, machines: Machines, network: Network, nics: Nics) -> None:
        self.sets: dict[str, ScaleSet] = {}
        self._faults = faults
        self._operations = operations
        self._machines = machines
        self._network = network
        self._nics = nics

    def make(self, service: str, suffix: str = "bleen-dev-weu", *places: str) -> None:
        """Make the scale sets of a service, empty."""
        for place in places or ("blue", "green"):
            name = f"vmss-{service}-{place}-{suffix}"
            self.sets[name] = ScaleSet(name, {"project": "bleen", "service": service, "colour": place})

    def lose(self, machine: str) -> None:
        """Let a machine vanish as hardware does; instance repair is not played."""
        for scale_set in self.sets.values():
            if vm := scale_set.machines.pop(machine, None):
                self._nics.remove(machine)
                asyncio.ensure_future(vm.machine.kill())  # noqa: RUF006

    async def answer(self, request: web.Request, rest: str) -> web.Response:
        """GET, PATCH NAME; POST NAME/delete; GET all."""
        name, _, verb = rest.partition("/")
        if not name:
            return web.json_response({"value": [self._seen(each) for each in self.sets.values()]})
        scale_set = self.sets.get(name)
        if scale_set is None:
            raise Refused(404, "ResourceNotFound", f"The Resource 'virtualMachineScaleSets/{name}' was not found.")
        if request.method == "GET":
            return web.json_response(self._seen(scale_set, user_data=request.query.get("$expand") == "userData"))
        body = await request.json()
        if (request.method, verb) == ("PATCH", ""):
            check(body, VirtualMachineScaleSetUpdate)
            return self._patch(scale_set, body, request)
        if (request.method, verb) == ("POST", "delete"):
            check(body, VirtualMachineScaleSetVMInstanceRequiredIDs)
            return self._delete(scale_set, body["instanceIds"], request)
        raise Refused(405, "MethodNotAllowed")

    async def list_machines(self, request: web.Request, rest: str) -> web.Response:
        """GET of those that ``$filter`` names, with their instance view where it is asked for."""
        found = re.fullmatch(r"'virtualMachineScaleSet/id' eq '(.+)'", request.query.get("$filter", ""))
        if request.query.get("$expand") == "instanceView" and not found:
            raise Refused(400, "InvalidParameter", "instanceView needs a valid $filter")
        sets = [each for each in self.sets.values() if not found or each.id.lower() == found[1].lower()]
        view = request.query.get("$expand") == "instanceView"
        return web.json_response({"value": [_machine(each, vm, view) for each in sets for vm in each.machines.values()]})

    async def usages(self, request: web.Request, rest: str) -> web.Response:
        """GET LOCATION/usages: a machine has two cores."""
        used = sum(each.capacity for each in self.sets.values())
        cores = {"unit": "Count", "currentValue": 2 * used, "limit": 2 * self._faults.quota, "name": {"value": "cores"}}
        return web.json_response({"value": [cores]})

    def _seen(self, scale_set: ScaleSet, *, user_data: bool = False) -> dict[str, Any]:
        health = {"name": "health", "properties": {"publisher": "Microsoft.ManagedServices", "type": "ApplicationHealthLinux"}}
        profile: dict[str, Any] = {
            "storageProfile": {"imageReference": {"id": scale_set.image}},
            "extensionProfile": {"extensions": [health] if scale_set.watched else []},
        }
        if user_data:
            profile["userData"] = scale_set.user_data
        return {
            "id": scale_set.id,
            "name": scale_set.name,
            "location": "weu",
            "etag": scale_set.etag,
            "tags": dict(scale_set.tags),
            "sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": scale_set.capacity},
            "zones": list(scale_set.zones),
            "properties": {
                "orchestrationMode": "Flexible",
                "upgradePolicy": {"mode": scale_set.upgrade_mode},
                "provisioningState": "Updating" if scale_set.under_way else "Succeeded",
                "virtualMachineProfile": profile,
            },
        }

    def _patch(self, scale_set: ScaleSet, body: dict[str, Any], request: web.Request) -> web.Response:
        if request.headers.get("If-Match") not in (None, "*", scale_set.etag):
            raise Refused(412, "PreconditionFailed", "The etag does not match")
        capacity = body.get("sku", {}).get("capacity", scale_set.capacity)
        others = sum(each.capacity for each in self.sets.values() if each is not scale_set)
        if capacity > scale_set.capacity and others + capacity > self._faults.quota:
            message = "Operation could not be completed as it results in exceeding approved Cores quota."
            raise Refused(409, "OperationNotAllowed", message)
        profile = body.get("properties", {}).get("virtualMachineProfile", {})
        if len(profile.get("userData", "")) > 65_536:
            raise Refused(400, "InvalidParameter", "userData is too long")
        scale_set.tags = body.get("tags", scale_set.tags)
        scale_set.user_data = profile.get("userData", scale_set.user_data)
        scale_set.image = profile.get("storageProfile", {}).get("imageReference", {}).get("id", scale_set.image)
        scale_set.capacity = capacity
        scale_set.touch()
        headers = self._begin("update", scale_set, lambda: self._resize(scale_set), request)
        return web.json_response(self._seen(scale_set), headers=headers)

    def _delete(self, scale_set: ScaleSet, names: list[str], request: web.Request) -> web.Response:
        there = [scale_set.machines[name] for name in names if name in scale_set.machines]
        there = [vm for vm in there if not vm.deleting]
        scale_set.capacity -= len(there)
        scale_set.touch()
        for vm in there:
            vm.deleting = True
        headers = self._begin("delete", scale_set, lambda: self._end(scale_set, there), request)
        return web.Response(status=202, headers={**headers, "Location": headers["Azure-AsyncOperation"]})

    def _begin(
        self, kind: str, scale_set: ScaleSet, work: Callable[[], Awaitable[None]], request: web.Request
    ) -> dict[str, str]:
        async def run() -> None:
            try:
                await asyncio.sleep(self._faults.slow)
                await work()
            finally:
                scale_set.under_way -= 1

        scale_set.under_way += 1
        path = self._operations.begin(f"{kind} {scale_set.name}", run())
        retry = f"{self._operations.retry_after:g}"
        return {"Azure-AsyncOperation": f"{request.scheme}://{request.host}{path}?api-version=2026-04-01", "Retry-After": retry}

    async def _resize(self, scale_set: ScaleSet) -> None:
        """Make as many machines as the zones have room for, in strict balance, or end the newest that are too many."""
        present = [vm for vm in scale_set.machines.values() if not vm.deleting]
        newest = sorted(present, key=lambda vm: vm.made, reverse=True)[: max(0, len(present) - scale_set.capacity)]
        for vm in newest:
            vm.deleting = True
        if newest:
            await self._end(scale_set, newest)
        full = ""
        used = Counter(vm.zone for vm in present)
        for _ in range(len(present), scale_set.capacity):
            zone = min(scale_set.zones, key=lambda each: used[each])
            used[zone] += 1
            if zone in self._faults.full_zones:
                full = zone
                continue
            await self._start(scale_set, zone)
        if full:
            scale_set.capacity = len([vm for vm in scale_set.machines.values() if not vm.deleting])
            message = f"Allocation failed. We do not have sufficient capacity for the requested VM size in zone {full}."
            raise Refused(409, "ZonalAllocationFailed", message)

    async def _start(self, scale_set: ScaleSet, zone: str) -> None:
        name = f"{scale_set.name}_{secrets.token_hex(4)}"
        machine = await self._machines.start(scale_set.name, name, scale_set.user_data)
        scale_set.machines[name] = Vm(name, zone, machine, made=_next_instant())
        scale_set.starts += 1
        self._network.enter(*_pool(scale_set), name)
        self._nics.make(scale_set.name, name)

    async def _end(self, scale_set: ScaleSet, machines: list[Vm]) -> None:
        """As with a terminate notification: each may finish what it answers."""
        await asyncio.gather(*(vm.machine.end() for vm in machines))
        for vm in machines:
            scale_set.machines.pop(vm.name, None)
            self._network.leave(*_pool(scale_set), vm.name)
            self._nics.remove(vm.name)


def _next_instant() -> datetime:
    return datetime.fromtimestamp(int(time.time()), UTC).replace(microsecond=next(_instants) % 1_000_000)


def _pool(scale_set: ScaleSet) -> tuple[str, str]:
    return f"lbi-{scale_set.tags['service']}", scale_set.tags["colour"]


def _machine(scale_set: ScaleSet, vm: Vm, view: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "virtualMachineScaleSet": {"id": scale_set.id},
        "provisioningState": "Deleting" if vm.deleting else vm.state,
        "timeCreated": vm.made.isoformat().replace("+00:00", "Z"),
    }
    if view:
        properties["instanceView"] = {"statuses": [{"code": "PowerState/running"}]}
        if vm.machine.health:
            properties["instanceView"]["vmHealth"] = {"status": {"code": f"HealthState/{vm.machine.health}"}}
    return {
        "id": f"{PROVIDER}/virtualMachines/{vm.name}",
        "name": vm.name,
        "location": "weu",
        "zones": [vm.zone],
        "properties": properties,
    }
