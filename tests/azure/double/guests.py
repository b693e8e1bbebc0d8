"""Machines whose guests are the real program, a process for each, beside the extension that asks it.

The extension does what Microsoft's *Using Application Health extension* says of its version 2.0: a machine is initializing
until so many answers in a row say healthy or unhealthy, or its grace time is over; what is no such answer is unknown.
"""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bleen.providers.azure.health import PATH
from bleen.providers.local.addresses import allocate
from bleen.providers.local.process import kill_marked
from tests.azure.double.cloud import Cloud
from tests.azure.double.machines import Machine
from tests.providers.local.world import free_port

_STATES = ("Healthy", "Unhealthy")


class Extension:
    """Asks one machine's page."""

    def __init__(self, port: int, every: float, probes: int = 2, grace: float = 600.0) -> None:
        self.health = "initializing"
        self.last = ""
        """The last answer, as it was."""
        self._url = f"http://127.0.0.1:{port}{PATH}"
        self._every = every
        self._probes = probes
        self._until = time.monotonic() + grace
        self._row: list[str] = []

    async def run(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
            while True:
                self._take(await self._ask(client))
                await asyncio.sleep(self._every)

    async def _ask(self, client: httpx.AsyncClient) -> str:
        try:
            answer = await client.get(self._url)
            self.last = str(answer.json()["ApplicationHealthState"])
        except (httpx.HTTPError, ValueError, KeyError):
            self.last = ""
        return self.last.lower() if self.last in _STATES else "unknown"

    def _take(self, state: str) -> None:
        self._row = [*self._row, state][-self._probes :]
        settled = len(self._row) == self._probes and len(set(self._row)) == 1
        if self.health == "initializing" and (not settled or state == "unknown"):
            self.health = "unknown" if time.monotonic() >= self._until else "initializing"
        elif settled:
            self.health = state


@dataclass
class GuestMachine:
    """One machine."""

    cloud: Cloud
    name: str
    folder: Path
    environ: dict[str, str]
    timeout: float
    """Seconds for which a deletion waits for the machine's approval."""
    every: float = 0.1
    port: int = field(default_factory=free_port)
    process: Process | None = None

    def __post_init__(self) -> None:
        self.extension = Extension(self.port, self.every)
        self._asking = asyncio.create_task(self.extension.run())

    @property
    def health(self) -> str:
        return self.extension.health

    @property
    def home(self) -> Path:
        return self.folder / self.name

    @property
    def log(self) -> str:
        return self.home.with_suffix(".log").read_text()

    async def boot(self) -> Process:
        """Start the program, as its service does."""
        own = {
            "BLEEN_HOME": str(self.home),
            "BLEEN_GUEST_PORT": str(self.port),
            "BLEEN_GUEST_METADATA": f"{self.cloud.url}/imds/{self.name}",
            "IDENTITY_ENDPOINT": f"{self.cloud.url}/identity",
            "IDENTITY_HEADER": "secret",
        }
        with self.home.with_suffix(".log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bleen.app", "guest"),
                env={**os.environ, **self.environ, **own},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    async def crash(self) -> None:
        """End the guest alone, as kill -9 does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def end(self) -> None:
        """Delete it: what it runs is told first, and may say when it is done."""
        await self.cloud.imds.terminate(self.name, self.timeout)
        await self.kill()

    async def kill(self) -> None:
        """Let it vanish, with all that runs on it."""
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        if self.process is not None and self.process.returncode is None:
            await self.crash()
        await kill_marked({"BLEEN_HOME": str(self.home)})
        self.cloud.imds.leave(self.name)


class GuestMachines:
    """Starts them. Each finds its image in the store of the home ``images``, where a bake would have put it."""

    def __init__(self, folder: Path, images: Path, certificate: Path, timeout: float = 60.0) -> None:
        self.cloud: Cloud | None = None
        """Set it before the first start."""
        self.started: dict[str, GuestMachine] = {}
        self._folder = folder
        self.environ = {"BLEEN_GUEST_IMAGES": str(images), "SSL_CERT_FILE": str(certificate)}
        self._timeout = timeout
        self._used: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    async def start(self, scale_set: str, name: str, user_data: str) -> Machine:
        """Boot one."""
        machine = self.make(scale_set, name, user_data)
        await machine.boot()
        return machine

    def make(self, scale_set: str, name: str, user_data: str) -> GuestMachine:
        """Return one that has not booted."""
        assert self.cloud is not None
        address = allocate(self._folder, self._used)
        self._used.add(address)
        self.cloud.imds.enter(name, scale_set, address, user_data)
        self.started[name] = GuestMachine(self.cloud, name, self._folder, self.environ, self._timeout)
        return self.started[name]

    async def close(self) -> None:
        await asyncio.gather(*(machine.kill() for machine in self.started.values()))
