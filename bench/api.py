"""The API and the audit on large ledgers: reads at 200 a second over 100,000 entries, and an audit of 1,000,000.

``BLEEN_BENCH_ENTRIES`` makes the large ledger smaller.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import quantiles

import httpx
import psutil

from bench.apiserver import TOKEN
from bench.ledgers import SERVICES, fill, postgres
from bench.report import Report, Row
from bleen.app.home import free_port
from bleen.domain.decision import Wait
from bleen.domain.ledger import Decided, Draft
from bleen.providers.memory.log import MemorySeal
from bleen.providers.postgres.ledger import PostgresLedger
from bleen.providers.postgres.log import PostgresLog
from bleen.workflows.notary import Notary

SMALL = 100_000
LARGE = int(os.environ.get("BLEEN_BENCH_ENTRIES", "1000000"))
RATE = 200
WARM, SECONDS = 2, 20
PATHS = (
    "/v1/services/service-{n}",
    "/v1/services/service-{n}/history",
    "/v1/services/service-{n}/explanation",
    "/v1/rollouts/dev/service-{n}/3/explanation",
    "/v1/audit?service=service-{n}&limit=50",
    "/v1/audit?limit=50",
    "/v1/audit?by=ada&limit=50",
    "/v1/audit/proofs/{m}",
)
APPENDS = 500
ALONE = 30
STREAMS, MOVING = 200, 20
NEWS = 20
"""Entries a second: of 20 services that change, each makes one."""
NAMED = re.compile(rb"news/[0-9]+")


def run() -> Report:
    """Measure, in a few minutes; most of it writes the ledgers."""
    report = Report("api")
    with postgres() as url:
        report.rows.append(Row(f"migration of {LARGE:,} entries of before the log", fill(url, LARGE), "s"))
        asyncio.run(_audit(report, url))
    with postgres() as url:
        fill(url, SMALL)
        asyncio.run(_appends(report, url))
        _reads(report, url)
        _streams(report, url)
    return report


@contextmanager
def _server(url: str) -> Iterator[tuple[int, psutil.Process]]:
    """Yield the port of a server over the ledger of ``url``, once it answers, and its process."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.apiserver", url, str(port)])
    try:
        asyncio.run(_until_ready(port))
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _reads(report: Report, url: str) -> None:
    with _server(url) as (port, _):
        alone = asyncio.run(_alone(port, "/v1/overview"))
        took = asyncio.run(_ask(port))
    report.rows.append(Row(f"GET /v1/overview of {SERVICES} services, alone, the first", alone[0] * 1000, "ms"))
    report.rows.append(Row("the same again, p50", _percentile(alone[1:], 50), "ms"))
    for path in PATHS:
        mine = [seconds for asked, seconds in took if asked == path]
        name = path.replace("{n}", "N").replace("{m}", "N")
        report.rows.append(Row(f"GET {name}, p99", _percentile(mine, 99), "ms"))
    everything = [seconds for _, seconds in took]
    report.rows.append(Row(f"all of them, p50, {RATE} a second, {SMALL:,} entries", _percentile(everything, 50), "ms"))
    report.rows.append(Row(f"all of them, p99, {RATE} a second, {SMALL:,} entries", _percentile(everything, 99), "ms", goal=50))


async def _ask(port: int) -> list[tuple[str, float]]:
    """Return the path and the seconds of each request, counted from the moment at which it was due.

    Those of the first seconds are left out: the server opens its connections to the database then.
    """
    took: list[tuple[str, float]] = []
    lines = Lines(port)

    async def one(number: int, due: float) -> None:
        path = PATHS[number % len(PATHS)]
        status, body = await lines.get(path.format(n=number % 200, m=number * 17 % SMALL + 1))
        assert status == 200, body
        if number >= RATE * WARM:
            took.append((path, time.perf_counter() - due))

    async with asyncio.TaskGroup() as tasks:
        begin = time.perf_counter()
        for number in range(RATE * (WARM + SECONDS)):
            due = begin + number / RATE
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            tasks.create_task(one(number, due))
    return took


async def _alone(port: int, path: str) -> list[float]:
    """Return the seconds of requests of which each begins after the last has ended."""
    lines, took = Lines(port), []
    for _ in range(ALONE):
        began = time.perf_counter()
        status, body = await lines.get(path)
        assert status == 200, body
        took.append(time.perf_counter() - began)
    return took


