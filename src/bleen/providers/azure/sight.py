"""What is known of an Application Gateway that Bleen drives: read rarely, shared by all who watch, and told as the ports ask.

What it *has* of a route is a question for each mode: a rule that is flipped (`aims.py`), or members of a pool (`shares.py`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, LawBroken
from bleen.domain.listing import Listing, named, owners
from bleen.domain.traffic import Backend, BackendSeen, EndpointSeen, GatewaySeen
from bleen.providers.azure.pace import Pace
from bleen.providers.azure.table import Edit, Table, TableBlob, without

T = TypeVar("T")


class Patience(Value, frozen=True):
    """Seconds."""

    converge: float = 10.0
    """For a change to be there, before whoever ordered it is told that it is on its way."""
    look: float = 0.5
    """For which one look at the table serves all who watch."""
    again: float = 2.0
    """Before the gateway is asked again while somebody else updates it."""
    first: float = 10.0
    """Between two looks at a gateway that changes."""
    longest: float = 900.0
    """Between two looks at one that does not."""


class Reading(Generic[T]):
    """What Resource Manager told last. An answer to an older question never replaces that to a newer one."""

    def __init__(self, read: Callable[[], Awaitable[T]], pace: Pace, differs: Callable[[T | None, T], bool]) -> None:
        """``differs`` says whether an answer calls for another look soon, beside the one before it."""
        self._read = read
        self._pace = pace
        self._differs = differs
        self._kept: T | None = None
        self._last: T | None = None
        self._asked = self._believed = 0
        """How many readings were begun, and the last one of these that is not believed any more, or is the one in hand."""
        self._common: asyncio.Future[T] | None = None
        self._number = 0
        """The reading that all share who ask for what was told lately, and which one it is."""

    async def anew(self) -> T:
        """Ask now."""
        return await self._ask(self._begin())

    def _begin(self) -> int:
        self._asked += 1
        return self._asked

    async def _ask(self, mine: int) -> T:
        found = await self._read()
        self._pace.looked(changed=self._differs(self._last, found))
        self._last = found
        if mine > self._believed:  # else a later answer was here first, or something was changed meanwhile
            self._kept, self._believed = found, mine
        return found

    async def lately(self, *, quiet: bool = False) -> T:
        """Return what was told last; asked anew where it is time to and, if ``quiet``, only where nothing is believed."""
        if self._kept is not None and (quiet or not self._pace.due()):
            return self._kept
        if self._common is None or self._common.done() or self._number <= self._believed:
            self._number = self._begin()
            self._common = asyncio.ensure_future(self._ask(self._number))
            self._common.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
        return await asyncio.shield(self._common)

    def forget(self) -> None:
        """Believe nothing that was asked for before now."""
        self._kept, self._believed = None, self._asked

    def hurry(self) -> None:
        """Have it asked anew soon: something is known to be there that was not told yet."""
        self._pace.hurry()

    async def close(self) -> None:
        """Give up what is being asked for all."""
        await _given_up(self._common)


class Shared(Generic[T]):
    """One look that serves all who watch, for some seconds."""

    def __init__(self, look: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._lately: asyncio.Future[T] | None = None
        self._until = 0.0

    async def look(self) -> T:
        """Return it; whoever goes away leaves it to the others."""
        if self._lately is None or (self._lately.done() and time.monotonic() >= self._until):
            self._until = time.monotonic() + self._seconds
            self._lately = asyncio.ensure_future(self._look())
        return await asyncio.shield(self._lately)

    def serve_for(self, seconds: float) -> None:
        """Have each look serve for so long, that which is under way among them."""
        self._seconds, self._until = seconds, self._until - self._seconds + seconds

    def forget(self) -> None:
        """Have whoever asks next look anew."""
        self._lately = None

    async def close(self) -> None:
        """Give up a look that is under way."""
        await _given_up(self._lately)


async def _given_up(asked: asyncio.Future[T] | None) -> None:
    if asked is not None:
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


class Sight(Protocol):
    """What was ordered, and what there is."""

    @property
    def table(self) -> Table: ...

    def having(self, environment: str, service: str) -> Listing | None:
        """Return what the gateway has of a service; None where nobody can know."""

    def uses(self, name: str) -> bool:
        """Return whether instances of a backend have traffic, whatever routes say."""


class Driver(Protocol):
    """Changes one gateway, and looks at it."""

    name: str
    region: str
    blob: TableBlob

    async def look(self, *, anew: bool = False) -> Sight: ...

    async def change(self, edit: Edit) -> int:
        """Write the table; return its version."""


D = TypeVar("D", bound=Driver)


class EdgeGateway(Generic[D]):
    """What the port `Gateway` tells of such a gateway, whatever it takes to change it."""

    def __init__(self, driver: D) -> None:
        self._driver = driver

    async def observe(self, environment: str, service: str) -> Sequence[GatewaySeen]:
        """Return what the gateway has. While it cannot be known what it has of this service it has not ``answered``."""
        unknown = GatewaySeen(gateway=self._driver.name, region=self._driver.region, answered=False)
        try:
            seen = await self._driver.look()
        except BleenError:
            return [unknown]
        has = seen.having(environment, service)
        if has is None:
            return [unknown]
        mine = [each for each in seen.table.backends if (each.environment, each.service) == (environment, service)]
        told = tuple(_told(each) for each in mine)
        return [msgspec.structs.replace(unknown, answered=True, route=has.route, generation=has.generation, backends=told)]

    async def hosts(self) -> Mapping[str, str]:
        """Return which service answers to which host name."""
        return owners((await self._driver.blob.read()).table.by_key())


class EdgeBackends(Generic[D]):
    """What the port `Backends` tells of such a gateway, and how it forgets: law 3 is kept by asking anew."""

    def __init__(self, driver: D) -> None:
        self._driver = driver

    async def remove_backend(self, name: str) -> None:
        """Forget the backend; LawBroken(3) where the gateway routes to it, or might, or a machine of it has traffic."""
        if _may_name(await self._driver.look(anew=True), name):
            raise LawBroken(3, f"gateway {self._driver.name} still has a route to {name}, or is on its way to one")

        def edit(table: Table) -> Table:
            if any(name in named(each.route) for each in table.listings if each.route):
                raise LawBroken(3, f"a route to {name} is written already")
            return without(table, name)

        await self._driver.change(edit)

    async def routed(self, name: str) -> bool:
        """Return whether the gateway routes to the backend, or might: read anew; True where it is silent."""
        try:
            return _may_name(await self._driver.look(anew=True), name)
        except BleenError:
            return True

    async def active(self, name: str, address: str) -> int:
        """Return 1: nobody counts the requests under way to an instance, so that who leaves has its whole time to drain."""
        return 1


def _told(backend: Backend) -> BackendSeen:
    """Return a backend as its fleet told it: nobody asks such a gateway what its probes find.

    So that an instance counts as healthy where its machine and Azure's health extension say so (law 2).
    """
    endpoints = tuple(EndpointSeen(endpoint=each, healthy=True, active=0) for each in backend.endpoints)
    return BackendSeen(backend.colour, backend.release, endpoints, backend.baseline)


def _may_name(seen: Sight, name: str) -> bool:
    """Return whether the gateway names a backend in a route, or might: law 3 asks."""
    for wanted in seen.table.listings:
        before = seen.table.before().get(wanted.key)
        possible = [wanted] if seen.having(wanted.environment, wanted.service) == wanted else [wanted, before]
        if any(name in named(each.route) for each in possible if each and each.route):
            return True
    return seen.uses(name)
