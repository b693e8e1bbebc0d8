"""Scale sets as Azure has them, and changes to them. A fleet's order is in the set's user data, so that it needs no ledger.

Azure answers reads with what was true some time ago. What this process has learned it does not unlearn: a set under an etag
that a write of ours replaced, or was refused for, is the one from before.
"""

import base64
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError
from azure.mgmt.compute.models import VirtualMachine, VirtualMachineScaleSet

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.fleet import FleetOrder, Slot
from bleen.providers.azure.assignment import Assignment, read_order, to_user_data
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.errors import speaking
from bleen.providers.azure.operations import Begin
from bleen.providers.azure.site import Site

_MOST_USER_DATA = 48_000
"""Bytes: Azure takes 64 KB as base64."""
_OLDEST = datetime.min.replace(tzinfo=UTC)


class SetSeen(Value, frozen=True):
    """A scale set as it was seen."""

    name: str
    slot: Slot
    id: str
    etag: str
    capacity: int
    updating: bool
    tags: Mapping[str, str]

    @property
    def order(self) -> str:
        """The digest of the order that it keeps; empty where it keeps none."""
        return self.tags.get("order", "")

    @property
    def retiring(self) -> bool:
        """Whether its fleet is being ended, or has ended."""
        return self.tags.get("retiring") == "yes"


class MachineSeen(Value, frozen=True):
    """A machine of a scale set as Azure sees it."""

    name: str
    made: datetime
    health: str
    """What the health extension found: ``healthy``, ``unhealthy``, ``initializing``, ``unknown``; empty for nothing yet."""
    leaving: bool
    """Whether Azure is deleting it."""


class Change(Value, frozen=True):
    """What is to be different about a scale set. None: as it is."""

    capacity: int
    order: FleetOrder | None = None
    image: str = ""
    """The id of the version of the image."""
    retiring: bool = False


