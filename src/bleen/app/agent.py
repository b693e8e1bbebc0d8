"""The host agent: ``python -m bleen.app agent``.

The parts of the platform are started first of all: they load while the rest of the agent does, `bleen.app.machine`.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from bleen.app.home import make_home
from bleen.app.loading import loading
from bleen.app.parts import parts_of
from bleen.domain.errors import BleenError, Conflict, Permanent
from bleen.providers.local.parts import PartRunner
from bleen.providers.local.store import Shelf
from bleen.providers.local.watchdog import REFUSED, allow_many_files, lock_home
from bleen.settings import Settings, read_settings


def main() -> int:
    """Run until told to stop; return the exit code that the watchdog reads."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = make_home(read_settings())
        asyncio.run(_run(settings))
    except (Permanent, Conflict) as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except BleenError as error:  # a full disk, say: the watchdog tries again
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(settings: Settings) -> None:
    lock = lock_home(settings.path)
    allow_many_files()
    shelf = Shelf()
    parts = PartRunner(parts_of(settings), settings.path, shelf)
    await parts.begin()
    keep = await asyncio.to_thread(_load)
    await keep(settings, parts, shelf, lock)


def _load() -> Callable[[Settings, PartRunner, Shelf, int], Awaitable[None]]:
    with loading():
        from bleen.app.machine import keep

        return keep
