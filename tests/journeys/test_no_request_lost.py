"""No request is lost by a deployment, a rollback or a scale-in, under load from a process of its own."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from bleen.domain.command import Scale
from bleen.domain.rollout import Promoted
from bleen.domain.traffic import Colour
from bleen.providers.load import Load, LoadProcess, Mode, Outcome
from tests.journeys.stage import Play, Stage

pytestmark = pytest.mark.journey


def under_load(play: Play, doing: Callable[[], object], *, mode: Mode = Mode.KEEP_ALIVE, path: str = "/") -> Outcome:
    """Do something while requests come, and return what became of them."""
    rate = 20.0 if mode is Mode.SLOW else 200.0
    load = LoadProcess(Load(play.stage.platform.ports().gateway, rate, mode, host=f"{play.name}.localhost", path=path))

    async def run() -> Outcome:
        await load.start()
        try:
            await asyncio.sleep(1)
            await asyncio.to_thread(doing)
            await asyncio.sleep(1)
        finally:
            outcome = await load.stop()
        return outcome

    return asyncio.run(run())


def releases(outcome: Outcome) -> set[str]:
    """Return who answered."""
    return {sample.answered_by for sample in outcome.samples}


@pytest.mark.parametrize(("mode", "path"), [(Mode.KEEP_ALIVE, "/"), (Mode.NEW, "/"), (Mode.SLOW, "/slow/1")])
def test_a_deployment_and_a_rollback_lose_nothing(stage: Stage, mode: Mode, path: str) -> None:
    """Deploy, retire the old fleet, deploy again, go back: not one request fails."""
    play = stage.given(f"lossless-{mode.name.lower().replace('_', '-')}", warm="0s")
    play.deploy()

    def story() -> None:
        assert play.deploy().outcome == Promoted()
        play.ended()
        play.strategy["warm"] = "1m"
        assert play.deploy().outcome == Promoted()
        play.rollback()
        play.ended()

    outcome = under_load(play, story, mode=mode, path=path)
    assert [f.failure for f in outcome.failures] == []
    assert releases(outcome) == {"r1", "r2", "r3"}


def test_a_refused_release_costs_nothing(stage: Stage) -> None:
    """A release that crashes at start never meets a request."""
    play = stage.given("lossless-refused")
    play.deploy()
    outcome = under_load(play, lambda: play.deploy("start"))
    assert [f.failure for f in outcome.failures] == [] and releases(outcome) == {"r1"}


def test_what_hangs_in_a_frozen_instance_is_answered_by_its_neighbour(stage: Stage) -> None:
    """Also when their fleet is just being retired: the frozen one goes first, while the other still can answer."""
    play = stage.given("lossless-frozen", warm="0s")
    play.deploy()

    def story() -> None:
        play.kill(Colour.BLUE, signal.SIGSTOP, count=1)
        play.deploy()
        play.ended()

    outcome = under_load(play, story)
    assert [f.failure for f in outcome.failures] == [] and releases(outcome) == {"r1", "r2"}


def test_a_scale_in_costs_nothing(stage: Stage) -> None:
    """An instance of the live colour leaves the gateway before it is stopped."""
    play = stage.given("lossless-scale-in")
    play.instances = 3
    play.deploy()
    play.deploy()

    def scale_in() -> None:
        play.tell(Scale("ada", 1))
        play.until(lambda: set(play.fleets().values()) == {1}, "one instance each")

    outcome = under_load(play, scale_in)
    assert [f.failure for f in outcome.failures] == []


def test_a_killed_instance_costs_nothing_where_another_one_is_healthy(stage: Stage) -> None:
    """What it was answering is asked again of the other one; it is replaced."""
    play = stage.given("lossless-kill")
    play.deploy()

    def kill() -> None:
        play.kill(Colour.BLUE, count=1)
        play.until(lambda: sum(i.restarts for i in play.fleet(Colour.BLUE)) >= 1, "a restart")
        play.until(lambda: all(i.state == "ready" for i in play.fleet(Colour.BLUE)), "two ready instances")

    outcome = under_load(play, kill)
    assert [f.failure for f in outcome.failures] == []


def test_a_dead_controller_costs_nothing_in_mid_rollout(stage: Stage) -> None:
    """The controller is killed while the new fleet starts; the rollout ends all the same."""
    play = stage.given("lossless-controller")
    play.deploy()

    def story() -> None:
        number = play.begin(SLOW_START="1")
        os.kill(stage.pid("controller"), signal.SIGKILL)
        play.until(lambda: play.settled(number), "an outcome", seconds=90)

    outcome = under_load(play, story)
    assert [f.failure for f in outcome.failures] == []
    assert releases(outcome) == {"r1", "r2"}
