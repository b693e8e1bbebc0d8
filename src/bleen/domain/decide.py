"""What to do next. `decide` is asked again after everything that happens; it holds all the policy there is."""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import structs

from bleen.domain.check import CheckResult
from bleen.domain.decision import Decision, Done, Launch, Promote, Retire, Rollback, Shift, Wait
from bleen.domain.need import need
from bleen.domain.rollout import Failed, Judged, Observation, Outcome, Promoted, RolledBack, Rollout
from bleen.domain.shifting import balance, clear, dismiss, restore, silence, spare
from bleen.domain.strategy import Analyse, RunChecks, StartFleet
from bleen.domain.traffic import Colour
from bleen.domain.trouble import trouble
from bleen.domain.verdict import Pass

Row = Callable[[Rollout, Observation, datetime], Decision | None]


def decide(rollout: Rollout, seen: Observation, now: datetime) -> Decision:
    """Return the one next thing to do. Same inputs, same answer.

    The rows are asked in order, and the first that has something to say is the answer.
    """
    for row in ROWS:
        decision = row(rollout, seen, now)
        if decision is not None:
            return decision
    return Done(_end(rollout), "nothing is left to do")


def advance(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    """Return ``rollout`` past every step that ``seen`` shows to be complete, and settled where it is back."""
    rollout = _informed(rollout, seen)
    if _blind(rollout, seen, now) is not None or rollout.paused_since is not None:
        return rollout
    if rollout.retreat is not None:
        return _settle(rollout, seen, now)
    while rollout.current is not None and _stepping(rollout, seen, now) is None and _held(rollout, seen, now) is None:
        rollout = _past_step(rollout, now)
    return _rested(rollout, seen, now)


def _rested(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    """Return it held by a freeze since now, or going on, where that has changed."""
    if _held(rollout, seen, now) is not None:
        return rollout if rollout.held_since else structs.replace(rollout, held_since=now)
    return structs.replace(rollout.resumed(now), admitted=True)


def _informed(rollout: Rollout, seen: Observation) -> Rollout:
    """Return ``rollout`` with what its traffic has shown by now."""
    new, old = seen.assessment, rollout.assessment
    if new is None or (old is not None and new.at < old.at):
        return rollout
    return structs.replace(rollout, assessment=new)


def _past_step(rollout: Rollout, now: datetime) -> Rollout:
    verdicts = rollout.verdicts
    if isinstance(rollout.current, Analyse):
        verdict = rollout.assessment.verdict if rollout.assessment and rollout.assessment.step == rollout.step else None
        person = "" if isinstance(verdict, Pass) else rollout.full_by or rollout.approved_by
        verdicts += (Judged(rollout.step, verdict, now, person),)
    return structs.replace(rollout, step=rollout.step + 1, step_since=now, held_since=None, approved_by="", verdicts=verdicts)


def applied(rollout: Rollout, decision: Decision, now: datetime) -> Rollout:
    """Return ``rollout`` after ``decision`` was carried out at ``now``."""
    match decision:
        case Promote():
            return structs.replace(rollout, outcome=Promoted(), settled=now, acted=now)
        case Rollback(outcome):
            gone = rollout.resumed(now) if rollout.held_since else rollout
            return structs.replace(gone, retreat=outcome, outcome=None, settled=None, acted=now)
        case Launch() | Shift() | Retire():
            return structs.replace(rollout, acted=now)
        case _:
            return rollout


def measured(rollout: Rollout, results: tuple[CheckResult, ...]) -> Rollout:
    """Return ``rollout`` with the results of its checks."""
    place = rollout.current.place if isinstance(rollout.current, RunChecks) else 0
    placed = tuple(structs.replace(r, place=place) for r in results)
    return structs.replace(rollout, results=rollout.results + placed)


def _end(rollout: Rollout) -> Outcome:
    return rollout.outcome or rollout.retreat or Promoted()


def _settle(rollout: Rollout, seen: Observation, now: datetime) -> Rollout:
    """Give a rollout that goes back its outcome, once every gateway reports that it is back."""
    if rollout.outcome is not None or rollout.retreat is None:
        return rollout
    stable = rollout.stable
    if stable is None:
        if seen.silent:
            return rollout
        kept = seen.may_serve(rollout.target_colour, rollout.target.number)
        outcome = Failed("there is nothing to go back to: it was left serving") if kept else rollout.retreat
        return structs.replace(rollout, outcome=outcome, settled=now)
    if not _back(rollout, seen):
        return rollout
    return structs.replace(rollout, outcome=rollout.retreat, settled=now)


def _back(rollout: Rollout, seen: Observation) -> bool:
    """Return whether every gateway sends everything to the stable fleet: also cohorts and copies, which need no weight."""
    stable = rollout.stable
    return (
        stable is not None
        and seen.serves(rollout.stable_colour, stable.number)
        and not any(route and (route.cohorts or route.mirror or route.baseline) for route in seen.routes)
    )


# ---- the rows of the table ----


def _blind(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    if rollout.acted is not None and seen.at < rollout.acted:
        return Wait("what was seen is older than what was last done")
    if not seen.hosts_answered:
        return Wait("the hosts do not answer: what runs is unknown")
    if not seen.gateways:
        return Wait("no gateway has reported yet")
    return None


def _going_back(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    if rollout.retreat is None:
        return None
    if rollout.stable is None:
        return _give_up(rollout, seen)
    if not _back(rollout, seen):
        return restore(rollout, seen)
    rest = _sized(seen, rollout, {(rollout.stable_colour, False): rollout.stable_size}) or dismiss(rollout, seen, seen.beside)
    if rest is not None:
        return rest
    until = (rollout.settled or now) + rollout.strategy.abort_delay
    if rollout.successor is None and now < until:
        return Wait(f"{rollout.target.name} is kept a little, for a look at it", until)
    return clear(rollout, seen, drop=rollout.target_colour) or Done(_end(rollout), f"{rollout.stable.name} has all traffic")


def _give_up(rollout: Rollout, seen: Observation) -> Decision:
    """End a first deployment: there is no release to go back to."""
    if rollout.outcome is None:
        return Wait(silence(seen) or "the split is being read")
    if seen.may_serve(rollout.target_colour, rollout.target.number):
        return Done(rollout.outcome, "its fleet is the only one: it is left serving (law 4)")
    return clear(rollout, seen, drop=rollout.target_colour) or Done(rollout.outcome, "nothing of it is left")


def _troubled(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    if rollout.retreat is not None:
        return None
    reason = trouble(rollout, seen, now)
    if reason is None:
        return None
    return Rollback(RolledBack(reason) if rollout.stable else Failed(reason), reason)


def _paused(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    return Wait(f"paused by {rollout.paused_by}") if rollout.paused_since is not None else None


def _resized(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """Fleets that are not being started follow a change of the number of instances."""
    if rollout.retreat is not None:
        return None
    started = [step for step in rollout.steps[: rollout.step] if isinstance(step, StartFleet)]
    beside = [step for step in started if step.baseline]
    starting = rollout.current if isinstance(rollout.current, StartFleet) else None
    wanted = {(rollout.stable_colour, False): rollout.stable_size}
    if started and not starting:
        wanted[rollout.target_colour, False] = started[-1].size or rollout.size
    if beside and rollout.fair and not (starting and starting.baseline):
        wanted[rollout.stable_colour, True] = beside[-1].size or rollout.size
    return _sized(seen, rollout, wanted)


def _spared(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """Users of a baseline fleet that cannot serve are not kept waiting, not even in a pause."""
    return spare(rollout, seen) if rollout.retreat is None else None


def _balanced(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    return balance(rollout, seen)


def _renamed(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """A route that this rollout has written follows a change of the host names."""
    if not isinstance(rollout.outcome, Promoted) or rollout.retreat is not None or seen.silent:
        return None
    has = seen.routes[0]
    if has is None or has.hosts == rollout.hosts or any(route != has for route in seen.routes):
        return None
    return Shift(structs.replace(has, hosts=rollout.hosts), f"{rollout.service} answers to {', '.join(rollout.hosts)} now")


def _sized(seen: Observation, rollout: Rollout, wanted: Mapping[tuple[Colour, bool], int]) -> Decision | None:
    """Return the launch that gives a fleet of ``rollout`` the size that is wanted in its place: a colour, or beside it."""
    for fleet in seen.fleets:
        slot, size = fleet.slot, wanted.get((fleet.slot.colour, fleet.slot.baseline))
        if size is not None and fleet.release == rollout.number(slot.colour) and fleet.size != size:
            why = f"{size} instances are wanted instead of {fleet.size}"
            return Launch(slot.colour, fleet.release, size, why, slot.baseline)
    return None


def _held(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """A rollout does not begin while its environment is closed; one under way finishes its step in a freeze, and holds.

    Going back was decided above, and whatever keeps traffic where it is. One that another release waits for is not held:
    it would hold that one too, though it may be exempt.
    """
    closed = seen.closed
    if closed is None or rollout.exempt or rollout.retreat is not None or rollout.successor is not None:
        return None
    if not rollout.admitted:
        return Wait(f"it begins when {rollout.environment} opens: {closed.why}", closed.until)
    last = rollout.step + 1 >= len(rollout.steps)
    if not closed.holds or last or _stepping(rollout, seen, now) is not None:
        return None
    return Wait(f"its step is done, and it goes on when {rollout.environment} opens: {closed.why}", closed.until)


def _stepping(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """Return what the current step still needs; None when it is complete."""
    step = rollout.current
    return None if step is None else need(step, rollout, seen, now)


ROWS: tuple[Row, ...] = (_blind, _going_back, _troubled, _spared, _paused, _resized, _renamed, _balanced, _held, _stepping)
