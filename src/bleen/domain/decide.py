"""What to do next. `decide` is asked again after everything that happens; it holds all the policy there is."""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import structs

from bleen.domain.capacity import lacking
from bleen.domain.check import CheckResult
from bleen.domain.decision import AskHuman, Decision, Done, Launch, Measure, Promote, Retire, Rollback, Shift, Wait
from bleen.domain.rollout import Failed, Observation, Outcome, Promoted, RolledBack, Rollout
from bleen.domain.strategy import Commit, Judge, KeepWarm, OpenPreview, RunChecks, SetWeight, StartFleet, Step
from bleen.domain.traffic import WHOLE, Colour, Route
from bleen.domain.trouble import trouble

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
    if _blind(rollout, seen, now) is not None or rollout.paused_since is not None:
        return rollout
    if rollout.retreat is not None:
        return _settle(rollout, seen, now)
    while rollout.current is not None and _stepping(rollout, seen, now) is None:
        rollout = structs.replace(rollout, step=rollout.step + 1, step_since=now, approved_by="")
    return rollout


def applied(rollout: Rollout, decision: Decision, now: datetime) -> Rollout:
    """Return ``rollout`` after ``decision`` was carried out at ``now``."""
    match decision:
        case Promote():
            return structs.replace(rollout, outcome=Promoted(), settled=now, acted=now)
        case Rollback(outcome):
            return structs.replace(rollout, retreat=outcome, outcome=None, settled=None, acted=now)
        case Launch() | Shift() | Retire():
            return structs.replace(rollout, acted=now)
        case _:
            return rollout


def measured(rollout: Rollout, results: tuple[CheckResult, ...]) -> Rollout:
    """Return ``rollout`` with the results of its checks."""
    return structs.replace(rollout, results=rollout.results + results)


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
    if not seen.serves(rollout.stable_colour, stable.number):
        return rollout
    return structs.replace(rollout, outcome=rollout.retreat, settled=now)


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
    if not seen.serves(rollout.stable_colour, rollout.stable.number):
        return _restore(rollout, seen)
    resized = _sized(seen, rollout, {rollout.stable_colour: rollout.stable_size})
    if resized is not None:
        return resized
    until = (rollout.settled or now) + rollout.strategy.abort_delay
    if rollout.successor is None and now < until:
        return Wait(f"{rollout.target.name} is kept a little, for a look at it", until)
    return _clear(rollout, seen, drop=rollout.target_colour) or Done(_end(rollout), f"{rollout.stable.name} has all traffic")


def _give_up(rollout: Rollout, seen: Observation) -> Decision:
    """End a first deployment: there is no release to go back to."""
    if rollout.outcome is None:
        return Wait(_silence(seen) or "the split is being read")
    if seen.may_serve(rollout.target_colour, rollout.target.number):
        return Done(rollout.outcome, "its fleet is the only one: it is left serving (law 4)")
    return _clear(rollout, seen, drop=rollout.target_colour) or Done(rollout.outcome, "nothing of it is left")


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
    """Fleets that are at full size follow a change of the number of instances."""
    if rollout.retreat is not None:
        return None
    starts = [i for i, step in enumerate(rollout.steps) if isinstance(step, StartFleet)]
    wanted = {rollout.stable_colour: rollout.stable_size}
    if rollout.step > starts[-1]:
        wanted[rollout.target_colour] = rollout.size
    return _sized(seen, rollout, wanted)


def _sized(seen: Observation, rollout: Rollout, wanted: Mapping[Colour, int]) -> Decision | None:
    """Return the launch that gives a fleet of ``rollout`` the size that is wanted of its colour."""
    for fleet in seen.fleets:
        size = wanted.get(fleet.slot.colour)
        if size is not None and fleet.release == rollout.number(fleet.slot.colour) and fleet.size != size:
            return Launch(fleet.slot.colour, fleet.release, size, f"{size} instances are wanted instead of {fleet.size}")
    return None


