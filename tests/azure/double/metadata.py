"""The metadata service of every machine, and the events that Azure schedules for them: below ``/imds/MACHINE``.

From Microsoft's *Azure Instance Metadata Service* (the header, no proxy, versions, five requests a second, strings alone),
*Scheduled Events for Linux VMs* (each machine of a set hears of every event of it, an approval counts for all machines that the
event names, whoever gives it) and *Terminate notification for Azure Virtual Machine Scale Set instances* (a deletion waits for
the approval or the timeout, and for deletions of the same set that are not approved yet). Not played: that the first answer
takes up to two minutes.
"""

import asyncio
import json
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from tests.azure.double.faults import Refused
from tests.azure.double.gallery import PROVIDER

_INSTANCE = {"2021-12-13", "2023-07-01", "2025-04-07"}
_EVENTS = {"2019-01-01", "2019-04-01", "2019-08-01", "2020-07-01"}
_A_SECOND = 5


@dataclass
class Described:
    """A machine, as its own service describes it."""

    name: str
    scale_set: str
    address: str
    user_data: str
    asked: deque[float] = field(default_factory=lambda: deque(maxlen=_A_SECOND))
    away: bool = False


@dataclass
class Scheduled:
    """One event."""

    kind: str
    machines: tuple[str, ...]
    not_before: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    started: asyncio.Event = field(default_factory=asyncio.Event)
    approved_by: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        waits = not self.started.is_set()
        return {
            "EventId": self.id,
            "EventType": self.kind,
            "ResourceType": "VirtualMachine",
            "Resources": list(self.machines),
            "EventStatus": "Scheduled" if waits else "Started",
            "NotBefore": format_datetime(self.not_before, usegmt=True) if waits else "",
            "Description": "",
            "EventSource": "User",
            "DurationInSeconds": -1,
        }


class Imds:
    """All of them."""

    def __init__(self) -> None:
        self.machines: dict[str, Described] = {}
        self.events: list[Scheduled] = []
        self.ended: list[Scheduled] = []
        self._incarnation = 1

    def enter(self, name: str, scale_set: str, address: str, user_data: str) -> Described:
        """Let there be a machine."""
        self.machines[name] = Described(name, scale_set, address, user_data)
        return self.machines[name]

    def schedule(self, kind: str, *machines: str, timeout: float = 300.0) -> Scheduled:
        """Announce what is to happen to some machines."""
        event = Scheduled(kind, machines, datetime.now(UTC) + timedelta(seconds=timeout))
        self.events.append(event)
        self._incarnation += 1
        return event

    def call_off(self, event: Scheduled) -> None:
        """Take an event off the list: it has happened, or will not."""
        self.events.remove(event)
        self.ended.append(event)
        self._incarnation += 1

    async def terminate(self, machine: str, seconds: float) -> None:
        """Return when a machine may be deleted: it was approved, or nobody did in time; and so for others of its set."""
        pending = [event for event in self.events if event.kind == "Terminate" and self._of_one_set(machine, event)]
        mine = self.schedule("Terminate", machine, timeout=seconds)
        await asyncio.gather(*(self._over(event) for event in (mine, *pending)))

    async def _over(self, event: Scheduled) -> None:
        left = (event.not_before - datetime.now(UTC)).total_seconds()
        try:
            await asyncio.wait_for(event.started.wait(), max(0.0, left))
        except TimeoutError:
            event.started.set()

    def leave(self, machine: str) -> None:
        """Let a machine be gone."""
        self.machines.pop(machine, None)
        for event in [each for each in self.events if set(each.machines) <= {machine}]:
            self.call_off(event)

    def _of_one_set(self, machine: str, event: Scheduled) -> bool:
        there = self.machines[machine].scale_set
        return any(each in self.machines and self.machines[each].scale_set == there for each in event.machines)

    async def answer(self, request: web.Request, path: str) -> web.Response:
        """GET MACHINE/metadata/instance; GET, POST MACHINE/metadata/scheduledevents."""
        name, _, rest = path.partition("/")
        machine = self.machines.get(name)
        if machine is None or machine.away:
            assert request.transport is not None
            request.transport.abort()
            raise Refused(503, "ServiceUnavailable")
        if request.headers.get("Metadata") != "true" or "X-Forwarded-For" in request.headers:
            raise Refused(400, "BadRequest", "Required metadata header not specified")
        _check_rate(machine)
        version = request.query.get("api-version")
        if (request.method, rest) == ("GET", "metadata/instance") and version in _INSTANCE:
            return web.json_response(describe(machine))
        if rest == "metadata/scheduledevents" and version in _EVENTS:
            return await self._approve(machine, request) if request.method == "POST" else self._list(machine)
        raise Refused(400, "BadRequest", "api-version is invalid or was not specified in the request")

    def _list(self, machine: Described) -> web.Response:
        found = [event.plain() for event in self.events if self._of_one_set(machine.name, event)]
        return web.json_response({"DocumentIncarnation": self._incarnation, "Events": found})

    async def _approve(self, machine: Described, request: web.Request) -> web.Response:
        try:
            ids = {each["EventId"] for each in json.loads(await request.read())["StartRequests"]}
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(400, "BadRequest", "the payload was malformed") from error
        found = [event for event in self.events if event.id in ids and self._of_one_set(machine.name, event)]
        if len(found) != len(ids):
            raise Refused(400, "BadRequest", "there is no such event")
        for event in found:
            event.approved_by.append(machine.name)
            event.started.set()
            self._incarnation += 1
        return web.Response()


def _check_rate(machine: Described) -> None:
    now = time.monotonic()
    if len(machine.asked) == _A_SECOND and now - machine.asked[0] < 1.0:
        raise Refused(429, "TooManyRequests", "at most five requests a second")
    machine.asked.append(now)


def describe(machine: Described) -> dict[str, Any]:
    """Return what a machine of a Flexible scale set is told of itself."""
    compute = {
        "azEnvironment": "AzurePublicCloud",
        "location": "weu",
        "name": machine.name,
        "osType": "Linux",
        "resourceId": f"{PROVIDER}/virtualMachines/{machine.name}",
        "tags": "project:bleen",
        "tagsList": [{"name": "project", "value": "bleen"}],
        "userData": machine.user_data,
        "virtualMachineScaleSet": {"id": f"{PROVIDER}/virtualMachineScaleSets/{machine.scale_set}"},
        "vmScaleSetName": "",
        "vmSize": "Standard_D2s_v5",
        "zone": "1",
    }
    addresses = [{"privateIpAddress": machine.address, "publicIpAddress": ""}]
    card = {
        "ipv4": {"ipAddress": addresses, "subnet": [{"address": "10.10.0.0", "prefix": "24"}]},
        "ipv6": {"ipAddress": []},
        "macAddress": "000D3A123456",
    }
    return {"compute": compute, "network": {"interface": [card]}}
