"""Who looks on: every route that the gateway has, and what the ledger says of it."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from bleen.app.parts import database_of
from bleen.domain.decision import Shift
from bleen.domain.errors import BleenError
from bleen.domain.ledger import Commanded, Decided, Entry, Query, Settled
from bleen.domain.listing import Listing, named, reached
from bleen.domain.traffic import Colour, EndpointSeen
from bleen.providers.envoy.admin import Admin
from bleen.providers.envoy.place import places
from bleen.providers.local.fleets import AgentFleets
from bleen.providers.postgres.embedded import database_url
from bleen.providers.postgres.ledger import PostgresLedger
from bleen.settings import Settings

SERVICE, ENVIRONMENT = "storm", "dev"
KEY = f"{ENVIRONMENT}/{SERVICE}"
"""Of its routes."""
_LOOK = 0.025


@dataclass(frozen=True)
class Seen:
    """A route, when it was first seen (UTC), and the backends that it names and Envoy lacked at that moment."""

    listing: Listing
    at: datetime
    lacked: tuple[str, ...]
    healthy: int
    """Instances that were healthy among those with weight."""


@dataclass
class Witness:
    """Watches one platform, past its controller: Envoy's admin interface, the agent's socket, the database."""

    settings: Settings
    routes: list[Seen] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (place,) = places(self.settings, self.settings.ports.gateway)
        self.admin = Admin(place)
        self.agent = AgentFleets(self.settings.runtime_path / "agent.sock")
        self.ledger = PostgresLedger(database_url(database_of(self.settings)))
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look on no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.admin.close()
        await self.agent.close()
        await self.ledger.close()

    async def _watch(self) -> None:
        while True:
            for look in (self._look_at_routes, self._look_at_fleets):
                try:
                    await look()
                except BleenError:
                    continue  # it is away: that is what the storm is for
            await asyncio.sleep(_LOOK)

    async def _look_at_routes(self) -> None:
        listing = (await self.admin.routes()).listings.get(KEY)
        if listing is None or listing.route is None or (self.routes and self.routes[-1].listing == listing):
            return
        at = datetime.now(UTC)
        hosts = await self.admin.hosts()
        still = (await self.admin.routes()).listings.get(KEY)
        lacked = tuple(name for name in named(listing.route) if name not in hosts) if still == listing else ()
        healthy = _healthy(listing, hosts) if still == listing else 1
        self.routes.append(Seen(listing, at, lacked, healthy))

    async def _look_at_fleets(self) -> None:
        fleets = await self.agent.observe(SERVICE)
        if len(fleets) > 2:
            self.wrong.append(f"{len(fleets)} fleets at once: {[str(f.slot) for f in fleets]}")

    async def entries(self, after: int) -> list[Entry]:
        """Return the ledger's entries of the service."""
        return list(await self.ledger.read(Query(service=SERVICE, environment=ENVIRONMENT, after=after, limit=100_000)))

    def judge(self, entries: list[Entry], *, hurt: bool) -> list[str]:
        """Return what the routes seen so far have that the ledger does not explain; forget them but the last.

        ``hurt``: instances or the gateway were hit too, so that a route may name what has just died.
        """
        decided = {e.sequence: e for e in entries if isinstance(e.event, Decided) and isinstance(e.event.decision, Shift)}
        wrong, self.wrong = self.wrong, []
        for seen in self.routes[1:]:
            entry = decided.get(seen.listing.generation)
            if entry is None:
                wrong.append(
                    f"law 7: the gateway had generation {seen.listing.generation}, which no decision of the ledger has"
                )
            elif entry.event.decision.route != seen.listing.route:  # type: ignore[union-attr]
                wrong.append(f"the gateway had another route than decision {entry.sequence}: {seen.listing.route}")
            elif entry.at > seen.at:
                wrong.append(f"law 7: decision {entry.sequence} was entered {entry.at - seen.at} after its route was seen")
            if seen.lacked and not hurt:
                wrong.append(f"a route named backends that the gateway lacked: {seen.lacked}")
            if not seen.healthy and not hurt:
                wrong.append(f"law 2: generation {seen.listing.generation} gave weight to nothing healthy")
        generations = [seen.listing.generation for seen in self.routes]
        if generations != sorted(generations):
            wrong.append(f"generations went back: {generations}")
        del self.routes[:-1]
        return wrong

    def at_rest(self, entries: list[Entry]) -> list[str]:
        """Return what the last entries say otherwise than the gateway, now that nothing is under way."""
        if not self.routes:
            return ["no route was ever seen"]
        last = self.routes[-1].listing
        done = last.generation
        pairs = pairwise([*entries, None])
        shifts = [e for e, after in pairs if e and _is_shift(e) and (e.sequence <= done or not _overtaken(after))]
        settled = [e.event for e in entries if isinstance(e.event, Settled)]
        assert last.route is not None
        serving = next((last.route.release(c) for c in Colour if last.route.split.weight(c) > 0), None)
        wrong = []
        if shifts and shifts[-1].event.decision.route != last.route:  # type: ignore[union-attr]
            wrong.append(f"the last shift, {shifts[-1].sequence}, is not what the gateway has: {last}")
        if settled and settled[-1].stable != serving:
            wrong.append(f"the ledger says r{settled[-1].stable} is stable, and r{serving} serves")
        return wrong


def _is_shift(entry: Entry) -> bool:
    return isinstance(entry.event, Decided) and isinstance(entry.event.decision, Shift)


def _overtaken(after: Entry | None) -> bool:
    """Return whether a command came while the entry before was being made: that decision was not carried out."""
    return after is not None and isinstance(after.event, Commanded)


def _healthy(listing: Listing, hosts: object) -> int:
    assert isinstance(hosts, dict) and listing.route is not None
    names = reached(listing.route)
    found: list[EndpointSeen] = [endpoint for name in names for endpoint in hosts.get(name, ())]
    return sum(endpoint.healthy for endpoint in found)


def now() -> float:
    """Return the clock that loads share."""
    return time.perf_counter()
