"""The switch of all traffic from one colour to the other, under load, beside other gateways doing the same.

Two blue and two green instances; open-loop load; the old colour's instances are stopped by SIGTERM half a second after
each switch, and started again. The peers run one after the other, on the same work, in the same run.
"""

import asyncio
import itertools
import math
import multiprocessing
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers.bleen import Bleen, route
from bench.peers.caddy import Caddy
from bench.peers.haproxy import HaproxyReload, HaproxyWeights
from bench.peers.nginx import Nginx
from bench.peers.peer import Address, Colours, NotReady, Peer, until
from bench.peers.traefik import Traefik
from bench.report import Report, Row
from bench.upstream import serve
from bleen.domain.codec import encode
from bleen.domain.errors import StaleGeneration
from bleen.domain.listing import Listing
from bleen.domain.traffic import Colour, Split
from bleen.providers.envoy.files import write_whole
from bleen.providers.envoy.ports import free_port
from bleen.providers.envoy.render import routes
from bleen.providers.load import Load, LoadProcess, Mode, Outcome, quantile

# Forked from a server that has everything imported: starting Python anew takes a tenth of a second of both cores,
# and every gateway would be measured by that.
INSTANCES = multiprocessing.get_context("forkserver")
INSTANCES.set_forkserver_preload(["bench.upstream"])
PEERS: Sequence[type[Peer]] = (HaproxyWeights, HaproxyReload, Nginx, Traefik, Caddy)
SIZE = 2
"""Instances of each colour."""
OLD_STAYS = 0.5
"""Seconds from a switch to the SIGTERM of the old colour."""
SETTLES = 0.4
"""Seconds from the new start of the old colour to the next switch."""
PAIRS = 1000
RAW_PAIRS = 200


@dataclass(frozen=True)
class Work:
    """One way of asking, and how often it is switched meanwhile."""

    mode: Mode
    rate: float
    switches: int
    path: str = "/"


WORKS = (
    Work(Mode.KEEP_ALIVE, 1000, 5),
    Work(Mode.NEW, 1000, 5),
    Work(Mode.SLOW, 500, 3, "/slow/2"),
    Work(Mode.STREAM, 100, 3, "/stream/3"),
)


@dataclass
class Found:
    """What one work at one gateway showed."""

    sent: int
    failures: Sequence[str]
    p99: float
    effects: list[float] = field(default_factory=list)
    """Seconds from each order to the last request that still began on the old colour."""


class Colony:
    """The instances of both colours."""

    def __init__(self, number: int) -> None:
        port = free_port()
        self.colours: Colours = {
            colour: [(f"127.78.{number}.{1 + 10 * index + n}", port) for n in range(SIZE)]
            for index, colour in enumerate(("blue", "green"))
        }
        self._running: dict[Address, BaseProcess] = {}
        self._leaving: list[BaseProcess] = []
        self._serials = itertools.count()

    async def start(self, colour: str) -> None:
        """Return when every instance of ``colour`` answers."""
        names = {where: f"{colour}-{next(self._serials)}" for where in self.colours[colour]}
        for where, name in names.items():
            self._running[where] = INSTANCES.Process(target=serve, args=(name, *where), daemon=True)
            self._running[where].start()
        for where, name in names.items():
            await until(partial(_answers_as, where, name), f"{name} did not start at {where}", 20)

    def stop(self, colour: str) -> None:
        """SIGTERM: they finish what they have begun."""
        for where in self.colours[colour]:
            process = self._running.pop(where)
            process.terminate()
            self._leaving.append(process)

    async def end(self) -> None:
        """Kill all."""
        for process in (*self._running.values(), *self._leaving):
            process.kill()
            await asyncio.to_thread(process.join)


