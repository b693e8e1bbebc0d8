"""A dry run says what would be decided, by deciding it."""

from bleen.domain.check import HttpCheck
from bleen.domain.decision import Decision, Wait
from bleen.domain.service import BlueGreen, Checks
from bleen.workflows.dry_run import dry_run
from tests.domain.world import World


def kinds(decisions: tuple[Decision, ...]) -> list[str]:
    """Return the decisions by name, waits left out."""
    return [type(d).__name__ for d in decisions if not isinstance(d, Wait)]


def test_a_dry_run_decides_what_a_run_decides() -> None:
    """The same world, obeyed instead of simulated, takes the same decisions."""
    world = World().deployed(1)
    rollout = world.begin(2)
    foreseen = dry_run(rollout, world.observe())
    world.run(rollout, seconds=60)
    assert kinds(foreseen) == kinds(tuple(world.log))


def test_a_dry_run_names_checks_and_judgements() -> None:
    """Every step that could refuse the release is shown."""
    checks = Checks(before=(HttpCheck("/"),), after=(HttpCheck("/"),))
    foreseen = dry_run(
        World().deployed(1).begin(2, BlueGreen(auto_promote=False, checks=checks)), World().deployed(1).observe()
    )
    assert kinds(foreseen) == [
        "Launch",
        "Shift",
        "Measure",
        "AskHuman",
        "Shift",
        "Measure",
        "Promote",
        "Shift",
        "Retire",
        "Done",
    ]


def test_a_dry_run_of_a_first_deployment_ends_too() -> None:
    """With nothing there before, nothing is retired."""
    world = World()
    assert kinds(dry_run(world.begin(1), world.observe())) == ["Launch", "Shift", "Shift", "Promote", "Done"]
