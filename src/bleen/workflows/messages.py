"""Every input and result of every workflow, update and query, in one file."""

from datetime import datetime

from msgspec import field, structs

from bleen.domain.base import BaseOrder, Stage
from bleen.domain.codec import Tagged, Value
from bleen.domain.decision import Decision
from bleen.domain.finding import Finding
from bleen.domain.gate import Gate
from bleen.domain.image import Digest, Image, Source
from bleen.domain.ledger import Draft
from bleen.domain.notice import Dispatch
from bleen.domain.pipeline import Plan
from bleen.domain.policy import Policy
from bleen.domain.release import Release, Runtime
from bleen.domain.renewal import Agenda, RenewalStep
from bleen.domain.rollout import Observation, Outcome, Rollout
from bleen.domain.service import Service, Strategy

OVER = "WorkflowClosing"
"""The type of the failure with which the engine, and a rollout that has only its last entry to make, refuse a late command."""


class DeployRequest(Value, frozen=True):
    """Make a release of ``spec`` and roll it out."""

    environment: str
    spec: Service
    runtime: Runtime
    """The configuration of the release, files included."""
    folder: str
    """The folder of the service file, absolute, on the controller's machine: paths of ``spec.image`` start there."""
    by: str
    image: Digest | None = None
    """An image that is built already; None builds ``spec.image``."""
    base: BaseOrder | None = None
    """The base that ``spec.image`` names; None where that is the machine itself."""
    policy: Policy = field(default_factory=Policy)
    """What of the findings in the image blocks its release."""
    exempt: str = ""
    """Who had it begin in a freeze, and why. The controller writes it, whatever a client says."""

    @property
    def wanted(self) -> "BuildRequest":
        """What is built, or found where an image is named."""
        return BuildRequest(
            name=self.spec.service,
            folder=self.folder,
            source=self.spec.image,
            base=self.base,
            environment=self.environment,
            policy=self.policy,
            by=self.by,
            image=self.image,
            hosts=self.spec.host_names,
            deploys=True,
        )


class BuildRequest(Value, frozen=True):
    """Build an image: a base, an application, or an application with its base first."""

    name: str
    folder: str
    """The folder of the service file, absolute, on the controller's machine."""
    source: Source | None = None
    """None builds the base alone."""
    base: BaseOrder | None = None
    """None: the application runs on the machine's own system."""
    environment: str = "dev"
    """Where its policy is asked."""
    policy: Policy = field(default_factory=Policy)
    """What of the findings keeps it from being published."""
    by: str = ""
    image: Digest | None = None
    """An image that is built already, in place of ``source``: it goes through the gates alone."""
    hosts: tuple[str, ...] = ()
    """Host names that no other service may have: a fleet that no gateway would ever route to need not be built."""
    deploys: bool = False
    """A release is made of it: what was built before goes through the gates again."""


class Begun(Value, frozen=True):
    """What a build begins with: every input pinned that can be."""

    base: Plan | None = None
    """None where it stands on no base, or on none that can be had (``told`` says why)."""
    application: Plan | None = None
    """None where its base is to be built first, or is all that is wanted."""
    told: tuple[Stage, ...] = ()


class StageOrder(Value, frozen=True):
    """Carry out a stage of a plan."""

    key: Digest
    stage: str
    host: bool = False
    """Where no mirror answers, the machine itself does."""


class GateOrder(Value, frozen=True):
    """Look into an image, or a candidate, before it is published or released."""

    digest: Digest
    name: str
    environment: str
    policy: Policy
    by: str
    service: str = ""
    """Whose gate it is in the ledger; empty where nothing is deployed."""
    findings: tuple[Finding, ...] = ()
    """Those of the gate before."""


class Passed(Value, frozen=True):
    """A gate was passed."""

    told: Stage
    findings: tuple[Finding, ...]
    """All that was found so far, by this gate and those before."""


class ReleaseOrder(Value, frozen=True):
    """Make the release of a deployment, of the image that went through the gates."""

    request: DeployRequest
    image: Image
    """Under the name and version that were asked for."""


class PublishOrder(Value, frozen=True):
    """Make an image of the candidate of a plan."""

    key: Digest
    digest: Digest


class Built(Tagged, frozen=True):
    """A build ended well."""

    image: Image
    stages: tuple[Stage, ...]


class RollbackRequest(Value, frozen=True):
    """Go back: to ``to``, or to the release that was promoted before the present one."""

    environment: str
    service: str
    by: str
    to: int | None = None
    retry: bool = False
    """Whether it is another try of a release that did not make it: a freeze keeps that, and nothing that goes back."""


class AdjustRequest(Value, frozen=True):
    """Give the release that serves what a deployment says beside it."""

    environment: str
    service: str
    hosts: tuple[str, ...]
    strategy: Strategy
    by: str


class ScaleRequest(Value, frozen=True):
    """Give the service that many instances, until a deployment says otherwise."""

    environment: str
    service: str
    size: int
    by: str


class RemovalRequest(Value, frozen=True):
    """Take a service out of an environment. The input of the removal workflow."""

    environment: str
    service: str
    by: str
    reason: str = ""
    token: str = ""
    """Names this removal: its entries have it in their keys."""
    asked: datetime | None = None
    """When it was asked for, by the engine's clock; None where it begins with its workflow."""


class WithdrawOrder(Value, frozen=True):
    """Take the route of a service from every gateway."""

    environment: str
    service: str
    generation: int
    """The ledger's sequence of the decision, which fences routes."""


