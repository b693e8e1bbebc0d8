"""Heartbeats: how the engine knows that a long activity lives, and how a long activity hears that it is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

INTERVAL = 1.0
"""Seconds between two heartbeats. Each is a write of the engine: what only watches beats more rarely."""


@asynccontextmanager
async def pulse(interval: float = INTERVAL) -> AsyncIterator[None]:
    """Heartbeat every ``interval`` seconds while the block runs."""
    beating = asyncio.create_task(_beat(interval))
    try:
        yield
    finally:
        beating.cancel()


async def _beat(interval: float) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(interval)
