"""The parts of the platform: programs that the agent starts in order, watches, restarts with back-off, and adopts."""

import asyncio
import logging
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from msgspec import structs

from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, StartFailed
from bleen.domain.traffic import Endpoint
from bleen.providers.local.addresses import check_free
from bleen.providers.local.backoff import Backoff
from bleen.providers.local.logs import Log
from bleen.providers.local.probe import ask
from bleen.providers.local.process import Process, ProcessId, adopt, boot_id, describe_exit, hold, kill_marked, send
from bleen.providers.local.store import Shelf, load

log = logging.getLogger("bleen.agent")

Ready = Callable[[], Awaitable[bool]]

_PROBE_SECONDS = 0.05
# Parts are killed more often than they are broken, and nothing is decided while one is away.
_BACKOFF = Backoff(first=0.1, longest=5.0, forgiven_after=10.0)
_LOOK_SECONDS = 5.0
_KILL_SECONDS = 10.0
_WORDS = 5


@dataclass(frozen=True)
class Part:
    """One program of the platform."""

    name: str
    argv: tuple[str, ...]
    ready: Ready
    """Whether it can be used now; asked until it says yes, after each start."""
    env: dict[str, str] = field(default_factory=dict)
    """Its whole environment."""
    cwd: str = "/"
    needs: tuple[str, ...] = ()
    """Parts that must have been ready once before it starts, and end after it."""
    patient: bool = False
    """It waits for what it needs by itself, and starts beside it: what it has to load is loaded meanwhile."""
    listens: tuple[tuple[str, int], ...] = ()
    """Addresses and ports that must be free before it starts."""
    prepare: Callable[[], Awaitable[None]] | None = None
    """Done before each start; a BleenError counts as a failed start."""
    stop_signal: signal.Signals = signal.SIGTERM
    kill_after: float = 10.0
    """Seconds from the stop signal to SIGKILL."""
    decides: bool = False
    """It tells the agent what to run, and so is stopped before the fleets."""

    async def wait_until_ready(self) -> None:
        """Ask until it says yes, for as long as that takes."""
        while True:
            if await self.ready():
                return
            await asyncio.sleep(_PROBE_SECONDS)


class PartState(StrEnum):
    """The life of a part."""

    WAITING = "waiting"
    """For the parts that it needs."""
    STARTING = "starting"
    READY = "ready"
    CRASHED = "crashed"
    """It ended, or could not start; it is started again after its back-off."""
    STOPPED = "stopped"


class PartSeen(Value, frozen=True):
    """A part as it was seen."""

    name: str
    state: PartState
    since: datetime
    pid: int = 0
    restarts: int = 0
    last_exit: str = ""
    """How it last ended, or why it could not start: ``part postgres could not start: 127.0.0.1:5432 is taken by ...``."""
    last_words: str = ""


def http_ready(url: str) -> Ready:
    """Return a probe: ``http://127.0.0.1:1234/path`` answers 2xx or 3xx."""
    host, _, path = url.removeprefix("http://").partition("/")
    address, _, port = host.partition(":")
    endpoint = Endpoint(address=address, port=int(port))

    async def ready() -> bool:
        return (await ask(endpoint, f"/{path}", 1.0)).good

    return ready


def tcp_ready(address: str, port: int) -> Ready:
    """Return a probe: something accepts connections there."""

    async def ready() -> bool:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
            try:
                async with asyncio.timeout(1.0):
                    await loop.sock_connect(connection, (address, port))
            except OSError:
                return False
        return True

    return ready


def file_ready(path: Path) -> Ready:
    """Return a probe: the file is there."""

    async def ready() -> bool:
        return await asyncio.to_thread(path.exists)

    return ready


