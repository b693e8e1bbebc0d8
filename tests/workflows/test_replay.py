"""Rollouts that an earlier version began can be taken over by this one."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from bleen.domain.command import Pause, Resume
from bleen.domain.errors import NothingToDo, Unreachable
from bleen.workflows.converter import DATA_CONVERTER
from bleen.workflows.worker import WORKFLOWS, sandbox
from tests.workflows.record import HISTORIES, STORIES, histories_of, record, refused
from tests.workflows.stage import ENVIRONMENT, Stage

GOLDEN = {path.stem: path.read_text() for path in sorted(HISTORIES.glob("*.json"))}


def replayer() -> Replayer:
    """Return what runs this version's workflows on a history of another."""
    return Replayer(workflows=list(WORKFLOWS), data_converter=DATA_CONVERTER, workflow_runner=sandbox())


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_history_replays(name: str) -> None:
    """Every command of the history is what this version would say, too."""
    await replayer().replay_workflow(WorkflowHistory.from_json("rollout/dev/hello", GOLDEN[name]))


EARLIER = {path.stem: path.read_text() for path in sorted((HISTORIES / "earlier").glob("*.json"))}
"""Of deployments and renewals as they were before images were built in stages, and of rollouts whose acts were three activities
each: recorded once, and never again."""


@pytest.mark.parametrize("name", EARLIER)
async def test_what_an_earlier_version_recorded_replays(name: str) -> None:
    """A deployment, or a renewal, that was under way when the controller was replaced by this version goes on."""
    await replayer().replay_workflow(WorkflowHistory.from_json("deploy/dev/hello/1", EARLIER[name]))


def test_every_story_has_a_golden_history() -> None:
    """Recorded with ``python -m tests.workflows.record``."""
    assert {name.rsplit("-", 1)[0] for name in GOLDEN} == {story.__name__ for story in STORIES}


async def test_what_is_recorded_now_replays(stage: Stage) -> None:
    """The workflow is deterministic to begin with."""
    histories = await record(stage, STORIES[0])
    assert histories
    for history in histories.values():
        await replayer().replay_workflow(history)


async def test_what_was_asked_and_told_meanwhile_replays(stage: Stage) -> None:
    """Queries split the tasks that they meet, and commands come at any moment: both are replayed as they were."""
    stage.ledger.seconds = 0.003
    async with pestering(stage):
        await stage.deployed("1")
        for version in "2345":
            await refused(stage, version)
    histories = await histories_of(stage)
    assert len(histories) == len("12345")
    for history in histories:
        await replayer().replay_workflow(history)


@asynccontextmanager
async def pestering(stage: Stage) -> AsyncIterator[None]:
    """Ask how the rollout is going, as fast as the answers come, and pause and resume it, while the block runs."""

    async def ask() -> None:
        while True:
            with suppress(Unreachable):  # one that meets the end of a run can get lost, and is asked again
                await stage.progress()

    async def tell() -> None:
        for command in itertools.cycle((Pause("ada"), Resume("ada"))):
            with suppress(NothingToDo):
                await stage.control.command(ENVIRONMENT, stage.service, command)
            await asyncio.sleep(0.1)

    pests = [asyncio.create_task(each()) for each in (ask, ask, ask, tell)]
    try:
        yield
    finally:
        for pest in pests:
            pest.cancel()
        await asyncio.gather(*pests, return_exceptions=True)
