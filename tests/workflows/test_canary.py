"""Canaries through the engine: traffic is counted, evidence outlives whoever gathers it, and the verdict is carried out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from bleen.domain.canary import (
    Analysis,
    CanaryStep,
    CheckStep,
    Events,
    JudgeStep,
    Measure,
    Synthetic,
    Tolerance,
    Unsure,
    Weight,
)
from bleen.domain.check import HttpCheck
from bleen.domain.command import Advance, GoBack
from bleen.domain.decision import AskHuman, Wait
from bleen.domain.duration import seconds
from bleen.domain.ledger import HostsChanged, Measured
from bleen.domain.rollout import Promoted, RolledBack
from bleen.domain.service import Canary
from bleen.domain.traffic import WHOLE, Colour
from bleen.domain.verdict import Assessment, Fail, Pass
from bleen.workflows.messages import Adjusted, DeployRequest, Renamed, Started, Unchanged
from tests.fixtures.engine import RunningEngine
from tests.workflows.crew import crew
from tests.workflows.stage import ENVIRONMENT, Stage, eventually, quick

FAST = Analysis(bake=seconds(1), warm_up=seconds(0), learn=seconds(0), slack=2.0)


def canary(*steps: CanaryStep, analysis: Analysis = FAST, **options: object) -> Canary:
    """Return a canary that waits for nothing but its evidence."""
    written = (*(steps or (Weight(50.0), Measure(seconds(60)))), Weight(100.0))
    return Canary(steps=written, analysis=analysis, warm=seconds(0), abort_delay=seconds(0), **options)  # type: ignore[arg-type]


@asynccontextmanager
async def traffic(stage: Stage, *, failing: float = 0.0, rate: int = 2000, cold: float = 1.0) -> AsyncIterator[None]:
    """Let requests meet every fleet that has weight while the block runs; ``failing`` of those to r2 fail.

    Young fleets, that of r2 and the baseline's, take ``cold`` times as long as the old one.
    """
    flowing = asyncio.create_task(_flow(stage, failing, rate, cold))
    try:
        yield
    finally:
        flowing.cancel()
        with suppress(asyncio.CancelledError):
            await flowing


async def _flow(stage: Stage, failing: float, rate: int, cold: float) -> None:
    ticks, chance = 20, Random(7)
    while True:
        for (release, baseline), share in _shares(stage).items():
            for _ in range(round(rate * share / ticks)):
                bad = release == 2 and chance.random() < failing
                latency = round(chance.lognormvariate(1.6, 0.5) * (cold if baseline or release == 2 else 1.0), 1)
                stage.metrics.add(stage.service, release, status=500 if bad else 200, ms=latency, baseline=baseline)
        await asyncio.sleep(1 / ticks)


def _shares(stage: Stage) -> dict[tuple[int, bool], float]:
    route, found = stage.route, {}
    for colour in Colour if route else ():
        for baseline in (False, True):
            release, weight = (route.release(colour), route.carries(colour, baseline=baseline)) if route else (None, 0)
            if release is not None and weight:
                found[release, baseline] = weight / WHOLE
    return found


async def measured(stage: Stage) -> list[Assessment]:
    """Return what the ledger knows of the traffic."""
    return [e.event.assessment for e in await stage.entries(Measured) if isinstance(e.event, Measured)]


async def begun(stage: Stage, version: str, strategy: Canary) -> str:
    """Begin a rollout under traffic; return its id."""
    started = await stage.deploy(version, strategy)
    assert isinstance(started, Started), started
    return started.rollout


async def test_a_good_release_is_promoted_by_its_traffic(stage: Stage) -> None:
    """The ledger has the figures, and the verdict that let it pass."""
    await stage.deployed("1")
    async with traffic(stage):
        rollout = await begun(stage, "2", canary())
        assert await stage.settled(rollout) == Promoted()
    verdicts = [assessment.verdict for assessment in await measured(stage)]
    assert verdicts and isinstance(verdicts[-1], Pass)


async def test_a_release_with_errors_is_rolled_back_by_its_traffic(stage: Stage) -> None:
    """Within seconds, with the sentence of the verdict as its reason; people are told."""
    await stage.deployed("1")
    async with traffic(stage, failing=0.3):
        rollout = await begun(stage, "2", canary())
        outcome = await stage.settled(rollout)
    assert isinstance(outcome, RolledBack) and "of its requests fail" in outcome.reason
    assert stage.serving == 1
    assert isinstance((await measured(stage))[-1].verdict, Fail)
    await eventually(lambda: told(stage, "rolled-back"), "a notice")


async def test_a_baseline_fleet_makes_the_comparison_fair(stage: Stage) -> None:
    """What is slow because it is young is refused beside an old fleet, and passes beside one of its own age."""
    analysis = structs.replace(FAST, latency=Tolerance(weight=1.0))
    await stage.deployed("1")
    async with traffic(stage, cold=2.0):
        alone = await begun(stage, "2", canary(Weight(20.0), Measure(seconds(60)), analysis=analysis))
        outcome = await stage.settled(alone)
        assert isinstance(outcome, RolledBack) and "take longer than" in outcome.reason
        await stage.idle()
        fair = canary(Weight(20.0), Measure(seconds(60)), analysis=analysis, baseline=True)
        rollout = await begun(stage, "2", fair)
        assert await stage.settled(rollout) == Promoted()
        await stage.idle()
    passed = (await measured(stage))[-1]
    assert isinstance(passed.verdict, Pass) and 0.7 < passed.compared / passed.requests < 1.4
    assert [(f.release, f.slot.baseline) for f in await stage.fleets.observe(stage.service)] == [(2, False)]


async def test_a_bad_release_is_refused_beside_a_baseline_fleet(stage: Stage) -> None:
    """By the errors that it alone has; and of the three fleets only the stable one is left."""
    await stage.deployed("1")
    async with traffic(stage, failing=0.3):
        rollout = await begun(stage, "2", canary(baseline=True))
        outcome = await stage.settled(rollout)
        await stage.idle()
    assert isinstance(outcome, RolledBack) and "of its requests fail" in outcome.reason
    assert [(f.release, f.slot.baseline) for f in await stage.fleets.observe(stage.service)] == [(1, False)]


async def test_the_traffic_is_watched_while_checks_run(stage: Stage) -> None:
    """A check that takes for ever does not keep users on a release that fails."""
    await stage.deployed("1")
    stage.prober.go.clear()
    async with traffic(stage, failing=0.3):
        rollout = await begun(stage, "2", canary(Weight(50.0), CheckStep((HttpCheck("/deep"),)), Measure(seconds(60))))
        outcome = await stage.settled(rollout)
    assert isinstance(outcome, RolledBack) and "of its requests fail" in outcome.reason
    await eventually(lambda: cut_off(stage), "the end of the check")


async def test_without_metrics_nothing_is_decided_and_it_goes_on_by_itself(stage: Stage) -> None:
    """A metrics outage pauses: neither promoted nor aborted; whoever is on duty hears of it."""
    await stage.deployed("1")
    stage.metrics.answers = False
    async with traffic(stage):
        rollout = await begun(stage, "2", canary(Weight(50.0), Measure(seconds(20))))
        await stage.deciding(Wait, "nobody counts")
        await eventually(lambda: told(stage, "held"), "a notice")
        await asyncio.sleep(2.5)
        assert await stage.outcome(rollout) is None
        stage.metrics.answers = True
        assert await stage.settled(rollout) == Promoted()


async def test_a_release_without_traffic_is_never_promoted(stage: Stage) -> None:
    """Absence of evidence is not success, whatever the strategy's time."""
    await stage.deployed("1")
    rollout = await begun(stage, "2", canary(Weight(50.0), Measure(seconds(2))))
    outcome = await stage.settled(rollout)
    assert isinstance(outcome, RolledBack) and "no verdict in 2s" in outcome.reason
    assert stage.serving == 1


