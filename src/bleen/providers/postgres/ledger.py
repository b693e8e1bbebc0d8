"""The ledger on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import psycopg
from msgspec import structs

from bleen.domain.codec import decode, encode
from bleen.domain.errors import InvalidInput, Unreachable
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
from bleen.providers.postgres.connections import Connection, Connections
from bleen.providers.postgres.errors import translate
from bleen.providers.postgres.migrate import migrate, shipped

T = TypeVar("T")
Row = tuple[object, ...]

COLUMNS = "sequence, at, key, environment, service, rollout, by, body"
APPEND = f"select {COLUMNS} from bleen.append(%s, %s, %s, %s, %s, %s, %s)"
READ = f"select {COLUMNS} from bleen.entries where sequence > %s"
MAKE_RELEASE = "select number, body from bleen.make_release(%s, %s, %s)"
READ_RELEASES = "select number, body from bleen.releases where service = %s"

RETRY_EVERY = 0.05
"""Seconds between two attempts while the server is away."""


class PostgresLedger:
    """Keeps the port `Ledger`. Migrates the database at its first use.

    Every verb may be tried twice without harm, so that one that finds the server gone tries again for
    ``patience`` seconds: that covers a restart of the embedded server.
    """

    def __init__(self, url: str, *, patience: float = 3.0, hang_up_after: float = 15.0) -> None:
        self._connections = Connections(url, hang_up_after=hang_up_after)
        self._patience = patience
        self._migrated = False
        self._migrating = asyncio.Lock()

    async def close(self) -> None:
        """Let go of the server."""
        await self._connections.close()

    async def append(self, draft: Draft) -> Entry:
        check_draft(draft)
        values = (
            draft.key,
            draft.environment,
            draft.service,
            draft.rollout,
            kind_of(draft.event),
            draft.by,
            write_event(draft.event),
        )
        return _entry(*await self._rows(APPEND, values))

    async def read(self, query: Query) -> Sequence[Entry]:
        check_query(query)
        sql, values = _select(query)
        return tuple(_entry(row) for row in await self._rows(sql, values))

    async def make_release(self, release: Release) -> Release:
        check_names(service=release.service)
        body = encode(structs.replace(release, number=0)).decode()
        return _release(*await self._rows(MAKE_RELEASE, (release.service, release_content(release), body)))

    async def release(self, service: str, number: int) -> Release:
        check_names(service=service)
        rows = await self._rows(f"{READ_RELEASES} and number = %s", (service, number))
        if not rows:
            raise no_release(service, number)
        return _release(*rows)

    async def releases(self, service: str) -> Sequence[Release]:
        check_names(service=service)
        return tuple(_release(row) for row in await self._rows(f"{READ_RELEASES} order by number desc", (service,)))

    async def _rows(self, sql: str, values: Sequence[object]) -> list[Row]:
        async def work(connection: Connection) -> list[Row]:
            return await (await connection.execute(sql, values)).fetchall()

        return await self._try(work)

    async def _try(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what ``work`` returns, tried again while the server is away and patience lasts."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await self._try_once(work)
            except psycopg.Error as error:
                translated = translate(error)
                if not isinstance(translated, Unreachable) or loop.time() >= deadline:
                    raise translated from error
            await asyncio.sleep(RETRY_EVERY)

    async def _try_once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._connections.take() as connection:
            if not self._migrated:
                async with self._migrating:
                    await migrate(connection, shipped())
                self._migrated = True
            return await work(connection)


def _select(query: Query) -> tuple[str, list[object]]:
    sql, values = [READ], [query.after]
    filters: list[tuple[str, object]] = [
        ("service = %s", query.service),
        ("environment = %s", query.environment),
        ("rollout = %s and rollout <> ''", query.rollout),
        ("kind = any(%s)", list(query.kinds)),
    ]
    chosen = [(condition, value) for condition, value in filters if value]
    sql += [f"and {condition}" for condition, _ in chosen]
    sql.append(f"order by sequence {'desc' if query.newest else 'asc'} limit %s")
    return " ".join(sql), [*values, *(value for _, value in chosen), query.limit]


def _entry(row: Row) -> Entry:
    sequence, at, key, environment, service, rollout, by, body = row
    assert isinstance(sequence, int) and isinstance(at, datetime)
    return Entry(
        sequence=sequence,
        at=at.astimezone(UTC),
        key=str(key),
        environment=str(environment),
        service=str(service),
        event=read_event(str(body), f"ledger entry {sequence}"),
        by=str(by),
        rollout=str(rollout),
    )


def _release(row: Row) -> Release:
    number, body = row
    assert isinstance(number, int)
    try:
        return structs.replace(decode(str(body), Release), number=number)
    except msgspec.MsgspecError as error:
        raise InvalidInput(
            f"release r{number} cannot be read",
            why=f"it was made by another version of Bleen, perhaps a newer one: {error}",
            next="run the version of Bleen that made it",
        ) from error
