"""What the API answers: the values that the command line and the console show."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from bleen.domain.access import Role, Where, Who
from bleen.domain.base import Locked, Stage
from bleen.domain.calendar import Calendar, Holiday
from bleen.domain.codec import Tagged, Value, lasting
from bleen.domain.decision import Decision
from bleen.domain.duration import Duration
from bleen.domain.finding import Scan
from bleen.domain.fleet import Fleet
from bleen.domain.freeze import Closed, Freeze, Reason
from bleen.domain.image import Digest, File, Image
from bleen.domain.keeping import Kept
from bleen.domain.ledger import Event
from bleen.domain.patching import Patching
from bleen.domain.pipeline import Building
from bleen.domain.policy import Judgement, Policy
from bleen.domain.removal import Removing
from bleen.domain.rollout import ReleaseRef, Rollout
from bleen.domain.strategy import Step
from bleen.domain.traffic import GatewaySeen
from bleen.domain.views import Evidence, RemovalSummary, RolloutSummary
from bleen.interfaces.problem import ProblemDetails
from bleen.workflows.messages import Progress, Refused, RenewalState, Started, Unchanged


class View(Struct, frozen=True):
    """Something to read. Open to unknown keys, so that an older command line reads a newer server."""


class Urls(View, frozen=True):
    """Where a service answers. Programs that do not resolve ``*.localhost`` use ``own``, or send the Host header."""

    live: str
    preview: str
    own: str = ""
    """The address with a port of its own; empty where it has none."""


class ServiceView(View, frozen=True):
    """One service in one environment, as it is seen now."""

    environment: str
    service: str
    state: str
    """``serving``, ``changing``, ``degraded`` (fewer ready instances than ordered), ``down`` or ``unknown``."""
    stable: ReleaseRef | None
    """The release that serves; None before the first promotion."""
    urls: Urls
    fleets: tuple[Fleet, ...]
    gateways: tuple[GatewaySeen, ...]
    progress: Progress | None
    """The rollout under way, its warm time included."""
    history: tuple[RolloutSummary, ...]
    """The latest rollouts, newest first."""
    at: datetime
    """The server's clock when it looked."""
    silent: tuple[str, ...] = ()
    """What did not answer: ``machines``, ``engine``. Of that, nothing is known."""
    trouble: str = ""
    """What is wrong with the machine of the platform, such as a full disk; empty where nothing is."""
    removing: Removing | None = None
    """Its removal, where that is under way."""


class ServiceList(View, frozen=True):
    """Every service of an environment."""

    environment: str
    services: tuple[ServiceView, ...]
    closed: Closed | None = None
    """Why the environment takes no new rollouts; None where it does."""


class HistoryView(View, frozen=True):
    """The rollouts of a service, newest first."""

    environment: str
    service: str
    rollouts: tuple[RolloutSummary, ...]
    removals: tuple[RemovalSummary, ...] = ()
    """How often it was removed, newest first."""


class ExplainedLine(View, frozen=True):
    """One thing that happened in a rollout, in words."""

    sequence: int
    at: datetime
    after: float
    """Seconds since the rollout began."""
    kind: str
    """``shift``, ``pause``, ``checked``, ``promoted``, ..."""
    what: str
    why: str = ""
    by: str = ""
    evidence: Evidence | None = None
    """What was seen when it was decided; None where nothing was looked at."""
    event: Event | None = None
    """The entry of the ledger itself, evidence apart."""
    seen: str = ""
    """The evidence in a line."""
    words: tuple[str, ...] = ()
    """What a measurement or a check came to, line by line."""


class Explanation(View, frozen=True):
    """Why a rollout went as it did."""

    rollout: RolloutSummary
    lines: tuple[ExplainedLine, ...]


class DryRun(View, frozen=True):
    """What a deployment would do if everything went well. Nothing was changed."""

    release: str
    """Such as ``r4``; the number of the present release where nothing would change."""
    unchanged: bool
    steps: tuple[Step, ...]
    decisions: tuple[Decision, ...]


