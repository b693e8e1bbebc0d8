"""The ledger on a real PostgreSQL: the contract, and what only a database can get wrong."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from bleen.domain.errors import InvalidInput
from bleen.domain.ledger import Finished, Query
from bleen.providers.postgres.ledger import PostgresLedger
from tests.contracts.ledger import LedgerContract, a_draft, a_release


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(database_url)
    yield ledger
    await ledger.close()


class TestPostgresLedger(LedgerContract):
    """The kit."""


@pytest.mark.parametrize("table", ["entries", "releases"])
@pytest.mark.parametrize("change", ["update {} set body = ''", "delete from {}", "truncate {}"])
async def test_nothing_in_the_ledger_can_be_changed(ledger: PostgresLedger, database_url: str, table: str, change: str) -> None:
    """UPDATE, DELETE and TRUNCATE are refused with a clear error, even to the database's own superuser."""
    entry = await ledger.append(a_draft("k"))
    release = await ledger.make_release(a_release())
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        with pytest.raises(psycopg.Error, match=f"the ledger is append-only: [A-Z]+ of bleen.{table} is refused"):
            await connection.execute(change.format(f"bleen.{table}").encode())
    assert list(await ledger.read(Query())) == [entry]
    assert await ledger.release("hello", 1) == release


async def test_an_entry_of_a_newer_version_is_a_clear_error(ledger: PostgresLedger, database_url: str) -> None:
    """A kind of event that this version does not know is refused by sequence and name, not skipped."""
    await ledger.append(a_draft("k"))
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("""select bleen.append('n', 'dev', 'hello', '', 'melted', '', '{"type":"melted"}')""")
    with pytest.raises(InvalidInput, match=r"ledger entry 2: .*\n*.*newer.*melted"):
        await ledger.read(Query())


async def test_two_ledgers_share_one_database(ledger: PostgresLedger, database_url: str) -> None:
    """Two controllers on one new database both migrate it, and see each other's entries."""
    other = PostgresLedger(database_url)
    first = await ledger.append(a_draft("k"))
    assert await other.append(a_draft("k", event=Finished())) == first
    await other.close()
