"""Port `Notices` as a command: it finds each notice as JSON on its standard input, and does with it what it likes.

A chat, a pager, a ticket: each is a line of shell around curl. Without a command, notices go to the controller's log.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from bleen.domain.codec import encode
from bleen.domain.errors import Unreachable
from bleen.domain.notice import Dispatch, Level, Notice

PATIENCE = 20.0
"""Seconds that the command may take."""
_LONGEST = 300
_log = logging.getLogger("bleen.notices")


class Hook:
    """Runs ``command`` for every notice."""

    def __init__(self, command: Sequence[str], patience: float = PATIENCE) -> None:
        self._command = tuple(command)
        self._patience = patience

    async def channels(self, notice: Notice) -> Sequence[str]:
        """See `bleen.ports.Notices`. The log has what somebody may have to act on."""
        if self._command:
            return ("command",)
        return ("log",) if notice.level.rank >= Level.WARNING.rank else ()

    async def tell(self, dispatch: Dispatch, channel: str) -> None:
        """See `bleen.ports.Notices`."""
        notice = dispatch.notice
        if not self._command:
            _log.warning("%r: %r (%r)", notice.rollout, notice.what, notice.why)
            return
        said = await self._run(encode(notice) + b"\n")
        if said:
            next = "look at the command in BLEEN_NOTIFY"
            raise Unreachable(f"the notice about {notice.rollout} did not get through", why=said, next=next)

    async def _run(self, text: bytes) -> str:
        """Return why it failed; empty where it did not."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return f"{self._command[0]}: {error.strerror}"
        try:
            async with asyncio.timeout(self._patience):
                _, errors = await process.communicate(text)
        except TimeoutError:
            return f"{self._command[0]} took longer than {self._patience:g} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        words = errors.decode(errors="replace").strip()[-_LONGEST:]
        return f"exit {process.returncode}: {words}" if process.returncode else ""
