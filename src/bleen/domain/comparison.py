"""What a rollout asks of its traffic at the moment: which release is compared with which, and how."""

from datetime import datetime
from enum import StrEnum

from msgspec import structs

from bleen.domain.canary import Analysis
from bleen.domain.codec import Value
from bleen.domain.rollout import Rollout
from bleen.domain.service import Canary
from bleen.domain.strategy import Analyse, OpenCohort, SetMirror, SetWeight, StartFleet
from bleen.domain.traffic import WHOLE


class Phase(StrEnum):
    """Where the new release stands."""

    BEFORE = "before"
    """It has no requests yet: what is usual of the stable release is learned."""
    BESIDE = "beside"
    """Both releases have requests at the same time: they are compared."""
    AFTER = "after"
    """The new one has all of them: it is compared with what was usual of the stable one before."""


class Comparison(Value, frozen=True):
    """What is asked."""

    environment: str
    service: str
    step: int
    """The step of the rollout. Evidence for the new release is gathered anew at each step, evidence against it is not."""
    since: datetime
    """When that step began."""
    canary: int
    """The new release."""
    baseline: int
    """The release that it is compared with: what runs of it in its colour, or beside it where ``fair``."""
    phase: Phase
    analysis: Analysis
    requests: int | None = None
    """No pass before the new release has had so many requests in this step."""
    fair: bool = False
    """Whether the baseline is the fleet of that name alone. Before it has requests, what is usual is the stable fleet's."""

    @property
    def baseline_name(self) -> str:
        """``r1``, or ``r1's baseline fleet``."""
        return f"r{self.baseline}'s baseline fleet" if self.fair else f"r{self.baseline}"

    def counts(self, release: int, *, baseline: bool) -> bool:
        """Return whether what a fleet of ``release`` meets is compared; ``baseline`` where it is the fleet of that name."""
        if release == self.baseline:
            return baseline is self.fair
        return release == self.canary and not baseline


def comparison(rollout: Rollout) -> Comparison | None:
    """Return what ``rollout`` asks of its traffic now; None where it asks nothing."""
    stable, strategy = rollout.stable, rollout.strategy
    if stable is None or not rollout.measured or not isinstance(strategy, Canary):
        return None
    step, phase = rollout.current, _phase(rollout)
    return Comparison(
        environment=rollout.environment,
        service=rollout.service,
        step=rollout.step,
        since=rollout.since,
        canary=rollout.target.number,
        baseline=stable.number,
        phase=phase,
        analysis=_analysis(strategy),
        requests=step.requests if isinstance(step, Analyse) else None,
        fair=phase is Phase.BESIDE and rollout.baseline is not None,
    )


def _analysis(strategy: Canary) -> Analysis:
    """Return what is to be shown: a service that takes its work from a queue has no requests to speak of."""
    analysis = strategy.analysis
    if not strategy.side_by_side:
        return analysis
    nothing = structs.replace(analysis.errors, weight=0.0)
    return structs.replace(analysis, errors=nothing, latency=nothing)


def _phase(rollout: Rollout) -> Phase:
    past = rollout.steps[: rollout.step]
    if isinstance(rollout.strategy, Canary) and rollout.strategy.side_by_side:
        # While the old fleet is warm it works, too.
        return Phase.BESIDE if any(isinstance(step, StartFleet) for step in past) else Phase.BEFORE
    if any(isinstance(step, SetWeight) and step.weight == WHOLE for step in past):
        return Phase.AFTER
    if any(isinstance(step, SetWeight | SetMirror | OpenCohort) for step in past):
        return Phase.BESIDE
    return Phase.BEFORE
