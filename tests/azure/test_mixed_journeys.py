"""Deployments behind a gateway that mixes: a real controller process, its workflows and its laws, against the double."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bleen.domain.command import Abort, Advance
from bleen.domain.fidelity import GatewayMode
from bleen.domain.rollout import Aborted, Promoted, RolledBack
from bleen.domain.traffic import Colour
from bleen.interfaces.views import RemovalOrder
from tests.azure.edge_estate import EdgeStage, edge_stage
from tests.azure.test_journeys import MOST_CALLS
from tests.journeys.stage import Play

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]
PAUSE = {"type": "pause"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStage]:
    services = ("promoted", "aborted", "survivor", "removed", "measured")
    with edge_stage(tmp_path_factory.mktemp("mixed"), GatewayMode.MIXED, *services) as found:
        yield found


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[EdgeStage]:
    """A stage on which no other service is being watched, and machines start within a look or two: waiting is not counted."""
    with edge_stage(tmp_path, GatewayMode.MIXED, "counted", look="2s") as found:
        yield found


def a_canary(stage: EdgeStage, name: str) -> Play:
    """Given: four machines of r1 serve, and its releases are canaries of a quarter and a half, with a person between."""
    steps = [{"type": "weight", "percent": 25}, PAUSE, {"type": "weight", "percent": 50}, PAUSE]
    play = stage.canary(name, *steps)
    play.instances = 4
    assert play.deploy().outcome == Promoted()
    play.ended()
    return play


def members(stage: EdgeStage, play: Play) -> tuple[int, int]:
    """Return how many machines of blue and of green traffic meets."""
    there = stage.estate.edge.members[play.name]
    blue, green = (sum(f"-{colour}-" in each for each in there) for colour in Colour)
    return blue, green


def share(play: Play, release: str) -> float:
    """Return the part of requests that a release answers."""
    found = [play.get().headers.get("x-bleen-release") for _ in range(40)]
    return found.count(release) / len(found)


def test_a_canary_has_the_share_of_machines_that_was_written(stage: EdgeStage) -> None:
    """A quarter, a half and all, each after a person's word; requests go by turns, and none is lost."""
    play = a_canary(stage, "promoted")
    since = len(stage.estate.edge.changes)
    with play.traffic(50) as traffic:
        play.begin()
        play.asked()
        assert members(stage, play) == (3, 1)
        assert share(play, "r2") == pytest.approx(0.25, abs=0.1)
        play.tell(Advance("ada"))
        play.until(lambda: members(stage, play) == (2, 2), "half of the machines")
        play.asked()
        play.tell(Advance("ada"))
        assert play.settled().outcome == Promoted()
        play.ended()
    assert traffic.failed == set()
    assert traffic.of("r1") and traffic.of("r2")
    assert play.weights() == [25, 50, 100]
    assert play.fleets() == {"r2": 4} and play.answers() == {"r2"}
    assert min(count for *_, count in stage.estate.edge.changes[since:]) >= 4


def test_a_canary_that_a_person_aborts_has_no_traffic_any_more(stage: EdgeStage) -> None:
    """The stable release has all again, by the machines that it had; no request is lost."""
    play = a_canary(stage, "aborted")
    with play.traffic(50) as traffic:
        play.begin()
        play.asked()
        assert members(stage, play) == (3, 1)
        play.tell(Abort("ada"))
        assert play.settled().outcome == Aborted("ada")
        play.ended()
    assert traffic.failed == set()
    assert members(stage, play) == (4, 0)
    assert play.fleets() == {"r1": 4} and play.answers() == {"r1"}


def test_a_canary_is_judged_by_what_azure_monitor_counts(stage: EdgeStage) -> None:
    """A bad release is rolled back by its own traffic, half of it; then a good one is promoted, and loses no request."""
    steps = [{"type": "weight", "percent": 50}, {"type": "measure", "max": "10m"}]
    play = stage.canary("measured", *steps, analysis={"latency": {"weight": 0}})
    play.instances = 4
    assert play.deploy().outcome == Promoted()
    play.ended()
    with play.traffic(100):
        rollout = play.deploy("requests")
        play.ended()
    assert isinstance(rollout.outcome, RolledBack) and "of its requests fail" in rollout.outcome.reason
    assert members(stage, play) == (4, 0) and play.answers() == {"r1"}
    with play.traffic(100) as traffic:
        assert play.deploy().outcome == Promoted()
        play.ended()
    assert traffic.failed == set() and play.answers() == {"r3"}
    assert play.weights() == [50, 100]


def test_a_switch_survives_the_death_of_its_controller(stage: EdgeStage) -> None:
    """kill -9 while machines enter: the next controller sees the same operations end, and begins none of them again."""
    play = stage.given("survivor", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    green = [nic for nic in stage.estate.cloud.nics.all.values() if "survivor-green" in nic.machine]
    stage.hold()
    number = play.view().history[0].target.number
    play.tell(Advance("ada"))
    play.until(lambda: all(nic.changes == 1 for nic in green), "their entering")
    os.kill(stage.pid("controller"), signal.SIGKILL)
    assert all(play.get().status_code == 200 for _ in range(20))
    stage.go_on()
    assert play.settled(number).outcome == Promoted()
    assert play.answers() == {"r2"} and [nic.changes for nic in green] == [1, 1]


def test_a_removed_service_answers_502_and_leaves_nothing(stage: EdgeStage) -> None:
    """Its machines leave the pool, and then end; its rule is Terraform's."""
    play = stage.given("removed")
    play.install()
    stage.client.remove("dev", "removed", RemovalOrder("ada", "nobody uses it"))
    play.until(play.is_gone, "its end", seconds=60)
    assert stage.estate.edge.members["removed"] == set()
    assert play.get().status_code == 502


def test_a_rollout_of_ten_instances_asks_azure_sixty_times_at_most(alone: EdgeStage) -> None:
    """As with any gateway, though each machine that enters or leaves is an operation of its own."""
    play = alone.given("counted", auto_promote=False, warm="0s")
    play.instances = 10
    play.install()
    play.ended()
    before = alone.estate.cloud.calls.copy()
    play.begin_and_wait_for_approval()
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    play.ended()
    calls = alone.estate.cloud.calls - before
    assert calls["PUT nics"] == 20
    assert calls.total() <= MOST_CALLS, calls
