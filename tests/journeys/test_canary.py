"""Canaries on a real platform: the behaviours that others' end-to-end tests hold themselves to, under their names.

Argo Rollouts' names come first, then those of Nomad. What the traffic itself decides is in `test_canary_analysis`.
"""

import signal
import time
from contextlib import suppress

import httpx
import pytest

from bleen.domain.command import Abort, Advance, Pause, Resume, Scale
from bleen.domain.errors import NothingToDo
from bleen.domain.rollout import Aborted, Promoted, RolledBack, Superseded
from bleen.domain.traffic import Colour
from bleen.workflows.messages import Unchanged
from tests.journeys.stage import Play, Stage

pytestmark = pytest.mark.journey
HALF: dict[str, object] = {"type": "weight", "percent": 50}
MEASURE: dict[str, object] = {"type": "measure", "max": "60s"}
PERSON: dict[str, object] = {"type": "pause"}


def at_a_pause(stage: Stage, name: str, *, instances: int = 2, **strategy: object) -> Play:
    """Return a service whose second release has half of the traffic and waits for a person."""
    play = stage.canary(name, HALF, PERSON, **strategy)
    play.instances = instances
    play.deploy(words="first")
    play.begin(words="second")
    play.asked()
    return play


def test_canary_promote_full(stage: Stage) -> None:
    """A person promotes with --full past a measurement that has no traffic to measure."""
    play = stage.canary("canary-full", HALF, MEASURE)
    play.deploy()
    play.begin()
    play.step("Analyse")
    play.tell(Advance("ada", full=True))
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r2"}


def test_canary_abort_retry_promote(stage: Stage) -> None:
    """RolloutAbortRetryPromote: an aborted canary gives its traffic back; tried again by one word, it is promoted."""
    play = at_a_pause(stage, "canary-retry")
    assert play.answers(40) == {"r1", "r2"}
    play.tell(Abort("ada"))
    assert play.settled().outcome == Aborted("ada")
    assert play.answers() == {"r1"}
    play.retry()
    play.until(lambda: play.view().history[0].id.endswith("/3"), "the retry")
    play.asked()
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r2"}


def test_good_to_bad_then_bad_to_bad_update_then_bad_to_good(stage: Stage) -> None:
    """Releases that never become healthy are superseded by one another, then by a good one; the first serves throughout."""
    play = stage.canary("canary-updates", HALF, crash_limit=99)
    play.deploy()
    for release in ("r2", "r3"):
        play.begin("health")
        play.until(lambda name=release: name in play.fleets(), f"the fleet of {release}")
        assert play.answers(5) == {"r1"}
    assert play.deploy().outcome == Promoted()
    assert [type(r.outcome) for r in play.view().history] == [Promoted, Superseded, Superseded, Promoted]
    assert play.answers() == {"r4"}


def test_bad_to_good_set_weight_update(stage: Stage) -> None:
    """A bad canary that has traffic already is replaced: it loses its traffic before the good one gets any."""
    play = stage.canary("canary-set-weight", HALF, PERSON, analysis={"starting_step": 3})
    play.deploy()
    play.begin("requests")
    play.asked()
    play.until(lambda: play.get().status_code == 500, "what the bad release answers")
    play.begin()
    play.asked()
    assert {play.get().status_code for _ in range(20)} == {200} and play.answers(40) == {"r1", "r3"}
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r3"}


def test_blue_green_to_canary(stage: Stage) -> None:
    """A service that was deployed blue-green takes its next release as a canary, and the next one blue-green again."""
    play = stage.canary("canary-from-blue-green", {"type": "weight", "percent": 20}, PERSON)
    canary, play.strategy = play.strategy, {"warm": "0s"}
    play.deploy()
    play.strategy = canary
    play.begin()
    play.asked()
    assert play.fleets() == {"r1": 2, "r2": 1}
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.weights() == [20, 100]
    play.strategy = {"warm": "0s"}
    assert play.deploy().outcome == Promoted()
    assert play.weights() == [100]


