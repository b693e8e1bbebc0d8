"""Removing a service from an environment: the one next thing to do, by what is seen.

The route goes first, and is seen to be gone; only then do fleets end.
"""

from collections.abc import Callable
from datetime import datetime

from bleen.domain.codec import Tagged, Value
from bleen.domain.decision import Wait
from bleen.domain.errors import Conflict
from bleen.domain.fleet import Slot
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.traffic import place


class Withdraw(Tagged, frozen=True):
    """Take its route from every gateway."""

    why: str


class Leaver(Value, frozen=True):
    """A fleet that is to end."""

    slot: Slot
    release: int

    def __str__(self) -> str:
        return f"{place(self.slot.colour, self.slot.baseline)} r{self.release}"


class Drain(Tagged, frozen=True):
    """End every fleet of it, warm ones and baselines included."""

    fleets: tuple[Leaver, ...]
    why: str


class Gone(Tagged, frozen=True):
    """Nothing of it is left."""

    why: str


RemovalStep = Withdraw | Drain | Wait | Gone
Row = Callable[[Observation], RemovalStep | None]


class Removing(Value, frozen=True):
    """A removal under way."""

    environment: str
    service: str
    by: str
    reason: str
    since: datetime
    step: RemovalStep | None = None
    """What it does or waits for; None before the first look."""
    error: str = ""
    """Why that could not be carried out yet; it is tried again."""


def next_step(seen: Observation) -> RemovalStep:
    """Return the one next thing to do. The rows are asked in order, and the first that has something to say is the answer."""
    found = next((step for row in ROWS if (step := row(seen)) is not None), None)
    return found or Gone("no gateway has a route to it, and no fleet of it runs")


def refuse_under_way(rollout: Rollout) -> None:
    """Refuse to remove a service in the middle of a rollout: Conflict. One that only keeps a fleet warm is none."""
    if rollout.outcome is not None and rollout.successor is None:
        return
    then = f"bleen remove {rollout.service} once it is back"
    if rollout.successor is not None:
        why, next = f"r{rollout.successor} waits for it to end", f"bleen status {rollout.service} --watch"
    elif rollout.retreat is not None:
        why, next = "it is going back", f"bleen status {rollout.service} --watch; {then}"
    else:
        why, next = f"{rollout.target.name} is on its way", f"bleen abort {rollout.service}; {then}"
    raise Conflict(f"{rollout.service} is not removed while {rollout.id} is under way", why=why, next=next)


def being_removed(removing: Removing) -> Conflict:
    """Return the error of whatever else is wanted of a service while it is being removed."""
    service = removing.service
    return Conflict(
        f"{service} is being removed from {removing.environment}",
        why=f"{removing.by} asked for it" + (f": {removing.reason}" if removing.reason else ""),
        next=f"bleen status {service}; once it is gone, bleen deploy {service} brings it back",
    )


# ---- the rows of the table ----


def _routed(seen: Observation) -> RemovalStep | None:
    """What can be seen is withdrawn, whoever else is silent: those are told, too, and waited for."""
    holders = [gateway.gateway for gateway in seen.gateways if gateway.answered and gateway.route is not None]
    return Withdraw(f"{', '.join(holders)} routes to it") if holders else None


def _blind(seen: Observation) -> RemovalStep | None:
    if not seen.gateways:
        return Wait("no gateway has reported yet")
    if seen.silent:
        return Wait(f"{', '.join(seen.silent)} does not answer: whether it routes to it is unknown")
    return None if seen.hosts_answered else Wait("the hosts do not answer: what runs is unknown")


def _running(seen: Observation) -> RemovalStep | None:
    leavers = tuple(Leaver(fleet.slot, fleet.release) for fleet in seen.fleets)
    return Drain(leavers, "no gateway routes to it any more") if leavers else None


ROWS: tuple[Row, ...] = (_routed, _blind, _running)
