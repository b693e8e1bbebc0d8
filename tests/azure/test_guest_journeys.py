"""A deployment on machines that run the real guest: a controller, two Envoys, and a process of its own for everything."""

import os
import signal
from collections.abc import Iterator

import pytest

from bleen.domain.rollout import Promoted
from tests.azure.double.guests import GuestMachines
from tests.azure.estate import AzureStage, azure_stage

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureStage]:
    with azure_stage(tmp_path_factory.mktemp("guests"), guests=True) as found:
        yield found


def guests(stage: AzureStage) -> GuestMachines:
    machines = stage.estate.cloud.machines
    assert isinstance(machines, GuestMachines)
    return machines


def test_a_release_replaces_another_and_every_machine_that_goes_was_asked(stage: AzureStage) -> None:
    """No request is lost, though guests are killed in the midst; each deletion was approved by the machine that it meant."""
    play = stage.given("guarded", warm="0s")
    assert play.deploy().outcome == Promoted()
    first = list(guests(stage).started.values())
    with play.traffic(60) as traffic:
        for machine in first:
            assert machine.process is not None
            os.kill(machine.process.pid, signal.SIGKILL)
            stage.aside.run(machine.boot())
        assert play.deploy().outcome == Promoted()
        play.ended()
    assert traffic.failed == set()
    assert traffic.of("r1") and traffic.of("r2") and play.answers() == {"r2"}
    ended = stage.estate.cloud.imds.ended
    assert {event.machines for event in ended} == {(machine.name,) for machine in first}
    assert all(event.approved_by == list(event.machines) for event in ended)


def test_what_a_machine_cannot_start_is_said_by_the_platform(stage: AzureStage) -> None:
    """The image is not on the machine as it was baked: the rollout is reversed, and says what the machine said."""
    play = stage.given("hollow")
    machines = guests(stage)
    before = machines.environ["BLEEN_GUEST_IMAGES"]
    machines.environ["BLEEN_GUEST_IMAGES"] = f"{before}-of-nobody"
    try:
        rollout = play.deploy()
    finally:
        machines.environ["BLEEN_GUEST_IMAGES"] = before
    assert "there is no image" in str(rollout.outcome)
