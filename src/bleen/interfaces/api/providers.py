"""What the API stands on."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

from litestar.di import NamedDependency

from bleen.domain.allowance import Allowance
from bleen.domain.base import Exported
from bleen.domain.command import Command
from bleen.domain.errors import NotFound
from bleen.domain.fidelity import GatewayMode
from bleen.domain.image import Digest, Image
from bleen.domain.issuer import Access
from bleen.domain.notice import Notice
from bleen.domain.pipeline import Building
from bleen.domain.removal import Removing
from bleen.domain.renewal import Asked, Timetable
from bleen.domain.rollout import Rollout
from bleen.interfaces.api.past import Past
from bleen.interfaces.views import PlatformView
from bleen.ports import Almanac, Bases, Builder, Fleets, Gateway, Images, Issuers, Ledger, Metrics, Notices, Scanner, Tell
from bleen.workflows.freezing import Freezes
from bleen.workflows.messages import (
    BuildRequest,
    DeployRequest,
    DeployResult,
    Progress,
    RemovalRequest,
    RenewalState,
    RollbackRequest,
    ScaleRequest,
    ScaleResult,
)
from bleen.workflows.notary import Notary


class Controls(Protocol):
    """Starts and steers rollouts: `bleen.workflows.control.Control`."""

    async def deploy(self, request: DeployRequest) -> DeployResult:
        """Make a release and roll it out."""

    async def build(self, wanted: BuildRequest, tell: Tell) -> Image:
        """Return the image, telling of each stage; raises what it was refused for."""

    async def builds(self) -> Sequence[Building]:
        """Return every build under way, those of deployments included."""

    async def command(self, environment: str, service: str, command: Command) -> Rollout:
        """Tell the rollout under way; NothingToDo where it makes no sense."""

    async def rollback(self, request: RollbackRequest) -> DeployResult | Rollout:
        """Go back, by one split change where the old fleet is warm, else by a rollout."""

    async def scale(self, request: ScaleRequest) -> ScaleResult:
        """Give the service another size, by the rollout under way or without one."""

    async def remove(self, request: RemovalRequest) -> Removing:
        """Begin to remove the service, or return the removal under way; Conflict while a rollout is under way."""

    async def removing(self, environment: str, service: str) -> Removing | None:
        """Return how far the removal under way has come."""

    async def progress(self, environment: str, service: str) -> Progress | None:
        """Return the live view of the rollout under way."""

    async def renew(self, asked: Asked, timetable: Timetable) -> None:
        """Have bases renewed now; ``timetable`` counts where nobody was told one yet."""

    async def renewal(self) -> RenewalState | None:
        """Return what the renewal of bases does; None where nobody does it."""

    async def tell(self, notice: Notice) -> None:
        """Have people told; nobody waits for it to get through."""

    async def active(self) -> Sequence[tuple[str, str]]:
        """Return the environment and service of every rollout under way."""


def _now() -> datetime:
    return datetime.now(UTC)


async def _nowhere(digest: Digest, folder: Path) -> Exported:
    raise NotFound(f"{digest} has no files to export", why="this platform keeps its images in memory")


@dataclass(frozen=True)
class Providers:
    """Every port that the API reads and writes, and what it must know of its platform."""

    control: Controls
    ledger: Ledger
    notary: Notary
    almanac: Almanac
    freezes: Freezes
    """When each environment takes rollouts. Rollouts look at the same one: a freeze counts from its entry on."""
    fleets: Fleets
    gateway: Gateway
    images: Images
    bases: Bases
    scanner: Scanner
    builder: Builder
    metrics: Metrics
    """Golden signals for people who look: no verdict reads these."""
    notices: Notices
    """For trials. What happens is told by ``control``, which does not give up."""
    platform: Callable[[], Awaitable[PlatformView]]
    """Describes the platform and its parts."""
    own_port: Callable[[str, str], int | None]
    """The port of its own that a service of an environment has, if it has one."""
    export: Callable[[Digest, Path], Awaitable[Exported]] = _nowhere
    """Writes an image for other tools."""
    environment: str = "dev"
    regions: tuple[str, ...] = ("local",)
    gateway_port: int = 8080
    gateway_mode: GatewayMode = GatewayMode.ENVOY
    """What the gateways are: what they cannot do is refused before it begins."""
    clock: Callable[[], datetime] = _now
    four_eyes: frozenset[str] = frozenset()
    """Environments where nobody approves what they deployed themselves."""
    patches: Timetable = field(default_factory=Timetable)
    """When bases are renewed, and in which order services follow."""
    hosts: tuple[str, ...] = ()
    """Names under which the API is asked, beside those of this machine."""
    access: Access = field(default_factory=Access)
    """Whom the controller believes about who somebody is."""
    issuers: Issuers | None = None
    """Those of ``access``; None where it has none."""
    rate: Allowance | None = None
    """How often one token may ask; None: as often as it likes."""
    strangers_rate: Allowance | None = None
    """How often one address may ask without a token that counts."""
    trouble: Callable[[], str] = str
    """Says what is wrong with the machine, such as a full disk; empty where nothing is."""

    @cached_property
    def past(self) -> Past:
        """What became of every service lately, by the ledger."""
        return Past(self.ledger)


Here = NamedDependency[Providers]
"""The providers, as a route asks for them."""