def test_canary_scaling_when_paused_and_during_update(stage: Stage) -> None:
    """RolloutScalingWhenPaused, RolloutScalingDuringUpdate: a canary that is half of the service stays half of it."""
    play = at_a_pause(stage, "canary-scaled")
    assert play.fleets() == {"r1": 2, "r2": 1}
    play.tell(Pause("ada"))
    play.tell(Scale("ada", 4))
    assert play.fleets() == {"r1": 2, "r2": 1}
    play.tell(Resume("ada"))
    play.until(lambda: play.fleets() == {"r1": 4, "r2": 2}, "the fleets of the larger service")
    play.asked()
    play.tell(Scale("ada", 2))
    play.until(lambda: play.fleets() == {"r1": 2, "r2": 1}, "the fleets of the smaller service")
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    play.ended()
    assert play.fleets() == {"r2": 2}


def test_canary_dynamic_stable_scale(stage: Stage) -> None:
    """The other way round than Argo's: the stable fleet keeps its full size until the canary has everything.

    The canary grows with its share. AbortScaleDownDelay: an aborted one is kept for a look at it, without traffic.
    """
    steps = [{"type": "weight", "percent": 25}, PERSON, {"type": "weight", "percent": 75}, PERSON]
    play = stage.canary("canary-sizes", *steps, abort_delay="1h")
    play.instances = 4
    play.deploy()
    play.begin()
    play.asked()
    assert play.fleets() == {"r1": 4, "r2": 1}
    play.tell(Advance("ada"))
    play.until(lambda: play.rollout().weight == 7500, "three quarters of the traffic")
    play.asked()
    assert play.fleets() == {"r1": 4, "r2": 3}
    play.tell(Abort("ada"))
    assert play.settled().outcome == Aborted("ada")
    play.until(lambda: "kept a little" in str(play.view().progress), "a canary that is kept")
    assert play.fleets() == {"r1": 4, "r2": 3} and play.answers() == {"r1"}


def test_canary_rollback_to_stable(stage: Stage) -> None:
    """CanaryDynamicStableScaleRollbackToStable: what serves is deployed again in mid-canary, and the canary just goes."""
    play = at_a_pause(stage, "canary-to-stable")
    before = {i.pid for i in play.fleet(Colour.BLUE)}
    play.submit({"FAIL": "", "WORDS": "first"})
    assert play.settled().outcome == Superseded(1)
    play.ended()
    assert play.fleets() == {"r1": 2} and {i.pid for i in play.fleet(Colour.BLUE)} == before
    assert isinstance(play.submit({"FAIL": "", "WORDS": "first"}), Unchanged)


def test_canary_header_route(stage: Stage) -> None:
    """HeaderRoute: header and cookie reach the canary at no weight; an abort takes both ways away."""
    steps = [{"type": "header", "name": "x-team", "value": "beta"}, {"type": "cookie", "name": "team", "value": "beta"}]
    play = stage.canary("canary-header", *steps, PERSON)
    play.deploy()
    play.begin()
    play.asked()
    asked = ({}, {"x-team": "beta"}, {"cookie": "a=b; team=beta"}, {"x-team": "alpha"}, {"cookie": "team=alpha"})

    def answers() -> list[str]:
        return [play.get(**headers).headers["x-bleen-release"] for headers in asked]

    assert answers() == ["r1", "r2", "r2", "r1", "r1"]
    assert play.answers() == {"r1"} and play.weights() == []
    play.tell(Abort("ada"))
    play.settled()
    assert answers() == ["r1"] * 5


def test_canary_host_mirror_route(stage: Stage) -> None:
    """HostMirrorRoute: every GET is copied to the canary, no POST is, and users hear the stable release only."""
    play = stage.canary("canary-mirror", {"type": "mirror", "percent": 100}, PERSON, analysis={"starting_step": 3})
    play.deploy()
    play.begin("requests")
    play.asked()
    assert play.answers(30) == {"r1"}
    for _ in range(10):
        assert httpx.post(f"{stage.gateway}/", headers={"host": "canary-mirror.localhost"}).status_code == 200
    play.until(lambda: play.counts(Colour.GREEN)["copied GET"] == 30, "the copies")
    assert play.counts(Colour.GREEN) == {"copied GET": 30, "failed": 30}
    assert play.counts(Colour.BLUE) == {"GET": 30, "POST": 10}