class RunningPart:
    """One part's life."""

    def __init__(self, part: Part, home: Path, shelf: Shelf, backoff: Backoff) -> None:
        self.part = part
        self.seen = PartSeen(name=part.name, state=PartState.WAITING, since=datetime.now(UTC))
        self.was_ready = asyncio.Event()
        self._home = home
        self._shelf = shelf
        self._backoff = backoff
        self._record = home / "parts" / f"{part.name}.json"
        self._log = Log(home / "logs", part.name)
        self._log_start = 0
        self._process: Process | None = None
        self._streak = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def _markers(self) -> dict[str, str]:
        return {"BLEEN_HOME": str(self._home), "BLEEN_PART": self.part.name}

    def adopt(self) -> None:
        """Take over the process that an earlier agent started, if it runs."""
        if self._record.exists():
            identity: ProcessId = load(self._record, ProcessId)
            self._process = adopt(identity) if identity.boot == boot_id() else None
        if self._process is not None:
            self._enter(PartState.STARTING, pid=self._process.pid)

    def begin(self, needs: Sequence["RunningPart"]) -> None:
        """Start living."""
        self._task = asyncio.create_task(self._live(needs), name=self.part.name)

    async def _live(self, needs: Sequence["RunningPart"]) -> None:
        for need in needs if self._process is None and not self.part.patient else ():
            await need.was_ready.wait()
        while True:
            try:
                reason = await self._run()
            except BleenError as error:
                reason = f"part {self.part.name} could not start: {str(error).splitlines()[0]}"
            except Exception as error:  # a defect in a part's own probe must not leave it unwatched
                log.exception("part %s: unexpected", self.part.name)
                reason = f"the host agent failed: {error!r}"
            await self._crashed(reason)
            await asyncio.sleep(self._backoff.delay(self._streak))

    async def _run(self) -> str:
        """Start it where it does not run, and watch it; return how it ended."""
        process = self._process or await self._start()
        while not await self.part.ready():
            if await process.wait(_PROBE_SECONDS):
                return _exit(process)
        self._enter(PartState.READY, pid=process.pid)
        self.was_ready.set()
        while not await process.wait(_LOOK_SECONDS):
            self._log.look(datetime.now(UTC))
        return _exit(process)

    async def _start(self) -> Process:
        self._enter(PartState.STARTING, pid=0)
        await kill_marked(self._markers)  # what a killed one left behind may hold its port and its data
        for address, port in self.part.listens:
            check_free(address, port)
        if self.part.prepare is not None:
            await self.part.prepare()
        if shutil.which(self.part.argv[0], path=self.part.env.get("PATH", os.defpath)) is None:
            raise StartFailed(f"cannot execute {self.part.argv[0]!r}", why="not found, or not executable", next="bleen doctor")
        self._log.path.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = self._log.size()
        env = self.part.env | self._markers
        self._process = hold(self.part.argv, env=env, cwd=self.part.cwd, log=self._log.path)
        await self._shelf.keep(self._record, self._process.identity)
        self._enter(PartState.STARTING, pid=self._process.pid)
        self._process.open_gate()
        return self._process

    async def _crashed(self, reason: str) -> None:
        lived = (datetime.now(UTC) - self.seen.since).total_seconds()
        well = self.seen.state is PartState.READY and lived >= self._backoff.forgiven_after
        self._streak = 1 if well else self._streak + 1
        process, self._process = self._process, None
        if process is not None:
            process.kill_group()
        self._log.look(datetime.now(UTC))
        log.warning("part %s: %s", self.part.name, reason)
        words = "\n".join(self._log.tail(_WORDS, self._log_start))
        self._enter(PartState.CRASHED, pid=0, restarts=self.seen.restarts + 1, last_exit=reason, last_words=words)

    async def stop(self) -> None:
        """End it: its stop signal, SIGKILL after its time, and nothing left of it."""
        await self._rest()
        if self._process is not None:
            self._process.close_gate()
            send(self._process.identity, self.part.stop_signal)
            await self._process.wait(self.part.kill_after)
            self._process.kill_group()
            await self._process.wait(_KILL_SECONDS)
            self._process = None
        await kill_marked(self._markers)
        await self._shelf.forget(self._record)
        self._enter(PartState.STOPPED, pid=0)

    async def abandon(self) -> None:
        """Stop watching; it goes on, for the next agent."""
        await self._rest()
        if self._process is not None:
            self._process.forget()
            self._process = None

    async def _rest(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _enter(self, state: PartState, **changes: object) -> None:
        self.seen = structs.replace(self.seen, state=state, since=datetime.now(UTC), **changes)


def _exit(process: Process) -> str:
    if process.code is None:
        return "ended, its exit code went to an earlier agent"
    return describe_exit(process.code)


class PartRunner:
    """Keeps the parts of the platform running."""

    def __init__(self, parts: Sequence[Part], home: Path, shelf: Shelf, backoff: Backoff | None = None) -> None:
        self._parts = {p.name: RunningPart(p, home, shelf, backoff or _BACKOFF) for p in parts}

    async def begin(self) -> None:
        """Adopt what runs, and start the rest in the order of their needs."""
        for running in self._parts.values():
            running.adopt()
        for running in self._parts.values():
            running.begin([self._parts[name] for name in running.part.needs])

    def observe(self) -> Sequence[PartSeen]:
        """Return the parts as they are, in the order in which they were given."""
        return [running.seen for running in self._parts.values()]

    async def stop_deciding(self) -> None:
        """Stop the parts that decide what runs."""
        await asyncio.gather(*(running.stop() for running in self._parts.values() if running.part.decides))

    async def stop(self) -> None:
        """Stop every part, each after all that need it."""
        left = {name: running for name, running in self._parts.items() if running.seen.state is not PartState.STOPPED}
        while left:
            needed = {need for running in left.values() for need in running.part.needs}
            last = [name for name in left if name not in needed]
            await asyncio.gather(*(left[name].stop() for name in last))
            for name in last:
                del left[name]

    async def abandon(self) -> None:
        """Stop watching; every part goes on."""
        await asyncio.gather(*(running.abandon() for running in self._parts.values()))
