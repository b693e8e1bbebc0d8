"""How long a person waits."""

import asyncio
import statistics
import time

from bleen.domain.decision import Wait
from bleen.domain.rollout import Rollout
from tests.workflows.stage import Stage, eventually, quick


async def test_a_rollback_changes_the_split_within_a_third_of_a_second(stage: Stage) -> None:
    """From the command to the route at the gateway, through the engine, the domain and the ledger."""
    await stage.deployed("1")
    took = [await rollback(stage, version) for version in ("2", "3", "4", "5", "6")]
    assert statistics.median(took) < 0.3, took


async def rollback(stage: Stage, version: str) -> float:
    """Deploy ``version`` and go back; return the seconds from the command to the split."""
    await stage.deployed(version, quick(warm="10m"))
    await stage.deciding(Wait, "stays warm")
    new = stage.serving
    asked = time.perf_counter()
    telling = asyncio.create_task(stage.rollback())
    await eventually(lambda: changed(stage, new), "the split has changed", pause=0.001)
    took = time.perf_counter() - asked
    assert isinstance(await telling, Rollout)
    await stage.idle()
    return took


async def changed(stage: Stage, release: int | None) -> bool:
    return stage.serving != release