class ScaleSets:
    """Those of one site."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure
        self._orders: dict[str, FleetOrder] = {}
        self._latest: dict[str, SetSeen] = {}
        self._replaced: dict[str, set[str]] = defaultdict(set)

    async def list(self) -> Sequence[SetSeen]:
        """Return those that belong to a service of this environment; one call, or one for each page."""
        with speaking("read the scale sets"):
            found = [each async for each in self._azure.compute.virtual_machine_scale_sets.list(self._azure.site.group)]
        return [seen for each in found if (seen := self._seen(each)) is not None]

    async def find(self, slot: Slot) -> SetSeen:
        """Return that of ``slot``, read anew with its order; NotFound."""
        name = self._azure.site.scale_set(slot)
        try:
            with speaking("read a scale set"):
                sets = self._azure.compute.virtual_machine_scale_sets
                found = await sets.get(self._azure.site.group, name, expand="userData")
        except NotFound as error:
            next = f"the module service makes it, with name = {slot.service!r}: terraform apply"
            raise NotFound(f"there is no scale set {name}", why=f"{slot} has no place to run", next=next) from error
        seen = self._seen(found)
        if seen is None or seen.slot != slot:
            raise InvalidInput(f"{name} is not the scale set of {slot}", why="its tags service and colour say otherwise")
        self._learn(seen, found)
        return seen

    async def order(self, seen: SetSeen) -> FleetOrder:
        """Return the order that a set keeps; read once for each."""
        if seen.order not in self._orders:
            await self.find(seen.slot)
        if seen.order not in self._orders:
            raise InvalidInput(f"the order in {seen.name} cannot be read", why="its user data are not what its tags say")
        return self._orders[seen.order]

    async def machines(self, seen: SetSeen) -> Sequence[MachineSeen]:
        """Return the machines of a set, the oldest first; one call, or one for each page."""
        machines = self._azure.compute.virtual_machines
        belongs = f"'virtualMachineScaleSet/id' eq '{seen.id}'"
        with speaking(f"read the machines of {seen.name}"):
            found = [each async for each in machines.list(self._azure.site.group, filter=belongs, expand="instanceView")]
        return sorted((_machine(each) for each in found), key=lambda each: (each.made, each.name))

    async def members(self) -> Collection[str]:
        """Return the names of the machines of the Envoys' scale set that exist."""
        azure, name = self._azure, self._azure.site.gateways
        with speaking("read which gateways there are"):
            found = await azure.compute.virtual_machine_scale_sets.get(azure.site.group, name)
            belongs = f"'virtualMachineScaleSet/id' eq '{found.id}'"
            return {each.name or "" async for each in azure.compute.virtual_machines.list(azure.site.group, filter=belongs)}

    def written(self, seen: SetSeen) -> SetSeen:
        """Return the set as our last write left it, or as it was read since; ``seen`` where it was not."""
        return self._latest.get(seen.name, seen)

    def replaced(self, before: SetSeen, after: SetSeen) -> None:
        """Learn that ``after`` is what became of ``before``, though nobody heard the answer to the write."""
        if before.etag != after.etag:
            self._replaced[before.name].add(before.etag)
            self._latest[after.name] = after

    def change(self, seen: SetSeen, change: Change) -> Begin:
        """Return what begins a change of ``seen``: a Conflict where somebody else changed it since."""
        body = _body(seen, change, self._azure.site)

        async def begin(heard: Callable[[Any], None]) -> None:
            try:
                poller = await self._azure.compute.virtual_machine_scale_sets.begin_update(
                    self._azure.site.group,
                    seen.name,
                    body,
                    etag=seen.etag,
                    match_condition=MatchConditions.IfNotModified,
                    polling=False,
                    raw_response_hook=heard,
                )
            except ResourceModifiedError:
                self._replaced[seen.name].add(seen.etag)
                raise
            self._wrote(seen, await poller.result())
            if change.order is not None:
                self._orders[digest_of(change.order)] = change.order

        return begin

    def delete(self, seen: SetSeen, machines: Sequence[str]) -> Begin:
        """Return what begins to delete some machines of a set, and makes it smaller by as many."""

        async def begin(heard: Callable[[Any], None]) -> None:
            await self._azure.compute.virtual_machine_scale_sets.begin_delete_instances(
                self._azure.site.group, seen.name, {"instanceIds": list(machines)}, polling=False, raw_response_hook=heard
            )

        return begin

    def _seen(self, found: VirtualMachineScaleSet) -> SetSeen | None:
        tags = dict(found.tags or {})
        slot = self._azure.site.slot(tags.get("service", ""), tags.get("colour", ""))
        if slot is None or not found.name or not found.id:
            return None
        capacity = int(found.sku.capacity or 0) if found.sku else 0
        updating = (found.provisioning_state or "") in ("Updating", "Creating")
        seen = SetSeen(found.name, slot, found.id, found.etag or "", capacity, updating, tags)
        if seen.etag in self._replaced[seen.name]:
            return self._latest.get(seen.name, seen)
        self._latest[seen.name] = seen
        return seen

    def _wrote(self, before: SetSeen, found: VirtualMachineScaleSet) -> None:
        self._replaced[before.name].add(before.etag)
        self._seen(found)

    def _learn(self, seen: SetSeen, found: VirtualMachineScaleSet) -> None:
        profile = found.virtual_machine_profile
        if not seen.order or profile is None or not profile.user_data:
            return
        if (order := read_order(profile.user_data)) is not None:
            self._orders[digest_of(order)] = order


def _body(seen: SetSeen, change: Change, site: Site) -> Any:
    tags = {name: value for name, value in seen.tags.items() if name != "retiring"}
    profile: dict[str, Any] = {}
    if change.retiring:
        tags["retiring"] = "yes"
    if change.order is not None:
        data = to_user_data(Assignment(site.account, change.order, site.vault or None))
        if len(data) > _MOST_USER_DATA:
            what = f"the configuration of {change.order.slot.service} is too long for Azure's user data"
            raise InvalidInput(what, why=f"{len(data)} bytes of {_MOST_USER_DATA}", next="put large files into the image")
        tags |= {"order": digest_of(change.order), "release": f"r{change.order.release}", "digest": change.order.image}
        profile["userData"] = base64.b64encode(data).decode()
    if change.image:
        profile["storageProfile"] = {"imageReference": {"id": change.image}}
    body: dict[str, Any] = {"sku": {"capacity": change.capacity}, "tags": tags}
    return body | ({"properties": {"virtualMachineProfile": profile}} if profile else {})


def _machine(found: VirtualMachine) -> MachineSeen:
    view = found.instance_view
    code = (view.vm_health.status.code or "") if view and view.vm_health and view.vm_health.status else ""
    return MachineSeen(
        name=found.name or "",
        made=found.time_created or _OLDEST,
        health=code.rpartition("/")[2].lower(),
        leaving=found.provisioning_state == "Deleting",
    )