class StatusReport(View, frozen=True):
    """What `bleen status --json` prints."""

    server: str
    """The address of the API."""
    environment: str
    services: tuple[ServiceView, ...]
    parts: tuple["Part", ...]
    closed: Closed | None = None
    """Why the environment takes no new rollouts; None where it does."""


class Part(View, frozen=True):
    """One part of the platform: engine, ledger, a gateway, the controller."""

    name: str
    state: str
    pid: int = 0
    since: datetime | None = None
    restarts: int = 0
    detail: str = ""


class PlatformView(View, frozen=True):
    """The platform itself."""

    version: str
    server: str
    home: str
    environment: str
    regions: tuple[str, ...]
    gateway_port: int
    parts: tuple[Part, ...] = ()


class ImageView(View, frozen=True):
    """An image, its files, and the packages that it stands on."""

    image: Image
    files: tuple[File, ...]
    packages: tuple[Locked, ...] = ()


class ImageUses(View, frozen=True):
    """Every image, and what keeps it."""

    images: tuple[Kept, ...]


class ServicePatches(View, frozen=True):
    """What a service runs, and which fixes it has not."""

    service: str
    release: str
    """``r3``: what is warm is listed, too, because it could be gone back to."""
    image: Digest
    patching: Patching
    environment: str = ""


class RenewalView(View, frozen=True):
    """What patching does, when it looks next, and what it did last."""

    state: RenewalState | None = None
    """None where nobody does it."""
    last: "AuditLine | None" = None
    """Its last entry in the ledger; None before the first."""
    outcome: str = ""
    """What became of the rollout that this entry began, in words; empty where it is under way, or began none."""


class PatchList(View, frozen=True):
    """The patches of every service that runs."""

    services: tuple[ServicePatches, ...]
    at: datetime
    renewal: RenewalView = RenewalView()


class PatchOrder(Value, frozen=True):
    """Renew bases now: that of one name, or every one that something stands on."""

    by: str
    base: str = ""


class ExportOrder(Value, frozen=True):
    """Where to export an image to."""

    folder: str


class StageEnded(Tagged, frozen=True):
    """A stage of a build ended, and the build goes on."""

    stage: Stage


class ImageBuilt(Tagged, frozen=True):
    """A build ended well: its last line."""

    image: Image


class ImageFailed(Tagged, frozen=True):
    """A build failed: its last line."""

    problem: ProblemDetails


BuildLine = StageEnded | ImageBuilt | ImageFailed
"""One line of the answer to a build, as it happens."""


class BuildList(View, frozen=True):
    """Every build under way."""

    builds: tuple[Building, ...]


class ImageList(View, frozen=True):
    """Every image, newest first."""

    images: tuple[Image, ...]


class ScanOrder(Value, frozen=True):
    """Scan an image, and judge what is found."""

    environment: str
    policy: Policy | None = None
    """None: the one by which a release of this image was last judged there, else the default."""


class ScanView(View, frozen=True):
    """What was found in an image, and what a policy says of it."""

    image: Image
    scan: Scan
    judgement: Judgement


class Returning(Tagged, frozen=True):
    """The rollout under way goes back by one split change; nothing new was started."""

    rollout: Rollout


RollbackResult = Started | Unchanged | Refused | Returning
"""A rollback is a new rollout to an older release, or the return of the one that is still warm."""


class GoBackOrder(Value, frozen=True):
    """Go back to ``to``, or to the release that was promoted before the present one."""

    by: str
    to: int | None = None


class ScaleOrder(Value, frozen=True):
    """Have so many instances from now on, until a deployment says otherwise."""

    by: str
    size: Annotated[int, Meta(ge=1, le=1000)]


class RemovalOrder(Value, frozen=True):
    """Take a service out of an environment for good."""

    by: str
    reason: str = ""
    break_glass: str = ""
    override_freeze: str = ""


