"""One file of one Envoy: every change to it goes through here, and counts when Envoy has it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from bleen.domain.errors import NotConverged, Unreachable
from bleen.providers.envoy.files import replace
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.render import Json

T = TypeVar("T")
GAP = 0.010
"""Seconds between two renames. Seen: at 0.5 ms one second rename of 60 is lost for good, at 1 ms none."""
REWRITE = 0.100
"""Seconds after which a version that is not there is written again."""
PATIENCE = 2.0
"""Seconds after which it is given up."""


class Round(Generic[T]):
    """The changes that go into one write, with what became of each."""

    def __init__(self) -> None:
        self.changes: list[T] = []
        self.refusals: dict[int, Exception] = {}
        self.done = False


class Rounds(Generic[T]):
    """Collects the changes that arrive while a write is under way, and commits them in one."""

    def __init__(self, commit: Callable[[Sequence[T]], Awaitable[dict[int, Exception]]]) -> None:
        self._commit = commit
        self._next: Round[T] = Round()
        self._turn = asyncio.Lock()

    async def put(self, change: T) -> None:
        """Return when ``change`` is committed; raise what the commit said of it."""
        mine = self._next
        index = len(mine.changes)
        mine.changes.append(change)
        async with self._turn:
            if not mine.done:
                self._next = Round()
                mine.refusals = await self._commit_round(mine)
                mine.done = True
        if index in mine.refusals:
            raise mine.refusals[index]

    async def _commit_round(self, mine: Round[T]) -> dict[int, Exception]:
        try:
            return await self._commit(mine.changes)
        except Exception as error:
            return dict.fromkeys(range(len(mine.changes)), error)


class Published:
    """A file, and the question whether Envoy has what it says."""

    def __init__(self, place: Place, path: Path) -> None:
        self.place = place
        self.path = path

    async def publish(self, content: Json, has: Callable[[], Awaitable[str]], patience: float = PATIENCE) -> None:
        """Write ``content`` until ``has`` no longer names something missing; NotConverged after ``patience`` seconds."""
        data = msgspec.json.encode(content)
        until = time.monotonic() + patience
        while True:
            await replace(self.path, data, GAP)
            missing = await self._watch(has, min(time.monotonic() + REWRITE, until))
            if not missing:
                return
            if time.monotonic() >= until:
                raise NotConverged(f"{self.place.name} did not take {self.path.name}", why=missing, next="bleen doctor")

    async def _watch(self, has: Callable[[], Awaitable[str]], until: float) -> str:
        pause = 0.001
        while True:
            try:
                missing = await has()
            except Unreachable as error:
                missing = str(error)
            if not missing or time.monotonic() >= until:
                return missing
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.02)