def _streams(report: Report, url: str) -> None:
    """Have many listen to all that happens while entries are made, and tell what that takes of the server's processor."""
    with _server(url) as (port, process):
        lags, cores = asyncio.run(_listened(port, url, process))
    name = f"{STREAMS} event streams, {NEWS} entries a second"
    assert len(lags) == STREAMS * NEWS * SECONDS, f"{len(lags)} events arrived"
    report.rows.append(Row(f"{name}: the server's processor", cores, "cores", goal=1))
    report.rows.append(Row(f"{name}: from an entry to a listener, p99", _percentile(lags, 99), "ms", goal=1000))


async def _listened(port: int, url: str, process: psutil.Process) -> tuple[list[float], float]:
    """Return the seconds from each entry to each listener, and the cores that the server took."""
    made, lags, ledger = dict[bytes, float](), list[float](), PostgresLedger(url)
    async with asyncio.TaskGroup() as tasks:
        listening = [asyncio.Event() for _ in range(STREAMS)]
        for each in listening:
            tasks.create_task(_listen(port, each, made, lags))
        await asyncio.gather(*(each.wait() for each in listening))
        await asyncio.sleep(1)
        began, before = time.perf_counter(), sum(process.cpu_times()[:2])
        for number in range(NEWS * SECONDS):
            await asyncio.sleep(max(began + number / NEWS - time.perf_counter(), 0))
            key = f"news/{number}"
            made[key.encode()] = time.perf_counter()
            await ledger.append(Draft(key, "dev", f"service-{number % MOVING}", Decided(Wait(key)), by="ada"))
        await asyncio.sleep(1)
        cores = (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began)
    await ledger.close()
    return lags, cores


async def _listen(port: int, listening: asyncio.Event, made: dict[bytes, float], lags: list[float]) -> None:
    """Take the events of a stream until all that were made have arrived."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000_000)
    writer.write(f"GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
    await reader.readuntil(b"retry: 1000\n\n")
    listening.set()
    last = b""
    while last != f"news/{NEWS * SECONDS - 1}".encode():
        event = await reader.readuntil(b"\n\n")
        if found := NAMED.search(event):
            last = found[0]
            lags.append(time.perf_counter() - made[last])
    writer.close()


class Lines:
    """Connections that stay open, of a client so small that what is measured is the server: a real one took a whole core."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._turn = asyncio.Semaphore(50)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body; asked again where an idle connection was closed just then: its time counts on."""
        async with self._turn:
            while self._idle:
                try:
                    return await self._asked(path, *self._idle.pop())
                except (asyncio.IncompleteReadError, ConnectionError):
                    continue
            return await self._asked(path, *await asyncio.open_connection("127.0.0.1", self._port))

    async def _asked(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), body


async def _until_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient() as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
    raise AssertionError("the server never answered")


async def _appends(report: Report, url: str) -> None:
    ledger, took = PostgresLedger(url), []
    for number in range(APPENDS):
        began = time.perf_counter()
        await ledger.append(Draft(f"bench/{number}", "dev", "service-1", Decided(Wait("x" * 1000)), by="ada"))
        took.append(time.perf_counter() - began)
    await ledger.close()
    report.rows.append(Row("append of an entry and its leaf, p50", _percentile(took, 50), "ms"))
    report.rows.append(Row("append of an entry and its leaf, p99", _percentile(took, 99), "ms"))


async def _audit(report: Report, url: str) -> None:
    ledger = PostgresLedger(url)
    notary = Notary(ledger, PostgresLog(ledger.database), MemorySeal())
    await notary.seal()
    found = await notary.verify()
    assert found.clean and found.size == LARGE, found
    report.rows.append(Row(f"audit verify of {LARGE:,} entries", found.seconds, "s", goal=30))
    began = time.perf_counter()
    await notary.prove(LARGE // 3)
    report.rows.append(Row("proof of one of them", (time.perf_counter() - began) * 1000, "ms"))
    await ledger.close()


def _percentile(seconds: Sequence[float], percent: int) -> float:
    return quantiles(seconds, n=100)[percent - 1] * 1000
