"""Heartbeats: how the engine knows that a long activity lives, and how a long activity hears that it is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

INTERVAL = 0.5
"""Seconds between two heartbeats; a worker that died is noticed after six missed ones."""


@asynccontextmanager
async def pulse() -> AsyncIterator[None]:
    """Heartbeat while the block runs."""
    beating = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beating.cancel()


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(INTERVAL)
