"""Fleets in memory: instances that start, crash and stop by the clock. For tests and dry runs.

Nothing happens by itself: every verb first brings the instances to where the clock says they are.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bleen.domain.codec import Value
from bleen.domain.errors import Conflict, LawBroken, Unreachable
from bleen.domain.fleet import Fleet, FleetOrder, Instance, InstanceState, LogLine, Slot
from bleen.domain.traffic import Backend, Endpoint, backend_name
from bleen.ports import Backends, Images


class Behaviour(Value, frozen=True):
    """How the instances of an image behave."""

    ready_after: float | None = 0.0
    """Seconds from start to ready; None is never."""
    crashes_after: float | None = None
    """Seconds from start to a crash; None is never."""
    words: str = ""
    """What an instance logs when it starts."""


@dataclass
class _Instance:
    name: str
    address: str
    started: datetime
    restarts: int = 0
    last_exit: str = ""


@dataclass
class _Fleet:
    order: FleetOrder
    instances: list[_Instance] = field(default_factory=list)
    endpoints: tuple[Endpoint, ...] | None = None
    """What the gateways were told last; None before the first time."""


class MemoryFleets:
    """Keeps the port `Fleets`. ``behaviours`` by image digest; ``answers`` False makes every verb Unreachable."""

    def __init__(
        self, images: Images | None = None, backends: Backends | None = None, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.answers = True
        self._images = images
        self._backends = backends
        self._clock = clock or (lambda: datetime.now(UTC))
        self._fleets: dict[Slot, _Fleet] = {}
        self._addresses = 0
        self._logs: list[LogLine] = []

    async def launch(self, order: FleetOrder) -> None:
        self._answer()
        fleet = self._fleets.get(order.slot)
        if fleet is not None and fleet.order.release != order.release:
            raise Conflict(f"{order.slot} holds r{fleet.order.release}", next="retire it first")
        if fleet is None:
            if self._images is not None:
                await self._images.verify(order.image)
            fleet = self._fleets[order.slot] = _Fleet(order)
        fleet.order = order
        del fleet.instances[order.size :]
        while len(fleet.instances) < order.size:
            fleet.instances.append(self._start(order, len(fleet.instances) + 1))
        await self._publish(fleet)

    async def retire(self, slot: Slot, release: int) -> None:
        self._answer()
        fleet = self._fleets.get(slot)
        if fleet is None or fleet.order.release != release:
            return
        name = backend_name(slot.environment, slot.service, slot.colour, release, baseline=slot.baseline)
        if self._backends is not None:
            if await self._backends.routed(name):
                raise LawBroken(3, f"a gateway routes to {name}")
            await self._backends.remove_backend(name)
        del self._fleets[slot]

    async def observe(self, service: str = "") -> Sequence[Fleet]:
        self._answer()
        found = [f for slot, f in self._fleets.items() if service in ("", slot.service)]
        for fleet in found:
            await self._publish(fleet)
        return tuple(self._seen(fleet) for fleet in found)

    async def logs(self, service: str, *, instance: str = "", lines: int = 100, follow: bool = False) -> AsyncIterator[LogLine]:
        self._answer()
        mine = [n for n in self._logs if n.instance.startswith(f"{service}-") and instance in ("", n.instance)]
        for line in mine[-lines:]:
            yield line

    def kill(self, slot: Slot, *, count: int = 1) -> None:
        """Crash ``count`` instances now; they start again at once, as slowly as they do."""
        for instance in self._fleets[slot].instances[:count]:
            instance.started = self._clock()
            instance.restarts += 1
            instance.last_exit = "signal 9"

    def _answer(self) -> None:
        if not self.answers:
            raise Unreachable("the hosts do not answer", next="bleen doctor")

    def _start(self, order: FleetOrder, k: int) -> _Instance:
        self._addresses += 1
        slot = order.slot
        name = f"{slot.service}-{slot.place}-r{order.release}-{k}"
        self._logs.append(LogLine(instance=name, at=self._clock(), text=self._behaviour(order).words or "started"))
        return _Instance(name, f"127.200.{self._addresses // 250}.{self._addresses % 250 + 1}", self._clock())

    def _behaviour(self, order: FleetOrder) -> Behaviour:
        return self.behaviours.get(order.image, Behaviour())

    def _age(self, instance: _Instance) -> float:
        return (self._clock() - instance.started).total_seconds()

    def _state(self, order: FleetOrder, instance: _Instance) -> InstanceState:
        behaviour, age = self._behaviour(order), self._age(instance)
        if behaviour.crashes_after is not None and age >= behaviour.crashes_after:
            return InstanceState.CRASHED
        ready = behaviour.ready_after is not None and age >= behaviour.ready_after
        return InstanceState.READY if ready else InstanceState.STARTING

    def _restart_the_crashed(self, fleet: _Fleet) -> None:
        period = self._behaviour(fleet.order).crashes_after
        if period is None:
            return
        for instance in fleet.instances:
            crashes = int(self._age(instance) // max(period, 0.1))
            if crashes:
                instance.restarts += crashes
                instance.last_exit = "exit 1"
                instance.started += timedelta(seconds=crashes * max(period, 0.1))

    async def _publish(self, fleet: _Fleet) -> None:
        self._restart_the_crashed(fleet)
        order = fleet.order
        ready = [i for i in fleet.instances if self._state(order, i) is InstanceState.READY]
        endpoints = tuple(Endpoint(i.address, order.runtime.port) for i in ready)
        if self._backends is None or fleet.endpoints == endpoints:
            return
        slot = order.slot
        await self._backends.set_backend(
            Backend(
                environment=slot.environment,
                service=slot.service,
                colour=slot.colour,
                release=order.release,
                endpoints=endpoints,
                health_path=order.runtime.health.path,
                baseline=slot.baseline,
            )
        )
        fleet.endpoints = endpoints

    def _seen(self, fleet: _Fleet) -> Fleet:
        order = fleet.order
        instances = tuple(
            Instance(
                name=i.name,
                address=i.address,
                port=order.runtime.port,
                state=self._state(order, i),
                since=i.started,
                restarts=i.restarts,
                last_exit=i.last_exit,
                last_words=self._behaviour(order).words if i.last_exit else "",
            )
            for i in fleet.instances
        )
        return Fleet(slot=order.slot, release=order.release, size=order.size, instances=instances)
