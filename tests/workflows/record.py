"""Records the golden histories: ``python -m tests.workflows.record [STORY]``. After adding a story, not to silence a test.

A history that no longer replays is a rollout that a new version of Bleen could not take over from an old one: change
live workflows through ``workflow.patched``.
"""

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from temporalio.client import WorkflowHistory

from bleen.domain.check import HttpCheck
from bleen.domain.command import Advance, Pause, Resume
from bleen.domain.decision import AskHuman, Wait
from bleen.domain.errors import Unreachable
from bleen.domain.service import Checks
from bleen.providers.memory.fleets import Behaviour
from bleen.workflows.messages import RemovalRequest
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


async def refused(stage: Stage, version: str = "2") -> None:
    """Its instances crash, and people are told."""
    if not await stage.entries():
        await stage.deployed("1")
    await stage.idle()
    await stage.behave(version, Behaviour(ready_after=None, crashes_after=0.05, words="boom"))
    await stage.deployed(version)
    await stage.idle()


async def removed(stage: Stage) -> None:
    """Its service is removed while a fleet is kept warm: the rollout gives way to the removal."""
    await stage.deployed("1")
    await stage.idle()
    await stage.deployed("2", quick(warm="10m"))
    await stage.deciding(Wait, "stays warm")
    await stage.control.remove(RemovalRequest(ENVIRONMENT, stage.service, "ada", "nobody uses it"))


STORIES: tuple[Story, ...] = (promoted, rolled_back, superseded, hindered, refused, removed)


async def record(stage: Stage, story: Story) -> dict[str, WorkflowHistory]:
    """Return the histories of ``story`` by name: its rollouts run by run, without the first deployment."""
    await story(stage)
    await stage.idle()
    _, *histories = await histories_of(stage)
    return {f"{story.__name__}-{number}": history for number, history in enumerate(histories, 1)}


async def histories_of(stage: Stage) -> list[WorkflowHistory]:
    """Return those of all rollouts and removals, run by run, the first deployment's first."""
    query = f"TaskQueue = '{stage.queue}' AND (WorkflowType = 'Rollout' OR WorkflowType = 'Removal')"
    runs = sorted([run async for run in stage.client.list_workflows(query)], key=lambda run: run.start_time)
    return [await stage.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history() for run in runs]


async def main(names: Sequence[str]) -> None:
    """Record the stories of these names anew, or all of them."""
    folder = Path(tempfile.mkdtemp(prefix="bleen-test-"))
    engine = RunningEngine(folder)
    engine.start()
    HISTORIES.mkdir(exist_ok=True)
    for story in STORIES:
        if names and story.__name__ not in names:
            continue
        async with Stage(await engine.client()).working() as stage:
            for name, history in (await record(stage, story)).items():
                # Who recorded it, and where, is nobody's business.
                text = re.sub(r'"identity": "[^"]*"', '"identity": "recorder"', history.to_json())
                text = text.replace(str(Path.cwd()), "/bleen")
                (HISTORIES / f"{name}.json").write_text(text + "\n")
    engine.stop()
    shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
