"""Builds as they go: a line for each stage that ended, and for the one that is under way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bleen.domain.errors import BleenError
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.base import Stage
    from bleen.domain.pipeline import Building
    from bleen.interfaces.client import Client

_PAUSE = 0.4
"""Seconds between two looks at a build."""
_SLOW = 2.0
"""Seconds after which a stage under way is named before it ends."""
_INDENT = " " * 20


def stage_line(stage: "Stage") -> str:
    """Return a stage that ended."""
    took = "cached" if stage.cached else f"{stage.seconds:.1f}s"
    return f"{took:>6}  {stage.name:<11} {stage.detail}"


def building_line(building: "Building", now: datetime | None = None) -> str:
    """Return a build under way: which stage, for how long, after how many."""
    since = building.since
    took = max(((now or datetime.now(UTC)) - since).total_seconds(), 0.0) if since else 0.0
    place = f"{building.name} in {building.environment}" if building.deploys else building.name
    return f"building {place}: {building.running}, {took:.0f} s; {len(building.ended)} stages done"


@contextmanager
def showing(session: Session, client: "Client", environment: str, service: str) -> Iterator[None]:
    """Print the stages of the deployment's build while the block waits for it; nothing for programs."""
    if session.json:
        yield
        return
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(session, client, (environment, service), over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _watch(session: Session, client: "Client", place: tuple[str, str], over: threading.Event) -> None:
    told, named = 0, ""
    while not over.wait(_PAUSE):
        # Whoever waits for the deployment itself hears what is wrong.
        with suppress(BleenError):
            found = next((b for b in client.builds().builds if b.deploys and (b.environment, b.name) == place), None)
            if found is None:
                continue
            for stage in found.ended[told:]:
                session.say(stage_line(stage), _INDENT)
            told = max(told, len(found.ended))
            named = _name_slow(session, found, named)


def _name_slow(session: Session, building: "Building", named: str) -> str:
    """Say once what takes long, and return the name of it."""
    running = f"{len(building.ended)} {building.running}"
    if building.since is None or running == named or (datetime.now(UTC) - building.since).total_seconds() < _SLOW:
        return named
    session.say(f"{'...':>6}  {building.running}")
    return running
