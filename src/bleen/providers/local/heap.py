"""The memory of the controller, which now and then reads a distribution's index, or builds a base, and then waits for hours."""

import asyncio
import ctypes

ENVIRONMENT = {"PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "2"}
"""Of a process that gives back: Python's own allocator keeps a whole arena while one object lives in it, and kept 60 MB
of every index and as much of every base; the C library's gives back each page that is free."""
EVERY = 20.0
"""Seconds. Giving back takes some milliseconds."""


def give_back() -> None:
    """Return to the system what was allocated and is free again; nothing where the C library has no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_giving_back() -> None:
    """Give back every `EVERY` seconds, until it is cancelled."""
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(give_back)
