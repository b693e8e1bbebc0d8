"""The port `Fleets` on scale sets: two of each service in each region, blue and green, as the Terraform module makes them."""

import asyncio
import heapq
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

from msgspec import structs

from bleen.domain.codec import digest_of
from bleen.domain.errors import Conflict, LawBroken, NotFound, Unreachable
from bleen.domain.fleet import Fleet, FleetOrder, LogLine, Slot, refuse_change
from bleen.ports import Backends
from bleen.providers.azure.assignment import check_secrets
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.fleet import AzureFleet, Means, Timing
from bleen.providers.azure.gallery import Gallery
from bleen.providers.azure.operations import Operations
from bleen.providers.azure.pace import Pace
from bleen.providers.azure.reports import Report, Reports
from bleen.providers.azure.sets import Change, ScaleSets, SetSeen
from bleen.providers.azure.site import Container
from bleen.providers.usage import FleetUsage

_FOLLOW_SECONDS = 1.0
_LISTENING = 5.0
"""What machines report is read again no sooner than after so many times as long as reading it took: a listing of some hundred
blobs costs a third of a second of this process's time, and a rollout asks many times a second."""
_DEAF = 5.0
"""Seconds after which it is read again at the latest: where storage was slow once, that is no reason to hear of nothing."""


class AzureFleets:
    """The fleets of one site. Nothing is kept here that Azure does not have: another process goes on where this one ends."""

    def __init__(
        self,
        azure: Azure,
        gallery: Gallery,
        backends: Backends,
        timing: Timing | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``check`` raises where this process may change nothing: `bleen.providers.azure.lease.Lease.check`."""
        timing = timing or Timing()
        notes = azure.container(Container.OPERATIONS)
        self._sets = ScaleSets(azure)
        self._vault = azure.site.vault
        operations = Operations(azure, notes, timing.first / 2, timing.first * 3, check)
        self._means = Means(self._sets, operations, backends, timing)
        self._gallery = gallery
        self._reports = Reports(azure.container(Container.MACHINES))
        self._pace = Pace(timing.first, timing.longest)
        self._fleets: dict[Slot, AzureFleet] = {}
        self._locks: dict[Slot, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ends: dict[Slot, asyncio.Task[None]] = {}
        self._look_under_way: asyncio.Task[None] | None = None
        self._heard: dict[str, dict[str, Report]] | None = None
        self._listen_at = 0.0
        self._listen_every = timing.listen

    async def launch(self, order: FleetOrder) -> None:
        """See `bleen.ports.Fleets`. InvalidInput where no machine could read a secret that the order names."""
        check_secrets(order, self._vault)
        async with self._locks[order.slot]:
            seen = await self._sets.find(order.slot)
            there = None if seen.retiring or not seen.order else await self._sets.order(seen)
            ending = order.slot in self._ends
            if there is None and not ending:
                await self._check_empty(seen)
            elif there is not None:
                refuse_change(there, order, retiring=ending)
                if there == order:
                    return
            await self._write(seen, order, there)

    async def _write(self, seen: SetSeen, order: FleetOrder, there: FleetOrder | None) -> None:
        """Put the order into its scale set. A smaller size takes no machine away yet: those that leave must drain first."""
        image = await self._gallery.start_from(order.slot.service, order.image)
        capacity = max(order.size, seen.capacity if there is not None else 0)
        note = await self._means.write(seen, Change(capacity, order, image), digest_of(order))
        seen = self._sets.written(seen)
        fleet = self._fleets.get(order.slot) or self._keep(seen, order)
        fleet.ordered(seen, order)
        fleet.follow(note)
        if there is None and note is not None:
            fleet.pace.looked(changed=True)  # it was empty, and what fills it has only just begun

    async def _check_empty(self, seen: SetSeen) -> None:
        if seen.retiring and await self._sets.machines(seen):
            raise Conflict(f"{seen.slot} is being retired", next="try again when it is gone: bleen status")
        if seen.capacity and not seen.retiring:
            next = f"az vmss scale --new-capacity 0 --name {seen.name}"
            raise Conflict(f"{seen.name} has {seen.capacity} machines that Bleen did not start", next=next)

    def _keep(self, seen: SetSeen, order: FleetOrder) -> AzureFleet:
        self._fleets[order.slot] = fleet = AzureFleet(seen, order, self._means)
        return fleet

    async def retire(self, slot: Slot, release: int) -> None:
        """See `bleen.ports.Fleets`."""
        if slot not in self._fleets:
            self._pace.now()
        await self.observe(slot.service)
        fleet = self._fleets.get(slot)
        if fleet is None or fleet.order.release != release:
            return
        if slot not in self._ends:
            name = fleet.backend().name
            if await self._means.backends.routed(name):
                raise LawBroken(3, f"a gateway names {name} in a route, or does not answer")
        # Shielded: whoever asked may go away; the end that has begun goes on.
        await asyncio.shield(self._end(fleet))

    def _end(self, fleet: AzureFleet) -> asyncio.Task[None]:
        slot = fleet.order.slot
        if slot not in self._ends:
            self._ends[slot] = asyncio.create_task(self._retire(slot, fleet))
        return self._ends[slot]

    async def _retire(self, slot: Slot, fleet: AzureFleet) -> None:
        try:
            await fleet.retire()
            del self._fleets[slot]
        finally:
            del self._ends[slot]

    async def observe(self, service: str = "") -> Sequence[Fleet]:
        """See `bleen.ports.Fleets`. Asks Resource Manager only when it is time to (`Pace`)."""
        await self._looked()
        for fleet in self._fleets.values():
            fleet.tend()
        found = sorted(self._fleets.items(), key=lambda item: str(item[0]))
        return [fleet.fleet() for slot, fleet in found if service in ("", slot.service)]

    async def usage(self, service: str) -> Sequence[FleetUsage]:
        """Return what the fleets of ``service`` use, as their machines reported it; raises what ``observe`` does."""
        await self.observe(service)
        return [fleet.usage() for slot, fleet in self._fleets.items() if slot.service == service]

    async def _looked(self) -> None:
        """Return when a look has ended that began after this was asked; all who ask meanwhile share it.

        Shielded: who asks has three seconds, and Azure may ask to wait longer. To begin again each time would never end.
        """
        before = self._look_under_way
        if before is not None and not before.done():
            await asyncio.wait([before])
        if self._look_under_way is before:
            self._look_under_way = asyncio.create_task(self._look_where_due())
        assert self._look_under_way is not None
        await asyncio.shield(self._look_under_way)

    async def _look_where_due(self) -> None:
        if time.monotonic() >= self._listen_at:
            began = time.monotonic()
            await self._listen()
            ended = time.monotonic()
            self._listen_at = ended + max(self._listen_every, min(_LISTENING * (ended - began), _DEAF))
        if self._pace.due() or any(fleet.pace.due() for fleet in self._fleets.values() if not fleet.retiring):
            await self._look()

    async def _listen(self) -> None:
        """Read the reports of all machines. While storage is away the last ones count."""
        try:
            found = await self._reports.read()
        except Unreachable:
            if self._heard is None:
                raise
            return
        heard: dict[str, dict[str, Report]] = defaultdict(dict)
        for (scale_set, machine), report in found.items():
            heard[scale_set][machine] = report
        self._heard = heard
        for fleet in self._fleets.values():
            fleet.hear(heard.get(fleet.seen_set.name, {}))

    async def _look(self) -> None:
        """Look at the fleets that are due: at their machines, and at the scale sets where these may be new, too."""
        if not self._pace.due() and await self._looked_within():
            return
        sets = [seen for seen in await self._sets.list() if seen.order]
        before = set(self._fleets)
        await asyncio.gather(*(self._look_at(seen) for seen in sets))
        for slot in before - {seen.slot for seen in sets}:
            if slot in self._fleets:
                self._fleets[slot].pace.looked(changed=False)
        self._pace.looked(changed=before != set(self._fleets))

    async def _looked_within(self) -> bool:
        """Look at the machines of the fleets that are due, where nothing else can be new; False where it is, all the same."""
        due = [fleet for fleet in self._fleets.values() if fleet.pace.due() and not fleet.retiring]
        if not all(fleet.known for fleet in due):
            return False
        await asyncio.gather(*(self._look_into(fleet, fleet.seen_set, fleet.order) for fleet in due))
        lost = [fleet for fleet in due if not fleet.known]
        for fleet in lost:
            fleet.pace.now()
        return not lost

    async def _look_at(self, seen: SetSeen) -> None:
        fleet = self._fleets.get(seen.slot)
        if fleet is not None and (fleet.retiring or not fleet.pace.due()):
            return
        if seen.retiring:
            if fleet is not None:  # another process ended it: to keep it would be to start it again
                del self._fleets[seen.slot]
                await fleet.close()
            return
        await self._look_into(fleet, seen, await self._sets.order(seen))

    async def _look_into(self, fleet: AzureFleet | None, seen: SetSeen, order: FleetOrder) -> None:
        before = fleet and fleet.seen_set
        machines = await self._sets.machines(seen)
        if self._fleets.get(seen.slot) is not fleet or (fleet and fleet.seen_set is not before):
            return  # it was launched, or ordered anew, meanwhile: what was read is from before
        if fleet is None:
            fleet = self._keep(seen, order)
            fleet.hear((self._heard or {}).get(seen.name, {}))
            fleet.resume()
        fleet.look(seen, order, machines)

    async def logs(self, service: str, *, instance: str = "", lines: int = 100, follow: bool = False) -> AsyncIterator[LogLine]:
        """See `bleen.ports.Fleets`. A line is here within seconds of its machine's sending it."""
        told: dict[str, LogLine] = {}
        while True:
            for line in await self._lines(service, instance, lines):
                if line.instance not in told or line.at > told[line.instance].at:
                    yield line
                    latest = line
                    told[line.instance] = latest
            if not follow:
                return
            await asyncio.sleep(_FOLLOW_SECONDS)

    async def _lines(self, service: str, instance: str, lines: int) -> Sequence[LogLine]:
        await self.observe(service)
        fleets = [fleet for slot, fleet in self._fleets.items() if slot.service == service]
        wanted = [(fleet.seen_set.name, *pair) for fleet in fleets for pair in fleet.machine(instance)]
        if not wanted:
            what = f"{service} has no instance {instance}" if instance else f"{service} has no instance here"
            raise NotFound(what, next="bleen status shows what runs")
        logs = await asyncio.gather(*(self._log(*each, lines) for each in wanted))
        return list(heapq.merge(*logs, key=lambda line: line.at))

    async def _log(self, scale_set: str, name: str, machine: str, lines: int) -> Sequence[LogLine]:
        return [structs.replace(line, instance=name) for line in (await self._reports.log(scale_set, machine))[-lines:]]

    async def close(self) -> None:
        """Stop watching; every machine goes on."""
        tasks = [*self._ends.values(), *([self._look_under_way] if self._look_under_way else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(fleet.close() for fleet in self._fleets.values()))
