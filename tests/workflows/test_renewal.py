"""A fix is published, and what serves is moved onto a base that has it: through the real engine, on a world in memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from bleen.domain.base import BaseOrder, Recipe
from bleen.domain.check import HttpCheck, title
from bleen.domain.command import Advance
from bleen.domain.decision import AskHuman
from bleen.domain.duration import seconds
from bleen.domain.errors import Unreachable
from bleen.domain.finding import Finding, Severity
from bleen.domain.ledger import BaseRenewed, Draft, Finished, Query, ReleaseMade, RenewalBegun, RenewalStopped, RolloutStarted
from bleen.domain.patching import Fix
from bleen.domain.policy import Gated, Policy
from bleen.domain.renewal import SCHEDULE, Asked, Hold, Rest, Timetable
from bleen.domain.service import Checks, Strategy
from bleen.workflows.messages import RenewalState, Started
from tests.fixtures.engine import RunningEngine
from tests.workflows.crew import crew
from tests.workflows.stage import ENVIRONMENT, Stage, eventually, quick

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
SMOKE = HttpCheck("/smoke")


def fast(**changes: object) -> Timetable:
    """Return a timetable that looks many times a second while something is under way."""
    return Timetable(**{"every": seconds(0.3), "soak": seconds(0), "pause": seconds(0.05), **changes})  # type: ignore[arg-type]


async def deploy(stage: Stage, version: str, strategy: Strategy | None = None, policy: Policy | None = None) -> None:
    """Have ``version`` on the base serve, and its rollout be over."""
    started = await ask(stage, version, strategy, policy)
    await stage.settled(started.rollout)
    await stage.idle()


async def ask(stage: Stage, version: str, strategy: Strategy | None = None, policy: Policy | None = None) -> Started:
    base = BaseOrder(Recipe(image="little", suite="bookworm", packages=("tool",)), "/nowhere")
    request = structs.replace(stage.request(version, strategy), base=base, policy=policy or Policy())
    started = await stage.control.deploy(request)
    assert isinstance(started, Started), started
    return started


def publish(stage: Stage, version: str = "1.1") -> None:
    stage.bases.publish(Fix("tool", "tool", "1.0", version, SINCE))


async def serves(stage: Stage, release: int) -> None:
    async def found() -> bool:
        return stage.serving == release

    await eventually(found, f"r{release} serves")
    await stage.idle()


async def state(stage: Stage) -> RenewalState:
    found = await stage.control.renewal()
    assert found is not None
    return found


async def resting(stage: Stage, why: str) -> None:
    """Return once there is nothing to be done, for that reason."""

    async def found() -> bool:
        step = (await state(stage)).step
        return isinstance(step, Rest | Hold) and why in step.why

    await eventually(found, f"it rests: {why}")


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    """A service of the test's own, with a worker; its renewal ends with the test."""
    async with Stage(client).working() as stage:
        yield stage
        if await stage.control.renewal() is not None:
            await client.get_workflow_handle(f"renewal/{stage.queue}").terminate()


async def test_a_fix_is_rolled_out_and_only_the_base_changes(stage: Stage) -> None:
    """Same application to the byte, same configuration, same strategy, hosts and size; entered with who and why."""
    await deploy(stage, "1", quick(warm="50ms"))
    publish(stage)
    await stage.control.keep_renewing(fast())
    await serves(stage, 2)
    after, before = await stage.memory.releases(stage.service)
    assert (after.runtime, after.version, after.author) == (before.runtime, before.version, SCHEDULE)
    old, new = [await stage.images.find(release.image) for release in (before, after)]
    assert new.base != old.base and await stage.images.files(new.digest) == await stage.images.files(old.digest)
    first, second = [e.event.rollout for e in await stage.entries(RolloutStarted) if isinstance(e.event, RolloutStarted)]
    assert (second.strategy, second.hosts, second.size) == (first.strategy, first.hosts, first.size)
    assert second.by == SCHEDULE
    (begun,) = await stage.entries(RenewalBegun)
    assert isinstance(begun.event, RenewalBegun) and begun.by == SCHEDULE
    assert [(fix.package, fix.fixed) for fix in begun.event.renewal.fixes] == [("tool", "1.1")]
    kinds = [type(entry.event) for entry in await stage.entries()]
    order = [
        kinds.index(kind, kinds.index(BaseRenewed)) for kind in (BaseRenewed, Gated, ReleaseMade, RenewalBegun, RolloutStarted)
    ]
    assert order == sorted(order)
    await resting(stage, "nothing is to be patched")


