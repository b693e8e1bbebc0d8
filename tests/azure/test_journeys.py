"""The same deployments with Azure for a provider: a real controller process, its workflows and its laws, against the double."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bleen.app.platform import LocalPlatform
from bleen.domain.command import Advance
from bleen.domain.errors import StartFailed
from bleen.domain.rollout import Promoted, RolledBack
from bleen.domain.traffic import Colour
from tests.azure.estate import AzureStage, azure_stage, settings_of

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]
CHECKED = {"checks": {"before": [{"type": "http", "path": "/checked"}]}}
MOST_CALLS = 60


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureStage]:
    with azure_stage(tmp_path_factory.mktemp("azure")) as found:
        yield found


def test_a_controller_of_azure_runs_no_gateway_here(stage: AzureStage) -> None:
    """Its parts are ledger, engine and itself; where services answer is Application Gateway's business."""
    assert {part.name for part in stage.client.platform().parts} == {"postgres", "engine", "controller"}
    assert stage.client.platform().gateway_port == 443


def test_a_second_controller_of_the_site_refuses_and_says_who_has_it(stage: AzureStage, tmp_path: Path) -> None:
    """Another home, the same site: `bleen up` fails with the host and the process that has it, which goes on."""
    described = Path(stage.platform.settings.azure_site)
    second = LocalPlatform(settings_of(tmp_path / "second", described))
    with pytest.raises(StartFailed):
        second.up()
    told = (tmp_path / "second/logs/controller.log").read_text()
    assert "another controller has this site" in told and f"pid {stage.pid('controller')}" in told
    assert stage.client.platform().parts


def test_blue_green_is_promoted_after_its_check(stage: AzureStage) -> None:
    """The check asks the idle colour through an Envoy, by the name of the service; all traffic moves, and none is lost."""
    play = stage.given("promoted", **CHECKED)
    assert play.deploy().outcome == Promoted()
    with play.traffic(100) as traffic:
        assert play.deploy().outcome == Promoted()
    assert traffic.failed == set()
    assert traffic.of("r2") and play.answers() == {"r2"}


def test_a_bad_green_never_has_traffic(stage: AzureStage) -> None:
    """Its check fails on the preview; the stable release answers all along."""
    play = stage.given("refused", **CHECKED)
    play.deploy()
    rollout = play.deploy("marked")
    assert isinstance(rollout.outcome, RolledBack) and "/checked" in rollout.outcome.reason
    assert play.answers() == {"r1"}


def test_a_canary_that_fails_requests_is_rolled_back_by_its_traffic(stage: AzureStage) -> None:
    """The verdict is of what the Envoys' agents report they have counted."""
    play = stage.canary("sick-canary", {"type": "weight", "percent": 50}, {"type": "measure", "max": "60s"})
    play.deploy()
    with play.traffic(100):
        rollout = play.deploy("requests")
    assert isinstance(rollout.outcome, RolledBack)
    assert 50.0 in play.weights()
    assert play.answers() == {"r1"}


def test_what_both_releases_use_is_measured_beside_their_requests(stage: AzureStage) -> None:
    """Processor time and memory, as the guests of their machines report it, in the figures that the ledger keeps."""
    play = stage.canary("used", {"type": "weight", "percent": 50}, {"type": "measure", "max": "90s"}, analysis={"bake": "60s"})
    play.deploy()

    def using() -> set[int]:
        signals = [each for measured in play.measured() for each in measured.signals]
        return {each.release for each in signals if each.cpu and each.memory and each.memory > 1_000_000}

    with play.traffic(100):
        number = play.begin()
        play.until(lambda: using() == {1, 2}, "what both releases use")
        play.tell(Advance("ada", full=True))
    assert play.settled(number).outcome == Promoted()


def test_a_rollback_while_the_old_fleet_is_warm_is_one_shift(stage: AzureStage) -> None:
    """Nothing is launched, and Resource Manager is not asked to change anything."""
    play = stage.given("warm")
    play.deploy()
    play.deploy()
    changed = stage.estate.cloud.calls["PATCH sets"]
    play.rollback()
    play.until(lambda: play.answers(5) == {"r1"}, "the old release")
    assert stage.estate.cloud.calls["PATCH sets"] == changed


def test_a_rollout_survives_the_death_of_its_controller(stage: AzureStage) -> None:
    """kill -9 while machines start: the next controller follows the same operation, and asks for no machine twice."""
    play = stage.given("survivor")
    play.deploy()
    number = play.begin(SLOW_START="2")
    sets = stage.estate.cloud.compute.sets
    green = sets["vmss-survivor-green-bleen-dev-weu"]
    play.until(lambda: green.capacity == 2, "the order of the green fleet")
    os.kill(stage.pid("controller"), signal.SIGKILL)
    assert all(play.get().status_code == 200 for _ in range(50))
    assert play.settled(number).outcome == Promoted()
    assert play.answers() == {"r2"} and green.starts == 2


def test_a_rollout_of_ten_instances_asks_azure_sixty_times_at_most(stage: AzureStage) -> None:
    """All of a rollout, from its order to the end of the old fleet; a person's thinking costs next to nothing."""
    play = stage.given("counted", auto_promote=False, warm="0s")
    play.instances = 10
    play.install()
    play.ended()
    before = stage.estate.cloud.arm_calls
    play.begin_and_wait_for_approval()
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    play.ended()
    assert len(play.fleet(Colour.GREEN)) == 10
    assert stage.estate.cloud.arm_calls - before <= MOST_CALLS, stage.estate.cloud.calls
