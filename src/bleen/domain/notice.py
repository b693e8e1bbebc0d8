"""Notices: what a person should hear of without looking."""

from datetime import datetime
from enum import StrEnum
from typing import assert_never

from msgspec import structs

from bleen.domain.codec import Value
from bleen.domain.decision import AskHuman, Decision, Rollback, Wait
from bleen.domain.errors import ImageBlocked
from bleen.domain.removal import Removing
from bleen.domain.rollout import Aborted, Failed, Outcome, Promoted, RolledBack, Rollout, Superseded
from bleen.domain.verdict import HOLDING, Inconclusive


class Level(StrEnum):
    """How much a notice matters. A channel hears of those from one level on."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """The larger, the more it matters."""
        return list(Level).index(self)


LEVELS = {
    "promoted": Level.INFO,
    "went-back": Level.INFO,
    "superseded": Level.INFO,
    "frozen": Level.INFO,
    "thawed": Level.INFO,
    "question": Level.WARNING,
    "held": Level.WARNING,
    "aborted": Level.WARNING,
    "gate-failed": Level.WARNING,
    "patch-stopped": Level.WARNING,
    "patch-failed": Level.WARNING,
    "removed": Level.WARNING,
    "rolled-back": Level.CRITICAL,
    "failed": Level.CRITICAL,
    "glass-broken": Level.CRITICAL,
    "freeze-overridden": Level.CRITICAL,
    "trial": Level.CRITICAL,
}
"""Every kind of notice, and how much it matters."""


class Notice(Value, frozen=True):
    """One thing to hear of."""

    kind: str
    """One of ``LEVELS``."""
    environment: str
    service: str
    rollout: str
    release: str
    what: str
    """One sentence."""
    why: str
    next: str
    """What to type."""

    @property
    def level(self) -> Level:
        """How much it matters; what a later version tells counts as much as anything."""
        return LEVELS.get(self.kind, Level.CRITICAL)


class Dispatch(Value, frozen=True):
    """A notice on its way. Where it comes twice, its id is the same."""

    id: str
    at: datetime
    notice: Notice


def notice(rollout: Rollout, decision: Decision) -> Notice | None:
    """Return what ``decision`` is worth telling; None for what nobody has to act on."""
    told = Notice(
        kind="",
        environment=rollout.environment,
        service=rollout.service,
        rollout=rollout.id,
        release=rollout.target.name,
        what="",
        why=decision.why,
        next=f"bleen status {rollout.service} --watch",
    )
    match decision:
        case AskHuman(question):
            verbs = f"bleen promote {rollout.service}, or bleen abort {rollout.service}"
            return structs.replace(told, kind="question", what=question, next=verbs)
        case Rollback():
            what = f"{rollout.service}: {rollout.target.name} is rolled back"
            return structs.replace(told, kind="rolled-back", what=what, next=f"bleen explain {rollout.id}")
        case Wait() if _held(rollout):
            return structs.replace(told, kind="held", what=f"{rollout.service}: the rollout to {rollout.target.name} is held")
        case _:
            return None


def outcome_notice(rollout: Rollout, outcome: Outcome) -> Notice:
    """Return what people hear of a rollout that has settled."""
    kind, what, why = _outcome(rollout, outcome)
    return Notice(
        kind=kind,
        environment=rollout.environment,
        service=rollout.service,
        rollout=rollout.id,
        release=rollout.target.name,
        what=f"{rollout.service}: {what}",
        why=why,
        next=f"bleen explain {rollout.id}",
    )


def gate_notice(environment: str, service: str, error: ImageBlocked) -> Notice:
    """Return what people hear of a deployment whose image a gate refused."""
    return Notice(
        kind="gate-failed",
        environment=environment,
        service=service,
        rollout="",
        release="",
        what=error.what,
        why=error.why,
        next=error.next,
    )


def trial(environment: str, by: str) -> Notice:
    """Return what people hear when somebody tries whether they do."""
    return Notice(
        kind="trial",
        environment=environment,
        service="",
        rollout="",
        release="",
        what=f"a trial: {by} asks whether you hear of {environment}",
        why="nothing has happened",
        next="nothing is to be done",
    )


def removal_notice(removing: Removing) -> Notice:
    """Return what people hear of a service that is gone."""
    service, environment = removing.service, removing.environment
    what = f"{removing.by} removed {service} from {environment}"
    return Notice("removed", environment, service, "", "", what, removing.reason, f"bleen deploy {service} brings it back")


def _outcome(rollout: Rollout, outcome: Outcome) -> tuple[str, str, str]:
    new, stable = rollout.target.name, rollout.stable.name if rollout.stable else "nothing"
    match outcome:
        case Promoted():
            return "promoted", f"{new} {rollout.target.version} is promoted", f"{rollout.by} deployed it"
        case RolledBack(reason):
            return "went-back", f"{stable} has all traffic again", reason
        case Aborted(by):
            return "aborted", f"the rollout to {new} was aborted: {stable} has all traffic", f"asked for by {by}"
        case Superseded(by):
            return "superseded", f"{new} made room for r{by}", ""
        case Failed(reason):
            return "failed", f"{new} failed, and there is nothing to go back to", reason
    assert_never(outcome)


def _held(rollout: Rollout) -> bool:
    verdict = rollout.assessment.verdict if rollout.assessment and rollout.measured else None
    return isinstance(verdict, Inconclusive) and verdict.cause in HOLDING
