"""What Resource Manager told of a gateway: asked once for all who ask at the same time, never believed beyond a change."""

import asyncio
from contextlib import suppress

import pytest

from bleen.domain.errors import Unreachable
from bleen.providers.azure.pace import Pace
from bleen.providers.azure.sight import Reading


class Manager:
    """Answers with how often it was asked, when it is let; fails where ``failing``."""

    def __init__(self) -> None:
        self.asked = 0
        self.failing = False
        self.going = asyncio.Event()

    async def read(self) -> int:
        self.asked += 1
        mine = self.asked
        await self.going.wait()
        if self.failing:
            raise Unreachable("nobody answers")
        return mine

    def reading(self) -> Reading[int]:
        return Reading(self.read, Pace(), lambda before, found: before != found)


async def begun(*askers: asyncio.Task[int]) -> None:
    """Let the askers ask."""
    for _ in range(3 * len(askers)):
        await asyncio.sleep(0)


async def test_who_asks_at_the_same_time_shares_an_answer() -> None:
    """The one who moves machines and those who watch ask after each change: that is one question."""
    manager = Manager()
    reading = manager.reading()
    askers = [asyncio.create_task(reading.lately()) for _ in range(3)]
    await begun(*askers)
    manager.going.set()
    assert (await asyncio.gather(*askers), manager.asked) == ([1, 1, 1], 1)
    assert (await reading.lately(), manager.asked) == (1, 1)


async def test_a_question_from_before_a_change_serves_nobody_who_asks_after_it() -> None:
    """Its answer goes to who asked it, and is not kept."""
    manager = Manager()
    reading = manager.reading()
    before = asyncio.create_task(reading.lately())
    await begun(before)
    reading.forget()
    after = asyncio.create_task(reading.lately())
    await begun(after)
    manager.going.set()
    assert (await before, await after, await reading.lately(), manager.asked) == (1, 2, 2, 2)


async def test_who_goes_away_leaves_the_answer_to_the_others() -> None:
    """Whoever asked first may have been cancelled."""
    manager = Manager()
    reading = manager.reading()
    first, second = (asyncio.create_task(reading.lately()) for _ in range(2))
    await begun(first, second)
    first.cancel()
    manager.going.set()
    assert (await second, manager.asked) == (1, 1)
    with suppress(asyncio.CancelledError):
        await first


async def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    """Whoever asks next asks anew."""
    manager = Manager()
    reading = manager.reading()
    manager.failing = True
    manager.going.set()
    for _ in range(2):
        with pytest.raises(Unreachable):
            await reading.lately()
    manager.failing = False
    assert (await reading.lately(), manager.asked) == (3, 3)
