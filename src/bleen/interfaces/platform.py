"""What the command line needs of the machine it is typed on. `bleen.app` provides it; tests provide their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from bleen.domain.codec import Value
from bleen.settings import Settings


class Server(Value, frozen=True):
    """Where the API answers, and the token that it wants."""

    address: str
    """Such as ``http://127.0.0.1:8070``."""
    token: str
    was_up: bool = False
    """It ran before `up` was asked for."""


class Interrupted(Exception):
    """Ctrl-C, and what became of what was being done."""

    def __init__(self, what: str, *, next: str) -> None:
        super().__init__(what)
        self.what = what
        self.next = next


class Finding(Value, frozen=True):
    """One thing that `bleen doctor` looked at."""

    name: str
    level: Literal["good", "warning", "bad"]
    detail: str
    next: str = ""
    """What to type or do; empty where all is well."""


class AzureReport(Value, frozen=True):
    """What a site in Azure looks like to whoever only reads."""

    findings: tuple[Finding, ...]
    not_verified: tuple[str, ...]
    """What no reading can show."""


class Platform(Protocol):
    """One platform: the parts that run on this machine, or an API elsewhere."""

    @property
    def settings(self) -> Settings:
        """The settings that it was made with."""

    def at(self, settings: Settings) -> "Platform":
        """Return the platform of other settings: another home."""

    def up(self, *, foreground: bool = False) -> Server:
        """Start what does not run yet, and return when it is ready; with ``foreground``, when it was stopped.

        PortTaken, StorageFull, StartFailed, InvalidInput say what was in the way, Interrupted what Ctrl-C came to; nothing
        is left half-started, and nothing that served before is ended.
        """

    def down(self) -> bool:
        """End all of it, instances included; False where nothing ran. Interrupted: it goes on ending."""

    def doctor(self) -> Sequence[Finding]:
        """Return what was looked at, whether or not it runs."""

    def look_at_azure(self, site: Path) -> AzureReport:
        """Return what the site looks like that a file describes; InvalidInput, NotFound where the SDK is not there."""

    def server(self) -> Server:
        """Return where the API of the running platform is; Unreachable where none runs."""
