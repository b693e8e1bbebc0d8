"""The host agent, as `bleen up` and `bleen down` deal with it: started, waited for, revived, ended."""

import asyncio
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from bleen.app.home import environment_of
from bleen.domain.errors import BleenError, PortTaken, StartFailed, StorageFull, Unreachable
from bleen.providers.local import watchdog
from bleen.providers.local.parts import PartSeen, PartState
from bleen.providers.local.process import ProcessId, command_line, identify, marked, send
from bleen.settings import Settings

if TYPE_CHECKING:
    from bleen.providers.local.fleets import AgentFleets

_START_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_GIVE_UP_AFTER = 3
"""Failed starts of one part after which `bleen up` says why instead of waiting on."""
_ANSWER_SECONDS = 5.0
"""An agent that lives and has not answered for so long is started again: it adopts what runs."""
_END_SECONDS = 30.0
_LEAST_FREE = 100_000_000
"""Bytes: a new database takes half of it."""


class Start:
    """One start of the agent: its watchdog, and what it logged since."""

    def __init__(self, settings: Settings) -> None:
        self.log = settings.path / "logs" / "agent.log"
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        argv = (sys.executable, "-m", "bleen.app", "agent")
        self._pid = watchdog.start(argv, env=environment_of(settings), log=self.log)
        self._code: int | None = None

    def code(self) -> int | None:
        """Return how the watchdog ended: 0 where it was told to, REFUSED where the agent must not be started; else None."""
        if self._code is None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self._pid, os.WNOHANG)
                self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def words(self) -> str:
        """Return the last of what the agent logged."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return " / ".join(line.strip() for line in file.read().decode(errors="replace").splitlines()[-3:])

    def kill(self) -> None:
        """End the watchdog and an agent that never got as far as to answer."""
        if self.code() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Have Ctrl-C wait until the block is done: nothing is begun that nobody knows of."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt


def survivors(settings: Settings) -> dict[int, str]:
    """Return the parts and instances of the platform that run now, by pid, whoever watches them."""
    found = marked({"BLEEN_HOME": settings.home})
    return {
        pid: name
        for pid, env in found.items()
        if pid != os.getpid() and (name := env.get("BLEEN_PART") or env.get("BLEEN_INSTANCE"))
    }


def wait_until_ready(settings: Settings, start: Start | None) -> None:
    """Return when every part is ready; StartFailed or PortTaken where one cannot be."""
    asyncio.run(_until_ready(settings, start))


def stop(settings: Settings) -> None:
    """End everything gracefully; return when the agent has ended, too."""
    try:
        asyncio.run(_stop(settings))
    except Unreachable:  # the agent died of it: the next one takes over where it was
        asyncio.run(_stop(settings))
    _until_gone(settings)


def undo(settings: Settings, start: Start) -> None:
    """End what a start has begun, however far it had come."""
    deadline = time.monotonic() + 2 * _ANSWER_SECONDS
    while start.code() is None and time.monotonic() < deadline:
        if watchdog.agent_pid(settings.path) is not None:
            with suppress(Unreachable):
                stop(settings)
                return
        time.sleep(_LOOK_SECONDS)
    start.kill()
    force_end(settings)


def force_end(settings: Settings) -> None:
    """SIGKILL everything of the platform: no agent can be reached that would end it gracefully."""
    for watching in (_watchdogs, _agents, _marked):
        for process in watching(settings):
            send(process, signal.SIGKILL)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while survivors(settings) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _watchdogs(settings: Settings) -> Iterator[ProcessId]:
    for pid in marked({"BLEEN_HOME": settings.home}):
        if b"\0bleen-watchdog\0" in command_line(pid) and (process := identify(pid)):
            yield process


def _agents(settings: Settings) -> Iterator[ProcessId]:
    if (pid := watchdog.agent_pid(settings.path)) and (process := identify(pid)):
        yield process


def _marked(settings: Settings) -> Iterator[ProcessId]:
    for pid in survivors(settings):
        if process := identify(pid):
            yield process


@asynccontextmanager
async def _agent(settings: Settings) -> AsyncIterator["AgentFleets"]:
    from bleen.providers.local.fleets import AgentFleets  # loaded while an agent that was just started does

    agent = AgentFleets(settings.runtime_path / "agent.sock")
    try:
        yield agent
    finally:
        await agent.close()


async def _stop(settings: Settings) -> None:
    async with _agent(settings) as agent:
        await _reach(settings, agent)
        await agent.stop_everything()


async def _reach(settings: Settings, agent: "AgentFleets") -> None:
    """Return when the agent answers. One that is frozen, or whose socket was removed, is started again by its watchdog."""
    began, revived = time.monotonic(), False
    while True:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await agent.health()
            return
        except (Unreachable, TimeoutError) as error:
            waited = time.monotonic() - began
            if waited > 3 * _ANSWER_SECONDS:
                raise Unreachable("the host agent does not answer", why=str(error), next="bleen doctor") from error
            if waited > _ANSWER_SECONDS and not revived:
                revived = True
                for process in _agents(settings):
                    send(process, signal.SIGKILL)
        await asyncio.sleep(_LOOK_SECONDS)


def _until_gone(settings: Settings) -> None:
    deadline = time.monotonic() + _END_SECONDS
    while (pid := watchdog.agent_pid(settings.path)) is not None:
        if time.monotonic() > deadline:
            raise Unreachable(f"the host agent (pid {pid}) has stopped everything and does not end", next="bleen down")
        time.sleep(_LOOK_SECONDS)


async def _until_ready(settings: Settings, start: Start | None) -> None:
    deadline = time.monotonic() + _START_SECONDS
    parts: Sequence[PartSeen] = ()
    async with _agent(settings) as agent:
        if start is None:
            await _reach(settings, agent)
        while time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                parts = await agent.parts()
            except Unreachable:
                if start is not None:
                    _check_ended(settings, start)
                elif watchdog.agent_pid(settings.path) is None:
                    raise
                continue
            if parts and all(part.state is PartState.READY for part in parts):
                return
            _check_failing(settings, parts)
    late = ", ".join(part.name for part in parts if part.state is not PartState.READY) or "the host agent"
    raise StartFailed(f"{late} did not get ready in {_START_SECONDS:g} s", next=f"look at {settings.home}/logs")


def _check_ended(settings: Settings, start: Start) -> None:
    """Raise what the agent said where it was refused, or ended by somebody else."""
    code = start.code()
    if code is None or (code == watchdog.REFUSED and watchdog.agent_pid(settings.path) is not None):
        return
    if code == 0:
        raise StartFailed("the platform was ended while it started", why="by another bleen down", next="bleen up")
    raise StartFailed("the host agent does not start", why=start.words(), next=f"see {start.log}")


def _check_failing(settings: Settings, parts: Sequence[PartSeen]) -> None:
    for part in parts:
        if part.state is not PartState.CRASHED:
            continue
        if "is taken" in part.last_exit:
            raise _port_taken(part)
        if part.restarts >= _GIVE_UP_AFTER:
            raise _no_start(settings, part)


def _no_start(settings: Settings, part: PartSeen) -> BleenError:
    """Return why ``part`` does not start. On a full disk it may not even have been able to say so."""
    words = [line.strip() for line in part.last_words.splitlines()[-3:]]
    why, free = " / ".join([part.last_exit, *words]), shutil.disk_usage(settings.home).free
    if free < _LEAST_FREE:
        what = f"{part.name} does not start, and there is hardly room: {free / 1e6:.0f} MB on the disk of {settings.home}"
        return StorageFull(what, why=why, next=f"make room (df -h {settings.home}), then bleen up")
    return StartFailed(f"{part.name} does not start", why=why, next=f"see {settings.home}/logs/{part.name}.log")


def _port_taken(part: PartSeen) -> BleenError:
    names = {"gateway": "BLEEN_GATEWAY_PORT", "controller": "BLEEN_API_PORT", "engine": "BLEEN_ENGINE_PORT"}
    name = names.get(part.name.partition("-")[0], "its port")
    what = part.last_exit.rpartition("could not start: ")[2]
    next = f"end that program, or set {name} to another port (0: any free one)"
    return PortTaken(what, why=f"{part.name} needs it", next=next)
