"""What keeps the instance on one machine of a scale set: the host agent, with a fleet of one, and its reports.

The order is in the machine's user data. What Azure's health extension asks is answered by `word_of`.
"""

import asyncio
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime

from msgspec import structs

from bleen.domain.errors import BleenError, NotFound
from bleen.domain.fleet import FleetOrder, Instance, InstanceState, LogLine
from bleen.ports import Fleets
from bleen.providers.azure.reports import Reports
from bleen.providers.local.loads import measure

log = logging.getLogger("bleen.guest")

REFRESH_SECONDS = 15.0
"""Between two reports of an instance of which nothing has changed but what it uses."""
_LOG_LINES = 1_000
_STORAGE_SECONDS = 20.0
"""For one report: an identity that gets no token is asked for longer than an end can wait."""


class Guest:
    """One machine: ``begin`` it, ``run`` it until it is cancelled, ``end`` it when Azure says that the machine ends."""

    def __init__(self, fleets: Fleets, order: FleetOrder, place: tuple[str, str], reports: Reports) -> None:
        """``place`` is the name of the scale set and that of the machine."""
        # The region of the machine's own fleet is the machine: it knows no other one.
        self._order = structs.replace(order, slot=structs.replace(order.slot, region=place[1]), size=1)
        self._fleets = fleets
        self._place = place
        self._reports = reports
        self._said: datetime | None = None
        self._told: Instance | None = None
        self._refusals = 0

    async def begin(self) -> None:
        """Start the instance; ImageRejected where its image is not what its digest says."""
        await self._fleets.launch(self._order)

    async def run(self, every: float = 1.0, refresh: float = REFRESH_SECONDS) -> None:
        """Report what changes within ``every`` seconds, and that it is there at all every ``refresh`` seconds.

        Each says what the instance uses by then. That alone is no reason to report: it changes all the time, and reports cost.
        """
        passed = refresh
        while True:
            instance = await self._instance()
            if instance is not None and (instance != self._told or passed >= refresh):
                await self._try(self._report(instance))
                passed = 0.0
            await self._try(self._say())
            await asyncio.sleep(every)
            passed += every

    async def refuse(self, error: BleenError) -> None:
        """Report that there is no instance, why, and how often that was so: a rollout counts it as a crash."""
        slot = self._order.slot
        self._refusals += 1
        told = Instance(
            name=f"{slot.service}-{slot.place}-r{self._order.release}-1",
            address="",
            port=self._order.runtime.port,
            state=InstanceState.CRASHED,
            since=datetime.now(UTC),
            restarts=self._refusals,
            last_exit=str(error).splitlines()[0],
            last_words=str(error),
        )
        await self._try(self._reports.write(*self._place, told))

    async def leave(self, notice: float) -> None:
        """Report that the instance is about to go, and return ``notice`` seconds later: it serves until then."""
        instance = await self._instance()
        if instance is not None:
            await self._try(self._report(structs.replace(instance, state=InstanceState.DRAINING, since=datetime.now(UTC))))
            await asyncio.sleep(notice)

    async def end(self) -> None:
        """End the instance as a fleet's retirement does, and forget its report."""
        await self._fleets.retire(self._order.slot, self._order.release)
        await self._try(self._reports.remove(*self._place))

    async def _instance(self) -> Instance | None:
        mine = [f for f in await self._fleets.observe(self._order.slot.service) if f.slot == self._order.slot]
        return mine[0].instances[0] if mine and mine[0].instances else None

    async def _report(self, instance: Instance) -> None:
        used = await asyncio.to_thread(measure, {instance.pid} if instance.pid else set())
        await self._reports.write(*self._place, instance, used.get(instance.pid))
        self._told = instance

    async def _say(self) -> None:
        """Send what the instance wrote since; lines of the same instant as the last one that was sent may be missed."""
        told = self._told
        if told is None:
            return
        try:
            lines = [line async for line in self._fleets.logs(self._order.slot.service, instance=told.name, lines=_LOG_LINES)]
        except NotFound:
            return
        new: list[LogLine] = [line for line in lines if self._said is None or line.at > self._said]
        if new:
            await self._reports.say(*self._place, new)
            self._said = new[-1].at

    async def _try(self, act: Awaitable[None]) -> None:
        """Storage may be away: the instance serves all the same, and what was not said is said later."""
        try:
            async with asyncio.timeout(_STORAGE_SECONDS):
                await act
        except (BleenError, TimeoutError) as error:
            log.warning("%s: %s", self._place[1], error)


def word_of(instance: Instance | None) -> str:
    """Return ``Healthy``, ``Unhealthy`` or ``Initializing``, for the health extension.

    The last is no word of its own: what is neither of the others leaves a machine that was neither yet as Azure begins with it.
    So it is said of a first start alone; later Azure would call the machine unknown, and that is no better than unhealthy.
    """
    if instance is None or (instance.state is InstanceState.STARTING and not instance.restarts):
        return "Initializing"
    return "Healthy" if instance.state is InstanceState.READY else "Unhealthy"
