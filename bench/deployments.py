"""Twenty deployments in a row of each example, under load: how many requests fail.

BLEEN_DEPLOYMENTS   how many (20)

Every release differs from the one before; the old fleet is drained and retired before the next deployment begins.
"""

import asyncio
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

from bench.report import Report, Row
from bench.sockets import Sockets
from bench.stage import ENVIRONMENT, Stage, away, changed, example, running
from bleen.domain.decision import Shift
from bleen.domain.duration import seconds
from bleen.domain.ledger import Decided
from bleen.domain.release import Stop
from bleen.domain.rollout import Promoted
from bleen.domain.traffic import Colour
from bleen.interfaces.repository import LoadedService, with_version
from bleen.providers.load import Load, LoadProcess, Mode, Outcome, Sample, quantile

DEPLOYMENTS = int(os.environ.get("BLEEN_DEPLOYMENTS") or 20)
RATE = 1000.0
QUIET = 3.0
"""Seconds of load before the first deployment, and after the last."""
AROUND = 0.5
"""Seconds before and after a switch that count as the switch."""
LIFE = 3
"""Seconds that a stream or a socket lives: less than the drain time."""
DRAIN = Stop(drain=seconds(8), kill_after=seconds(5))


@dataclass
class Series:
    """Some deployments in a row."""

    promoted: list[float] = field(default_factory=list)
    """Seconds from the order to the outcome."""
    whole: list[float] = field(default_factory=list)
    """Seconds until the old fleet was gone."""
    switches: list[float] = field(default_factory=list)
    """When all traffic was decided to go to the new release; of `time.perf_counter`."""
    began: float = 0.0


Next = Callable[[int], LoadedService]
"""Returns the service as it is deployed for the n-th time."""


async def deploy_all(stage: Stage, following: Next) -> Series:
    """Deploy, again and again."""
    series = Series(began=time.perf_counter())
    wall = time.time() - time.perf_counter()
    for number in range(DEPLOYMENTS):
        loaded, began = following(number), time.perf_counter()
        name = loaded.service.service
        rollout = await away(partial(stage.deploy, loaded))
        assert isinstance(rollout.outcome, Promoted), rollout.outcome
        series.promoted.append(time.perf_counter() - began)
        await away(partial(stage.ended, name))
        series.whole.append(time.perf_counter() - began)
        lines = (await away(partial(stage.client.explain, rollout.id))).lines
        shifts = [line.at.timestamp() - wall for line in lines if _switches(line.event, rollout.target.number)]
        series.switches += shifts[:1]
    return series


def _switches(event: object, release: int) -> bool:
    if not isinstance(event, Decided) or not isinstance(event.decision, Shift):
        return False
    route = event.decision.route
    return any(route.release(c) == release and route.split.weight(c) > 0 for c in Colour)


async def under(load: Load, doing: Callable[[], Awaitable[Series]]) -> tuple[Outcome, Series]:
    """Do it under load."""
    process = LoadProcess(load)
    await process.start()
    try:
        await asyncio.sleep(QUIET)
        series = await doing()
        await asyncio.sleep(QUIET / 3)
    finally:
        outcome = await process.stop()
    return outcome, series


