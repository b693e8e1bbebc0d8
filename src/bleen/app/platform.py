"""The platform on this machine, as the command line drives it.

Nothing heavy is imported before it is needed: a command must be quick to type.
"""

import shutil
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bleen.app.home import check_home, make_home, no_platform, part_runs, read_address, read_ports, read_token, starting
from bleen.domain.errors import InvalidInput, PortTaken
from bleen.interfaces.platform import AzureReport, Finding, Interrupted, Server
from bleen.settings import Ports, Settings, read_settings

if TYPE_CHECKING:
    from bleen.app.host import Start


class LocalPlatform:
    """Keeps the protocol `Platform`. Without settings, those of the environment, read when they are first needed."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings

    @cached_property
    def settings(self) -> Settings:
        """The settings; InvalidInput where a variable is wrong."""
        return self._given or read_settings()

    def at(self, settings: Settings) -> "LocalPlatform":
        """Return the platform of other settings."""
        return LocalPlatform(settings)

    def server(self) -> Server:
        """Return where the API answers and the token that it wants; Unreachable where none runs."""
        if self.settings.server:
            from bleen.interfaces.logins import kept_token

            return Server(self.settings.server, self.settings.token or kept_token(self.settings.server))
        server = Server(read_address(self.settings), self.settings.token or read_token(self.settings))
        if not (Path(self.settings.runtime) / "agent.sock").exists():
            raise no_platform(self.settings)
        return server

    def ports(self) -> Ports:
        """Return the ports that the platform has."""
        return read_ports(self.settings)

    def up(self, *, foreground: bool = False) -> Server:
        """Start what does not run, and return when it is ready; with ``foreground``, when it was stopped."""
        from bleen.app import host
        from bleen.providers.local.watchdog import agent_pid

        check_home(self.settings)
        with starting(self.settings):  # of two at the same moment, one starts it, and the other finds it up
            was_up = agent_pid(self.settings.path) is not None
            if was_up:
                host.wait_until_ready(self.settings, None)
            else:
                self._start()
        if foreground:
            self._stay()
        return Server(read_address(self.settings), read_token(self.settings), was_up=was_up)

    def down(self) -> bool:
        """End all of it; False where nothing ran."""
        check_home(self.settings)
        try:
            ran = self._end()
        except KeyboardInterrupt:
            raise Interrupted("what has begun to end goes on ending", next="bleen down ends the rest of it") from None
        self._sweep()
        return ran

    def doctor(self) -> Sequence[Finding]:
        """Return what was looked at, whether or not it runs."""
        from bleen.app.doctor import examine

        return examine(self.settings)

    def look_at_azure(self, site: Path) -> AzureReport:
        """Return what a site in Azure looks like."""
        from bleen.app.azure import look

        return look(site)

    def _start(self) -> None:
        from bleen.app import host

        _check_access(self.settings)
        _check_channels(self.settings)
        _check_traces(self.settings)
        kept = bool(host.survivors(self.settings))
        _check_ports(self.settings)
        start = None
        try:
            with host.uninterrupted():
                start = host.Start(make_home(self.settings))
            host.wait_until_ready(self.settings, start)
        except BaseException as error:
            if kept:  # what an earlier agent had started serves: it is not ended for a part that does not start
                raise _left_starting(error) from None
            self._undo(start)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted("what had been started was ended again", next="bleen up") from None
            raise

    def _undo(self, start: "Start | None") -> None:
        from bleen.app import host

        try:
            if start is not None:
                host.undo(self.settings, start)
            self._sweep()
        except KeyboardInterrupt:
            raise Interrupted("what had been started may still run", next="bleen down") from None

    def _end(self) -> bool:
        from bleen.app import host
        from bleen.domain.errors import Unreachable
        from bleen.providers.local.watchdog import agent_pid

        if agent_pid(self.settings.path) is None:
            if not host.survivors(self.settings):
                return False
            host.Start(make_home(self.settings))  # it adopts them, and can end them gracefully
        try:
            host.stop(self.settings)
        except Unreachable:
            host.force_end(self.settings)
        return True

    def _stay(self) -> None:
        from bleen.providers.local.watchdog import agent_pid

        try:
            while agent_pid(self.settings.path) is not None:
                time.sleep(0.5)
        except KeyboardInterrupt:
            self.down()

    def _sweep(self) -> None:
        """Remove the folder of sockets: nothing uses it any more."""
        shutil.rmtree(self.settings.runtime, ignore_errors=True)


def _left_starting(error: BaseException) -> BaseException:
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("the platform goes on starting: it had served before", next="bleen doctor; bleen down ends it")
    return error


def _check_access(settings: Settings) -> None:
    """Refuse an access file that is wrong before anything is started: InvalidFiles."""
    if settings.access_file:
        from bleen.interfaces.repository.access import read_access

        read_access(settings.access_file)


def _check_channels(settings: Settings) -> None:
    """Refuse a file of channels that is wrong before anything is started: InvalidFiles."""
    if settings.channels:
        from bleen.interfaces.repository.channels import load_channels

        load_channels(Path(settings.channels))


def _check_traces(settings: Settings) -> None:
    """Refuse to collect traces without what sends them, before anything is started: InvalidInput."""
    from importlib.util import find_spec

    if settings.traces_url and find_spec("opentelemetry") is None:
        what = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed"
        raise InvalidInput(what, next="pip install 'bleen[trace]', or leave the variable out", where="environment")


def _check_ports(settings: Settings) -> None:
    """Raise PortTaken before anything is started, where another program has a port that was asked for."""
    from bleen.providers.local.addresses import check_free

    here = settings.regions if settings.provider == "local" else ()
    wanted = [(f"127.0.0.{n}", settings.ports.gateway) for n in range(1, len(here) + 1)]
    named = [("BLEEN_GATEWAY_PORT", "gateway", *where) for where in wanted]
    for name, part, address, port in [*named, ("BLEEN_API_PORT", "controller", "127.0.0.1", settings.ports.api)]:
        if port == 0 or part_runs(settings.path, part):
            continue
        try:
            check_free(address, port)
        except PortTaken as error:
            next = f"end that program, or set {name} to another port (0: any free one)"
            raise PortTaken(error.what, why=error.why, next=next) from None
