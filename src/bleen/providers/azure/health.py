"""Answers Azure's Application Health extension, version 2.0, which asks on the machine itself.

From Microsoft's *Using Application Health extension*: 200 and a body that says ``Healthy`` or ``Unhealthy``. Any other answer
is ``Unknown``, but that a machine which was never either is ``Initializing`` until its grace time is over.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from bleen.domain.errors import PortTaken
from bleen.providers.local.addresses import check_free

ADDRESS = "127.0.0.1"
PATH = "/health"


class HealthPage:
    """One page. ``await start()`` it, ``await close()`` it; `word` may be replaced at any time."""

    def __init__(self, port: int) -> None:
        self.word: Callable[[], Awaitable[str]] = _initializing
        self._port = port
        app = web.Application()
        app.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> None:
        """Listen; PortTaken names who else does."""
        check_free(ADDRESS, self._port)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, ADDRESS, self._port).start()
        except OSError as error:
            raise PortTaken(f"nothing can listen on {ADDRESS}:{self._port}", why=str(error)) from error

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        return web.json_response({"ApplicationHealthState": await self.word()})


async def _initializing() -> str:
    return "Initializing"