class Deployments:
    """One service under several loads."""

    def __init__(self, stage: Stage, report: Report, name: str, following: Next) -> None:
        self._stage = stage
        self._report = report
        self._name = name
        self._following = following
        self._count = 0

    def _next(self, _: int) -> LoadedService:
        self._count += 1
        return self._following(self._count)

    async def first(self) -> None:
        """Make the images, and deploy for the first time."""
        for _ in range(2):
            await away(lambda: self._stage.deploy(self._next(0)))
            await away(lambda: self._stage.ended(self._name))

    async def measure(self, mode: Mode, path: str) -> None:
        """Deploy under one load, of as many requests as the machine affords, and report it."""
        most = await capacity(self._stage, f"{self._name}.localhost", path, mode)
        rate = affordable(most, mode)
        self._report.notes.append(
            f"{self._name}, {mode}: wrk gets {most:.0f} answers a second here, with nothing else going on"
        )
        load = Load(self._stage.gateway, rate, mode, host=f"{self._name}.localhost", path=path, patience=60.0)
        outcome, series = await under(load, self._all)
        label = f"{self._name}, {mode}, {rate:g}/s"
        self._failures(label, len(outcome.samples), [s.failure for s in outcome.failures])
        self._report.rows.append(Row(f"{label}: requests a second", rate, "1/s", "higher", RATE))
        quiet = [s.latency for s in outcome.samples if s.due < series.began and not s.failure]
        close = [s.latency for s in _around(outcome.samples, series.switches) if not s.failure]
        added = quantile(close, 0.99) - quantile(quiet, 0.99)
        self._report.rows += [
            Row(f"{label}: order to promoted, median", round(median(series.promoted), 2), "s"),
            Row(f"{label}: order to old fleet gone, median", round(median(series.whole), 2), "s"),
            Row(f"{label}: added p99 around the switch", round(1000 * added, 1), "ms"),
        ]

    async def _all(self) -> Series:
        return await deploy_all(self._stage, self._next)

    def _failures(self, label: str, sent: int, failures: Sequence[str]) -> None:
        self._report.rows += [
            Row(f"{label}: failed requests in {DEPLOYMENTS} deployments", len(failures), "requests", "lower", 0),
            Row(f"{label}: requests sent", sent, "requests", "higher"),
        ]
        for failure, count in Counter(failures).most_common(3):
            self._report.notes.append(f"{label}: {count} x {failure}")

    async def in_flight(self) -> None:
        """Slow answers, streams and sockets, all at once: each lives for seconds, and none may be cut."""
        common = {"port": self._stage.gateway, "host": f"{self._name}.localhost", "patience": 60.0}
        slow = LoadProcess(Load(rate=50, mode=Mode.SLOW, path="/slow?seconds=2", **common))  # type: ignore[arg-type]
        events = f"/events?every=0.2&count={5 * LIFE}"
        streams = LoadProcess(Load(rate=10, mode=Mode.STREAM, path=events, **common))  # type: ignore[arg-type]
        sockets = Sockets(self._stage.gateway, f"{self._name}.localhost", 10, LIFE)
        opening = asyncio.create_task(sockets.run())
        for each in (slow, streams):
            await each.start()
        try:
            series = await self._all()
        finally:
            sockets.stop()
            outcomes = {"answers after 2 s, 50/s": await slow.stop(), f"streams of {LIFE} s, 10/s": await streams.stop()}
            tally = await opening
        for label, outcome in outcomes.items():
            self._failures(f"{self._name}, {label}", len(outcome.samples), [s.failure for s in outcome.failures])
        self._failures(f"{self._name}, WebSockets of {LIFE} s, 10/s", tally.opened, tally.failures)
        self._report.rows.append(
            Row(f"{self._name}, all three: order to old fleet gone, median", round(median(series.whole), 2), "s")
        )

    async def independent(self, path: str, connections: int) -> None:
        """The same under wrk, which Bleen's authors did not write: as many requests as it can."""
        wrk = shutil.which("wrk")
        if wrk is None:
            self._report.notes.append("wrk is not installed")
            return
        words = ["-t1", f"-c{connections}", "-d600s", "--timeout", "60s", f"http://127.0.0.1:{self._stage.gateway}{path}"]
        headers = ["-H", f"Host: {self._name}.localhost"]
        process = await asyncio.create_subprocess_exec(wrk, *words, *headers, stdout=asyncio.subprocess.PIPE)
        try:
            await self._all()
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(2)  # it prints what it has counted
            text = (await process.communicate())[0].decode()
        failed, sent = wrk_errors(text), int(re.findall(r"(\d+) requests in", text)[0])
        rate = float(re.findall(r"Requests/sec:\s*([\d.]+)", text)[0])
        label = f"{self._name}, wrk, {connections} connections"
        self._failures(label, sent, ["socket error, timeout or status"] * failed)
        self._report.rows.append(Row(f"{label}: requests a second beside the deployments", round(rate), "1/s", "higher"))


def wrk_errors(text: str) -> int:
    """Return the socket errors, time-outs and bad statuses that wrk counted."""
    socket = re.findall(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    status = re.findall(r"Non-2xx or 3xx responses: (\d+)", text)
    return sum(int(n) for row in socket for n in row) + sum(int(n) for n in status)


def _around(samples: Sequence[Sample], moments: Sequence[float]) -> list[Sample]:
    return [s for s in samples if any(abs(s.due - moment) <= AROUND for moment in moments)]


async def capacity(stage: Stage, host: str, path: str, mode: Mode) -> float:
    """Return the requests a second that wrk gets from a service with nothing else going on."""
    words = ["wrk", "-t1", "-c8", "-d3s", f"http://127.0.0.1:{stage.gateway}{path}", "-H", f"Host: {host}"]
    words += ["-H", "Connection: close"] if mode is Mode.NEW else []
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    text = (await process.communicate())[0].decode()
    return float(re.findall(r"Requests/sec:\s*([\d.]+)", text)[0])


def affordable(most: float, mode: Mode) -> float:
    """Return the rate of a load: 1,000 a second, or less than half of what the machine can serve with nothing else to do.

    The other half is for the load generators, and for the starts of new instances. A new connection costs our generator, which
    is Python, more than it costs wrk: there a quarter.
    """
    spare = 4.0 if mode is Mode.NEW else 2.2
    return RATE if most >= spare * RATE else max(10.0, round(most / spare / 10) * 10.0)


async def _hello(stage: Stage, report: Report) -> None:
    base = example("hello", stop=DRAIN)
    play = Deployments(stage, report, "hello", lambda n: changed(base, GREETING=f"Hello {n}"))
    await play.first()
    await play.measure(Mode.KEEP_ALIVE, "/")
    await play.measure(Mode.NEW, "/")
    await play.in_flight()
    await play.independent("/", 8)


async def _datasette(stage: Stage, report: Report) -> None:
    path = "/-/actor.json"
    base = example("datasette", stop=DRAIN)
    versions = [replace(base, service=with_version(base.service, v)) for v in ("0.65.2", "0.65.5")]
    play = Deployments(stage, report, "datasette", lambda n: versions[n % 2])
    await play.first()
    await play.measure(Mode.KEEP_ALIVE, path)
    await play.measure(Mode.NEW, path)


async def _run(report: Report) -> None:
    for each in (_hello, _datasette):
        async with running() as stage:
            await each(stage, report)
    report.notes.append(f"services on {ENVIRONMENT}: 2 instances each, beside gateway, control plane and load on one machine")


def run() -> Report:
    """Measure, in about seven minutes."""
    report = Report("deployments")
    asyncio.run(_run(report))
    return report