class RolloutRequest(Value, frozen=True):
    """Roll a release out. The input of the rollout workflow."""

    environment: str
    service: str
    hosts: tuple[str, ...]
    release: int
    strategy: Strategy
    size: int
    by: str
    trusted: bool = False
    """Going back to a release that was promoted lately: no checks, no approval."""
    token: str = ""
    """Names this request: asking twice with one token is asking once."""
    asked: datetime | None = None
    """When its deployment was asked for, by the engine's clock; None where it takes no turn."""
    exempt: str = ""
    """Why no freeze keeps it; empty where one does."""


class RolloutInput(Value, frozen=True):
    """What a run of the rollout workflow begins with."""

    request: RolloutRequest
    carried: "Carried | None" = None
    """Where the run before it had come to; None at the beginning of a rollout."""


class Started(Tagged, frozen=True):
    """A rollout is on its way, now or as soon as the one before it has ended."""

    rollout: str
    """Its id, ``dev/hello/7``; empty while it waits for the one before it."""
    release: Release


class Resized(Tagged, frozen=True):
    """The release that serves is given another number of instances, without a rollout."""

    release: int
    before: int
    after: int


class Renamed(Value, frozen=True):
    """The release that serves answers to other host names, without a rollout."""

    before: tuple[str, ...]
    after: tuple[str, ...]


class Adjusted(Value, frozen=True):
    """What a deployment changed of a release that served already."""

    renamed: Renamed | None = None
    strategy: bool = False
    """Whether the strategy is another one than before: it counts from the next release on."""


class Steered(Tagged, frozen=True):
    """The rollout under way took it."""

    rollout: Rollout


class Unchanged(Tagged, frozen=True):
    """The release serves already: same image, same configuration."""

    release: Release
    resized: Resized | None = None
    """Its number of instances, if that changed."""
    adjusted: Adjusted = Adjusted()
    """What else changed."""


class Joined(Value, frozen=True):
    """What became of a request to roll out."""

    rollout: str = ""
    """The rollout that carries it out; empty while it waits for the one before it."""
    resized: Resized | None = None
    """Its release is promoted already, by the rollout that keeps the old fleet warm: that one takes over the size."""
    adjusted: Adjusted = Adjusted()
    """And the rest of what a deployment says beside its release."""


class Refused(Tagged, frozen=True):
    """It could not begin: no image, no such release, ... Nothing was changed."""

    error: str
    """The class of the error in `bleen.domain.errors`."""
    what: str
    why: str = ""
    next: str = ""


DeployResult = Started | Unchanged | Refused
BuildResult = Built | Refused
ScaleResult = Resized | Steered | Refused
"""Resized with two equal numbers: it had so many already."""


class Progress(Value, frozen=True):
    """The live view of a rollout."""

    rollout: Rollout
    decision: Decision | None
    """The last decision: what it does or waits for."""
    error: str = ""
    """Why the last decision could not be carried out yet, if so; it is tried again."""


class RolloutResult(Value, frozen=True):
    """How a rollout ended."""

    rollout: str
    """Its id; empty where it could not begin."""
    outcome: Outcome | None
    """None where it could not begin."""


class Carried(Value, frozen=True):
    """What a rollout takes along when its history has grown long and it continues in a new run."""

    rollout: Rollout
    decision: Decision | None
    number: int
    """How many entries it has named in the ledger so far."""
    waiting: RolloutRequest | None = None
    outbox: tuple[Draft, ...] = ()
    """Entries that are not in the ledger yet."""
    gate: Gate | None = None
    """What the traffic has shown before."""


class Order(Value, frozen=True):
    """A decision of a rollout to carry out, or to watch."""

    rollout: Rollout
    decision: Decision
    generation: int = 0
    """The ledger's sequence of the decision, which fences splits."""
    gate: Gate | None = None
    """What the traffic has shown before."""


class Act(Value, frozen=True):
    """A Shift, a Launch or a Retire to enter, to carry out, and to look at afterwards."""

    order: Order
    drafts: tuple[Draft, ...]
    """What is still to be entered, in order; the decision is the last."""


class Acted(Value, frozen=True):
    """What came of an act."""

    at: datetime
    """When it was done: of a Shift, when every gateway had it."""
    seen: Observation | None = None
    """What was seen afterwards; None where nobody could look."""


class Watched(Observation, frozen=True):
    """What a watch saw last. An observation with one thing more, so that histories of older versions can be read."""

    gate: Gate | None = None
    """All evidence so far; None where nothing is measured."""

    @classmethod
    def of(cls, seen: Observation, gate: Gate | None) -> "Watched":
        """Return ``seen`` with the evidence behind it."""
        return cls(**structs.asdict(seen), gate=gate)

    @property
    def seen(self) -> Observation:
        """The observation alone."""
        return Observation(**{name: getattr(self, name) for name in Observation.__struct_fields__})


class Looked(Value, frozen=True):
    """What a look at bases and services led to."""

    at: datetime
    agenda: Agenda
    step: RenewalStep


class Moved(Value, frozen=True):
    """What became of a move onto a renewed base."""

    release: int = 0
    """The release that was made; 0 where none could be."""
    refused: str = ""
    """Why none could be: the image cannot stand there, or a policy blocks it."""


class RenewalState(Value, frozen=True):
    """What the renewal of bases does, and when it looks next."""

    agenda: Agenda
    step: RenewalStep | None = None
    """The last decision; None before the first look."""
    at: datetime | None = None
    """When that look was."""
    error: str = ""
    """Why the last look, or what it led to, did not come about; it is tried again."""


class Delivery(Value, frozen=True):
    """A notice, and one of the channels that are to have it."""

    dispatch: Dispatch
    channel: str


class Subject(Value, frozen=True):
    """A service in an environment."""

    environment: str
    service: str
