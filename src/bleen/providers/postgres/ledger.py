"""The ledger on PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import structs

from bleen.domain.codec import decode, encode
from bleen.domain.errors import InvalidInput
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
from bleen.providers.postgres.database import Database, Row

COLUMNS = "sequence, at, key, environment, service, rollout, by, body"
APPEND = f"select {COLUMNS} from bleen.append(%s, %s, %s, %s, %s, %s, %s)"
READ = f"select {COLUMNS} from bleen.entries where sequence > %s"
# One look into the index for each service, however many entries there are: `distinct` reads all of them.
NEXT = "select service from bleen.entries where service > s.service order by service limit 1"
SERVICES = f"""with recursive services(service) as (
    (select service from bleen.entries order by service limit 1)
    union all select ({NEXT}) from services s where s.service is not null
)"""
OF_EACH = f"{SERVICES} select newest.* from services s, lateral ({READ} and service = s.service"
MAKE_RELEASE = "select number, body from bleen.make_release(%s, %s, %s)"
READ_RELEASES = "select number, body from bleen.releases where service = %s"


class PostgresLedger:
    """Keeps the port `Ledger`. Its verbs may be tried twice without harm, and are: see `Database`."""

    def __init__(self, url: str, *, owner_url: str = "", patience: float = 3.0, hang_up_after: float = 15.0) -> None:
        self.database = Database(url, owner_url=owner_url, patience=patience, hang_up_after=hang_up_after)

    async def close(self) -> None:
        """Let go of the server."""
        await self.database.close()

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
        return _entry(*await self.database.rows(APPEND, values))

    async def read(self, query: Query) -> Sequence[Entry]:
        check_query(query)
        sql, values = _select(query)
        return tuple(_entry(row) for row in await self.database.rows(sql, values))

    async def make_release(self, release: Release) -> Release:
        check_names(service=release.service)
        body = encode(structs.replace(release, number=0)).decode()
        return _release(*await self.database.rows(MAKE_RELEASE, (release.service, release_content(release), body)))

    async def release(self, service: str, number: int) -> Release:
        check_names(service=service)
        rows = await self.database.rows(f"{READ_RELEASES} and number = %s", (service, number))
        if not rows:
            raise no_release(service, number)
        return _release(*rows)

    async def releases(self, service: str) -> Sequence[Release]:
        check_names(service=service)
        return tuple(_release(row) for row in await self.database.rows(f"{READ_RELEASES} order by number desc", (service,)))


def _select(query: Query) -> tuple[str, list[object]]:
    sql = [OF_EACH if query.each else READ]
    values: list[object] = [query.after]
    filters: list[tuple[str, object]] = [
        ("service = %s", query.service),
        ("environment = %s", query.environment),
        ("rollout = %s and rollout <> ''", query.rollout),
        ("kind = any(%s)", list(query.kinds)),
        ("by = %s and by <> ''", query.by),
        ("sequence < %s", query.before),
    ]
    chosen = [(condition, value) for condition, value in filters if value]
    sql += [f"and {condition}" for condition, _ in chosen]
    values += [value for _, value in chosen]
    if query.each:
        sql.append("order by sequence desc limit %s) newest")
        values.append(query.each)
    sql.append(f"order by sequence {'desc' if query.newest else 'asc'} limit %s")
    return " ".join(sql), [*values, query.limit]


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
