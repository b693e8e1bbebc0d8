"""What each step of a rollout still takes. Asked by `decide`, step by step."""

from datetime import datetime

from bleen.domain.canary import Unsure
from bleen.domain.check import CheckTime
from bleen.domain.codec import Value
from bleen.domain.decision import AskHuman, Decision, Launch, Measure, Promote, Retire, Wait
from bleen.domain.duration import Duration
from bleen.domain.rollout import Observation, Promoted, ReleaseRef, Rollout
from bleen.domain.shifting import clear, dismiss, listable, shift, silence
from bleen.domain.strategy import (
    Analyse,
    Commit,
    Judge,
    KeepWarm,
    Learn,
    OpenCohort,
    OpenPreview,
    RunChecks,
    SetMirror,
    SetWeight,
    StartFleet,
    Stay,
    Step,
    Watch,
)
from bleen.domain.traffic import WHOLE, Cohort, Colour, Mirror
from bleen.domain.trouble import deadline, in_time
from bleen.domain.verdict import HOLDING, Cause, Inconclusive, Pass

_WHEN = {
    CheckTime.BEFORE: "before the switch",
    CheckTime.AMID: "with a share of the traffic",
    CheckTime.AFTER: "after the switch",
}


class Wanted(Value, frozen=True):
    """A fleet that is to run."""

    release: ReleaseRef
    colour: Colour
    size: int
    baseline: bool = False

    @property
    def name(self) -> str:
        """``r2``, or ``r1's baseline fleet``."""
        return f"{self.release.name}'s baseline fleet" if self.baseline else self.release.name