class RetryOrder(Value, frozen=True):
    """Roll the release of the last rollout out again, which did not make it."""

    by: str


class AuditLine(View, frozen=True):
    """One entry of the ledger, in words."""

    sequence: int
    at: datetime
    environment: str
    service: str
    rollout: str
    """Empty outside any."""
    by: str
    """Who asked; empty where nobody did."""
    kind: str
    what: str
    why: str
    event: Event
    """The entry itself."""


class AuditPage(View, frozen=True):
    """Entries of the ledger, newest first."""

    entries: tuple[AuditLine, ...]
    next: int
    """The `before` of the next page; 0 on the last one."""


class FreezeOrder(Value, frozen=True):
    """Freeze an environment."""

    by: str
    reason: Reason
    until: Annotated[datetime, Meta(tz=True)] | None = None
    """None: until somebody thaws it."""


class ThawOrder(Value, frozen=True):
    """End a freeze before its time."""

    by: str
    reason: Reason


class CalendarOrder(Value, frozen=True):
    """Let an environment go by a calendar."""

    by: str
    calendar: Calendar


class FreezeView(View, frozen=True):
    """Whether an environment takes new rollouts now."""

    environment: str
    at: datetime
    closed: Closed | None
    """Why it takes none; None where it does."""
    opens: datetime | None
    """When it does again; None where it does now, or nobody knows."""
    freeze: Freeze | None
    """Who froze it, if somebody did."""
    calendar: Calendar
    holidays: tuple[Holiday, ...]
    """Those of the calendar's country, as they were known when it was set."""


class TrialOrder(Value, frozen=True):
    """Try whether people hear of an environment."""

    by: str


class Heard(Value, frozen=True):
    """One channel of a trial."""

    channel: str
    why: str = ""
    """Why it did not take it; empty where it did."""


class TrialView(View, frozen=True):
    """Who was told, and who took it."""

    environment: str
    at: datetime
    channels: tuple[Heard, ...]


class TokenOrder(Value, frozen=True):
    """Make a token."""

    name: Who
    grants: dict[Where, Role]
    by: str
    lasts: Duration = lasting("90d")


class TokenView(View, frozen=True):
    """A token, without its secret and its digest."""

    id: str
    name: str
    grants: dict[str, Role]
    made: datetime
    expires: datetime
    by: str
    state: str
    """``valid``, ``expired`` or ``revoked``."""


class NewToken(View, frozen=True):
    """A token that was just made."""

    token: TokenView
    secret: str
    """Told this once; nobody can read it again."""


class TokenList(View, frozen=True):
    """Tokens, newest first."""

    tokens: tuple[TokenView, ...]


class LinkOrder(Value, frozen=True):
    """Make a link that signs a browser in."""

    by: Annotated[str, Meta(min_length=1, max_length=64)]
    """Who will sit there; a token that has a name of its own gives that."""


class Link(View, frozen=True):
    """What signs one browser in, once."""

    code: str
    """Belongs behind ``/console/#code=``."""
    expires: datetime


class Code(Value, frozen=True):
    """The code of a link."""

    code: Annotated[str, Meta(max_length=200)]


class NewSession(View, frozen=True):
    """A browser that was just signed in; the other half of its secret is in its cookie."""

    key: str
    """Goes along with every request, as ``x-bleen-key``."""
    person: str
    expires: datetime


class IdentityView(View, frozen=True):
    """Who asks."""

    name: str
    """Empty where a token speaks for nobody."""
    grants: dict[str, Role]
    environment: str
    """The platform's own."""
    expires: datetime | None = None
    """When the session ends; None for a token."""
    four_eyes: tuple[str, ...] = ()
    """Environments where nobody approves what they deployed themselves."""


class ActiveRollout(View, frozen=True):
    """A service whose rollout is under way, its warm time included."""

    environment: str
    service: str


class ActiveRollouts(View, frozen=True):
    """Every rollout under way."""

    rollouts: tuple[ActiveRollout, ...]