async def test_while_nothing_is_pending_nothing_is_entered(stage: Stage) -> None:
    """Also when somebody asks: the base is what it was."""
    await deploy(stage, "1")
    before = len(await stage.entries())
    await stage.control.keep_renewing(fast())
    await resting(stage, "nothing is to be patched")
    await asyncio.sleep(1)
    assert len(await stage.entries()) == before
    await stage.control.renew(Asked("ada"), fast())
    await eventually(lambda: stage.entries(BaseRenewed), "the base was built anew")
    await resting(stage, "nothing is to be patched")
    (entry,) = await stage.entries(BaseRenewed)
    assert isinstance(entry.event, BaseRenewed) and entry.event.renewal.after == entry.event.renewal.before
    assert entry.by == "ada" and len(await stage.memory.releases(stage.service)) == 1


async def test_a_patch_that_fails_is_told_once_and_not_tried_again(stage: Stage) -> None:
    """Until another fix is published."""
    strategy = quick(checks=Checks(before=(SMOKE,)))
    await deploy(stage, "1", strategy)
    stage.prober.failing.add(title(SMOKE))
    publish(stage)
    await stage.control.keep_renewing(fast())
    await resting(stage, "stays where it is")
    await eventually(lambda: _told(stage, "patch-stopped"), "people are told")
    await asyncio.sleep(1)
    assert [type(e.event) for e in await stage.entries(RenewalBegun)] == [RenewalBegun]
    (notice,) = [told for told in stage.notices.told if told.kind == "patch-stopped"]
    assert stage.service in notice.what and "tool 1.1" in notice.what and "r2 failed" in notice.why
    assert stage.serving == 1
    stage.prober.failing.clear()
    publish(stage, "1.2")
    await serves(stage, 3)


async def test_a_patch_that_the_policy_blocks_is_no_release(stage: Stage) -> None:
    """By the policy that let the present release through; people are told why."""
    await deploy(stage, "1", policy=Policy(block=(Severity.LOW,)))
    stage.scanner.find("1", Finding("CVE-2026-9", Severity.LOW, "a hole", "libfoo"))
    publish(stage)
    await stage.control.keep_renewing(fast())
    await resting(stage, "stays where it is")
    assert len(await stage.memory.releases(stage.service)) == 1
    (stopped,) = await stage.entries(RenewalStopped)
    assert isinstance(stopped.event, RenewalStopped) and "CVE-2026-9" in stopped.event.why


async def test_a_rollout_of_a_person_goes_first(stage: Stage) -> None:
    """It waits as long as the person does; then what was promoted is patched."""
    await deploy(stage, "1")
    started = await ask(stage, "2", quick(auto_promote=False))
    await stage.deciding(AskHuman)
    publish(stage)
    await stage.control.keep_renewing(fast())
    await resting(stage, "by ada goes first")
    assert not await stage.entries(RenewalBegun)
    await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
    await stage.settled(started.rollout)
    await eventually(lambda: stage.entries(RenewalBegun), "the patch follows")
    await stage.deciding(AskHuman)  # its own strategy: a person is asked about the patch, too
    await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
    await serves(stage, 3)
    assert (await stage.memory.release(stage.service, 3)).version == "2"


