"""Planning a rollout: from what was asked and what is seen, to the colours, the steps and the release to go back to."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bleen.domain.codec import Value
from bleen.domain.errors import Conflict, NothingToDo, Unreachable
from bleen.domain.rollout import Observation, ReleaseRef, Rollout
from bleen.domain.service import Strategy
from bleen.domain.strategy import compile_steps
from bleen.domain.traffic import Colour


class Intent(Value, frozen=True):
    """What was asked."""

    id: str
    environment: str
    service: str
    hosts: tuple[str, ...]
    regions: tuple[str, ...]
    target: ReleaseRef
    strategy: Strategy
    size: int
    by: str
    trusted: bool = False
    asked: datetime | None = None
    exempt: str = ""


def check_turn(service: str, release: int, asked: datetime | None, newer: int, newer_asked: datetime | None) -> None:
    """Refuse ``release`` where ``newer`` was asked for after it: Conflict.

    A deployment that a long build or a crash has held up must not undo what was deployed meanwhile.
    """
    if asked is not None and newer_asked is not None and asked < newer_asked:
        raise Conflict(
            f"r{release} is not rolled out",
            why=f"r{newer} was asked for after it",
            next=f"bleen deploy {service}, if it is still wanted",
        )


def check_removed(service: str, release: int, asked: datetime | None, removed: datetime | None) -> None:
    """Refuse ``release`` where the service was removed after it was asked for: Conflict, for the same reason."""
    if asked is not None and removed is not None and asked < removed:
        raise Conflict(
            f"r{release} is not rolled out",
            why=f"{service} was removed after it was asked for",
            next=f"bleen deploy {service}, if it is still wanted",
        )


def plan(intent: Intent, releases: Mapping[int, ReleaseRef], seen: Observation, now: datetime) -> Rollout:
    """Return the rollout of ``intent`` from what is *seen* to serve.

    Unreachable while gateways or hosts do not answer: the colours cannot be chosen blindly. NothingToDo where the
    release serves already.
    """
    if seen.silent or not seen.gateways or not seen.hosts_answered:
        silent = ", ".join(seen.silent) or "a part of the platform"
        raise Unreachable(f"{silent} does not answer", why="what serves now is unknown", next="bleen doctor")
    serving = serving_now(seen)
    if serving is not None and serving[1] == intent.target.number:
        raise NothingToDo(f"{intent.target.name} serves {intent.service} already")
    colour, stable = (serving[0].other, releases[serving[1]]) if serving else (Colour.BLUE, None)
    return Rollout(
        id=intent.id,
        environment=intent.environment,
        service=intent.service,
        hosts=intent.hosts,
        regions=intent.regions,
        target=intent.target,
        target_colour=colour,
        stable=stable,
        size=intent.size,
        stable_size=_size(seen, colour.other, intent) if stable else intent.size,
        strategy=intent.strategy,
        steps=compile_steps(intent.strategy, size=intent.size, trusted=intent.trusted, first=stable is None),
        by=intent.by,
        started=now,
        step_since=now,
        asked=intent.asked,
        admitted=seen.closed is None or bool(intent.exempt),
        exempt=intent.exempt,
    )


def serving_now(seen: Observation) -> tuple[Colour, int] | None:
    """Return the colour and release with the most weight over all gateways; None where nothing has any."""
    weights: dict[tuple[Colour, int], int] = {}
    for route in seen.routes:
        for colour in Colour:
            release = route.release(colour) if route else None
            if route is not None and release is not None and route.split.weight(colour) > 0:
                weights[colour, release] = weights.get((colour, release), 0) + route.split.weight(colour)
    return max(weights, key=lambda slot: weights[slot]) if weights else None


def trusted(number: int, promoted: Sequence[int], window: int) -> bool:
    """Return whether ``number`` is among the last ``window`` releases that were promoted, newest first."""
    return number in promoted[:window]


def _size(seen: Observation, colour: Colour, intent: Intent) -> int:
    sizes = [f.size for f in seen.fleets if f.slot.colour is colour and not f.slot.baseline]
    return max(sizes, default=intent.size)
