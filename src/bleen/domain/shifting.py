"""Moving traffic: to a route, back to the stable release, and away from a fleet that is to end."""

from datetime import datetime

from bleen.domain.capacity import lacking
from bleen.domain.decision import Decision, Launch, Retire, Shift, Wait
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.traffic import Colour, Route


def shift(rollout: Rollout, seen: Observation, wanted: Route, why: str, until: datetime | None = None) -> Decision | None:
    """Return the shift to ``wanted``, or the wait for whoever cannot bear it; None where every gateway reports it."""
    if seen.everywhere(wanted):
        return None
    if all(route == wanted for route in seen.routes):
        return Wait(silence(seen))
    lack = lacking(rollout, seen, wanted)
    return Wait(silence(seen) or lack, until) if lack else Shift(wanted, why)


def restore(rollout: Rollout, seen: Observation) -> Decision:
    """Give the stable release all traffic, as soon as it can bear it."""
    colour, stable = rollout.stable_colour, rollout.stable
    assert stable is not None
    fleets = [seen.fleet(colour, region) for region in rollout.regions]
    if any(f is None or f.release != stable.number or f.size < rollout.stable_size for f in fleets):
        return Launch(colour, stable.number, rollout.stable_size, f"{stable.name} has to take the traffic back")
    listed = listable(rollout, seen, colour)
    wanted = rollout.route(colour, listed=listed)
    return shift(rollout, seen, wanted, f"back to {stable.name}") or Wait(silence(seen))


def clear(rollout: Rollout, seen: Observation, drop: Colour) -> Decision | None:
    """Return what it takes to end the fleet in ``drop``: out of every route first (law 3), then gone."""
    release = rollout.number(drop)
    if release is None:
        return None
    if seen.may_name(drop, release):
        kept = tuple(c for c in rollout.colours if c is not drop)
        if seen.silent and not any(r is not None and r.release(drop) == release for r in seen.routes):
            return Wait(silence(seen))
        wanted = rollout.route(drop.other, listed=kept)
        return shift(rollout, seen, wanted, f"r{release} leaves the gateway before it is retired")
    if any(f.slot.colour is drop and f.release == release for f in seen.fleets):
        return Retire(drop, release, f"no gateway names r{release} any more")
    return None


def listable(rollout: Rollout, seen: Observation, sure: Colour) -> tuple[Colour, ...]:
    """Return ``sure`` and what else every gateway has a backend of: a route must not name one that it lacks."""
    return tuple(c for c in rollout.colours if c is sure or _known(rollout, seen, c))


def _known(rollout: Rollout, seen: Observation, colour: Colour) -> bool:
    release = rollout.number(colour)
    return release is not None and seen.knows(colour, release)


def silence(seen: Observation) -> str:
    """Return which gateways say nothing, in words; empty where all do."""
    return f"gateway {', '.join(seen.silent)} does not answer: what it routes is unknown" if seen.silent else ""
