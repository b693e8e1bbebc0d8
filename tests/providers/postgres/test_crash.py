"""What is acknowledged stays, and is there once, whoever dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psycopg
import pytest

from bleen.domain.errors import Unreachable
from bleen.domain.ledger import Entry, Query
from bleen.providers.postgres.ledger import PostgresLedger
from tests.contracts.ledger import a_draft
from tests.fixtures.postgres import RunningServer


@pytest.fixture
async def ledger(own_server: RunningServer) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(own_server.url, patience=20)
    yield ledger
    await ledger.close()


async def keep_appending(ledger: PostgresLedger, writer: int, stop: asyncio.Event) -> list[Entry]:
    """Append until ``stop``; return what was acknowledged."""
    done: list[Entry] = []
    while not stop.is_set():
        done.append(await ledger.append(a_draft(f"{writer}/{len(done)}", service=f"s{writer % 2}")))
    return done


async def test_a_killed_server_loses_and_doubles_nothing(own_server: RunningServer, ledger: PostgresLedger) -> None:
    """kill -9 in the middle of appends, five times: each acknowledged entry is there, once, and no append fails."""
    stop = asyncio.Event()
    writers = [asyncio.create_task(keep_appending(ledger, n, stop)) for n in range(8)]
    written = 0
    for _ in range(5):
        # Only ever kill a server that is at work: wait for new entries first.
        async with asyncio.timeout(20):
            while (now := len(await ledger.read(Query(limit=100_000)))) < written + 20:
                assert not any(writer.done() for writer in writers)
        written = now
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
    stop.set()
    acknowledged = [entry for entries in await asyncio.gather(*writers) for entry in entries]
    there = await ledger.read(Query(limit=100_000))
    assert {entry.key: entry for entry in there} == {entry.key: entry for entry in acknowledged}
    assert len(there) == len(acknowledged)


async def test_a_lost_answer_is_found_again(own_server: RunningServer, ledger: PostgresLedger) -> None:
    """An append whose connection was cut, perhaps after its commit, returns the one entry when it is tried again."""
    await ledger.append(a_draft("first"))
    stop = asyncio.Event()
    writer = asyncio.create_task(keep_appending(ledger, 1, stop))
    async with await psycopg.AsyncConnection.connect(own_server.url, autocommit=True) as other:
        for _ in range(50):
            await other.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bleen'")
            await other.execute("select pg_sleep(0.005)")
    stop.set()
    acknowledged = await writer
    there = [entry for entry in await ledger.read(Query(limit=100_000)) if entry.key != "first"]
    assert there == acknowledged


async def test_a_server_that_stays_away_is_unreachable(own_server: RunningServer) -> None:
    """When patience ends the error says so, and the ledger works again as soon as the server is back."""
    ledger = PostgresLedger(own_server.url, patience=0.2)
    await ledger.append(a_draft("a"))
    own_server.silence()
    with pytest.raises(Unreachable, match="the database did not answer"):
        await ledger.append(a_draft("b"))
    own_server.start()
    await ledger.append(a_draft("b"))
    assert [entry.key for entry in await ledger.read(Query())] == ["a", "b"]
    await ledger.close()


async def test_a_frozen_server_is_unreachable(own_server: RunningServer) -> None:
    """A server that takes the question and never answers is given up, and used again once it wakes."""
    ledger = PostgresLedger(own_server.url, patience=0, hang_up_after=0.5)
    await ledger.append(a_draft("a"))
    async with await psycopg.AsyncConnection.connect(own_server.url, autocommit=True) as other:
        found = await (await other.execute("select pid from pg_stat_activity where application_name = 'bleen'")).fetchall()
        assert len(found) == 1
        pid = found[0][0]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable):
            async with asyncio.timeout(10):
                await ledger.append(a_draft("b"))
        assert (await ledger.append(a_draft("c"))).key == "c"
    finally:
        os.kill(pid, signal.SIGCONT)
    await ledger.close()


async def test_a_cancelled_append_leaves_the_ledger_usable(ledger: PostgresLedger) -> None:
    """Cancelling at any moment neither poisons a connection nor uses up the room for them."""
    await ledger.append(a_draft("first"))
    for n in range(40):
        task = asyncio.create_task(ledger.append(a_draft(str(n))))
        for _ in range(n % 8):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await asyncio.gather(*(ledger.append(a_draft(str(n))) for n in range(40)))
    assert len(await ledger.read(Query())) == 41
