"""The host agent: keeps the fleets of this machine, and the parts of the platform, as ordered, with nobody watching."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from bleen.domain.errors import BleenError, InvalidInput, LawBroken, NotFound
from bleen.domain.fleet import Fleet, FleetOrder, LogLine, Slot, refuse_change
from bleen.ports import Backends
from bleen.providers.local.addresses import allocate
from bleen.providers.local.fleet import LocalFleet
from bleen.providers.local.logs import Log, merge, prune
from bleen.providers.local.logs import follow as follow_logs
from bleen.providers.local.machine import Machine, check_files, write_files
from bleen.providers.local.parts import PartRunner
from bleen.providers.local.process import ProcessId, identify, kill_marked, marked, runs, send, topmost
from bleen.providers.local.records import FleetRecord, InstanceRecord
from bleen.providers.local.store import load

log = logging.getLogger("bleen.agent")

_STOP_SECONDS = 5.0
_RETRY_SECONDS = 1.0


class Agent:
    """The port `Fleets` for one machine. ``begin`` it, then ``stop_everything`` or ``abandon`` it."""

    def __init__(self, machine: Machine, backends: Mapping[str, Backends], parts: PartRunner) -> None:
        self.machine = machine
        self.parts = parts
        self._backends = backends
        self._fleets: dict[Slot, LocalFleet] = {}
        self._locks: dict[Slot, asyncio.Lock] = {}
        self._ends: dict[Slot, asyncio.Task[None]] = {}
        self._addresses: set[str] = set()
        self.stopped = asyncio.Event()
        """Set when everything has ended, and the agent may."""

    @property
    def _folder(self) -> Path:
        return self.machine.home / "fleets"

    # Beginning

    async def begin(self) -> None:
        """Adopt what an earlier agent started, clean up what it could not record, and go on."""
        records = [(path.parent, load(path, FleetRecord)) for path in sorted(self._folder.glob("*/order.json"))]
        for folder, _ in records:
            self._addresses |= {load(p, InstanceRecord).address for p in folder.glob("instances/*.json")}
        strays = await self._strays([folder for folder, _ in records])
        for folder, record in records:
            fleet = self._keep(folder, record)
            await fleet.adopt(strays)
            if record.retiring:
                self._end(fleet, once_unrouted=True)
        live = {i.record.name for f in self._fleets.values() for i in f.instances.values()}
        await asyncio.to_thread(prune, self.machine.logs, live)
        for name, stray in strays.items():
            log.warning("%s (pid %d) belongs to no fleet, and is ended", name, stray.pid)
            send(stray, signal.SIGKILL)
            await kill_marked({"BLEEN_HOME": str(self.machine.home), "BLEEN_INSTANCE": name})

    async def _strays(self, folders: Sequence[Path]) -> dict[str, ProcessId]:
        """Return the processes of instances whose record does not name a running process, by instance."""
        records = [load(path, InstanceRecord) for folder in folders for path in folder.glob("instances/*.json")]
        alive = {r.name for r in records if r.process is not None and runs(r.process)}
        found = await asyncio.to_thread(marked, {"BLEEN_HOME": str(self.machine.home)})
        ours = {pid: env["BLEEN_INSTANCE"] for pid, env in found.items() if "BLEEN_INSTANCE" in env}
        strays: dict[str, ProcessId] = {}
        for pid in sorted(topmost(set(ours))):
            identity = identify(pid)
            if ours[pid] in alive or identity is None:
                continue
            if ours[pid] in strays:  # two of one name: the older one is adopted
                send(identity, signal.SIGKILL)
            else:
                strays[ours[pid]] = identity
        return strays

    def _keep(self, folder: Path, record: FleetRecord) -> LocalFleet:
        backends = self._of_region(record.order.slot.region)
        fleet = LocalFleet(self.machine, backends, folder, record, self._new_address)
        self._fleets[record.order.slot] = fleet
        return fleet

    def _of_region(self, region: str) -> Backends:
        if region not in self._backends:
            raise InvalidInput(f"there is no region {region}", why=f"this platform has {', '.join(self._backends)}")
        return self._backends[region]

    def _new_address(self) -> str:
        if self.machine.address:
            return self.machine.address
        live = {i.record.address for f in self._fleets.values() for i in f.instances.values()}
        # An address that was just given up is not handed out again at once: it may be the one that was taken.
        self._addresses |= live
        try:
            address = allocate(self.machine.home, self._addresses)
        except BleenError:
            self._addresses = live
            address = allocate(self.machine.home, self._addresses)
        self._addresses.add(address)
        return address

    # The port

    async def launch(self, order: FleetOrder) -> None:
        """Make the fleet so, or be on its way. See `bleen.ports.Fleets`."""
        check_files(order)
        self._of_region(order.slot.region)
        async with self._locks.setdefault(order.slot, asyncio.Lock()):
            fleet = self._fleets.get(order.slot)
            if fleet is None:
                await self._create(order)
            elif fleet.order != order or fleet.retiring:
                refuse_change(fleet.order, order, retiring=fleet.retiring)
                await fleet.resize(order)

    async def _create(self, order: FleetOrder) -> None:
        await self.machine.images.verify(order.image)
        slot = order.slot
        folder = self._folder / f"{slot.environment}.{slot.region}.{slot.service}.{slot.place}.r{order.release}"
        record = FleetRecord(order=order)
        await write_files(folder / "files", order)
        await self.machine.shelf.put(folder / "order.json", record)
        fleet = self._keep(folder, record)
        fleet.verified = True
        await fleet.reconcile()

    async def retire(self, slot: Slot, release: int) -> None:
        """End the fleet. See `bleen.ports.Fleets`."""
        fleet = self._fleets.get(slot)
        if fleet is None or fleet.order.release != release:
            return
        if slot not in self._ends:
            await self._check_unrouted(fleet)
        # Shielded: whoever asked may go away; the end that has begun goes on.
        await asyncio.shield(self._end(fleet))

    async def _check_unrouted(self, fleet: LocalFleet) -> None:
        backend = fleet.backend()
        if await self._of_region(fleet.order.slot.region).routed(backend.name):
            raise LawBroken(3, f"a gateway names {backend.name} in a route, or does not answer")

    def _end(self, fleet: LocalFleet, *, once_unrouted: bool = False) -> asyncio.Task[None]:
        slot = fleet.order.slot
        if slot not in self._ends:
            self._ends[slot] = asyncio.create_task(self._retire(fleet, once_unrouted))
            self._ends[slot].add_done_callback(_log_failure)
        return self._ends[slot]

    async def _retire(self, fleet: LocalFleet, once_unrouted: bool) -> None:
        slot = fleet.order.slot
        try:
            if once_unrouted:
                await self._unrouted(fleet)
            await fleet.retire()
            del self._fleets[slot]
        finally:
            del self._ends[slot]

    async def _unrouted(self, fleet: LocalFleet) -> None:
        """Return when no gateway names the fleet, as it was when its end was accepted; a gateway may be silent yet."""
        backends = self._of_region(fleet.order.slot.region)
        while True:
            if not await backends.routed(fleet.backend().name):
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def observe(self, service: str = "") -> Sequence[Fleet]:
        """Return the fleets as they are."""
        return [
            f.seen() for slot, f in sorted(self._fleets.items(), key=lambda item: str(item[0])) if service in ("", slot.service)
        ]

    def logs(self, service: str, *, instance: str = "", lines: int = 100, follow: bool = False) -> AsyncIterator[LogLine]:
        """Yield what instances wrote. See `bleen.ports.Fleets`; ``instance`` may be one that has gone."""
        return self._lines(self._logs_of(service, instance), lines, service if follow else "", instance)

    async def _lines(self, logs: list[Log], lines: int, service: str, instance: str) -> AsyncIterator[LogLine]:
        offsets = {log.instance: log.end() for log in logs}
        for line in merge(logs, lines, offsets if service else None):
            yield line
        if service:
            async for line in follow_logs(lambda: self._logs_of(service, instance), offsets):
                yield line

    def _logs_of(self, service: str, instance: str) -> list[Log]:
        fleets = [f for slot, f in self._fleets.items() if slot.service == service]
        names = [i.record.name for f in fleets for i in f.instances.values() if instance in ("", i.record.name)]
        if not names and instance.startswith(f"{service}-") and (self.machine.logs / f"{instance}.log").is_file():
            names = [instance]
        if not names:
            what = f"{service} has no instance {instance}" if instance else f"{service} has no instance here"
            raise NotFound(what, next="bleen status shows what runs")
        return [Log(self.machine.logs, name) for name in names]

    # Ending

    async def stop_everything(self) -> None:
        """End every instance and every part, gracefully but soon; orders stay for the next `bleen up`."""
        # First what decides: a controller that sees fleets vanish would call it a failed release.
        await self.parts.stop_deciding()
        await self._halt()
        await asyncio.gather(*(fleet.stop(_STOP_SECONDS) for fleet in self._fleets.values()))
        await self.parts.stop()
        await self.machine.shelf.close()
        self.stopped.set()

    async def abandon(self) -> None:
        """Stop watching; everything goes on, for the next agent."""
        await self._halt()
        for fleet in self._fleets.values():
            await fleet.abandon()
        await self.parts.abandon()
        await self.machine.shelf.close()

    async def _halt(self) -> None:
        for task in self._ends.values():
            task.cancel()
        await asyncio.gather(*self._ends.values(), return_exceptions=True)


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a fleet could not be retired: %s", error)
