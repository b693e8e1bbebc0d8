"""One fleet: the machines of one scale set, and at the gateways exactly those that may have traffic."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import BleenError, Conflict, Transient, Unreachable
from bleen.domain.fleet import Fleet, FleetOrder, Instance, InstanceState
from bleen.domain.traffic import Backend, Endpoint
from bleen.ports import Backends
from bleen.providers.azure.operations import Note, Operations
from bleen.providers.azure.pace import Pace
from bleen.providers.azure.reports import Report, age
from bleen.providers.azure.sets import Change, MachineSeen, ScaleSets, SetSeen
from bleen.providers.local.membership import Membership
from bleen.providers.usage import FleetUsage, process_of

log = logging.getLogger("bleen.azure")

_TRAFFIC = (InstanceState.READY, InstanceState.SICK)
_TRIES = 6
"""Of a change whose answer is lost, or that is refused: each waits twice as long as the one before it, because what Azure shows
is some time old."""


class Timing(Value, frozen=True):
    """Seconds."""

    first: float = 10.0
    """Between two looks at what changes."""
    longest: float = 900.0
    """Between two looks at what does not."""
    retry: float = 30.0
    """Before machines are asked for again that Azure could not make; twice as long each time, up to ``longest``."""
    listen: float = 0.5
    """Between two readings of what machines report; more where one takes long."""
    silent: float = 60.0
    """After which a machine that has not reported counts as sick."""
    drain: float = 0.5
    """Between two looks at the requests under way to who leaves."""


@dataclass
class Means:
    """What all fleets of a site share."""

    sets: ScaleSets
    operations: Operations
    backends: Backends
    timing: Timing = field(default_factory=Timing)

    async def write(self, seen: SetSeen, change: Change, intent: str) -> Note | None:
        """Begin a change of a scale set, once, however often its answer is lost or somebody else is first."""
        before, pause = seen.order, self.timing.first / 10
        for left in reversed(range(_TRIES)):
            try:
                return await self.operations.begin(seen.name, intent, self.sets.change(seen, change))
            except (Unreachable, Conflict):
                if not left:
                    raise
                await asyncio.sleep(pause)
                pause *= 2
                tried, seen = seen, await self.sets.find(seen.slot)
                if _is_there(seen, change):
                    self.sets.replaced(tried, seen)
                    return await self.operations.pending(seen.name)
                ended = seen.retiring and change.order is None and not change.retiring
                if ended or (change.order is not None and seen.order != before):
                    raise
        raise AssertionError("the last try raises or returns")


def _is_there(seen: SetSeen, change: Change) -> bool:
    order = change.order is None or seen.order == digest_of(change.order)
    return order and seen.capacity == change.capacity and seen.retiring == change.retiring


class AzureFleet:
    """Keeps one order. Create it inside an event loop; ``look`` and ``hear`` tell it what is there, ``tend`` acts on it."""

    def __init__(self, seen: SetSeen, order: FleetOrder, means: Means) -> None:
        self.seen_set = seen
        self.order = order
        self.retiring = False
        self.pace = Pace(means.timing.first, means.timing.longest)
        self._means = means
        self._machines: tuple[MachineSeen, ...] = ()
        self._reports: Mapping[str, Report] = {}
        self._leaving: set[str] = set()
        self._since = datetime.now(UTC)
        self._trouble = ""
        self._failures = 0
        self._retry_at = 0.0
        self._work: asyncio.Task[None] | None = None
        self._membership: Membership | None = None
        self._told: Backend | None = None
        """What the gateways were told last."""

    # What others see

    def fleet(self) -> Fleet:
        """Return the fleet as it is: those that Azure could not make, or has not made yet, included."""
        instances = tuple(self._instance(k, each) for k, each in enumerate(self._present, 1))
        missing = tuple(self._missing(k) for k in range(len(instances) + 1, self.order.size + 1))
        return Fleet(slot=self.order.slot, release=self.order.release, size=self.order.size, instances=instances + missing)

    def backend(self) -> Backend:
        """Return the fleet as gateways ought to know it."""
        slot, health = self.order.slot, self.order.runtime.health
        serving = [i for i in self.fleet().instances if i.address and i.state in _TRAFFIC]
        return Backend(
            environment=slot.environment,
            service=slot.service,
            colour=slot.colour,
            release=self.order.release,
            endpoints=tuple(Endpoint(address=i.address, port=i.port) for i in serving),
            health_path=health.path,
            health_interval=health.interval.total_seconds(),
            health_timeout=health.timeout.total_seconds(),
            baseline=slot.baseline,
        )

    def usage(self) -> FleetUsage:
        """Return what its instances use, of those whose machines have said so of late."""
        told = [(each.name, self._reports[each.name]) for each in self._present if each.name in self._reports]
        fresh = [(name, report) for name, report in told if age(report) <= self._means.timing.silent]
        return FleetUsage(
            slot=self.order.slot,
            release=self.order.release,
            # By the machine: the name of an instance passes to the next one when a machine before it goes.
            instances={process_of(name, report.instance): report.used for name, report in fresh if report.used is not None},
        )

    def machine(self, instance: str) -> Sequence[tuple[str, str]]:
        """Return the names of instances and of their machines: of one, or of all where ``instance`` is empty."""
        names = [(self._name(k), each.name) for k, each in enumerate(self._present, 1)]
        return [pair for pair in names if instance in ("", pair[0])]

    @property
    def known(self) -> bool:
        """Whether only its machines may be new: its scale set is at rest with all of them, or being changed by us."""
        following = self._work is not None and not self._work.done()
        all_there = len(self._machines) == len(self._present) == self.order.size
        return following or (all_there and not self.seen_set.updating)

    @property
    def _present(self) -> Sequence[MachineSeen]:
        return [each for each in self._machines if not each.leaving]

    def _name(self, k: int) -> str:
        slot = self.order.slot
        return f"{slot.service}-{slot.place}-r{self.order.release}-{k}"

    def _instance(self, k: int, machine: MachineSeen) -> Instance:
        report = self._reports.get(machine.name)
        if report is None:
            return Instance(self._name(k), "", self.order.runtime.port, InstanceState.STARTING, machine.made)
        told = report.instance
        state = InstanceState.DRAINING if machine.name in self._leaving else self._state(machine, report)
        return Instance(
            name=self._name(k),
            address=told.address,
            port=told.port,
            state=state,
            since=told.since,
            restarts=told.restarts,
            last_exit=told.last_exit,
            last_words=told.last_words,
            isolation=told.isolation,
            pid=told.pid,
        )

    def _state(self, machine: MachineSeen, report: Report) -> InstanceState:
        """Ready is what both its machine and Azure's health extension call so.

        One that Azure cannot ask any more is sick, and no longer starting: who asks it may be what is broken, so that gateways
        keep it for as long as they find it well themselves.
        """
        if report.instance.state is not InstanceState.READY:
            return report.instance.state
        if machine.health == "healthy":
            return InstanceState.SICK if age(report) > self._means.timing.silent else InstanceState.READY
        return InstanceState.SICK if machine.health in ("unhealthy", "unknown") else InstanceState.STARTING

    def _missing(self, k: int) -> Instance:
        state = InstanceState.CRASHED if self._trouble else InstanceState.STARTING
        port, failures = self.order.runtime.port, self._failures
        return Instance(self._name(k), "", port, state, self._since, restarts=failures, last_exit=self._trouble)

    # What it is told

    def ordered(self, seen: SetSeen, order: FleetOrder) -> None:
        """Keep ``order`` from now on: it is in the scale set."""
        self.seen_set, self.order = seen, order
        self._since, self._trouble, self._failures, self._retry_at = datetime.now(UTC), "", 0, 0.0
        self.pace.now()

    def look(self, seen: SetSeen, order: FleetOrder, machines: Sequence[MachineSeen]) -> None:
        """Take in what Azure shows."""
        changed = (seen, tuple(machines)) != (self.seen_set, self._machines)
        self.seen_set, self.order, self._machines = seen, order, tuple(machines)
        self._leaving &= {each.name for each in machines}
        if len(self._present) >= order.size:
            self._trouble, self._failures = "", 0
        self.pace.looked(changed=changed or self._awaited())
        self._touch()

    def hear(self, reports: Mapping[str, Report]) -> None:
        """Take in what its machines say; what is new about them is looked at soon."""
        before, self._reports = {name: _gist(each) for name, each in self._reports.items()}, reports
        if before != {name: _gist(each) for name, each in reports.items()}:
            self.pace.hurry()
            self._touch()

    def _awaited(self) -> bool:
        """Return whether machines call themselves ready of which the health extension has not said so yet."""
        told = [self._reports[m.name].instance.state for m in self._present if m.name in self._reports]
        return told.count(InstanceState.READY) > self.fleet().ready

    def _touch(self) -> None:
        """Have the gateways told. Not before its machines were seen: an empty backend would end its traffic."""
        backend = self.backend()
        if self._membership is None:
            self._membership = Membership(self._means.backends, self.backend)
        elif backend != self._told:
            self._membership.touch()
        self._told = backend

    # What it does

    def tend(self) -> None:
        """Start what is missing, and let go of what is too many. Never waits."""
        if self.retiring or (self._work is not None and not self._work.done()):
            return
        present = self._present
        if len(present) > self.order.size:
            self._begin(self._shrink(present[self.order.size :]))
        elif len(present) < self.order.size and not self.seen_set.updating and time.monotonic() >= self._retry_at:
            self._begin(self._grow())

    def follow(self, note: Note | None) -> None:
        """Wait for an operation that was begun, and take in how it ends."""
        if note is not None:
            self._begin(self._means.operations.follow(self.seen_set.name, note))

    def resume(self) -> None:
        """Follow what an earlier process began, if it did."""
        self._begin(self._resume())

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        self._work = asyncio.create_task(self._run(work))

    async def _run(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except BleenError as error:
            log.warning("%s: %s", self.order.slot, error)
            self._failures += 1
            self._trouble = ": ".join(part for part in (error.what, error.why) if part)
            wait = self._means.timing.retry * 2.0 ** (self._failures - 1)
            self._retry_at = time.monotonic() + min(wait, self._means.timing.longest)
        finally:
            self.pace.now()

    async def _resume(self) -> None:
        note = await self._means.operations.pending(self.seen_set.name)
        if note is not None:
            await self._means.operations.follow(self.seen_set.name, note)

    async def _grow(self) -> None:
        change = Change(self.order.size)
        note = await self._means.write(self.seen_set, change, f"grow to {self.order.size} of {digest_of(self.order)}")
        if note is not None:
            await self._means.operations.follow(self.seen_set.name, note)

    async def _shrink(self, machines: Sequence[MachineSeen]) -> None:
        """Take the youngest out of every gateway, let them finish, and delete exactly them."""
        names = [each.name for each in machines]
        await self._drain(names)
        name = self.seen_set.name
        intent = f"delete {' '.join(names)}"
        note = await self._means.operations.begin(name, intent, self._means.sets.delete(self.seen_set, names))
        if note is not None:
            await self._means.operations.follow(name, note)

    async def _drain(self, names: Sequence[str]) -> None:
        backend = self.backend().name
        addresses = [self._reports[name].instance.address for name in names if name in self._reports]
        self._leaving |= set(names)
        self._touch()
        if self._membership is not None:
            await self._membership.reported()
        deadline = time.monotonic() + self.order.runtime.stop.drain.total_seconds()
        while time.monotonic() < deadline:
            if not any([await self._means.backends.active(backend, address) for address in addresses if address]):
                return
            await asyncio.sleep(self._means.timing.drain)

    # Ending

    async def retire(self) -> None:
        """End every machine without losing a request, and return when the scale set is empty."""
        self.retiring = True
        await self._stop_work()
        await self._drain([each.name for each in self._machines])
        if self._membership is not None:
            await self._membership.close()
        await self._means.backends.remove_backend(self.backend().name)
        seen: SetSeen | None = self.seen_set
        while not await self._emptied(seen):
            await asyncio.sleep(self._means.timing.first)
            seen = None

    async def _emptied(self, seen: SetSeen | None) -> bool:
        """Ask for no machine, once, and return whether there is none; what may pass by itself is tried again."""
        try:
            seen = seen or await self._means.sets.find(self.order.slot)
            if seen.capacity or not seen.retiring:
                note = await self._means.write(seen, Change(0, retiring=True), f"empty {seen.order}")
                if note is not None:
                    await self._means.operations.follow(seen.name, note)
            return not await self._means.sets.machines(seen)
        except (Transient, Conflict) as error:
            log.warning("%s is not ended yet: %s", self.order.slot, error)
            return False

    async def close(self) -> None:
        """Stop watching; every machine goes on."""
        await self._stop_work()
        if self._membership is not None:
            await self._membership.close()

    async def _stop_work(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)


def _gist(report: Report) -> tuple[InstanceState, str, int]:
    return report.instance.state, report.instance.address, report.instance.restarts
