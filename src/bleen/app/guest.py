"""The guest on one machine of a scale set in Azure: ``python -m bleen.app guest``.

It keeps the machine's only instance, as the host agent keeps a platform's: the instance outlives it, and is adopted by the next
one. A signal to end ends the instance, too: the machine goes.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

from bleen.app.loading import loading
from bleen.domain.errors import AlreadyRunning, BleenError, Conflict, InvalidInput, NotFound, Permanent
from bleen.providers.local.watchdog import REFUSED, allow_many_files, lock_home
from bleen.settings import Settings, read_settings


def main() -> int:
    """Run until told to stop by a signal; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("httpx", "azure"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        asyncio.run(_run(read_settings()))
    except (Permanent, Conflict) as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except BleenError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    _lock(settings)
    allow_many_files()
    await _load()(settings, stopped)


def _lock(settings: Settings) -> None:
    """Be the only guest of the home until this process ends."""
    try:
        lock_home(settings.path)
    except AlreadyRunning as error:
        next = "systemctl status bleen-guest shows it; one guest keeps one machine"
        raise AlreadyRunning(f"a guest keeps {settings.home} already", why=error.why, next=next) from None
    except OSError as error:
        next = "set BLEEN_HOME to a folder that this user may write"
        raise InvalidInput(f"{settings.home} cannot be a home", why=error.strerror or str(error), next=next) from error


def _load() -> Callable[[Settings, asyncio.Event], Awaitable[None]]:
    try:
        with loading():
            from bleen.app.guest_machine import keep
    except ImportError as error:
        raise NotFound("what a guest needs is not installed", why=str(error), next="pip install 'bleen[guest]'") from error
    return keep