async def test_whoever_came_first_is_not_superseded(stage: Stage) -> None:
    """A rollout that begins between the look and the move is left alone."""
    await deploy(stage, "1")
    other = await ask(stage, "2", quick(auto_promote=False))
    await stage.deciding(AskHuman)
    # The look is of before: the ledger does not tell that the rollout is under way.
    await stage.memory.append(Draft("late", ENVIRONMENT, stage.service, Finished(), rollout=other.rollout))
    publish(stage)
    await stage.control.keep_renewing(fast())
    await eventually(lambda: stage.entries(RenewalBegun), "it tried")
    await asyncio.sleep(0.5)
    progress = await stage.progress()
    assert progress is not None and progress.rollout.id == other.rollout and progress.rollout.successor is None


async def test_a_mirror_that_is_away_is_told_once_and_asked_again(stage: Stage) -> None:
    """What could not be built is built when it answers."""
    await deploy(stage, "1")
    publish(stage)
    stage.bases.lose("tool")
    await stage.control.keep_renewing(fast())
    await eventually(lambda: _told(stage, "patch-failed"), "people are told")
    await asyncio.sleep(1)
    assert len([told for told in stage.notices.told if told.kind == "patch-failed"]) == 1
    stage.bases.lose("tool", lost=False)
    await serves(stage, 2)


async def _told(stage: Stage, kind: str) -> bool:
    return any(told.kind == kind for told in stage.notices.told)


async def test_a_ledger_that_is_away_delays_only(stage: Stage) -> None:
    """The look is repeated, and nothing is done twice."""
    await deploy(stage, "1")
    publish(stage)
    stage.ledger.error = Unreachable("the ledger does not answer")
    await stage.control.keep_renewing(fast())
    await asyncio.sleep(0.5)
    stage.ledger.error = None
    await serves(stage, 2)
    assert len(await stage.entries(RenewalBegun)) == 1


async def test_a_controller_that_dies_again_and_again_patches_once(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """Killed at any moment, the next one goes on: one base, one release, one rollout."""
    stage, socket = away
    async with crew(engine.address, stage.queue, socket):
        await deploy(stage, "1")
        publish(stage)
        await stage.control.keep_renewing(fast())
    for wait in (0.1, 0.3, 0.5, 0.9):
        async with crew(engine.address, stage.queue, socket):
            await asyncio.sleep(wait)
    async with crew(engine.address, stage.queue, socket):
        await eventually(lambda: _serving(stage, 2), "r2 serves", deadline=60)
        await stage.idle()
    started = [e for e in await stage.entries(RolloutStarted) if e.by == SCHEDULE]
    assert len(started) == 1 and len(await stage.entries(BaseRenewed)) == 1
    assert len(await stage.memory.releases(stage.service)) == 2
    await stage.client.get_workflow_handle(f"renewal/{stage.queue}").terminate()


async def _serving(stage: Stage, release: int) -> bool:
    return stage.serving == release


async def test_the_calendar_and_the_watch_keep_time(skipping: WorkflowEnvironment) -> None:
    """On a clock that jumps: what is published on a Tuesday runs within hours, and each month bases are built anew."""
    async with Stage(skipping.client).working() as stage:
        await deploy(stage, "1")
        await stage.control.keep_renewing(Timetable())
        await _pass(skipping, stage, hours=30)
        assert not await stage.memory.read(Query(kinds=("renewal-begun",)))
        publish(stage)
        await _pass(skipping, stage, hours=4)
        assert len(await stage.entries(RenewalBegun)) == 1
        before = len(await stage.entries(BaseRenewed))
        await _pass(skipping, stage, hours=24 * 32, at_once=24)
        assert len(await stage.entries(BaseRenewed)) > before  # whichever day it is today, a first of a month has passed
        assert len(await stage.entries(RenewalBegun)) == 1


async def _pass(skipping: WorkflowEnvironment, stage: Stage, *, hours: int, at_once: int = 1) -> None:
    """Let hours go by, on the clock of the engine and on that of the world."""
    for _ in range(0, hours, at_once):
        stage.clock.turn(hours=at_once)
        await skipping.sleep(timedelta(hours=at_once))
