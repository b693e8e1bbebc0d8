"""Law 8: the data plane does not need the control plane. Killed at any point, it comes back and adopts what runs."""

import os
import signal
import time

import pytest

from bleen.domain.command import Advance
from bleen.domain.errors import BleenError
from bleen.domain.rollout import Promoted
from bleen.domain.traffic import Colour
from bleen.providers.local.watchdog import agent_pid
from tests.journeys.stage import Play, Stage

pytestmark = pytest.mark.journey


def whole(stage: Stage) -> bool:
    """Return whether every part is ready and the API answers."""
    try:
        return all(part.state == "ready" for part in stage.client.platform().parts)
    except BleenError:
        return False


def wait_until_whole(play: Play) -> None:
    """Wait until the platform is whole again."""
    play.until(lambda: whole(play.stage), "a whole platform", seconds=60)


def pids(play: Play) -> set[int]:
    """Return the processes of the blue instances."""
    return {i.pid for i in play.fleet(Colour.BLUE)}


@pytest.mark.parametrize("part", ["controller", "engine", "postgres"])
def test_traffic_flows_while_a_part_is_dead_and_the_part_returns(stage: Stage, part: str) -> None:
    """kill -9 of a part costs no request and restarts no instance."""
    play = stage.given(f"without-{part}")
    play.deploy()
    before = pids(play)
    os.kill(stage.pid(part), signal.SIGKILL)
    assert all(play.get().status_code == 200 for _ in range(50))
    wait_until_whole(play)
    assert pids(play) == before
    assert play.deploy().outcome == Promoted()


def test_a_killed_agent_adopts_what_runs(stage: Stage) -> None:
    """Neither an instance nor a part is started again."""
    play = stage.given("without-agent")
    play.deploy()
    before, parts = pids(play), {p.name: p.pid for p in stage.client.platform().parts}
    agent = agent_pid(stage.home)
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    assert all(play.get().status_code == 200 for _ in range(50))
    play.until(lambda: agent_pid(stage.home) not in (None, agent), "a new agent")
    wait_until_whole(play)
    assert pids(play) == before
    assert {p.name: p.pid for p in stage.client.platform().parts} == parts


def test_the_gateway_comes_back_with_its_routes(stage: Stage) -> None:
    """A killed Envoy starts from its files: nobody has to write them again."""
    play = stage.given("without-gateway")
    play.deploy()
    os.kill(stage.pid("gateway-local"), signal.SIGKILL)
    wait_until_whole(play)
    play.until(lambda: play.answers(3) == {"r1"}, "an answer")


@pytest.mark.parametrize("part", ["controller", "engine", "postgres"])
def test_a_rollout_survives_the_death_of_a_part_in_its_midst(stage: Stage, part: str) -> None:
    """The rollout goes on where it was, and ends as it would have."""
    play = stage.given(f"survives-{part}")
    play.deploy()
    number = play.begin(SLOW_START="1")
    os.kill(stage.pid(part), signal.SIGKILL)
    wait_until_whole(play)
    assert play.settled(number).outcome == Promoted()
    assert play.answers() == {"r2"}


def test_a_rollout_waits_through_a_stop_of_the_whole_platform(stage: Stage) -> None:
    """After `bleen down` and `bleen up` a rollout is where it was, and every service serves what it served."""
    play = stage.given("down-and-up", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    stage.platform.down()
    assert agent_pid(stage.home) is None
    stage.platform.up()
    play.until(lambda: play.answers(3) == {"r1"}, "the old release", seconds=60)
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r2"}


def test_an_idle_connection_to_the_gateway_outlives_the_controller(stage: Stage) -> None:
    """A client that holds its connection never notices."""
    import httpx

    play = stage.given("idle-connection")
    play.deploy()
    with httpx.Client(base_url=stage.gateway, headers={"host": "idle-connection.localhost"}) as client:
        assert client.get("/").status_code == 200
        os.kill(stage.pid("controller"), signal.SIGKILL)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert client.get("/").status_code == 200
    wait_until_whole(play)