async def _answers_as(where: Address, name: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection(*where)
        writer.write(b"GET /health HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        return False
    writer.close()
    return f"x-instance: {name}\r\n".encode() in head


async def measure(kind: type[Peer], work: Work, number: int) -> Found:
    """Return what ``work`` shows at a new gateway of ``kind``."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bleen-bench-")))
        colony = Colony(number)
        stack.push_async_callback(colony.end)
        await asyncio.gather(colony.start("blue"), colony.start("green"))
        peer = kind(folder, free_port(), colony.colours)
        await peer.start()
        stack.push_async_callback(peer.stop)
        load = LoadProcess(Load(peer.port, work.rate, work.mode, path=work.path, mark="x-instance"))
        await load.start()
        await asyncio.sleep(1.0)
        orders = [await _switch(peer, colony, "green" if n % 2 == 0 else "blue") for n in range(work.switches)]
        outcome = await load.stop()
    failures = [sample.failure for sample in outcome.failures]
    return Found(len(outcome.samples), failures, outcome.quantile(0.99), _effects(outcome, orders))


async def _switch(peer: Peer, colony: Colony, colour: str) -> tuple[float, str]:
    await peer.ready(colour)
    ordered = time.perf_counter()
    await peer.switch(colour)
    await asyncio.sleep(max(0.0, ordered + OLD_STAYS - time.perf_counter()))
    old = "blue" if colour == "green" else "green"
    colony.stop(old)
    await colony.start(old)
    await asyncio.sleep(SETTLES)
    return ordered, colour


def _effects(outcome: Outcome, orders: Sequence[tuple[float, str]]) -> list[float]:
    effects = []
    for (ordered, colour), following in zip(orders, [*(at for at, _ in orders[1:]), float("inf")], strict=True):
        # What begins just before the next order may reach the gateway after it, and rightly be answered by its colour.
        until_next = following - SETTLES / 2
        after = [sample for sample in outcome.samples if ordered < sample.started < until_next and "-" in sample.answered_by]
        old = [sample.started for sample in after if not sample.answered_by.startswith(colour)]
        effects.append(max(old, default=ordered) - ordered)
    return effects


async def direct(work: Work) -> float:
    """Return the p99 of ``work`` with no gateway between."""
    colony = Colony(99)
    try:
        await colony.start("blue")
        address, port = colony.colours["blue"][0]
        load = LoadProcess(Load(port, work.rate, work.mode, address, path=work.path, mark="x-instance"))
        await load.start()
        await asyncio.sleep(3.0)
        return (await load.stop()).quantile(0.99)
    finally:
        await colony.end()


async def compare(report: Report) -> None:
    """Add the rows of every work at every gateway."""
    absent = [peer for peer in PEERS if peer.missing()]
    report.notes += [peer.missing() for peer in absent]
    for place, work in enumerate(WORKS):
        base = await direct(work)
        found: dict[str, Found | None] = {}
        kinds: Sequence[type[Peer]] = (Bleen, *PEERS)
        for number, kind in enumerate(kinds, start=10 * place):
            found[kind.name] = None if kind in absent else await _measure_or_note(report, kind, work, number)
        report.rows += _rows(work, found, base)
        _note_failures(report, work, found)


async def _measure_or_note(report: Report, kind: type[Peer], work: Work, number: int) -> Found | None:
    try:
        return await measure(kind, work, number)
    except NotReady as error:
        report.notes.append(f"{kind.name}, {work.mode}: {error}")
        return None


def _rows(work: Work, found: dict[str, Found | None], base: float) -> list[Row]:
    sent = max((each.sent for each in found.values() if each), default=0)
    return [
        _row(f"{work.mode}: failed requests", f"of {sent}", found, lambda f: len(f.failures), 0),
        _row(
            f"{work.mode}: order to last request on old, median", "ms", found, lambda f: 1000 * quantile(f.effects, 0.5), 10.0
        ),
        _row(f"{work.mode}: order to last request on old, longest", "ms", found, lambda f: 1000 * max(f.effects)),
        _row(f"{work.mode}: p99 added to direct", "ms", found, lambda f: 1000 * (f.p99 - base)),
    ]


def _row(
    metric: str, unit: str, found: dict[str, Found | None], of: Callable[[Found], float], goal: float | None = None
) -> Row:
    figures = {name: None if each is None else _finite(of(each)) for name, each in found.items()}
    value = figures.pop(Bleen.name)
    return Row(metric, value, unit, "lower", goal, {peer.name: figures[peer.name] for peer in PEERS})


def _finite(figure: float) -> float | None:
    return round(figure, 3) if math.isfinite(figure) else None


def _note_failures(report: Report, work: Work, found: dict[str, Found | None]) -> None:
    for name, each in found.items():
        for failure in sorted(set(each.failures))[:2] if each else ():
            report.notes.append(
                f"{name}, {work.mode}: {each.failures.count(failure) if each else 0} x {' '.join(failure.split())[:60]}"
            )


async def with_bleen(use: Callable[[Bleen, Report], Awaitable[None]], report: Report) -> None:
    """Run ``use`` on a Bleen with both colours behind it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bleen-bench-")))
        colony = Colony(98)
        stack.push_async_callback(colony.end)
        await asyncio.gather(colony.start("blue"), colony.start("green"))
        bleen = Bleen(folder, free_port(), colony.colours)
        await bleen.start()
        stack.push_async_callback(bleen.stop)
        await use(bleen, report)


async def pairs(bleen: Bleen, report: Report) -> None:
    """Promote, then roll back at once: every other pair one after the other, the rest in the same instant."""
    lost, seconds = 0, []
    for number in range(PAIRS):
        promote = (route(Split.of(Colour.GREEN)), bleen.generation + 1)
        rollback = (route(Split.of(Colour.BLUE)), bleen.generation + 2)
        bleen.generation += 2
        if number % 2:
            both = asyncio.create_task(bleen.gateway.set_route(*promote))
            await asyncio.sleep(0)
            began = time.perf_counter()
            await bleen.gateway.set_route(*rollback)
            seconds.append(time.perf_counter() - began)
            await _allow_stale(both)
        else:
            await bleen.gateway.set_route(*promote)
            began = time.perf_counter()
            await bleen.gateway.set_route(*rollback)
            seconds.append(time.perf_counter() - began)
        (seen,) = await bleen.gateway.observe("dev", "bench")
        lost += seen.route != rollback[0] or seen.generation != rollback[1]
    report.rows += [
        Row(f"{PAIRS} pairs back to back: the last did not win", lost, "pairs", "lower", 0),
        Row("pairs: last one not observed within 100 ms", sum(s > 0.1 for s in seconds), "pairs", "lower", 0),
        Row("pairs: rollback ordered to observed, median", round(1000 * quantile(seconds, 0.5), 2), "ms"),
        Row("pairs: rollback ordered to observed, longest", round(1000 * max(seconds), 2), "ms", "lower", 100),
    ]


async def _allow_stale(task: "asyncio.Task[None]") -> None:
    try:
        await task
    except StaleGeneration:
        return  # both were written at once, and only the newer one had to be


async def raw_pairs(bleen: Bleen, report: Report) -> None:
    """Two renames back to back, with nothing of Bleen's care: what Envoy makes of them."""
    lost = 0
    for number in range(RAW_PAIRS):
        for colour, version in ((Colour.GREEN, f"raw-{number}-a"), (Colour.BLUE, f"raw-{number}-b")):
            bleen.generation += 1
            listing = Listing("dev", "bench", bleen.generation, route(Split.of(colour)))
            write_whole(bleen.place.routes, encode(routes([listing], {}, version)))
        await asyncio.sleep(0.03)
        seen = (await bleen.gateway.observe("dev", "bench"))[0]
        lost += seen.generation != bleen.generation
    report.rows.append(Row(f"(plain renames, {RAW_PAIRS} pairs: second lost for good)", lost, "pairs"))


async def independent(bleen: Bleen, report: Report) -> None:
    """The same switches under wrk, which Bleen's authors did not write."""
    wrk = shutil.which("wrk")
    if wrk is None:
        report.notes.append("wrk is not installed")
        return
    words = [wrk, "-t1", "-c16", "-d5s", f"http://127.0.0.1:{bleen.port}/", "-H", "Host: localhost"]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    for number in range(18):
        await asyncio.sleep(0.25)
        await bleen.switch("green" if number % 2 == 0 else "blue")
    text = (await process.communicate())[0].decode()
    failed = sum(_numbers(text, "Non-2xx or 3xx responses:")) + sum(_numbers(text, "Socket errors:"))
    report.rows += [
        Row("wrk, 18 switches in 5 s: failed requests", failed, "requests", "lower", 0),
        Row("wrk: requests a second", float(next(iter(_words(text, "Requests/sec:")), "0")), "1/s", "higher"),
    ]


def _words(text: str, label: str) -> list[str]:
    return [word for line in text.splitlines() if line.strip().startswith(label) for word in line.replace(",", " ").split()[1:]]


def _numbers(text: str, label: str) -> list[int]:
    return [int(word) for word in _words(text, label) if word.isdigit()]


def run() -> Report:
    """Measure everything, in about four minutes."""
    report = Report("switch")
    asyncio.run(_run(report))
    return report


async def _run(report: Report) -> None:
    await compare(report)
    await with_bleen(pairs, report)
    await with_bleen(independent, report)
    await with_bleen(raw_pairs, report)
