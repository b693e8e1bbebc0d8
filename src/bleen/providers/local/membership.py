"""Who stands behind a fleet's backend at the gateways: always the newest answer, written by one task per fleet."""

import asyncio
import logging
from collections.abc import Callable

from bleen.domain.errors import BleenError
from bleen.domain.traffic import Backend
from bleen.ports import Backends

log = logging.getLogger("bleen.agent")

_FIRST_RETRY, _LAST_RETRY = 0.1, 2.0


class Membership:
    """Keeps the gateways' view of one fleet equal to ``current()``; changes that come together are written once."""

    def __init__(self, backends: Backends, current: Callable[[], Backend]) -> None:
        self._backends = backends
        self._current = current
        self._wanted = 1  # a new fleet is registered at once, so that a cluster is there before any route names it
        self._reported = 0
        self._nudge = asyncio.Event()
        self._change = asyncio.Condition()
        self._task = asyncio.create_task(self._run())
        self.trouble = ""
        """Why the gateways do not have the newest answer yet; empty when they have."""

    def touch(self) -> None:
        """Say that ``current()`` may have changed. Never waits."""
        self._wanted += 1
        self._nudge.set()

    async def reported(self) -> None:
        """Return when every gateway reports what was true at the call, or newer."""
        wanted = self._wanted
        async with self._change:
            await self._change.wait_for(lambda: self._reported >= wanted)

    async def _run(self) -> None:
        delay = _FIRST_RETRY
        while True:
            wanted = self._wanted
            if wanted == self._reported:
                self._nudge.clear()
                await self._nudge.wait()
                continue
            try:
                await self._backends.set_backend(self._current())
            except (BleenError, OSError) as error:
                self._say(str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LAST_RETRY)
                continue
            self._say("")
            delay = _FIRST_RETRY
            async with self._change:
                self._reported = wanted
                self._change.notify_all()

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("%s: %s", self._current().name, trouble)
        self.trouble = trouble

    async def close(self) -> None:
        """Stop writing; the gateways keep what they have."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