async def test_requests_of_its_own_judge_a_service_that_nobody_uses(stage: Stage) -> None:
    """As many to one release as to the other; they count as users' requests do."""
    await stage.deployed("1")
    chance = Random(3)

    def answered(release: int, count: int) -> None:
        for _ in range(count):
            stage.metrics.add(stage.service, release, ms=round(chance.lognormvariate(1.6, 0.5), 1))

    stage.prober.visited = answered
    analysis = structs.replace(FAST, synthetic=Synthetic("/", 200), slack=5.0)
    rollout = await begun(stage, "2", canary(analysis=analysis))
    assert await eventually(lambda: stage.outcome(rollout), "an outcome", deadline=60) == Promoted()
    assert (await measured(stage))[-1].requests > 0


@pytest.mark.parametrize(("share", "outcome"), [(0.01, Promoted), (0.2, RolledBack)])
async def test_what_a_worker_counts_decides_about_it(stage: Stage, share: float, outcome: type) -> None:
    """A service without traffic: jobs that failed among all jobs, fleets side by side."""
    await stage.deployed("1")
    analysis = structs.replace(FAST, metrics=(Events("jobs", "failed_total", "jobs_total", page="/metrics", every=seconds(1)),))
    working = asyncio.create_task(_work(stage, share))
    try:
        rollout = await begun(stage, "2", canary(analysis=analysis, side_by_side=True))
        assert isinstance(await eventually(lambda: stage.outcome(rollout), "an outcome", deadline=60), outcome)
    finally:
        working.cancel()


async def _work(stage: Stage, share: float) -> None:
    chance = Random(5)
    while True:
        for release, failing in ((1, 0.01), (2, share)):
            bad = sum(chance.random() < failing for _ in range(200))
            stage.metrics.add_events(stage.service, release, "jobs", bad, 200)
        await asyncio.sleep(0.1)


