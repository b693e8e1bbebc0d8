"""Notices: what a person should hear of without looking."""

from msgspec import structs

from bleen.domain.codec import Value
from bleen.domain.decision import AskHuman, Decision, Rollback, Wait
from bleen.domain.rollout import Rollout
from bleen.domain.verdict import HOLDING, Inconclusive


class Notice(Value, frozen=True):
    """One thing to hear of."""

    kind: str
    """``question``, ``held``, ``rolled-back``, ``glass-broken``, ``patch-stopped`` or ``patch-failed``."""
    environment: str
    service: str
    rollout: str
    release: str
    what: str
    """One sentence."""
    why: str
    next: str
    """What to type."""


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


def _held(rollout: Rollout) -> bool:
    verdict = rollout.assessment.verdict if rollout.assessment and rollout.measured else None
    return isinstance(verdict, Inconclusive) and verdict.cause in HOLDING
