"""When a rollout has to go back by itself. Ordered questions; the first that is true gives the reason."""

from datetime import datetime, timedelta

from bleen.domain.canary import Unsure
from bleen.domain.fleet import Fleet, Instance
from bleen.domain.rollout import Observation, Promoted, Rollout
from bleen.domain.service import Canary
from bleen.domain.strategy import Analyse, Judge, OpenCohort, OpenPreview, SetMirror, SetWeight, StartFleet
from bleen.domain.verdict import HOLDING, Fail, Inconclusive

FRESH = timedelta(seconds=15)
"""How old what is known of the traffic may be to end a measurement."""


def trouble(rollout: Rollout, seen: Observation, now: datetime) -> str | None:
    """Return why the new release must not go on; None when nothing speaks against it."""
    if isinstance(rollout.outcome, Promoted):
        return _condemned(rollout) or _died(rollout, seen)
    return (
        _refused(rollout)
        or _condemned(rollout)
        or _crashing(rollout, seen)
        or _crashing_beside(rollout, seen)
        or _stuck(rollout, seen, now)
        or _died(rollout, seen)
        or _undecided(rollout, now)
        or _abandoned(rollout, now)
    )


def _refused(rollout: Rollout) -> str | None:
    failed = rollout.failed_check()
    return f"the check {failed.name!r} failed: {failed.detail}" if failed and not rollout.full_by else None


def _condemned(rollout: Rollout) -> str | None:
    """The traffic itself says no. It may say so after the promotion, too, while the old fleet is warm."""
    verdict = rollout.assessment.verdict if rollout.assessment and rollout.watched else None
    return f"its traffic says no: {verdict.why}" if isinstance(verdict, Fail) else None


def _undecided(rollout: Rollout, now: datetime) -> str | None:
    """The traffic did not tell in time, and nobody is to be asked. Time without metrics does not count."""
    step, assessment = rollout.current, rollout.assessment
    if not isinstance(step, Analyse) or step.otherwise is not Unsure.ROLLBACK or rollout.rests:
        return None
    if rollout.approved_by or rollout.full_by or not in_time(rollout, now) or now < deadline(rollout, step):
        return None
    verdict = assessment.verdict if assessment else None
    if not isinstance(verdict, Inconclusive) or verdict.cause in HOLDING:
        return None
    return f"no verdict in {step.max}: {verdict.why}"


def _abandoned(rollout: Rollout, now: datetime) -> str | None:
    """Nobody answers."""
    if rollout.rests or rollout.approved_by or rollout.full_by:
        return None
    waited, step = now - rollout.since, rollout.current
    if isinstance(step, Judge) and step.within is not None and waited >= step.within:
        return f"nobody answered within {step.within}"
    asked = (isinstance(step, Judge) and step.auto_after is None) or (
        isinstance(step, Analyse) and step.otherwise is Unsure.ASK and now >= deadline(rollout, step)
    )
    if asked and isinstance(rollout.strategy, Canary):
        begun = deadline(rollout, step) if isinstance(step, Analyse) else rollout.since
        if now - begun >= rollout.strategy.patience:
            return f"it was abandoned: nobody answered within {rollout.strategy.patience}"
    return None


def deadline(rollout: Rollout, step: Analyse) -> datetime:
    """Return until when the present measurement waits for a verdict. Time in which nothing could be learned is given back."""
    assessment = rollout.assessment
    held = assessment.held if assessment and assessment.step == rollout.step else 0.0
    return rollout.since + step.max + timedelta(seconds=held)


def in_time(rollout: Rollout, now: datetime) -> bool:
    """Return whether what is known of the traffic is of now: a controller that was away for long knows nothing."""
    assessment = rollout.assessment
    return assessment is not None and assessment.step == rollout.step and now - assessment.at <= FRESH


def _crashing(rollout: Rollout, seen: Observation) -> str | None:
    for fleet in _target_fleets(rollout, seen):
        crashes = sum(i.restarts for i in fleet.instances)
        if fleet.ready == 0 and crashes >= rollout.strategy.crash_limit:
            return f"its instances crashed {crashes} times and none became ready: {last_words(fleet)}"
    return None


def _crashing_beside(rollout: Rollout, seen: Observation) -> str | None:
    """The stable release does not start any more, before anyone relies on its baseline fleet."""
    step, stable = rollout.current, rollout.stable
    relied_on = rollout.baseline is not None
    if stable is None or not isinstance(step, StartFleet) or not step.baseline or not rollout.fair or relied_on:
        return None
    for fleet in _fleets_beside(rollout, seen):
        crashes = sum(i.restarts for i in fleet.instances)
        if fleet.ready == 0 and crashes >= rollout.strategy.crash_limit:
            return f"the baseline fleet of {stable.name} crashed {crashes} times and none became ready: {last_words(fleet)}"
    return None


def _stuck(rollout: Rollout, seen: Observation, now: datetime) -> str | None:
    if rollout.rests or not isinstance(rollout.current, StartFleet | OpenPreview | SetWeight | OpenCohort | SetMirror):
        return None
    deadline = rollout.strategy.progress_deadline
    if now - rollout.since < deadline:
        return None
    ready = seen.ready(rollout.target_colour, rollout.target.number)
    words = [w for f in (*_target_fleets(rollout, seen), *_fleets_beside(rollout, seen)) if (w := last_words(f))]
    beside = [f"{f.ready} of {f.size} of its baseline fleet" for f in _fleets_beside(rollout, seen) if f.ready < f.size]
    return "; ".join([f"no progress for {deadline}: {', '.join([f'{ready} instances are ready', *beside])}", *words[:1]])


def _died(rollout: Rollout, seen: Observation) -> str | None:
    """The new release has traffic and none of it can serve, while the old fleet is at full strength.

    Its machines and every gateway must agree: one that has just restarted may know nothing yet.
    """
    colour, target, stable = rollout.target_colour, rollout.target.number, rollout.stable
    if stable is None or seen.silent or not seen.may_serve(colour, target):
        return None
    if seen.ready(colour, target) > 0 or seen.healthy(colour, target) > 0:
        return None
    if seen.capacity(rollout.stable_colour, stable.number) < rollout.stable_size:
        return None
    return "none of its instances can serve any more"


def last_words(fleet: Fleet) -> str:
    """Return how an instance of ``fleet`` last ended, in one line; empty where none did."""
    ended: list[Instance] = [i for i in fleet.instances if i.last_exit]
    if not ended:
        return ""
    last = max(ended, key=lambda i: i.since)
    words = last.last_words.strip().splitlines()
    return f"{last.last_exit}: {words[-1]}" if words else last.last_exit


def _target_fleets(rollout: Rollout, seen: Observation) -> tuple[Fleet, ...]:
    mine = (rollout.target_colour, rollout.target.number, False)
    return tuple(f for f in seen.fleets if (f.slot.colour, f.release, f.slot.baseline) == mine)


def _fleets_beside(rollout: Rollout, seen: Observation) -> tuple[Fleet, ...]:
    return tuple(f for f in seen.fleets if f.slot.baseline and f.slot.colour is rollout.stable_colour)
