"""One file of one Envoy: every change to it goes through here, and counts when Envoy has it."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from bleen.domain.errors import NotConverged, Unreachable
from bleen.providers.envoy.files import replace
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.ways import Json

T = TypeVar("T")
GAP = 0.010
"""Seconds between two renames. Seen: at 0.5 ms one second rename of 60 is lost for good, at 1 ms none."""
REWRITE = 0.100
"""Seconds after which a version that is not there is written again."""
PATIENCE = 2.0
"""Seconds after which it is given up."""


class Round(Generic[T]):
    """The changes that go into one write, numbered, with what became of each."""

    def __init__(self) -> None:
        self.changes: dict[int, T] = {}
        self.refusals: Mapping[int, Exception] = {}
        self.done = False


class Rounds(Generic[T]):
    """Collects the changes that arrive while a write is under way, and commits them in one.

    ``commit`` returns what speaks against a change, by its number; what it raises speaks against all.
    """

    def __init__(self, commit: Callable[[Mapping[int, T]], Awaitable[Mapping[int, Exception]]]) -> None:
        self._commit = commit
        self._next: Round[T] = Round()
        self._turn = asyncio.Lock()
        self._numbers = itertools.count()

    async def put(self, change: T) -> None:
        """Return when ``change`` is committed; raise what the commit said of it."""
        mine, number = self._next, next(self._numbers)
        mine.changes[number] = change
        try:
            async with self._turn:
                if not mine.done:
                    await self._settle(mine)
        except asyncio.CancelledError:
            if not mine.done:
                del mine.changes[number]  # nobody waits for it: it must not come into force some other day
            raise
        if number in mine.refusals:
            raise mine.refusals[number]

    async def _settle(self, mine: Round[T]) -> None:
        if self._next is mine:
            self._next = Round()
        try:
            mine.refusals = await self._commit(mine.changes)
        except Exception as error:
            mine.refusals = dict.fromkeys(mine.changes, error)
        mine.done = True


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
