"""What became of every service lately, kept between requests: of the ledger, each of them reads only what is new."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from bleen.domain.ledger import Entry, Query, RolloutStarted, ServiceRemoved, Settled
from bleen.domain.views import Lately, lately
from bleen.ports import Ledger
from bleen.workflows.recent import Recent

MILESTONES = ("rollout-started", "settled", "finished", "removal-decided", "service-removed")
NOTHING = Lately()
"""What is known of a service that nobody ever deployed."""
_ROLLOUTS = 5
"""How many of each service are told of."""
_EACH = 6 * _ROLLOUTS
"""Milestones that are read of each service at first: a rollout has up to four, a removal some more."""
_MOST = 1_000_000


class Past:
    """Knows the newest rollouts of every service, and what serves, with all that was entered up to the moment of a question."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, _Environment] = {}
        self._beginning = asyncio.Lock()

    async def all(self, environment: str) -> Mapping[str, Lately]:
        """Return what is known of every service that ``environment`` ever had, removed ones included."""
        known = await self._upto(environment)
        return {service: known.lately(service) for service in known.entries}

    async def of(self, environment: str, service: str) -> Lately:
        """Return what is known of one service; ``NOTHING`` where nobody ever deployed it."""
        return (await self._upto(environment)).lately(service)

    async def _upto(self, environment: str) -> "_Environment":
        async with self._beginning:
            if environment not in self._known:
                return await self._begin(environment)
        known = self._known[environment]
        await known.recent.look(now=True)
        return known

    async def _begin(self, environment: str) -> "_Environment":
        query = Query(environment=environment, kinds=MILESTONES, limit=_MOST, newest=True, each=_EACH)
        entries = await self._ledger.read(query)
        found = _Environment(self._ledger, environment, after=entries[0].sequence if entries else 0)
        by_service = defaultdict[str, list[Entry]](list)
        for entry in entries:
            by_service[entry.service].append(entry)
        for service, newest in by_service.items():
            if len(newest) == _EACH and _rollouts(newest) < _ROLLOUTS:
                newest = [*newest, *await milestones(self._ledger, environment, service, _ROLLOUTS, before=newest[-1].sequence)]
            for entry in reversed(newest):
                found.take(entry)
        if entries:  # one of which nothing is known is only a name that somebody asked for
            self._known[environment] = found
        return found


async def milestones(ledger: Ledger, environment: str, service: str, rollouts: int, *, before: int = 0) -> Sequence[Entry]:
    """Return those of the newest ``rollouts`` of a service, and perhaps of some more; newest first."""
    query = Query(environment=environment, service=service, kinds=MILESTONES, limit=4 * rollouts, newest=True)
    entries: list[Entry] = []
    while True:
        read = await ledger.read(structs.replace(query, before=entries[-1].sequence if entries else before))
        entries += read
        if len(read) < query.limit or _rollouts(entries) >= rollouts:
            return entries


def _rollouts(entries: Iterable[Entry]) -> int:
    return sum(isinstance(entry.event, RolloutStarted) for entry in entries)


class _Environment:
    def __init__(self, ledger: Ledger, environment: str, after: int) -> None:
        self.entries: dict[str, tuple[Entry, ...]] = {}
        self.recent = Recent(ledger, MILESTONES, self.take, environment=environment, after=after)
        self._lately: dict[str, Lately] = {}

    def take(self, entry: Entry) -> None:
        entries = (*self.entries.get(entry.service, ()), entry)
        self.entries[entry.service] = _newest(entries) if isinstance(entry.event, RolloutStarted) else entries
        self._lately.pop(entry.service, None)

    def lately(self, service: str) -> Lately:
        if service not in self.entries:
            return NOTHING
        if service not in self._lately:
            self._lately[service] = lately(self.entries[service], _ROLLOUTS)
        return self._lately[service]


def _newest(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the entries from the oldest rollout on that is told of, or from what says which release serves."""
    begun = [entry.sequence for entry in entries if isinstance(entry.event, RolloutStarted)]
    told = [entry.sequence for entry in entries if isinstance(entry.event, Settled | ServiceRemoved)]
    oldest = min([*begun[-_ROLLOUTS:], *told[-1:]])
    return tuple(entry for entry in entries if entry.sequence >= oldest)
