"""The command line as a process of its own, speaking to a server of a test: ``python -m tests.interfaces.entry``."""

import os
from collections.abc import Sequence

from bleen.domain.errors import Unreachable
from bleen.interfaces.cli import run
from bleen.interfaces.platform import Finding, Server
from bleen.settings import read_settings


class Elsewhere:
    """A platform that runs elsewhere. Keeps `Platform`."""

    def __init__(self) -> None:
        self.settings = read_settings()

    def up(self, *, foreground: bool = False) -> Server:
        return self.server()

    def down(self) -> bool:
        return False

    def doctor(self) -> Sequence[Finding]:
        return ()

    def server(self) -> Server:
        if not self.settings.server:
            raise Unreachable("no platform runs here", next="bleen up")
        return Server(self.settings.server, self.settings.token)


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "80")
    raise SystemExit(run(Elsewhere()))
