"""Migrations: once, in order, all or nothing."""

import asyncio

import psycopg
import pytest

from bleen.domain.errors import InvalidInput
from bleen.providers.postgres.connections import Connections
from bleen.providers.postgres.migrate import Migration, migrate, shipped


async def rows(url: str, sql: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(sql.encode())).fetchall()


async def execute(url: str, sql: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(sql.encode())


async def run(url: str, migrations: tuple[Migration, ...]) -> None:
    connections = Connections(url)
    async with connections.take() as connection:
        await migrate(connection, migrations)
    await connections.close()


def test_migrations_ship_with_the_package() -> None:
    """The numbers run from 1 without a gap, and each file says in its name what it is for."""
    migrations = shipped()
    assert [m.number for m in migrations] == list(range(1, len(migrations) + 1))
    assert migrations[0].name == "0001_ledger.sql"


async def test_each_migration_is_applied_once(database_url: str) -> None:
    """A second run, and a run with one more, apply only what is missing."""
    more = (*shipped(), Migration(99, "0099_more.sql", "create table bleen.more (n int)"))
    await run(database_url, shipped())
    await run(database_url, more)
    await run(database_url, more)
    assert await rows(database_url, "select number from bleen.migrations order by number") == [
        *((m.number,) for m in shipped()),
        (99,),
    ]


async def test_many_processes_may_migrate_at_once(database_url: str) -> None:
    """Eight first connections to an empty database leave each migration applied once, and none fails."""
    await asyncio.gather(*(run(database_url, shipped()) for _ in range(8)))
    assert await rows(database_url, "select count(*) from bleen.migrations") == [(len(shipped()),)]


async def test_a_migration_that_fails_changes_nothing(database_url: str) -> None:
    """One wrong statement takes back every migration of that run."""
    broken = (*shipped(), Migration(98, "0098_broken.sql", "create table bleen.half (n int); select nothing_like_it"))
    with pytest.raises(psycopg.Error):
        await run(database_url, broken)
    assert await rows(database_url, "select to_regclass('bleen.half'), to_regclass('bleen.entries')") == [(None, None)]


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    """A migration that this version does not know is named, and nothing is touched."""
    await run(database_url, (*shipped(), Migration(99, "0099_future.sql", "select 1")))
    with pytest.raises(InvalidInput, match=r"0099_future\.sql"):
        await run(database_url, shipped())


async def test_an_edited_migration_is_refused(database_url: str) -> None:
    """A migration whose text is not what was applied is named."""
    await run(database_url, shipped())
    edited = (Migration(1, "0001_ledger.sql", "select 2"),)
    with pytest.raises(InvalidInput, match=r"0001_ledger\.sql differs"):
        await run(database_url, edited)


async def test_an_up_to_date_database_needs_no_right_to_create(database_url: str) -> None:
    """A role that may only read and write the ledger can use a database that someone else migrated."""
    await run(database_url, shipped())
    await execute(
        database_url,
        "do $$ begin if not exists (select from pg_roles where rolname = 'app') then create role app login password 'app';"
        " end if; end $$; revoke create on database test from app; grant usage on schema bleen to app;"
        " grant select on bleen.migrations to app",
    )
    credentials = database_url.split("//")[1].split("@")[0]
    await run(database_url.replace(credentials, "app:app"), shipped())
