"""Numbers that a command prints."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from math import isfinite

from bleen.domain.canary import Number
from bleen.domain.comparison import Comparison
from bleen.domain.errors import InvalidInput, Unreachable

PATIENCE = 30.0
"""Seconds after which a command is killed."""
_WORDS = 300
"""How much of what it wrote is told: characters from its end."""


class CommandNumbers:
    """Runs commands beside the controller, with what they need to know in their environment."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience

    async def read(self, metric: Number, comparison: Comparison) -> float:
        """Return the number in the last line that the command of ``metric`` prints; InvalidInput, Unreachable."""
        code, output, words = await self._run(metric.run, environment_of(comparison))
        if code:
            raise Unreachable(f"{metric.run[0]} ended with {_ending(code)}", why=_end(words or output))
        lines = output.strip().splitlines()
        if not lines:
            raise InvalidInput(f"{metric.run[0]} printed nothing", why="its last line must be a number")
        try:
            number = float(lines[-1])
        except ValueError:
            raise InvalidInput(f"{metric.run[0]} printed {_end(lines[-1])!r}", why="its last line must be a number") from None
        if not isfinite(number):
            raise InvalidInput(f"{metric.run[0]} printed {lines[-1].strip()}", why="that is no number to compare")
        return number

    async def _run(self, words: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str, str]:
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                env={**os.environ, **environ},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise InvalidInput(f"cannot execute {words[0]!r}", why=error.strerror or str(error)) from error
        try:
            async with asyncio.timeout(self._patience):
                output, errors = await process.communicate()
        except TimeoutError:
            raise Unreachable(f"{words[0]} was not finished after {self._patience:g} s", why="it was killed") from None
        finally:
            await _kill(process)
        return process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace")


def environment_of(comparison: Comparison) -> Mapping[str, str]:
    """Return what a command is told of the release that it measures."""
    return {
        "BLEEN_RELEASE": f"r{comparison.canary}",
        "BLEEN_BASELINE": f"r{comparison.baseline}",
        "BLEEN_SERVICE": comparison.service,
        "BLEEN_ENVIRONMENT": comparison.environment,
    }


def _end(words: str) -> str:
    return words.strip()[-_WORDS:]


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit {code}"


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the command and what it started, however the wait for it ended, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # What left its process group may hold its pipes for ever.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await process.wait()