async def test_where_the_traffic_does_not_tell_a_person_is_asked_and_told(stage: Stage) -> None:
    """``inconclusive: ask``; the notice says what to type."""
    await stage.deployed("1")
    rollout = await begun(stage, "2", canary(Weight(50.0), Measure(seconds(1)), inconclusive=Unsure.ASK))
    await stage.deciding(AskHuman)
    notice = await eventually(lambda: told(stage, "question"), "a notice")
    assert f"bleen promote {stage.service}" in notice
    await stage.control.command(ENVIRONMENT, stage.service, Advance("ada"))
    assert await stage.settled(rollout) == Promoted()


async def test_a_judgement_goes_on_when_notices_do_not_get_through(stage: Stage) -> None:
    """Telling people is no condition of anything."""
    await stage.deployed("1")
    stage.notices.answers = False
    rollout = await begun(stage, "2", canary(Weight(50.0), JudgeStep("Good?", seconds(2))))
    await stage.deciding(AskHuman)
    outcome = await stage.settled(rollout)
    assert isinstance(outcome, RolledBack) and "nobody answered" in outcome.reason


async def test_a_late_verdict_goes_back_to_the_warm_colour(stage: Stage) -> None:
    """Post-promotion watch: what fails only under all of the traffic."""
    await stage.deployed("1")
    strategy = structs.replace(canary(), warm=seconds(600))
    async with traffic(stage):
        rollout = await begun(stage, "2", strategy)
        assert await stage.settled(rollout) == Promoted()
    async with traffic(stage, failing=0.3):
        await eventually(lambda: gone_back(stage, rollout), "a rollback")
    assert stage.serving == 1


async def test_evidence_outlives_the_worker_that_gathered_it(engine: RunningEngine, away: tuple[Stage, Path]) -> None:
    """What was counted before a kill -9 counts after it, and what happened meanwhile as well."""
    stage, socket = away
    patient = structs.replace(FAST, bake=seconds(300))
    async with crew(engine.address, stage.queue, socket) as worker:
        await stage.deployed("1")
        async with traffic(stage):
            await begun(stage, "2", canary(Weight(50.0), Measure(seconds(600)), analysis=patient))
            before = (await eventually(lambda: measured(stage), "figures in the ledger"))[-1].requests
            worker.kill()
            await worker.wait()
    async with crew(engine.address, stage.queue, socket), traffic(stage):
        count = len(await measured(stage))
        await eventually(lambda: more_than(stage, count), "figures of the successor")
        assert (await measured(stage))[count].requests > before
        await stage.control.command(ENVIRONMENT, stage.service, GoBack("ada"))


async def test_other_host_names_of_the_release_that_serves_are_applied_without_a_rollout(stage: Stage) -> None:
    """Only `hosts` changed: the same release, the same split, other names; the ledger says who asked."""
    await stage.deployed("1")
    await stage.idle()
    answer = await stage.control.deploy(renamed(stage, "shop.localhost"))
    old = f"{stage.service}.localhost"
    assert isinstance(answer, Unchanged)
    assert answer.adjusted == Adjusted(Renamed((old,), ("shop.localhost",)))
    assert stage.route is not None and stage.route.hosts == ("shop.localhost",)
    entries = await stage.entries(HostsChanged)
    assert [(e.event, e.by) for e in entries] == [(HostsChanged((old,), ("shop.localhost",)), "ada")]


async def test_other_host_names_are_applied_while_the_old_fleet_is_warm(stage: Stage) -> None:
    """The rollout that keeps it warm takes them over, so that a rollback keeps them."""
    await stage.deployed("1")
    await stage.deployed("2", quick(warm="10m"))
    answer = await stage.control.deploy(renamed(stage, "shop.localhost", version="2"))
    assert isinstance(answer, Unchanged) and answer.adjusted.renamed is not None
    await eventually(lambda: answers_to(stage, "shop.localhost"), "the new name")
    await stage.rollback()
    await eventually(lambda: gone_back(stage, f"{ENVIRONMENT}/{stage.service}/2"), "a rollback")
    assert stage.route is not None and stage.route.hosts == ("shop.localhost",)


async def test_another_strategy_alone_changes_nothing_now_and_is_said_to(stage: Stage) -> None:
    """It counts from the next release on."""
    await stage.deployed("1")
    await stage.idle()
    answer = await stage.deploy("1", canary())
    assert isinstance(answer, Unchanged) and answer.adjusted == Adjusted(strategy=True)


def renamed(stage: Stage, host: str, version: str = "1") -> DeployRequest:
    """Return the wish for the release that serves, under another name."""
    request = stage.request(version, quick(warm="10m") if version == "2" else quick())
    return structs.replace(request, spec=structs.replace(request.spec, hosts=(host,)))


async def told(stage: Stage, kind: str) -> str:
    """Return what a notice of ``kind`` says to type."""
    return next((notice.next for notice in stage.notices.told if notice.kind == kind), "")


async def gone_back(stage: Stage, rollout: str) -> bool:
    return isinstance(await stage.outcome(rollout), RolledBack)


async def answers_to(stage: Stage, host: str) -> bool:
    return stage.route is not None and stage.route.hosts == (host,)


async def more_than(stage: Stage, count: int) -> bool:
    return len(await measured(stage)) > count


async def cut_off(stage: Stage) -> bool:
    return stage.prober.cancelled == 1