def need(step: Step, rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """Return what ``step`` still takes to be complete; None when it is."""
    match step:
        case StartFleet():
            return _start(step, rollout, seen)
        case OpenPreview():
            return _open_preview(rollout, seen)
        case RunChecks(when, checks):
            if rollout.full_by or rollout.checks_done(step):
                return None
            return Measure(when, checks, f"{len(checks)} check{'s' if len(checks) > 1 else ''} {_WHEN[when]}")
        case Judge():
            return _judge(step, rollout, now)
        case Stay(duration):
            return _stay(rollout, duration, now)
        case OpenCohort() | SetMirror():
            return _direct(rollout, seen)
        case SetWeight(weight):
            return _set_weight(rollout, seen, weight)
        case Watch():
            return None
        case Learn(duration):
            return _learn(rollout, duration, now)
        case Analyse():
            return _analyse(step, rollout, seen, now)
        case Commit():
            if isinstance(rollout.outcome, Promoted):
                return None
            why = "it has all traffic, and every check passed"
            return _set_weight(rollout, seen, WHOLE) or Promote(rollout.target.number, why)
        case KeepWarm():
            return _keep_warm(step, rollout, seen, now)


def _start(step: StartFleet, rollout: Rollout, seen: Observation) -> Decision | None:
    """Launch both fleets before either is waited for: they are to be of one age."""
    colour, size = rollout.target_colour, step.size or rollout.size
    fleets = [seen.fleet(colour, region) for region in rollout.regions]
    stranger = next((f.release for f in fleets if f is not None and f.release != rollout.target.number), None)
    if stranger is not None:
        return _evict(rollout, seen, stranger)
    wanted = [Wanted(rollout.target, colour, size)]
    if step.baseline and rollout.fair and rollout.stable is not None:
        wanted.append(Wanted(rollout.stable, rollout.stable_colour, size, baseline=True))
        mine = (rollout.stable_colour, rollout.stable.number)
        left = (f for f in seen.fleets if f.slot.baseline and (f.slot.colour, f.release) != mine)
        gone = dismiss(rollout, seen, next(left, None))
        if gone is not None:
            return gone
    launches = (_launch(each, rollout, seen) for each in wanted)
    waits = (_ready(each, rollout, seen) for each in wanted)
    return next((decision for decision in (*launches, *waits) if decision is not None), None)


def _launch(wanted: Wanted, rollout: Rollout, seen: Observation) -> Decision | None:
    fleets = [seen.fleet(wanted.colour, region, baseline=wanted.baseline) for region in rollout.regions]
    if all(f is not None and f.size == wanted.size for f in fleets):
        return None
    where = "beside" if wanted.baseline else "in"
    why = f"{wanted.name} needs {wanted.size} instances {where} {wanted.colour}"
    return Launch(wanted.colour, wanted.release.number, wanted.size, why, wanted.baseline)


def _ready(wanted: Wanted, rollout: Rollout, seen: Observation) -> Decision | None:
    ready = seen.ready(wanted.colour, wanted.release.number, baseline=wanted.baseline)
    healthy = seen.healthy(wanted.colour, wanted.release.number, baseline=wanted.baseline)
    until = rollout.since + rollout.strategy.progress_deadline
    if ready < wanted.size:
        return Wait(f"{ready} of {wanted.size} instances of {wanted.name} are ready", until)
    if healthy < wanted.size:
        found = f"the gateway finds {healthy} of {wanted.size} instances of {wanted.name} healthy"
        return Wait(silence(seen) or found, until)
    return None


def _evict(rollout: Rollout, seen: Observation, stranger: int) -> Decision:
    """Empty the slot of a fleet that an earlier rollout left there."""
    colour = rollout.target_colour
    if seen.may_serve(colour, stranger):
        return Wait(silence(seen) or f"{colour} serves r{stranger}, which this rollout did not put there")
    if seen.may_name(colour, stranger):
        kept = (rollout.stable_colour,) if rollout.stable else ()
        wanted = rollout.route(rollout.stable_colour, listed=kept)
        return shift(rollout, seen, wanted, f"r{stranger} makes room for {rollout.target.name}") or Wait(silence(seen))
    return Retire(colour, stranger, f"r{stranger} makes room for {rollout.target.name}")


def _judge(step: Judge, rollout: Rollout, now: datetime) -> Decision | None:
    until = rollout.since + step.auto_after if step.auto_after is not None else None
    if rollout.full_by or rollout.approved_by or (until is not None and now >= until):
        return None
    question = step.question or f"Switch {rollout.service} to {rollout.target.name} ({rollout.target.version})?"
    refused = rollout.since + step.within if step.within is not None else None
    why = f"without an answer within {step.within} it is rolled back" if step.within else "the strategy asks for approval"
    return AskHuman(question, why, until or refused)


def _stay(rollout: Rollout, duration: Duration, now: datetime) -> Decision | None:
    until = rollout.since + duration
    if rollout.full_by or rollout.approved_by or now >= until:
        return None
    return Wait(f"the strategy pauses here for {duration}", until)


def _learn(rollout: Rollout, duration: Duration, now: datetime) -> Decision | None:
    """Machines that boot for minutes have been watched for long enough by then."""
    until = rollout.started + duration
    if rollout.full_by or rollout.approved_by or rollout.stable is None or now >= until:
        return None
    return Wait(f"what is usual of {rollout.stable.name} is being learned", until)


def _direct(rollout: Rollout, seen: Observation) -> Decision | None:
    """Send cohorts and copies their way; the weight stays."""
    if not seen.silent and all(r is not None and (r.cohorts, r.mirror) == _directed(rollout) for r in seen.routes):
        return None
    listed = listable(rollout, seen, rollout.target_colour)
    wanted = rollout.route(rollout.target_colour, weight=rollout.weight, listed=listed)
    return shift(rollout, seen, wanted, f"{rollout.target.name} is to have the requests that its strategy names")


def _directed(rollout: Rollout) -> tuple[tuple[Cohort, ...], Mirror | None]:
    return rollout.cohorts, rollout.mirror


def _analyse(step: Analyse, rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """Wait for the traffic's verdict. What the decision says stays the same while the numbers change."""
    if rollout.full_by or rollout.approved_by:
        return None
    here = rollout.assessment if rollout.assessment and rollout.assessment.step == rollout.step else None
    verdict = here.verdict if here else None
    if isinstance(verdict, Pass):
        return None
    if not seen.gives(rollout.target_colour, rollout.target.number, rollout.weight):
        return _set_weight(rollout, seen, rollout.weight)
    if not in_time(rollout, now):
        return Wait(f"the traffic of {rollout.target.name} is being counted")
    until, cause = deadline(rollout, step), verdict.cause if isinstance(verdict, Inconclusive) else None
    if cause in HOLDING:
        return Wait(_held(rollout, cause))
    if now >= until and step.otherwise is Unsure.ASK:
        return AskHuman(f"Go on with {rollout.target.name}?", f"its traffic did not tell in {step.max}")
    if cause is Cause.NO_TRAFFIC:
        return Wait(_held(rollout, cause), until)
    whose = f"{rollout.weight / 100:g} % of the traffic" if rollout.weight else "what its fleet does"
    return Wait(f"{whose} decides about {rollout.target.name}", until)


def _held(rollout: Rollout, cause: Cause | None) -> str:
    new, stable = rollout.target.name, rollout.stable.name if rollout.stable else "the stable release"
    stable = f"{stable}'s baseline fleet" if rollout.baseline else stable
    match cause:
        case Cause.METRICS_GONE:
            return f"nobody counts requests now: nothing is decided about {new} until somebody does"
        case Cause.SHARED_OUTAGE:
            return f"{stable} fails as {new} does: held, {new} is not to blame"
        case Cause.STABLE_SICK:
            return f"{stable} fails and {new} does not: bleen promote {rollout.service} --full fixes forward"
        case _:
            return f"{new} or {stable} gets no requests: nothing can be said about it"


def _open_preview(rollout: Rollout, seen: Observation) -> Decision | None:
    colour, target = rollout.target_colour, rollout.target
    if seen.reaches(colour, target.number):
        return None
    return shift(rollout, seen, rollout.route(rollout.stable_colour), f"{target.name} is ready for a preview")


def _set_weight(rollout: Rollout, seen: Observation, weight: int) -> Decision | None:
    if seen.gives(rollout.target_colour, rollout.target.number, weight):
        return None
    listed = listable(rollout, seen, rollout.target_colour)
    wanted = rollout.route(rollout.target_colour, weight=weight, listed=listed)
    until = rollout.since + rollout.strategy.progress_deadline
    return shift(rollout, seen, wanted, f"{rollout.target.name} is ready for {weight / 100:g} % of the traffic", until)


def _keep_warm(step: KeepWarm, rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    stable = rollout.stable
    if stable is None:
        return None
    if not seen.serves(rollout.target_colour, rollout.target.number):
        return _set_weight(rollout, seen, WHOLE)
    gone = dismiss(rollout, seen, seen.beside)
    if gone is not None:
        return gone
    until = rollout.since + step.duration
    if rollout.successor is None and now < until:
        return Wait(f"{stable.name} stays warm for an instant rollback", until)
    return clear(rollout, seen, drop=rollout.stable_colour)
