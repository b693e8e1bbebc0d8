"""Records the golden histories: ``python -m tests.workflows.record``. Do so after adding a story, not to silence a test.

A history that no longer replays is a rollout that a new version of Bleen could not take over from an old one: change
live workflows through ``workflow.patched``.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from temporalio.client import WorkflowHistory

from bleen.domain.check import HttpCheck
from bleen.domain.command import Advance, Pause, Resume
from bleen.domain.decision import AskHuman, Wait
from bleen.domain.errors import Unreachable
from bleen.domain.service import Checks
from bleen.workflows.starting import rollout_id
from tests.fixtures.engine import RunningEngine
from tests.workflows.stage import ENVIRONMENT, Stage, quick

HISTORIES = Path(__file__).parent / "histories"
Story = Callable[[Stage], Awaitable[None]]


async def promoted(stage: Stage) -> None:
    """Checks, an approval, a pause, a warm window."""
    checks = Checks(before=(HttpCheck("/smoke"),), after=(HttpCheck("/smoke"),))
    await stage.deployed("1")
    await stage.idle()
    await stage.deploy("2", quick(auto_promote=False, checks=checks, warm="10m"))
    for command in (Pause("ada"), Resume("ada"), Advance("ada")):
        await stage.deciding(Wait if isinstance(command, Resume) else AskHuman)
        await stage.control.command(ENVIRONMENT, stage.service, command)
    await stage.deciding(Wait, "stays warm")
    stage.clock.turn(minutes=11)


async def rolled_back(stage: Stage) -> None:
    """Promoted, and taken back while the old fleet is warm."""
    await stage.deployed("1")
    await stage.idle()
    await stage.deployed("2", quick(warm="10m"))
    await stage.deciding(Wait, "stays warm")
    await stage.rollback()


async def superseded(stage: Stage) -> None:
    """It makes room for a newer release: the run that ends by continuing as new."""
    await stage.deployed("1")
    await stage.idle()
    await stage.deploy("2", quick(auto_promote=False))
    await stage.deciding(AskHuman)
    await stage.deploy("3")


async def hindered(stage: Stage) -> None:
    """The ledger is silent for a while, and the engine is told to cancel."""
    await stage.deployed("1")
    await stage.idle()
    await stage.deploy("2", quick(auto_promote=False))
    await stage.deciding(AskHuman)
    stage.ledger.error = Unreachable("the ledger does not answer")
    await stage.client.get_workflow_handle(rollout_id(ENVIRONMENT, stage.service)).cancel()
    await asyncio.sleep(1)
    stage.ledger.error = None


STORIES: tuple[Story, ...] = (promoted, rolled_back, superseded, hindered)


async def record(stage: Stage, story: Story) -> dict[str, WorkflowHistory]:
    """Return the histories of ``story`` by name: its rollouts run by run, and its first deployment."""
    await story(stage)
    await stage.idle()
    histories = {}
    query = f"TaskQueue = '{stage.queue}' AND WorkflowType = 'Rollout'"
    runs = sorted([run async for run in stage.client.list_workflows(query)], key=lambda run: run.start_time)
    for number, run in enumerate(runs[1:], 1):
        handle = stage.client.get_workflow_handle(run.id, run_id=run.run_id)
        histories[f"{story.__name__}-{number}"] = await handle.fetch_history()
    return histories


async def main() -> None:
    """Record every story anew."""
    folder = Path(tempfile.mkdtemp(prefix="bleen-test-"))
    engine = RunningEngine(folder)
    engine.start()
    HISTORIES.mkdir(exist_ok=True)
    for story in STORIES:
        async with Stage(await engine.client()).working() as stage:
            for name, history in (await record(stage, story)).items():
                # Who recorded it, and where, is nobody's business.
                text = re.sub(r'"identity": "[^"]*"', '"identity": "recorder"', history.to_json())
                (HISTORIES / f"{name}.json").write_text(text + "\n")
    engine.stop()
    shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main())
