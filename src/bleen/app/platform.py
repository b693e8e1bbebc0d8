"""The platform on this machine, as the command line drives it."""

import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bleen.app.home import environment_of, make_home, no_platform, read_address, read_ports, read_token
from bleen.domain.errors import PortTaken, StartFailed, Unreachable
from bleen.interfaces.platform import Finding, Server
from bleen.settings import Ports, Settings

if TYPE_CHECKING:
    from bleen.providers.local.parts import PartSeen

_START_SECONDS = 60.0
_LOOK_SECONDS = 0.03
_GIVE_UP_AFTER = 3
"""Failed starts of one part after which `bleen up` says why instead of waiting on."""


class LocalPlatform:
    """Keeps the protocol `Platform`. Nothing is imported before it is needed: a command must be quick to type."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def at(self, settings: Settings) -> "LocalPlatform":
        """Return the platform of another home."""
        return LocalPlatform(settings)

    def server(self) -> Server:
        """Return where the API answers and the token that it wants; Unreachable where none runs."""
        if self.settings.server:
            return Server(self.settings.server, self.settings.token)
        server = Server(read_address(self.settings), self.settings.token or read_token(self.settings))
        if not (Path(self.settings.runtime) / "agent.sock").exists():
            raise no_platform(self.settings)
        return server

    def ports(self) -> Ports:
        """Return the ports that the platform has."""
        return read_ports(self.settings)

    def up(self, *, foreground: bool = False) -> Server:
        """Start what does not run, and return when it is ready; with ``foreground``, when it was stopped."""
        from bleen.providers.local import watchdog

        if watchdog.agent_pid(self.settings.path) is None:
            settings = make_home(self.settings)
            _check_ports(settings)
            log = settings.path / "logs" / "agent.log"
            began = time.time()
            watchdog.start((sys.executable, "-m", "bleen.app.agent"), env=environment_of(settings), log=log)
            self._wait(log, began)
        else:
            self._wait(None, time.time())
        if foreground:
            self._stay()
        return self.server()

    def down(self) -> bool:
        """End all of it; False where nothing ran."""
        from bleen.providers.local import watchdog

        if watchdog.agent_pid(self.settings.path) is None:
            self._sweep()
            return False
        asyncio.run(_stop(self.settings))
        deadline = time.monotonic() + 30
        while watchdog.agent_pid(self.settings.path) is not None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        self._sweep()
        return True

    def doctor(self) -> Sequence[Finding]:
        """Return what was looked at, whether or not it runs."""
        from bleen.app.doctor import examine

        return examine(self.settings)

    def _wait(self, log: Path | None, began: float) -> None:
        try:
            asyncio.run(_until_ready(self.settings, log, began))
        except (PortTaken, StartFailed):
            self.down()
            raise

    def _stay(self) -> None:
        from bleen.providers.local import watchdog

        try:
            while watchdog.agent_pid(self.settings.path) is not None:
                time.sleep(0.5)
        except KeyboardInterrupt:
            self.down()

    def _sweep(self) -> None:
        """Remove the folder of sockets: nothing uses it any more."""
        shutil.rmtree(self.settings.runtime, ignore_errors=True)


async def _stop(settings: Settings) -> None:
    from bleen.providers.local.fleets import AgentFleets

    agent = AgentFleets(settings.runtime_path / "agent.sock")
    try:
        await agent.stop_everything()
    finally:
        await agent.close()


async def _until_ready(settings: Settings, log: Path | None, began: float) -> None:
    """Return when every part is ready; StartFailed or PortTaken where one cannot be."""
    from bleen.providers.local.fleets import AgentFleets

    agent = AgentFleets(settings.runtime_path / "agent.sock")
    deadline = time.monotonic() + _START_SECONDS
    parts: Sequence[PartSeen] = ()
    try:
        while time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                parts = await agent.parts()
            except Unreachable:
                _check_refused(settings, log, began)
                continue
            if parts and all(part.state == "ready" for part in parts):
                return
            _check_failing(settings, parts)
    finally:
        await agent.close()
    late = ", ".join(part.name for part in parts if part.state != "ready") or "the host agent"
    raise StartFailed(f"{late} did not get ready in {_START_SECONDS:g} s", next=f"look at {settings.home}/logs")


def _check_failing(settings: Settings, parts: "Sequence[PartSeen]") -> None:
    for part in parts:
        if "is taken" in part.last_exit:
            raise PortTaken(part.last_exit, next="end that program, or choose another port: BLEEN_GATEWAY_PORT, BLEEN_API_PORT")
        if part.restarts >= _GIVE_UP_AFTER and part.state != "ready":
            words = part.last_words.strip().splitlines()
            why = f"{part.last_exit}: {words[-1]}" if words else part.last_exit
            raise StartFailed(f"{part.name} does not start", why=why, next=f"see {settings.home}/logs/{part.name}.log")


def _check_refused(settings: Settings, log: Path | None, began: float) -> None:
    """Raise what the agent said where it ended at once instead of answering."""
    from bleen.providers.local import watchdog

    if log is None or time.time() - began < 5 or watchdog.agent_pid(settings.path) is not None:
        return
    words = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise StartFailed("the host agent does not start", why=" / ".join(words), next=f"see {log}")


def _check_ports(settings: Settings) -> None:
    """Raise PortTaken before anything is started, where another program has a port that was asked for."""
    from bleen.providers.local.addresses import check_free

    for name, port in (("BLEEN_GATEWAY_PORT", settings.ports.gateway), ("BLEEN_API_PORT", settings.ports.api)):
        try:
            check_free("127.0.0.1", port)
        except PortTaken as error:
            next = f"end that program, or set {name} to another port (0: any free one)"
            raise PortTaken(error.what, why=error.why, next=next) from None