def _stepping(rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    """Return what the current step still needs; None when it is complete."""
    step = rollout.current
    return None if step is None else _need(step, rollout, seen, now)


ROWS: tuple[Row, ...] = (_blind, _going_back, _troubled, _paused, _resized, _stepping)


# ---- what each step needs ----


def _need(step: Step, rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    match step:
        case StartFleet(size):
            return _start(rollout, seen, size or rollout.size)
        case OpenPreview():
            return _open_preview(rollout, seen)
        case RunChecks(when, checks):
            if rollout.full_by or rollout.checks_done(step):
                return None
            return Measure(when, checks, f"{len(checks)} check{'s' if len(checks) > 1 else ''} {when} the switch")
        case Judge():
            return _judge(step, rollout, now)
        case SetWeight(weight):
            return _set_weight(rollout, seen, weight)
        case Commit():
            if isinstance(rollout.outcome, Promoted):
                return None
            return Promote(rollout.target.number, "it has all traffic, and every check passed")
        case KeepWarm():
            return _keep_warm(step, rollout, seen, now)


def _start(rollout: Rollout, seen: Observation, size: int) -> Decision | None:
    colour, target = rollout.target_colour, rollout.target
    fleets = [seen.fleet(colour, region) for region in rollout.regions]
    stranger = next((f.release for f in fleets if f is not None and f.release != target.number), None)
    if stranger is not None:
        return _evict(rollout, seen, stranger)
    if any(f is None or f.size != size for f in fleets):
        return Launch(colour, target.number, size, f"{target.name} needs {size} instances in {colour}")
    ready, healthy = seen.ready(colour, target.number), seen.healthy(colour, target.number)
    until = rollout.since + rollout.strategy.progress_deadline
    if ready < size:
        return Wait(f"{ready} of {size} instances of {target.name} are ready", until)
    if healthy < size:
        return Wait(_silence(seen) or f"the gateway finds {healthy} of {size} instances of {target.name} healthy", until)
    return None


def _evict(rollout: Rollout, seen: Observation, stranger: int) -> Decision:
    """Empty the slot of a fleet that an earlier rollout left there."""
    colour = rollout.target_colour
    if seen.may_serve(colour, stranger):
        return Wait(_silence(seen) or f"{colour} serves r{stranger}, which this rollout did not put there")
    if seen.may_name(colour, stranger):
        kept = (rollout.stable_colour,) if rollout.stable else ()
        wanted = rollout.route(rollout.stable_colour, listed=kept)
        return _shift(rollout, seen, wanted, f"r{stranger} makes room for {rollout.target.name}") or Wait(_silence(seen))
    return Retire(colour, stranger, f"r{stranger} makes room for {rollout.target.name}")


def _judge(step: Judge, rollout: Rollout, now: datetime) -> Decision | None:
    until = rollout.since + step.auto_after if step.auto_after is not None else None
    if rollout.full_by or rollout.approved_by or (until is not None and now >= until):
        return None
    question = f"Switch {rollout.service} to {rollout.target.name} ({rollout.target.version})?"
    return AskHuman(question, "the strategy asks for approval", until)


def _open_preview(rollout: Rollout, seen: Observation) -> Decision | None:
    colour, target = rollout.target_colour, rollout.target
    if seen.reaches(colour, target.number):
        return None
    return _shift(rollout, seen, rollout.route(rollout.stable_colour), f"{target.name} is ready for a preview")


def _set_weight(rollout: Rollout, seen: Observation, weight: int) -> Decision | None:
    if seen.gives(rollout.target_colour, rollout.target.number, weight):
        return None
    known = tuple(c for c in rollout.colours if c is rollout.target_colour or _known(rollout, seen, c))
    wanted = rollout.route(rollout.target_colour, weight=weight, listed=known)
    until = rollout.since + rollout.strategy.progress_deadline
    return _shift(rollout, seen, wanted, f"{rollout.target.name} is ready for {weight / 100:g} % of the traffic", until)


def _keep_warm(step: KeepWarm, rollout: Rollout, seen: Observation, now: datetime) -> Decision | None:
    stable = rollout.stable
    if stable is None:
        return None
    if not seen.serves(rollout.target_colour, rollout.target.number):
        return _set_weight(rollout, seen, WHOLE)
    until = rollout.since + step.duration
    if rollout.successor is None and now < until:
        return Wait(f"{stable.name} stays warm for an instant rollback", until)
    return _clear(rollout, seen, drop=rollout.stable_colour)


# ---- what several rows share ----


def _shift(rollout: Rollout, seen: Observation, wanted: Route, why: str, until: datetime | None = None) -> Decision | None:
    """Return the shift to ``wanted``, or the wait for whoever cannot bear it; None where every gateway reports it."""
    if seen.everywhere(wanted):
        return None
    if all(route == wanted for route in seen.routes):
        return Wait(_silence(seen))
    lack = lacking(rollout, seen, wanted)
    return Wait(_silence(seen) or lack, until) if lack else Shift(wanted, why)


def _restore(rollout: Rollout, seen: Observation) -> Decision:
    """Give the stable release all traffic, as soon as it can bear it."""
    colour, stable = rollout.stable_colour, rollout.stable
    assert stable is not None
    fleets = [seen.fleet(colour, region) for region in rollout.regions]
    if any(f is None or f.release != stable.number or f.size < rollout.stable_size for f in fleets):
        return Launch(colour, stable.number, rollout.stable_size, f"{stable.name} has to take the traffic back")
    known = tuple(c for c in rollout.colours if c is colour or _known(rollout, seen, c))
    wanted = rollout.route(colour, listed=known)
    return _shift(rollout, seen, wanted, f"back to {stable.name}") or Wait(_silence(seen))


def _clear(rollout: Rollout, seen: Observation, drop: Colour) -> Decision | None:
    """Return what it takes to end the fleet in ``drop``: out of every route first (law 3), then gone."""
    release = rollout.number(drop)
    if release is None:
        return None
    if seen.may_name(drop, release):
        kept = tuple(c for c in rollout.colours if c is not drop)
        if seen.silent and not any(r is not None and r.release(drop) == release for r in seen.routes):
            return Wait(_silence(seen))
        wanted = rollout.route(drop.other, listed=kept)
        return _shift(rollout, seen, wanted, f"r{release} leaves the gateway before it is retired")
    if any(f.slot.colour is drop and f.release == release for f in seen.fleets):
        return Retire(drop, release, f"no gateway names r{release} any more")
    return None


def _known(rollout: Rollout, seen: Observation, colour: Colour) -> bool:
    """Whether every gateway has the backend of ``colour``: a route must not name one that it lacks."""
    release = rollout.number(colour)
    return release is not None and seen.knows(colour, release)


def _silence(seen: Observation) -> str:
    return f"gateway {', '.join(seen.silent)} does not answer: what it routes is unknown" if seen.silent else ""
