"""Views: what the ledger's entries say about now and before. Pure, and in values: prose is made at the edge.

Every view takes entries of one service in one environment, in any order; those of other kinds than it needs
may be left out: ``standing`` needs ``settled`` and ``service-removed``, ``history`` ``rollout-started`` and ``finished``, too.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import assert_never

from msgspec import field

from bleen.domain.codec import Tagged, Value
from bleen.domain.ledger import (
    BaseRenewed,
    CalendarSet,
    Checked,
    Commanded,
    Decided,
    Entry,
    EnvironmentFrozen,
    EnvironmentThawed,
    Event,
    Finished,
    FreezeOverridden,
    GlassBroken,
    HostsChanged,
    Measured,
    NoticeLost,
    ReleaseMade,
    RemovalDecided,
    RenewalBegun,
    RenewalStopped,
    RolloutStarted,
    Scaled,
    ServiceRemoved,
    SessionClosed,
    SessionOpened,
    Settled,
    TokenMade,
    TokenRevoked,
)
from bleen.domain.policy import Gated
from bleen.domain.removal import Removing
from bleen.domain.rollout import Aborted, Failed, Observation, Outcome, Promoted, ReleaseRef, RolledBack, Superseded
from bleen.domain.traffic import Baseline, Colour, Split, place


class Standing(Value, frozen=True):
    """Which release serves, and which ones could serve again."""

    stable: int | None = None
    """None: nothing was promoted yet, or nothing was left to go back to."""
    since: datetime | None = None
    previous: tuple[int, ...] = ()
    """Releases promoted before, newest first. One whose promotion was reversed is not among them."""


class RolloutSummary(Value, frozen=True):
    """A rollout in one line."""

    id: str
    environment: str
    service: str
    origin: ReleaseRef | None = field(name="from")
    target: ReleaseRef = field(name="to")
    outcome: Outcome | None
    """None while it is under way. A promotion that was reversed in its warm window counts as rolled back."""
    started: datetime
    settled: datetime | None
    seconds: float | None
    """From its start to its outcome."""
    finished: datetime | None
    """When it had cleaned up behind itself."""
    by: str


class RemovalSummary(Value, frozen=True):
    """A removal in one line."""

    environment: str
    service: str
    at: datetime
    by: str
    reason: str


class Lately(Value, frozen=True):
    """A service by what was entered of it lately."""

    history: tuple[RolloutSummary, ...] = ()
    """The newest rollouts, newest first."""
    stable: ReleaseRef | None = None
    """The release that serves."""
    hosts: tuple[str, ...] = ()
    """The names that its newest rollout gave it."""
    removal: RemovalSummary | None = None
    """The removal after which nothing began."""
    removing: Removing | None = None
    """A removal that was begun, and not ended yet, as far as it had come."""


class FleetFact(Value, frozen=True):
    """A fleet, as evidence."""

    region: str
    colour: Colour
    release: int
    ready: int
    size: int
    restarts: int
    baseline: bool = False
    """Whether it is the baseline fleet beside that colour."""


class GatewayFact(Value, frozen=True):
    """What a gateway had, as evidence. ``split`` None: it had no route, or did not answer."""

    gateway: str
    answered: bool
    split: Split | None
    generation: int
    healthy: dict[str, int]
    """How many instances it found healthy, by place and release: ``blue r3``, ``blue-baseline r3``."""
    baseline: Baseline | None = None
    """What of a colour's weight its baseline fleet had."""


class Evidence(Value, frozen=True):
    """What was known when a decision was taken."""

    at: datetime
    """When it was seen."""
    hosts_answered: bool
    """False: nothing is known of the fleets."""
    fleets: tuple[FleetFact, ...]
    gateways: tuple[GatewayFact, ...]


class Line(Value, frozen=True):
    """One thing that happened in a rollout."""

    sequence: int
    at: datetime
    kind: str
    """What it was about, as a tag: ``shift``, ``pause``, ``promoted``, ``checked``."""
    event: Event
    """The entry itself; of a decision without all that was seen, which ``evidence`` sums up."""
    why: str = ""
    by: str = ""
    evidence: Evidence | None = None
    """None where nothing was looked at."""


def standing(entries: Iterable[Entry]) -> Standing:
    """Return what serves, since when, and what served before."""
    stable: int | None = None
    since: datetime | None = None
    promoted: dict[str, int] = {}
    for entry in _ordered(entries):
        event = entry.event
        if isinstance(event, ServiceRemoved):
            stable, since, promoted = None, None, {}
        if not isinstance(event, Settled):
            continue
        if event.stable != stable:
            stable, since = event.stable, entry.at
        promoted.pop(entry.rollout, None)
        if isinstance(event.outcome, Promoted) and event.stable is not None:
            promoted[entry.rollout] = event.stable
    newest_first = dict.fromkeys(reversed(promoted.values()))
    return Standing(stable, since if stable is not None else None, tuple(n for n in newest_first if n != stable))


def history(entries: Iterable[Entry]) -> tuple[RolloutSummary, ...]:
    """Return the rollouts whose start is among ``entries``, newest first."""
    ordered = _ordered(entries)
    settled = {entry.rollout: (entry, event) for entry, event in _settlements(ordered)}
    finished = {entry.rollout: entry.at for entry in ordered if isinstance(entry.event, Finished)}
    started = {entry.rollout: (entry, entry.event) for entry in reversed(ordered) if isinstance(entry.event, RolloutStarted)}
    return tuple(
        _summary(entry, event, settled.get(rollout), finished.get(rollout)) for rollout, (entry, event) in started.items()
    )


