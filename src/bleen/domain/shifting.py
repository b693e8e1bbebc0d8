"""Moving traffic: to a route, back to the stable release, and away from a fleet that is to end."""

from datetime import datetime

from msgspec import structs

from bleen.domain.capacity import lacking
from bleen.domain.decision import Decision, Launch, Retire, Shift, Wait
from bleen.domain.fleet import Fleet
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
    if any(f.slot.colour is drop and f.release == release and not f.slot.baseline for f in seen.fleets):
        return Retire(drop, release, f"no gateway names r{release} any more")
    return None


def dismiss(rollout: Rollout, seen: Observation, fleet: Fleet | None) -> Decision | None:
    """Return what it takes to end a baseline fleet: out of every route first (law 3), then gone."""
    if fleet is None:
        return None
    colour, release = fleet.slot.colour, fleet.release
    if not seen.may_name(colour, release, baseline=True):
        return Retire(colour, release, f"no gateway names the baseline fleet of r{release} any more", baseline=True)
    has = next((r for r in seen.routes if r is not None and r.names(colour, release, baseline=True)), None)
    if has is None:
        return Wait(silence(seen))
    why = f"the baseline fleet of r{release} leaves the gateway before it is retired"
    return shift(rollout, seen, structs.replace(has, baseline=None), why)


def spare(rollout: Rollout, seen: Observation) -> Decision | None:
    """Give the stable fleet back what a baseline fleet had that cannot serve any more.

    Its machines and every gateway must agree: one that has just restarted may know nothing yet.
    """
    has = next((route for route in seen.routes if route is not None and route.baseline is not None), None)
    release = has.release(has.baseline.colour) if has and has.baseline else None
    if has is None or has.baseline is None or release is None or seen.silent:
        return None
    colour, whole = has.baseline.colour, structs.replace(has, baseline=None)
    if seen.ready(colour, release, baseline=True) or seen.healthy(colour, release, baseline=True):
        return None
    if lacking(rollout, seen, whole):
        return None
    return Shift(whole, f"the baseline fleet of r{release} cannot serve: the stable fleet does")


def balance(rollout: Rollout, seen: Observation) -> Decision | None:
    """Give a baseline fleet that can serve again its part of the requests; the weights stay."""
    wanted, has = rollout.baseline, seen.routes[0] if seen.routes and not seen.silent else None
    if wanted is None or has is None or has.baseline is not None or any(route != has for route in seen.routes):
        return None
    stable, there = rollout.stable, (has.split.weight(rollout.target_colour), has.mirror)
    if stable is None or has.release(wanted.colour) != stable.number or there != (rollout.weight, rollout.mirror):
        return None
    fair = structs.replace(has, baseline=wanted)
    if lacking(rollout, seen, fair):
        return None
    return Shift(fair, f"the baseline fleet of {stable.name} can serve again")


def listable(rollout: Rollout, seen: Observation, sure: Colour) -> tuple[Colour, ...]:
    """Return ``sure`` and what else every gateway has a backend of: a route must not name one that it lacks."""
    return tuple(c for c in rollout.colours if c is sure or _known(rollout, seen, c))


def _known(rollout: Rollout, seen: Observation, colour: Colour) -> bool:
    release = rollout.number(colour)
    return release is not None and seen.knows(colour, release)


def silence(seen: Observation) -> str:
    """Return which gateways say nothing, in words; empty where all do."""
    return f"gateway {', '.join(seen.silent)} does not answer: what it routes is unknown" if seen.silent else ""
