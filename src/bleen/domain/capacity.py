"""Law 2: who can bear which share of the traffic."""

from bleen.domain.rollout import Observation, Rollout
from bleen.domain.traffic import Baseline, Colour, Route, share


def lacking(rollout: Rollout, seen: Observation, route: Route) -> str | None:
    """Return why the fleets of ``route`` cannot bear its weights; None when they can."""
    for colour in Colour:
        weight, release = route.split.weight(colour), route.release(colour)
        if weight == 0 or _has_already(seen, colour, release, weight):
            continue
        if release is None:
            if serves_anything(seen):
                return f"traffic would go to an empty slot: {route.split}"
            continue
        size = rollout.size if colour is rollout.target_colour else rollout.stable_size
        have, need = seen.capacity(colour, release), share(size, weight)
        if have < need and not (colour is rollout.stable_colour and can_take_back(rollout, seen)):
            return f"{weight / 100:g} % need {need} instances of r{release} and {have} can serve"
    return _lacking_beside(rollout, seen, route)


def _lacking_beside(rollout: Rollout, seen: Observation, route: Route) -> str | None:
    """Return why the baseline fleet cannot bear its part.

    Of the colour's whole weight the fleet in it was asked above: what leaves a baseline fleet goes back there.
    """
    beside = route.baseline
    release = route.release(beside.colour) if beside else None
    if beside is None or release is None or _apart_already(seen, beside, release):
        return None
    have, need = seen.capacity(beside.colour, release, baseline=True), share(rollout.size, beside.share)
    if have >= need:
        return None
    return f"{beside.share / 100:g} % need {need} instances of r{release}'s baseline fleet and {have} can serve"


def _apart_already(seen: Observation, beside: Baseline, release: int) -> bool:
    return not seen.silent and all(
        r is not None and r.release(beside.colour) == release and r.carries(beside.colour, baseline=True) >= beside.share
        for r in seen.routes
    )


def can_take_back(rollout: Rollout, seen: Observation) -> bool:
    """Return whether going back shrinks nothing: the stable fleet can serve at least what the new one can.

    Law 2 asks for the whole capacity; waiting for it while a broken release has the traffic would help nobody.
    A silent gateway hides how many it finds healthy, so the machines' own count is used then.
    """
    if rollout.retreat is None or rollout.stable is None:
        return False
    count = seen.ready if seen.silent else seen.capacity
    new = count(rollout.target_colour, rollout.target.number)
    return count(rollout.stable_colour, rollout.stable.number) >= max(1, min(new, rollout.stable_size))


def serves_anything(seen: Observation) -> bool:
    """Return whether some gateway gives weight to a filled slot."""
    return any(r is not None and r.release(c) is not None and r.split.weight(c) > 0 for r in seen.routes for c in Colour)


def _has_already(seen: Observation, colour: Colour, release: int | None, weight: int) -> bool:
    """A shift that gives no fleet more than it has, such as one that only takes a name away, asks for no capacity."""
    return not seen.silent and all(
        r is not None and r.release(colour) == release and r.split.weight(colour) >= weight for r in seen.routes
    )
