"""Runs the tools that build images: their output is kept, their time limited, their children ended with them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from bleen.domain.codec import Value
from bleen.domain.errors import BuildFailed
from bleen.providers.local.images.disk import no_room, says_no_room


class Target(Value, frozen=True):
    """The Python that an image is built for: this machine's own, or that of the base it will stand on."""

    runtime: str
    """``cpython-3.11``."""
    command: tuple[str, ...]
    """How it is started here, to compile modules."""
    env: Mapping[str, str] = {}

    @property
    def version(self) -> str:
        """``3.11``."""
        return self.runtime.rpartition("-")[2]


class Shell(Value, frozen=True):
    """How tools are run for one build."""

    folder: str
    environ: Mapping[str, str]
    timeout: float
    """Seconds that one tool may take."""
    lock: int
    """A descriptor that every tool inherits: while one outlives a killed builder, its workspace counts as in use."""
    target: Target


class Ended(Value, frozen=True):
    """How a tool ended."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said, errors first."""
        return "\n".join(text for text in (self.err.strip(), self.out.strip()) if text)


async def run(shell: Shell, command: Sequence[str], *, say: bytes = b"", env: Mapping[str, str] | None = None) -> Ended:
    """Return how ``command``, given ``say`` to read, ended.

    StorageFull where it found the disk full; BuildFailed after the time-out.
    """
    child = await _start(shell, command, env or {})
    try:
        async with asyncio.timeout(shell.timeout):
            out, err = await child.communicate(say)
    except TimeoutError as error:
        raise BuildFailed(
            f"{Path(command[0]).name} took longer than {shell.timeout:g} s", why=" ".join(command), next="try again"
        ) from error
    finally:
        await _end(child)
    ended = Ended(tuple(command), child.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))
    if ended.code and says_no_room(ended.words):
        raise no_room(Path(shell.folder), last_lines(ended.words, 3))
    return ended


async def _start(shell: Shell, command: Sequence[str], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start the tool in a group of its own.

    Who is cancelled meanwhile ends the whole group: asyncio alone would leave the tool's children running.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=shell.folder,
            env={**shell.environ, **env},
            start_new_session=True,
            pass_fds=(shell.lock,),
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            await _end(starting.result())
        raise


async def _end(child: asyncio.subprocess.Process) -> None:
    """Kill what is left of the tool's group, which outlives the tool itself when it left children behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def last_lines(text: str, count: int = 12) -> str:
    """Return the last lines of what a tool said."""
    return "\n".join(line for line in text.splitlines()[-count:] if line.strip())
