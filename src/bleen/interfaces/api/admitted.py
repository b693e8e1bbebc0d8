"""Streams that end when who listens may no longer: a token is revoked, expires, or a browser is signed out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from bleen.domain.errors import BleenError, Permanent

T = TypeVar("T")
EVERY = 2.0
"""Seconds between two looks at whether a listener still may."""

StillAdmitted = Callable[[], Awaitable[Any]]
"""Raises what the door would, were the request made now."""


async def while_admitted(items: AsyncIterator[T], still: StillAdmitted, every: float = EVERY) -> AsyncIterator[T]:
    """Yield ``items`` for as long as ``still`` raises nothing that is for good. A ledger that is away ends no stream."""
    loop = asyncio.get_running_loop()
    upcoming: asyncio.Future[T] | None = None
    due = loop.time() + every
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(_next(items))
            await asyncio.wait({upcoming}, timeout=max(due - loop.time(), 0))
            if loop.time() >= due:
                if not await _may(still):
                    return
                due = loop.time() + every
            if upcoming.done():
                arrived, upcoming = upcoming, None
                yield arrived.result()
    except StopAsyncIteration:
        return
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _may(still: StillAdmitted) -> bool:
    try:
        await still()
    except Permanent:
        return False
    except BleenError:  # nobody can say: what was true a moment ago still is
        return True
    return True
