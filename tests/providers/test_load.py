"""The load generator sees what goes wrong, and blames nobody for what is right."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bleen.providers.load import Generator, Load, Mode, quantile

GOOD = b"HTTP/1.1 200 OK\r\nx-instance: a-1\r\ncontent-length: 2\r\n\r\nok"
Answer = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """Serve with ``answer``, which is told the number of the request on its connection; return the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while not writer.is_closing() and await reader.readline():
            while (await reader.readline()).strip():
                pass
            await answer(writer, number)
            number += 1
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port


async def good(writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(GOOD)


@pytest.mark.parametrize("mode", [Mode.KEEP_ALIVE, Mode.NEW])
async def test_it_sends_on_schedule(mode: Mode) -> None:
    """So many a second, each told with its instance."""
    async with serving(good) as port:
        outcome = await Generator(Load(port, 200, mode, mark="x-instance")).run(0.5)
    assert 90 <= len(outcome.samples) <= 101
    assert (outcome.failures, {sample.answered_by for sample in outcome.samples}) == ([], {"a-1"})


async def test_a_stall_counts_for_all_that_were_due(mode: Mode = Mode.KEEP_ALIVE) -> None:
    """A server that stalls for 200 ms delays every request that was due meanwhile: no pause in asking hides it."""
    began = time.monotonic()

    async def stalls(writer: asyncio.StreamWriter, number: int) -> None:
        await asyncio.sleep(max(0.0, began + 0.3 - time.monotonic()))
        writer.write(GOOD)

    async with serving(stalls) as port:
        outcome = await Generator(Load(port, 200, mode, mark="x-instance")).run(0.4)
    assert sum(sample.latency > 0.05 for sample in outcome.samples) > 30
    assert outcome.failures == []


async def test_what_is_closed_under_a_request_has_failed() -> None:
    """No answer is a failure, however the connection ended."""

    async def closes(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(GOOD if number == 0 else b"")
        if number:
            writer.close()

    async with serving(closes) as port:
        outcome = await Generator(Load(port, 100, mark="x-instance")).run(0.3)
    assert len(outcome.failures) > 5
    assert "closed under a request" in outcome.failures[0].failure


async def test_a_connection_that_is_announced_to_close_is_not_used_again() -> None:
    """``connection: close`` is no failure: the next request takes another connection."""

    async def closes(writer: asyncio.StreamWriter, number: int) -> None:
        assert number == 0
        writer.write(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async with serving(closes) as port:
        outcome = await Generator(Load(port, 100, mark="x-instance")).run(0.3)
    assert outcome.failures == []


async def test_errors_and_silence_have_failed() -> None:
    """A 503, no connection and no answer in time, each in its own words."""

    async def fails(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 503 Down\r\ncontent-length: 4\r\n\r\nbusy")

    async def silent(writer: asyncio.StreamWriter, number: int) -> None:
        await asyncio.sleep(0)

    async with serving(fails) as port:
        outcome = await Generator(Load(port, 50, mark="x-instance")).run(0.1)
        assert {sample.failure for sample in outcome.samples} == {"503 busy"}
    outcome = await Generator(Load(port, 50, mark="x-instance")).run(0.1)
    assert all(sample.failure.startswith("no connection") for sample in outcome.samples)
    async with serving(silent) as port:
        outcome = await Generator(Load(port, 50, patience=0.2, mark="x-instance")).run(0.1)
        assert {sample.failure for sample in outcome.samples} == {"no answer in 0.2 s"}


async def test_a_chunked_answer_ends_with_its_last_chunk() -> None:
    """However the bytes arrive."""

    async def chunks(writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-instance: a-1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r")
        await asyncio.sleep(0.05)
        writer.write(b"\n\r\n")

    async with serving(chunks) as port:
        outcome = await Generator(Load(port, 50, Mode.STREAM, mark="x-instance")).run(0.1)
    assert outcome.failures == []
    assert all(sample.latency > 0.04 for sample in outcome.samples)


def test_quantiles_are_nearest_rank() -> None:
    """Of nothing there is none."""
    assert (quantile(range(100), 0.5), quantile([3.0], 0.99)) == (50, 3.0)
    assert quantile([], 0.5) != quantile([], 0.5)