def test_affinity(stage: Stage) -> None:
    """Users who return meet the release of their first visit, round after round, and the share of the canary stays."""
    play = stage.canary("canary-affinity", {"type": "weight", "percent": 30}, PERSON, affinity={})
    play.deploy()
    play.begin()
    play.asked()
    users: list[tuple[str, str]] = []
    with httpx.Client(base_url=stage.gateway, headers={"host": "canary-affinity.localhost"}) as client:
        for _ in range(3):
            returning = [client.get("/", headers={"cookie": cookie}).headers["x-bleen-release"] for cookie, _ in users]
            assert returning == [release for _, release in users]
            users += [visit(client) for _ in range(150)]
    share = sum(release == "r2" for _, release in users) / len(users)
    assert 0.2 < share < 0.4  # 4.6 standard deviations; a visit that moves to the canary for good would make it half


def visit(client: httpx.Client) -> tuple[str, str]:
    """Come for the first time; return the cookie that was given, and the release that answered."""
    client.cookies.clear()
    answer = client.get("/")
    client.cookies.clear()
    return answer.headers["set-cookie"].partition(";")[0], answer.headers["x-bleen-release"]


def test_steps_of_ones_own(stage: Stage) -> None:
    """Size, weight, pause, judgement and check, in the order in which they are written."""
    check = {"type": "check", "checks": [{"type": "http", "path": "/checked"}]}
    judge = {"type": "judge", "question": "Are the dashboards calm?", "within": "10m"}
    steps = [
        {"type": "scale", "instances": 2},
        {"type": "weight", "percent": 10},
        {"type": "pause", "for": "1s"},
        judge,
        {"type": "weight", "percent": 60},
        check,
    ]
    play = stage.canary("canary-steps", *steps)
    play.instances = 3
    play.deploy()
    play.begin()
    play.asked("Are the dashboards calm?")
    assert play.weights() == [10] and play.fleets() == {"r1": 3, "r2": 2}
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.weights() == [10, 60, 100]
    told = [line.kind for line in play.lines("shift", "ask-human", "checked", "launch", "promoted")]
    preview, ten, sixty, all_of_it, tidy = ["shift"] * 5
    before = ["launch", preview, ten, "ask-human"]
    assert told[:10] == [*before, sixty, "checked", "launch", all_of_it, "promoted", tidy]


def test_auto_promote_unhealthy_canaries(stage: Stage) -> None:
    """Nomad: a canary whose instances are never healthy is never given weight, and no user meets it."""
    play = stage.canary("canary-unhealthy", HALF, MEASURE, progress_deadline="3s", crash_limit=99)
    play.deploy()
    with play.traffic(100) as traffic:
        rollout = play.deploy("health")
    assert isinstance(rollout.outcome, RolledBack) and "no progress for 3s" in rollout.outcome.reason
    assert play.weights() == []
    assert traffic.failed == set() and len(traffic.of("r1")) == len(traffic.samples)


def test_canary_progress_deadline_late_promote(stage: Stage) -> None:
    """Nomad ProgressDeadline_LatePromote: the time that a person takes is not held against the canary."""
    play = at_a_pause(stage, "canary-late", progress_deadline="5s")
    time.sleep(6)
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()


def test_lost_node_canary(stage: Stage) -> None:
    """Nomad LostNode_Canary: the only instance of a canary is killed under traffic: replaced or rolled back, never stuck."""
    play = at_a_pause(stage, "canary-lost")
    with play.traffic() as traffic:
        play.kill(Colour.GREEN, signal.SIGKILL)
        play.until(lambda: play.view().history[0].outcome or restarted(play), "a rollback, or another instance")
        if not play.view().history[0].outcome:
            with suppress(NothingToDo):  # it may be rolled back at this very moment
                play.tell(Advance("ada"))
        assert isinstance(play.settled().outcome, Promoted | RolledBack)
    assert {sample.answered_by for sample in traffic.samples if sample.failure} <= {"r2"}
    assert len(play.answers()) == 1


def restarted(play: Play) -> bool:
    """Return whether the canary has an instance again that is ready."""
    return any(i.restarts and i.state == "ready" for i in play.fleet(Colour.GREEN))
