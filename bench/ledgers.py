"""Ledgers of any size, on a PostgreSQL of their own: written at once, and bound by the log's own hashes."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bleen.domain.codec import encode
from bleen.domain.decision import Shift, Wait
from bleen.domain.image import Digest
from bleen.domain.ledger import Decided, Event, Finished, RolloutStarted, Settled, kind_of
from bleen.domain.rollout import Observation, Promoted, ReleaseRef, Rollout
from bleen.domain.service import BlueGreen
from bleen.domain.strategy import compile_steps
from bleen.domain.traffic import Colour, GatewaySeen, Route, Split
from bleen.providers.postgres.connections import Connections
from bleen.providers.postgres.database import MIGRATION
from bleen.providers.postgres.embedded import STOP_SIGNAL, Server, database_url, ready
from bleen.providers.postgres.migrate import migrate, shipped

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVICES = 200
TURNS = 16
"""Decisions of a rollout, beside its beginning, its outcome and its end."""
_IMAGE: Digest = f"sha256:{1:064x}"


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a server with nothing in it."""
    folder = Path(tempfile.mkdtemp(prefix="bleen-bench-"))
    server = Server(str(folder / "home"), str(folder / "run"))
    process = subprocess.Popen(server.command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not asyncio.run(ready(server)):
            assert process.poll() is None
            time.sleep(0.05)
        yield database_url(server)
    finally:
        process.send_signal(STOP_SIGNAL)
        process.wait()
        shutil.rmtree(folder)


def fill(url: str, count: int) -> float:
    """Write ``count`` entries of rollouts of 200 services as the first version did; return the seconds of the migration."""
    return asyncio.run(_fill(url, count))


async def _fill(url: str, count: int) -> float:
    connections, columns = Connections(url), "key, environment, service, rollout, kind, by, body"
    async with connections.take(hang_up_after=MIGRATION) as connection:
        await migrate(connection, shipped()[:1])
        await connection.execute("set statement_timeout = 0")
        async with connection.cursor().copy(f"copy bleen.entries ({columns}) from stdin".encode()) as copy:
            for row in _rows(count):
                await copy.write_row(row)
        began = time.perf_counter()
        await migrate(connection, shipped())
        took = time.perf_counter() - began
        await connection.execute("analyze")
    await connections.close()
    return took


def _rows(count: int) -> Iterator[tuple[str, ...]]:
    bodies: dict[str, list[tuple[str, str]]] = {}
    for n in range(count):
        rollout, step = divmod(n, TURNS + 3)
        service = f"service-{rollout % SERVICES}"
        if service not in bodies:
            bodies[service] = [(kind_of(event), encode(event).decode()) for event in _events(service)]
        kind, body = bodies[service][step]
        yield f"k{n}", "dev", service, f"dev/{service}/{rollout // SERVICES + 1}", kind, "ada", body


def _events(service: str) -> list[Event]:
    strategy = BlueGreen()
    first, second = ReleaseRef(1, "1.1", _IMAGE), ReleaseRef(2, "1.2", _IMAGE)
    rollout = Rollout(
        id=f"dev/{service}/1",
        environment="dev",
        service=service,
        hosts=(f"{service}.localhost",),
        regions=("local",),
        target=second,
        target_colour=Colour.GREEN,
        stable=first,
        size=2,
        stable_size=2,
        strategy=strategy,
        steps=compile_steps(strategy, size=2, trusted=False),
        by="ada",
        started=NOON,
    )
    route = Route("dev", service, rollout.hosts, Split.of(Colour.GREEN), blue=1, green=2)
    seen = Observation(at=NOON, fleets=(), gateways=(GatewaySeen("local", "local", True, route, 7),))
    turns = [
        Decided(Wait(f"{n} of 20 instances are ready") if n % 4 else Shift(route, "checks passed"), seen) for n in range(TURNS)
    ]
    return [RolloutStarted(rollout), *turns, Settled(Promoted(), 2), Finished()]
