"""The life of a machine of a scale set: it waits for its assignment, serves, and leaves when Azure says that it ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, Unreachable
from bleen.domain.fleet import Instance
from bleen.ports import Fleets
from bleen.providers.azure.assignment import Assignment, read_assignment
from bleen.providers.azure.guest import Guest, word_of
from bleen.providers.azure.metadata import Event, MachineTold, Metadata
from bleen.providers.azure.reports import Reports

log = logging.getLogger("bleen.guest")
T = TypeVar("T")


class Times(Value, frozen=True):
    """Seconds."""

    look: float = 1.0
    """Between two looks at events, and at the instance. Azure takes five requests a second."""
    wait: float = 5.0
    """Between two looks for an assignment."""
    again: float = 15.0
    """Before an instance that could not even begin is tried again."""
    notice: float = 5.0
    """From saying that it leaves to leaving: gateways have heard of it by then."""
    called_off: float = 60.0
    """After an event has gone: a machine that is still there then stays."""


class Life:
    """One machine's. ``run`` it; ``health`` at any time; ``end`` it instead where the program itself must end."""

    def __init__(
        self,
        told: MachineTold,
        metadata: Metadata,
        fleets: Fleets,
        settle: Callable[[Assignment], Awaitable[Reports]],
        times: Times,
    ) -> None:
        """``settle`` makes ready what an assignment names, its vault and its account, and returns where to report."""
        self._told = told
        self._metadata = metadata
        self._fleets = fleets
        self._settle = settle
        self._times = times
        self._guest: Guest | None = None
        self._refused = False
        self._leaving = False

    async def health(self) -> str:
        """Return the word for the health extension."""
        if self._refused or self._leaving:
            return "Unhealthy"
        return word_of(await self._instance())

    async def run(self) -> NoReturn:
        """Serve until Azure ends the machine; where it thinks better of it, serve again."""
        while True:
            event = await self._until_summoned()
            self._leaving = True
            await self.end()
            await self._approve(event)
            await self._called_off(event)
            self._leaving = False

    async def end(self) -> None:
        """End the instance without losing a request, whoever began it."""
        if self._guest is not None:
            await self._guest.leave(self._times.notice)
            await self._guest.end()
            self._guest = None
        for fleet in await self._fleets.observe():
            await self._fleets.retire(fleet.slot, fleet.release)

    async def _instance(self) -> Instance | None:
        """Return the only instance there is; also the one of an earlier guest, while its assignment is not known again."""
        fleets = await self._fleets.observe()
        return fleets[0].instances[0] if fleets and fleets[0].instances else None

    async def _until_summoned(self) -> Event:
        """Serve, and return the event that ends this machine."""
        serving, summons = asyncio.create_task(self._serve()), asyncio.create_task(self._summons())
        try:
            await asyncio.wait({serving, summons}, return_when=asyncio.FIRST_COMPLETED)
            if not summons.done():
                serving.result()  # it ends only by an error, which is a defect in here
            return await summons
        finally:
            serving.cancel()
            summons.cancel()
            await asyncio.gather(serving, summons, return_exceptions=True)

    async def _serve(self) -> NoReturn:
        assignment = await self._assigned()
        place = (self._told.scale_set, self._told.name)
        self._guest = Guest(self._fleets, assignment.order, place, await self._settle(assignment))
        log.info("%s serves %s r%d", self._told.name, assignment.order.slot, assignment.order.release)
        await self._begin(self._guest)
        await self._guest.run(self._times.look)
        raise AssertionError("a guest runs until it is cancelled")

    async def _assigned(self) -> Assignment:
        """Return what this machine is for, as soon as its user data say so."""
        said = False
        while (found := read_assignment(self._told.user_data)) is None:
            if not said:
                log.warning("%s: its user data assign nothing; waiting for an order", self._told.name)
            said = True
            await asyncio.sleep(self._times.wait)
            if (told := await self._try(self._metadata.machine())) is not None:
                self._told = told
        return found

    async def _begin(self, guest: Guest) -> None:
        """Begin, however often it is refused; what refuses is said in the log, in the report and by the health."""
        while True:
            try:
                await guest.begin()
                self._refused = False
                return
            except BleenError as error:
                self._refused = True
                log.error("%s cannot begin: %s", self._told.name, error)
                await guest.refuse(error)
                await asyncio.sleep(self._times.again)

    async def _summons(self) -> Event:
        """Return the first event that ends this machine."""
        while True:
            for event in await self._try(self._metadata.events()) or ():
                if event.ends(self._told.name):
                    log.warning("%s: %s %s", self._told.name, event.kind, event.id)
                    return event
            await asyncio.sleep(self._times.look)

    async def _approve(self, event: Event) -> None:
        """Tell Azure that it need not wait, unless another machine would be ended by that, or it does not wait any more."""
        if event.started or not event.concerns_only(self._told.name):
            return
        for _ in range(3):
            try:
                await self._metadata.approve(event)
                return
            except Unreachable as error:
                log.warning("%s: %s is not approved yet: %s", self._told.name, event.id, error)
                await asyncio.sleep(self._times.look)

    async def _called_off(self, event: Event) -> None:
        """Return when the event has gone for some time, and the machine has not."""
        gone = 0.0
        while gone < self._times.called_off:
            await asyncio.sleep(self._times.look)
            events = await self._try(self._metadata.events())
            listed = events is None or event.id in {each.id for each in events}
            gone = 0.0 if listed else gone + self._times.look
        log.warning("%s: %s was called off", self._told.name, event.id)

    async def _try(self, ask: Awaitable[T]) -> T | None:
        """Return the answer; None where there is none now."""
        try:
            return await ask
        except Unreachable as error:
            log.info("%s: %s", self._told.name, error)
            return None
