"""Deployments behind a gateway that flips: a real controller process, its workflows and its laws, against the double."""

import os
import signal
from collections.abc import Iterator

import pytest

from bleen.domain.command import Advance
from bleen.domain.fidelity import GatewayMode
from bleen.domain.rollout import Promoted, RolledBack
from tests.azure.edge_estate import EdgeStage, edge_stage

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]
CHECKED = {"checks": {"before": [{"type": "http", "path": "/checked"}]}}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeStage]:
    with edge_stage(
        tmp_path_factory.mktemp("flip"), GatewayMode.FLIP, "promoted", "refused", "warm", "survivor", "watched"
    ) as found:
        yield found


def test_blue_green_is_promoted_after_its_check(stage: EdgeStage) -> None:
    """The check asks the internal listener, where green is; then one update moves all traffic, and none is lost.

    The old fleet ends when neither listener refers to it any more: preview, switch and end are three updates.
    """
    play = stage.given("promoted", warm="0s", **CHECKED)
    assert play.deploy().outcome == Promoted()
    play.ended()
    updates = stage.estate.edge.updates
    with play.traffic(50) as traffic:
        assert play.deploy().outcome == Promoted()
        play.ended()
    assert traffic.failed == set()
    assert traffic.of("r1") and traffic.of("r2")
    assert play.fleets() == {"r2": 2} and play.answers() == {"r2"}
    pools = {stage.estate.edge.traffic[rule] for rule in ("promoted", "promoted-preview")}
    assert (pools, stage.estate.edge.updates) == ({"promoted-green"}, updates + 3)


def test_a_bad_green_never_has_traffic(stage: EdgeStage) -> None:
    """Its check fails at the internal listener; the stable release answers all along."""
    play = stage.given("refused", **CHECKED)
    play.deploy()
    rollout = play.deploy("marked")
    assert isinstance(rollout.outcome, RolledBack) and "/checked" in rollout.outcome.reason
    assert play.answers() == {"r1"}


def test_a_rollback_while_the_old_fleet_is_warm_is_one_update(stage: EdgeStage) -> None:
    """Nothing is launched: the gateway is updated once, and traffic is back."""
    play = stage.given("warm")
    play.deploy()
    play.deploy()
    edge, launched, updates = stage.estate.edge, stage.estate.cloud.calls["PATCH sets"], stage.estate.edge.updates
    play.rollback()
    play.until(lambda: play.answers(5) == {"r1"}, "the old release")
    assert stage.estate.cloud.calls["PATCH sets"] == launched
    assert edge.updates == updates + 1


def test_a_release_that_fails_after_the_switch_is_taken_back_by_its_traffic(stage: EdgeStage) -> None:
    """By what Azure Monitor counts of its colour's pool, beside what was usual of the release before it."""
    steps = [{"type": "weight", "percent": 100}, {"type": "pause", "for": "5m"}]
    play = stage.given("watched", type="canary", steps=steps, analysis={"learn": "25s", "latency": {"weight": 0}})
    play.deploy()
    with play.traffic(100):
        rollout = play.deploy("requests")
    assert isinstance(rollout.outcome, RolledBack) and "was usual of r1 before" in rollout.outcome.reason
    assert play.answers() == {"r1"}


def test_an_update_survives_the_death_of_its_controller(stage: EdgeStage) -> None:
    """kill -9 while the gateway is updated: the next controller follows the same update, and begins no second one."""
    play = stage.given("survivor", auto_promote=False)
    play.install()
    edge = stage.estate.edge
    play.begin_and_wait_for_approval()
    stage.hold()
    updates = edge.updates
    number = play.view().history[0].target.number
    play.tell(Advance("ada"))
    play.until(lambda: edge.updates == updates + 1, "the update")
    os.kill(stage.pid("controller"), signal.SIGKILL)
    assert all(play.get().status_code == 200 for _ in range(20))
    stage.go_on()
    assert play.settled(number).outcome == Promoted()
    assert play.answers() == {"r2"} and edge.updates == updates + 1
