"""What happens, as it happens: the ledger's entries as server-sent events. A stream that broke goes on where it ended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, HeaderParameter
from litestar.response import Stream

from bleen.domain.access import ANYWHERE, Identity, Role
from bleen.domain.codec import encode
from bleen.domain.errors import BleenError, InvalidInput
from bleen.domain.ledger import Entry, Query, kind_of
from bleen.interfaces.api.admitted import while_admitted
from bleen.interfaces.api.audit import line_of
from bleen.interfaces.api.guard import Asker, still_admitted
from bleen.ports import Ledger

EVERY = 0.25
"""Seconds between two looks at the ledger, one for all streams together."""
QUIET = 15.0
"""Seconds after which a stream without news shows that it lives."""
_PAGE = 1000
_WAITING = 2000
"""Entries that a slow reader may be behind; then its stream ends, and it goes on from its last one when it can."""


@dataclass(frozen=True)
class Told:
    """An entry, and the event that all who listen are sent."""

    entry: Entry

    @cached_property
    def event(self) -> bytes:
        """Written once, however many listen."""
        data = encode(line_of(self.entry)).decode()
        return f"id: {self.entry.sequence}\nevent: {kind_of(self.entry.event)}\ndata: {data}\n\n".encode()


class Newsroom:
    """Looks at the ledger while anybody listens, once for all."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._listeners: set[asyncio.Queue[Told]] = set()
        self._joining = asyncio.Lock()
        self._reporter: asyncio.Task[None] | None = None
        self._after = 0

    async def listen(self, after: int | None) -> AsyncIterator[Told | None]:
        """Yield entries behind ``after``, or from now on; None after a while without any. Ends for who is too slow."""
        queue: asyncio.Queue[Told] = asyncio.Queue(_WAITING)
        last = await self._join(queue) if after is None else after
        if after is not None:
            await self._join(queue)
            async for entry in self._past(after):
                last = entry.sequence
                yield Told(entry)
        try:
            while not queue.full():
                try:
                    async with asyncio.timeout(QUIET):
                        told = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if told.entry.sequence > last:
                    last = told.entry.sequence
                    yield told
        finally:
            self._listeners.discard(queue)

    async def _join(self, queue: "asyncio.Queue[Told]") -> int:
        """Return the last entry that was told before ``queue`` hears of any."""
        async with self._joining:
            if self._reporter is None or self._reporter.done():
                newest = await self._ledger.read(Query(limit=1, newest=True))
                self._after = newest[0].sequence if newest else 0
                self._listeners.add(queue)
                self._reporter = asyncio.create_task(self._report())
            self._listeners.add(queue)
            return self._after

    async def _past(self, after: int) -> AsyncIterator[Entry]:
        while entries := await self._ledger.read(Query(after=after, limit=_PAGE)):
            for entry in entries:
                yield entry
            after = entries[-1].sequence

    async def _report(self) -> None:
        while self._listeners:
            await asyncio.sleep(EVERY)
            for entry in await self._news():
                told = Told(entry)
                for queue in self._listeners:
                    if not queue.full():
                        queue.put_nowait(told)
                self._after = entry.sequence

    async def _news(self) -> Sequence[Entry]:
        try:
            return await self._ledger.read(Query(after=self._after, limit=_PAGE))
        except BleenError:  # the database is away: what it has by then is told when it is back
            return ()


News = NamedDependency[Newsroom]


@get("/v1/events", media_type="text/event-stream", opt={"needs": Role.VIEWER, "within": "any"})
async def stream_events(
    request: Request[Any, Any, Any],
    asker: Asker,
    newsroom: News,
    environment: FromQuery[str] = "",
    service: FromQuery[str] = "",
    last_event_id: Annotated[str, HeaderParameter(name="last-event-id", description="The id of the last event seen.")] = "",
) -> Stream:
    """Entries of the ledger as server-sent events, from now on, or from behind `Last-Event-ID`.

    Each event is named after its kind, its id is its sequence, its data is a line of `/v1/audit`.
    """
    if environment:
        asker.check(Role.VIEWER, environment)
    if last_event_id and not last_event_id.isdecimal():
        raise InvalidInput(f"{last_event_id!r} is no id of an event", next="send the id of the last event, a number")
    news = newsroom.listen(int(last_event_id) if last_event_id else None)
    told = while_admitted(_told(news, asker, environment, service), still_admitted(request))
    return Stream(told, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _told(news: AsyncIterator[Told | None], asker: Identity, environment: str, service: str) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    async for told in news:
        if told is None:
            yield b": nothing new\n\n"
        elif (
            environment in ("", told.entry.environment)
            and service in ("", told.entry.service)
            and asker.may(Role.VIEWER, told.entry.environment or ANYWHERE)
        ):
            yield told.event


ROUTES = (stream_events,)
