"""Rollouts that an earlier version began can be taken over by this one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from bleen.workflows.converter import DATA_CONVERTER
from bleen.workflows.worker import WORKFLOWS, sandbox
from tests.workflows.record import HISTORIES, STORIES, histories_of, record, refused
from tests.workflows.stage import Stage

GOLDEN = {path.stem: path.read_text() for path in sorted(HISTORIES.glob("*.json"))}


def replayer() -> Replayer:
    """Return what runs this version's workflows on a history of another."""
    return Replayer(workflows=list(WORKFLOWS), data_converter=DATA_CONVERTER, workflow_runner=sandbox())


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_history_replays(name: str) -> None:
    """Every command of the history is what this version would say, too."""
    await replayer().replay_workflow(WorkflowHistory.from_json("rollout/dev/hello", GOLDEN[name]))


def test_every_story_has_a_golden_history() -> None:
    """Recorded with ``python -m tests.workflows.record``."""
    assert {name.rsplit("-", 1)[0] for name in GOLDEN} == {story.__name__ for story in STORIES}


async def test_what_is_recorded_now_replays(stage: Stage) -> None:
    """The workflow is deterministic to begin with."""
    histories = await record(stage, STORIES[0])
    assert histories
    for history in histories.values():
        await replayer().replay_workflow(history)


async def test_what_was_asked_meanwhile_replays(stage: Stage) -> None:
    """A query splits the task that it meets: what follows then is replayed in an earlier task than it first ran in."""
    stage.ledger.seconds = 0.003
    async with asking(stage):
        await stage.deployed("1")
        for version in "234567":
            await refused(stage, version)
    histories = await histories_of(stage)
    assert len(histories) == len("1234567")
    for history in histories:
        await replayer().replay_workflow(history)


@asynccontextmanager
async def asking(stage: Stage) -> AsyncIterator[None]:
    """Ask how the rollout is going, as fast as the answers come, while the block runs."""

    async def ask() -> None:
        while True:
            await stage.progress()

    askers = [asyncio.create_task(ask()) for _ in range(4)]
    try:
        yield
    finally:
        for asker in askers:
            asker.cancel()
        await asyncio.gather(*askers, return_exceptions=True)
