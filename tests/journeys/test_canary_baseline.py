"""Canaries with a baseline fleet, on a real platform under requests that come on schedule."""

import pytest

from bleen.domain.command import Abort
from bleen.domain.rollout import Promoted, RolledBack
from bleen.domain.traffic import Colour
from bleen.domain.verdict import Fail, Pass
from tests.journeys.stage import Play, Stage

pytestmark = pytest.mark.journey
FIFTH: dict[str, object] = {"type": "weight", "percent": 20}
MEASURE: dict[str, object] = {"type": "measure", "max": "60s"}


def a_fair_canary(stage: Stage, name: str, **strategy: object) -> Play:
    """Return a service of four instances with a first release; the next has a fifth of the traffic, and a baseline fleet."""
    play = stage.canary(name, FIFTH, MEASURE, baseline=True, **strategy)  # type: ignore[arg-type]
    play.instances = 4
    play.deploy()
    return play


def test_a_release_is_promoted_beside_a_baseline_fleet_which_is_gone_afterwards(stage: Stage) -> None:
    """Of the same age and size it has as many requests as the canary, is what that is compared with, and costs no request."""
    play = a_fair_canary(stage, "fair-good", analysis={"bake": "4s"})
    before = {i.pid for i in play.fleet(Colour.BLUE)}
    with play.traffic(400) as traffic:
        number = play.begin()
        play.step("Analyse")
        assert play.fleets() == {"r1": 4, "r2": 1, "r1 baseline": 1}
        beside = play.until(lambda: play.counts(Colour.BLUE, baseline=True), "requests to the baseline fleet")
        assert set(beside) == {"GET"}
        assert play.settled(number).outcome == Promoted()
        play.ended()
    assert play.fleets() == {"r2": 4}
    assert traffic.failed == set()
    passed = next(a for a in play.measured() if isinstance(a.verdict, Pass))
    assert 0.7 < passed.compared / passed.requests < 1.4, "one is compared with the other, and not with the whole stable fleet"
    retired = [line.what for line in play.lines("retire")]
    assert retired == ["retire blue-baseline r1", "retire blue r1"]
    assert before.isdisjoint({i.pid for i in play.fleet(Colour.GREEN)})


def test_a_bad_release_is_refused_beside_a_baseline_fleet_which_is_gone_afterwards(stage: Stage) -> None:
    """One request in twenty fails, of the canary alone: only its users are harmed, and the stable fleet is as it was."""
    play = a_fair_canary(stage, "fair-bad")
    before = {i.pid for i in play.fleet(Colour.BLUE)}
    with play.traffic(400) as traffic:
        outcome = play.deploy(ERRORS="0.05").outcome
        assert isinstance(outcome, RolledBack) and "of its requests fail" in outcome.reason
        play.ended()
    assert isinstance(play.measured()[-1].verdict, Fail)
    assert play.fleets() == {"r1": 4} and {i.pid for i in play.fleet(Colour.BLUE)} == before
    assert {sample.answered_by for sample in traffic.samples if sample.failure} == {"r2"}
    assert play.answers() == {"r1"}


def test_a_baseline_fleet_is_reached_by_its_name(stage: Stage) -> None:
    """The header that reaches a release reaches it, while it has a part; its logs and its instances are told apart."""
    play = stage.canary("fair-named", FIFTH, {"type": "pause"}, baseline=True)
    play.deploy()
    play.begin()
    play.asked()
    answered = play.get(**{"x-bleen-release": "baseline"})
    (beside,) = play.fleet(Colour.BLUE, baseline=True)
    assert answered.json()["instance"] == beside.name == "fair-named-blue-baseline-r1-1"
    assert answered.headers["x-bleen-release"] == "r1"
    lines = play.stage.client.logs("fair-named", instance=beside.name, lines=5, follow=False)
    assert {line.instance for line in lines} <= {beside.name}
    play.tell(Abort("ada"))
    play.settled()
    assert play.get(**{"x-bleen-release": "baseline"}).status_code == 404
