"""What the API stands on."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from litestar.di import NamedDependency

from bleen.domain.command import Command
from bleen.domain.rollout import Rollout
from bleen.interfaces.views import PlatformView
from bleen.ports import Fleets, Gateway, Images, Ledger, Scanner
from bleen.workflows.messages import DeployRequest, DeployResult, Progress, RollbackRequest, ScaleRequest, ScaleResult


class Controls(Protocol):
    """Starts and steers rollouts: `bleen.workflows.control.Control`."""

    async def deploy(self, request: DeployRequest) -> DeployResult:
        """Make a release and roll it out."""

    async def command(self, environment: str, service: str, command: Command) -> Rollout:
        """Tell the rollout under way; NothingToDo where it makes no sense."""

    async def rollback(self, request: RollbackRequest) -> DeployResult | Rollout:
        """Go back, by one split change where the old fleet is warm, else by a rollout."""

    async def scale(self, request: ScaleRequest) -> ScaleResult:
        """Give the service another size, by the rollout under way or without one."""

    async def progress(self, environment: str, service: str) -> Progress | None:
        """Return the live view of the rollout under way."""

    async def active(self) -> Sequence[tuple[str, str]]:
        """Return the environment and service of every rollout under way."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Providers:
    """Every port that the API reads and writes, and what it must know of its platform."""

    control: Controls
    ledger: Ledger
    fleets: Fleets
    gateway: Gateway
    images: Images
    scanner: Scanner
    platform: Callable[[], Awaitable[PlatformView]]
    """Describes the platform and its parts."""
    own_port: Callable[[str, str], int | None]
    """The port of its own that a service of an environment has, if it has one."""
    environment: str = "dev"
    regions: tuple[str, ...] = ("local",)
    gateway_port: int = 8080
    clock: Callable[[], datetime] = _now
    trouble: Callable[[], str] = str
    """Says what is wrong with the machine, such as a full disk; empty where nothing is."""


Here = NamedDependency[Providers]
"""The providers, as a route asks for them."""
