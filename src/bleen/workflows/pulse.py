"""Heartbeats: how the engine knows that a long activity lives, and how a long activity hears that it is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from temporalio import activity

INTERVAL = 1.0
"""Seconds between two heartbeats. Each is a write of the engine: what only watches beats more rarely."""


@asynccontextmanager
async def pulse(interval: float = INTERVAL, details: Callable[[], object] | None = None) -> AsyncIterator[None]:
    """Heartbeat every ``interval`` seconds while the block runs; ``details`` are what a next attempt finds."""
    beating = asyncio.create_task(_beat(interval, details))
    try:
        yield
    finally:
        beating.cancel()


async def _beat(interval: float, details: Callable[[], object] | None) -> None:
    while True:
        activity.heartbeat(*([details()] if details else []))
        await asyncio.sleep(interval)
