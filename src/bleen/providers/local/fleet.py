"""One fleet: as many instances as ordered, and at the gateways exactly those that may have traffic."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bleen.domain.fleet import Fleet, FleetOrder
from bleen.domain.traffic import Backend
from bleen.ports import Backends
from bleen.providers.local.instance import LocalInstance
from bleen.providers.local.machine import Machine, write_files
from bleen.providers.local.membership import Membership
from bleen.providers.local.process import ProcessId
from bleen.providers.local.records import FleetRecord, InstanceRecord
from bleen.providers.local.store import load

log = logging.getLogger("bleen.agent")

_ASKED_AGAIN_SECONDS = 1.25
"""Longer than a gateway tries to connect to one instance (1 s: a frozen one takes no more than its backlog), and then backs
off, before it asks another."""


class LocalFleet:
    """Keeps one order. Create it inside an event loop."""

    def __init__(
        self, machine: Machine, backends: Backends, folder: Path, record: FleetRecord, new_address: Callable[[], str]
    ) -> None:
        self.order = record.order
        self.retiring = record.retiring
        self.folder = folder
        self.new_address = new_address
        self.instances: dict[int, LocalInstance] = {}
        self._machine = machine
        self._backends = backends
        self._replacing: set[int] = set()
        self.verified = False
        """Whether its image was verified by this agent, since the order last grew."""
        self._verifying = asyncio.Lock()
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._asked_again = 0.0
        """Of the loop's clock: until then, gateways may ask neighbours for what an instance had when it ended."""
        self._membership = Membership(backends, self.backend)

    # What others see

    def backend(self) -> Backend:
        """Return the fleet as gateways ought to know it."""
        health = self.order.runtime.health
        slot = self.order.slot
        return Backend(
            environment=slot.environment,
            service=slot.service,
            colour=slot.colour,
            release=self.order.release,
            endpoints=tuple(i.endpoint for _, i in sorted(self.instances.items()) if i.serving),
            health_path=health.path,
            health_interval=health.interval.total_seconds(),
            health_timeout=health.timeout.total_seconds(),
            baseline=slot.baseline,
        )

    def seen(self) -> Fleet:
        """Return the fleet as it is."""
        instances = tuple(i.seen() for _, i in sorted(self.instances.items()))
        return Fleet(slot=self.order.slot, release=self.order.release, size=self.order.size, instances=instances)

    # What an instance asks of it

    def changed(self) -> None:
        self._membership.touch()

    async def reported(self) -> None:
        await self._membership.reported()

    async def active(self, address: str) -> int:
        return await self._backends.active(self.backend().name, address)

    def may_replace(self, number: int) -> bool:
        """A quarter of a fleet may be replaced at once, so that one cause never takes all of it."""
        if number not in self._replacing and len(self._replacing) >= max(1, self.order.size // 4):
            return False
        self._replacing.add(number)
        return True

    def replaced(self, number: int) -> None:
        self._replacing.discard(number)

    def broke_off(self) -> None:
        self._asked_again = asyncio.get_running_loop().time() + _ASKED_AGAIN_SECONDS

    async def verify(self) -> None:
        async with self._verifying:
            if not self.verified:
                await self._machine.images.verify(self.order.image)
                self.verified = True

    # Growing and shrinking

    async def resize(self, order: FleetOrder) -> None:
        """Keep ``order`` from now on, on disk first; StorageFull and ImageRejected change nothing."""
        if order.size > self.order.size:
            self.verified = False
            await self.verify()
        await self._machine.shelf.put(self.folder / "order.json", FleetRecord(order=order, retiring=self.retiring))
        self.order = order
        await self.reconcile()

    async def reconcile(self) -> None:
        """Start what is missing, and let go of what is too many."""
        if self.retiring:
            return
        await write_files(self.folder / "files", self.order)
        for number in range(1, self.order.size + 1):
            if number not in self.instances:
                instance = self._make(InstanceRecord(number, self._name(number), self.new_address(), datetime.now(UTC)))
                instance.begin()
        for number in [n for n in self.instances if n > self.order.size and n not in self._leaving]:
            self._leaving[number] = asyncio.create_task(self._remove(number))

    def _make(self, record: InstanceRecord) -> LocalInstance:
        instance = LocalInstance(self._machine, self, self.folder, record)
        self.instances[record.number] = instance
        return instance

    def _name(self, number: int) -> str:
        slot = self.order.slot
        region = f"-{slot.region}" if self._machine.several_regions else ""
        return f"{slot.service}-{slot.place}-r{self.order.release}{region}-{number}"

    async def _remove(self, number: int) -> None:
        """End one instance and forget it. The order may want it again by then."""
        try:
            await self.instances[number].leave()
            await self._machine.shelf.forget(self.folder / "instances" / f"{number}.json")
            del self.instances[number]
        finally:
            del self._leaving[number]
        await self.reconcile()

    # Adopting and ending

    async def adopt(self, strays: dict[str, ProcessId]) -> None:
        """Take over what the records name; ``strays`` are processes that no record names, by instance."""
        for path in sorted((self.folder / "instances").glob("*.json")):
            record: InstanceRecord = load(path, InstanceRecord)
            await self._make(record).adopt(strays.pop(record.name, None))
        for number in range(1, self.order.size + 1):
            if number not in self.instances and (stray := strays.pop(self._name(number), None)):
                record = InstanceRecord(number, self._name(number), self.new_address(), datetime.now(UTC))
                await self._make(record).adopt(stray)
        for instance in self.instances.values():
            instance.begin()
        self.changed()
        await self.reconcile()

    async def retire(self) -> None:
        """End every instance without losing a request, then leave the gateways and the disk."""
        if not self.retiring:
            await self._machine.shelf.put(self.folder / "order.json", FleetRecord(order=self.order, retiring=True))
            self.retiring = True
        frozen = [number for number, instance in self.instances.items() if instance.frozen]
        if 0 < len(frozen) < len(self.instances):
            # What hangs in them is asked again of their neighbours when they are killed: so these must be there still.
            await self._leave(frozen)
            self.broke_off()
        if any(instance.serving for instance in self.instances.values()):
            await asyncio.sleep(self._asked_again - asyncio.get_running_loop().time())
        await self._leave(list(self.instances))
        await self._membership.close()
        await self._backends.remove_backend(self.backend().name)
        await self._machine.shelf.forget_below(self.folder)

    async def _leave(self, numbers: Sequence[int]) -> None:
        for number in [n for n in numbers if n not in self._leaving]:
            self._leaving[number] = asyncio.create_task(self._remove(number))
        await asyncio.gather(*self._leaving.values())

    async def stop(self, seconds: float) -> None:
        """End every instance within ``seconds``; the order stays for the next `bleen up`."""
        await self._rest()
        await asyncio.gather(*(i.stop(seconds) for i in self.instances.values()))

    async def abandon(self) -> None:
        """Stop watching; every instance goes on."""
        await self._rest()
        for instance in self.instances.values():
            await instance.abandon()

    async def _rest(self) -> None:
        tasks = list(self._leaving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._membership.close()