def removals(entries: Iterable[Entry]) -> tuple[RemovalSummary, ...]:
    """Return how often the service was removed, newest first."""
    found = [(entry, entry.event) for entry in _ordered(entries) if isinstance(entry.event, ServiceRemoved)]
    return tuple(RemovalSummary(e.environment, e.service, e.at, e.by, event.reason) for e, event in reversed(found))


def removed(entries: Iterable[Entry]) -> RemovalSummary | None:
    """Return the removal after which nothing began; None where the service was not removed, or is back."""
    ordered = _ordered(entries)
    last = max((e.sequence for e in ordered if isinstance(e.event, RolloutStarted)), default=0)
    return next(iter(removals(entry for entry in ordered if entry.sequence > last)), None)


def lately(entries: Iterable[Entry], most: int) -> Lately:
    """Return what the entries of the newest rollouts say, of at most ``most`` of them."""
    ordered = _ordered(entries)
    plans = [entry.event.rollout for entry in reversed(ordered) if isinstance(entry.event, RolloutStarted)]
    refs = [ref for plan in plans for ref in (plan.target, plan.stable) if ref is not None]
    stable = standing(ordered).stable
    return Lately(
        history=history(ordered)[:most],
        stable=next((ref for ref in refs if ref.number == stable), None),
        hosts=plans[0].hosts if plans else (),
        removal=removed(ordered),
        removing=_removing(ordered[-1]) if ordered else None,
    )


def _removing(last: Entry) -> Removing | None:
    if not isinstance(last.event, RemovalDecided):
        return None
    return Removing(last.environment, last.service, last.by, last.event.reason, last.at, last.event.step)


def explain(entries: Iterable[Entry]) -> tuple[Line, ...]:
    """Return what happened in one rollout, oldest first: each decision with its reason and its evidence."""
    return tuple(line for entry in _ordered(entries) for line in _lines(entry))


def _summary(
    entry: Entry, event: RolloutStarted, settlement: tuple[Entry, Settled] | None, finished: datetime | None
) -> RolloutSummary:
    rollout = event.rollout
    settled = settlement[0].at if settlement else None
    return RolloutSummary(
        id=rollout.id,
        environment=entry.environment,
        service=entry.service,
        origin=rollout.stable,
        target=rollout.target,
        outcome=settlement[1].outcome if settlement else None,
        started=entry.at,
        settled=settled,
        seconds=(settled - entry.at).total_seconds() if settled else None,
        finished=finished,
        by=rollout.by,
    )


def _lines(entry: Entry) -> Iterator[Line]:
    match entry.event:
        case Decided(decision, seen):
            bare, evidence = Decided(decision), None if seen is None else _evidence(seen)
            yield Line(entry.sequence, entry.at, _tag(decision), bare, decision.why, entry.by, evidence)
        case Commanded(command):
            yield Line(entry.sequence, entry.at, _tag(command), entry.event, by=command.by)
        case Settled(outcome):
            yield Line(entry.sequence, entry.at, _tag(outcome), entry.event, _cause(outcome), entry.by)
        case RolloutStarted(rollout):
            yield Line(entry.sequence, entry.at, _tag(entry.event), entry.event, by=rollout.by)
        case Checked() | Finished():
            yield Line(entry.sequence, entry.at, _tag(entry.event), entry.event, by=entry.by)
        case Measured(assessment):
            yield Line(entry.sequence, entry.at, _tag(entry.event), entry.event, assessment.verdict.why, entry.by)
        case ReleaseMade() | Scaled() | HostsChanged() | Gated() | GlassBroken() | RemovalDecided() | ServiceRemoved():
            return
        case TokenMade() | TokenRevoked() | SessionOpened() | SessionClosed():
            return
        case BaseRenewed() | RenewalBegun() | RenewalStopped():
            return
        case EnvironmentFrozen() | EnvironmentThawed() | CalendarSet() | FreezeOverridden() | NoticeLost():
            return
        case _:
            assert_never(entry.event)


def _tag(value: Tagged) -> str:
    return str(value.__struct_config__.tag)


def _cause(outcome: Outcome) -> str:
    match outcome:
        case RolledBack(reason) | Failed(reason):
            return reason
        case Promoted() | Aborted() | Superseded():
            return ""
        case _:
            assert_never(outcome)


def _evidence(seen: Observation) -> Evidence:
    return Evidence(
        at=seen.at,
        hosts_answered=seen.hosts_answered,
        fleets=tuple(
            FleetFact(
                f.slot.region,
                f.slot.colour,
                f.release,
                f.ready,
                f.size,
                sum(i.restarts for i in f.instances),
                f.slot.baseline,
            )
            for f in seen.fleets
        ),
        gateways=tuple(
            GatewayFact(
                g.gateway,
                g.answered,
                g.route.split if g.route else None,
                g.generation,
                {f"{place(b.colour, b.baseline)} r{b.release}": b.healthy for b in g.backends},
                g.route.baseline if g.route else None,
            )
            for g in seen.gateways
        ),
    )


def _settlements(entries: Iterable[Entry]) -> list[tuple[Entry, Settled]]:
    return [(entry, entry.event) for entry in _ordered(entries) if isinstance(entry.event, Settled)]


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.sequence)
