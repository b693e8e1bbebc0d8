"""What is seen of the services and the bases that they stand on, and what the ledger says of renewals."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import structs

from bleen.domain.base import HOST
from bleen.domain.errors import NotFound, Unreachable
from bleen.domain.ledger import BaseRenewed, Entry, Finished, Query, RenewalBegun, RenewalStopped, RolloutStarted, Settled
from bleen.domain.patching import Patching
from bleen.domain.plan import serving_now
from bleen.domain.renewal import Attempt, Renewal, Served, Survey
from bleen.domain.rollout import Observation, Promoted, Rollout
from bleen.workflows.world import World

RENEWALS = ("base-renewed", "renewal-begun", "renewal-stopped")
ROLLOUTS = ("rollout-started", "settled", "finished")


class Surveying:
    """Looks at all services at one moment. Each needs a new one: the ledger is read once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._past: dict[tuple[str, str], Sequence[Entry]] = {}

    async def run(self, at: datetime, *, ask: bool) -> Survey:
        """Return what is seen, with what is pending where ``ask``. Unreachable where not everything answers."""
        world = self._world
        served = [one for place in await self._places() if (one := await self._served(*place)) is not None]
        bases = sorted({one.base for one in served}) if ask else []
        pending: dict[str, Patching] = {base: await world.bases.patching(base) for base in bases}
        entries = list(reversed(await world.ledger.read(Query(kinds=RENEWALS, newest=True))))
        attempts = [await self._attempt(entry, entries) for entry in entries if not isinstance(entry.event, BaseRenewed)]
        return Survey(
            at=at,
            served=tuple(served),
            pending=pending,
            renewals=tuple(_plainest(entry.event.renewal) for entry in entries if isinstance(entry.event, BaseRenewed)),
            attempts=tuple(attempt for attempt in attempts if attempt is not None),
        )

    async def _places(self) -> list[tuple[str, str]]:
        return sorted({(fleet.slot.environment, fleet.slot.service) for fleet in await self._world.fleets.observe()})

    async def _served(self, environment: str, service: str) -> Served | None:
        """Return what serves there; None where nothing does, or it stands on the machine itself."""
        world = self._world
        seen = await world.observe(environment, service)
        if seen.silent or not seen.gateways or not seen.hosts_answered:
            raise Unreachable(f"what serves {service} in {environment} is unknown now", next="bleen doctor")
        serving = serving_now(seen)
        if serving is None:
            return None
        release = await world.ledger.release(service, serving[1])
        try:
            base = (await world.images.find(release.image)).base
            name = (await world.images.find(base)).name if base != HOST else HOST
        except NotFound:
            return None
        if name == HOST:
            return None
        past = await self._rollouts(environment, service)
        return Served(
            environment=environment,
            service=service,
            release=release.number,
            image=release.image,
            base=base,
            name=name,
            since=_promoted(past, release.number),
            healthy=_is_healthy(seen, serving),
            busy=_busy(past),
        )

    async def _rollouts(self, environment: str, service: str) -> Sequence[Entry]:
        """Return what the ledger says of the rollouts there, newest first."""
        place = (environment, service)
        if place not in self._past:
            query = Query(service=service, environment=environment, kinds=ROLLOUTS, newest=True)
            self._past[place] = await self._world.ledger.read(query)
        return self._past[place]

    async def _attempt(self, entry: Entry, entries: Sequence[Entry]) -> Attempt | None:
        """Return the attempt that ``entry`` began, or refused; None where another entry tells of it."""
        event, place = entry.event, (entry.environment, entry.service)
        if isinstance(event, RenewalStopped):
            begun = any(isinstance(e.event, RenewalBegun) and _is_same(e, entry) for e in entries)
            return None if begun else Attempt(*place, event.release, event.renewal.after, entry.at, stopped=event.why)
        assert isinstance(event, RenewalBegun)
        past = await self._rollouts(*place)
        started = [e for e in past if isinstance(e.event, RolloutStarted) and e.sequence > entry.sequence]
        mine = next((e.rollout for e in started if _plan(e).target.number == event.release), "")
        settled = next((e.event for e in past if e.rollout == mine and isinstance(e.event, Settled)), None) if mine else None
        why = next((e.event.why for e in entries if isinstance(e.event, RenewalStopped) and _is_same(e, entry)), "")
        outcome = settled.outcome if settled else None
        return Attempt(*place, event.release, event.renewal.after, entry.at, mine, outcome, why)


def _is_same(one: Entry, other: Entry) -> bool:
    """Return whether both entries tell of one release that was made to move one service."""
    if not isinstance(one.event, RenewalBegun | RenewalStopped) or not isinstance(other.event, RenewalBegun | RenewalStopped):
        return False
    first, second = one.event, other.event
    same = (one.environment, one.service) == (other.environment, other.service)
    return same and (first.release, first.renewal.after) == (second.release, second.renewal.after)


def _plan(entry: Entry) -> Rollout:
    assert isinstance(entry.event, RolloutStarted)
    return entry.event.rollout


def _promoted(past: Sequence[Entry], release: int) -> datetime | None:
    """Return when ``release`` was promoted last."""
    for entry in past:
        if isinstance(entry.event, Settled) and isinstance(entry.event.outcome, Promoted) and entry.event.stable == release:
            return entry.at
    return None


def _busy(past: Sequence[Entry]) -> str:
    """Return who asked for the rollout that is not over; empty where none is under way."""
    last = next((entry for entry in past if isinstance(entry.event, RolloutStarted)), None)
    if last is None or any(entry.rollout == last.rollout and isinstance(entry.event, Finished) for entry in past):
        return ""
    return _plan(last).by or "somebody"


def _is_healthy(seen: Observation, serving: tuple[object, int]) -> bool:
    fleets = [f for f in seen.fleets if (f.slot.colour, f.release) == serving and not f.slot.baseline]
    return bool(fleets) and all(fleet.ready >= fleet.size for fleet in fleets)


def _plainest(renewal: Renewal) -> Renewal:
    """Return it without what changelogs said, which decides nothing."""
    return structs.replace(renewal, fixes=tuple(structs.replace(fix, uploads=()) for fix in renewal.fixes))
