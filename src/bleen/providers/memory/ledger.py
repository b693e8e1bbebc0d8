"""The ledger in memory: for tests and dry runs. It forgets when its process ends."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from msgspec import structs

from bleen.domain.ledger import (
    Draft,
    Entry,
    Query,
    check_draft,
    check_names,
    check_query,
    kind_of,
    no_release,
    read_event,
    release_content,
    write_event,
)
from bleen.domain.release import Release


def utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryLedger:
    """Keeps the port `Ledger`. ``clock`` dates the entries."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._entries: list[Entry] = []
        self._by_key: dict[str, Entry] = {}
        self._releases: dict[str, dict[str, Release]] = {}

    async def append(self, draft: Draft) -> Entry:
        check_draft(draft)
        known = self._by_key.get(draft.key)
        if known is not None:
            return known
        entry = Entry(
            sequence=len(self._entries) + 1,
            at=self._clock(),
            key=draft.key,
            environment=draft.environment,
            service=draft.service,
            # Through text and back, so that what memory keeps is what a database would.
            event=read_event(write_event(draft.event), draft.key),
            by=draft.by,
            rollout=draft.rollout,
        )
        self._entries.append(entry)
        self._by_key[entry.key] = entry
        return entry

    async def read(self, query: Query) -> Sequence[Entry]:
        check_query(query)
        # Sequences count from 1 without gaps, so that an entry's sequence is its place.
        end = min(max(query.before - 1, 0), len(self._entries)) if query.before else len(self._entries)
        fresh = range(max(query.after, 0), end)
        places = reversed(fresh) if query.newest else fresh
        matching = (self._entries[i] for i in places if _matches(self._entries[i], query))
        chosen = _of_each(matching, query.each) if query.each else matching
        return tuple(islice(chosen, query.limit))

    async def make_release(self, release: Release) -> Release:
        check_names(service=release.service)
        made = self._releases.setdefault(release.service, {})
        content = release_content(release)
        if content not in made:
            made[content] = structs.replace(release, number=len(made) + 1)
        return made[content]

    async def release(self, service: str, number: int) -> Release:
        check_names(service=service)
        for made in self._releases.get(service, {}).values():
            if made.number == number:
                return made
        raise no_release(service, number)

    async def releases(self, service: str) -> Sequence[Release]:
        check_names(service=service)
        return tuple(reversed(self._releases.get(service, {}).values()))


def _of_each(entries: Iterable[Entry], most: int) -> Iterator[Entry]:
    count = Counter[str]()
    for entry in entries:
        count[entry.service] += 1
        if count[entry.service] <= most:
            yield entry


def _matches(entry: Entry, query: Query) -> bool:
    return (
        query.service in ("", entry.service)
        and query.environment in ("", entry.environment)
        and query.rollout in ("", entry.rollout)
        and query.by in ("", entry.by)
        and (not query.kinds or kind_of(entry.event) in query.kinds)
    )
