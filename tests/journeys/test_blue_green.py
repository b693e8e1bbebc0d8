"""Blue-green on a real platform: the behaviours that others' end-to-end tests hold themselves to, under their names.

Argo Rollouts' names come first, then those of Nomad, Flagger and Spinnaker (see each docstring).
"""

import time
from pathlib import Path

import pytest

from bleen.domain.codec import convert
from bleen.domain.command import Abort, Advance, Pause, Resume, Scale
from bleen.domain.rollout import Aborted, Promoted, RolledBack, Superseded
from bleen.domain.service import Service
from bleen.domain.traffic import Colour
from bleen.interfaces.views import RemovalOrder, ScaleOrder
from bleen.workflows.messages import Refused, Resized, Unchanged
from tests.journeys.stage import Stage

pytestmark = pytest.mark.journey
CHECKED = {"checks": {"before": [{"type": "http", "path": "/checked"}]}}
CHECKED_AFTER = {"checks": {"after": [{"type": "http", "path": "/checked"}]}}


def test_blue_green_promote_full(stage: Stage) -> None:
    """Checks and approval are passed over when a person promotes with --full."""
    play = stage.given("promote-full", auto_promote=False, **CHECKED)
    play.begin()
    play.tell(Advance("ada", full=True))
    assert play.settled().outcome == Promoted()
    play.begin("marked")
    play.tell(Advance("ada", full=True))
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r2"}


def test_blue_green_pre_promotion_fail(stage: Stage) -> None:
    """A bad green never receives traffic: its check fails on the preview."""
    play = stage.given("pre-promotion", **CHECKED)
    play.deploy()
    rollout = play.deploy("marked")
    assert isinstance(rollout.outcome, RolledBack) and "/checked" in rollout.outcome.reason
    assert play.answers() == {"r1"}
    play.ended()
    assert play.fleets() == {"r1": 2}


def test_blue_green_post_promotion_fail(stage: Stage) -> None:
    """A check that fails after the switch gives all traffic back to the old release."""
    play = stage.given("post-promotion", **CHECKED_AFTER)
    play.deploy()
    rollout = play.deploy("marked")
    assert isinstance(rollout.outcome, RolledBack)
    assert play.answers() == {"r1"}


def test_blue_green_abort_and_update(stage: Stage) -> None:
    """After an abort a newer release is deployed as if nothing had been."""
    play = stage.given("abort-update", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    play.tell(Abort("ada"))
    assert play.settled().outcome == Aborted("ada")
    play.begin_and_wait_for_approval()
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r3"}


def test_rollout_abort_retry_promote(stage: Stage) -> None:
    """An aborted release is tried again by one word, and promoted."""
    play = stage.given("abort-retry", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    play.tell(Abort("ada"))
    play.settled()
    play.retry()
    play.until(lambda: play.view().history[0].id.endswith("/3"), "the retry")
    play.decision("AskHuman")
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r2"}


def test_good_to_bad_to_bad_update_to_good(stage: Stage) -> None:
    """GoodToBad, BadToBadUpdate, BadToGood: bad releases come and go, the good one serves throughout."""
    play = stage.given("good-bad-good")
    play.deploy()
    for fail in ("start", "start"):
        rollout = play.deploy(fail)
        assert isinstance(rollout.outcome, RolledBack) and "no key 'colour'" in rollout.outcome.reason
        assert play.answers(5) == {"r1"}
    assert play.deploy().outcome == Promoted()
    assert play.answers() == {"r4"}


def test_fix_invalid_spec(stage: Stage) -> None:
    """A command that is not in the image is refused with its name, and the corrected release goes through."""
    play = stage.given("fix-spec")
    play.deploy()
    play.extra = {"command": ["no-such-program", "{address}", "{port}"]}
    rollout = play.deploy()
    assert isinstance(rollout.outcome, RolledBack) and "no-such-program" in rollout.outcome.reason
    play.extra = {}
    assert play.deploy().outcome == Promoted()


def test_blue_green_scale_down_delay(stage: Stage) -> None:
    """The old fleet waits through the warm time, and is gone after it."""
    play = stage.given("scale-down-delay", warm="2s")
    play.deploy()
    play.deploy()
    assert play.fleets() == {"r1": 2, "r2": 2}
    play.ended()
    assert play.fleets() == {"r2": 2}


def test_blue_green_exceed_progress_deadline_abort(stage: Stage) -> None:
    """A release that never becomes healthy goes back after the progress deadline."""
    play = stage.given("deadline", progress_deadline="3s", crash_limit=99)
    play.deploy()
    rollout = play.deploy("health")
    assert isinstance(rollout.outcome, RolledBack) and "no progress for 3s" in rollout.outcome.reason
    assert play.answers() == {"r1"}


def test_blue_green_scale_down_on_abort(stage: Stage) -> None:
    """The fleet of an aborted release goes, and its slot is free."""
    play = stage.given("scale-down-abort", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    play.tell(Abort("ada"))
    play.ended()
    assert play.fleets() == {"r1": 2}


def test_spec_and_replica_change_same_time(stage: Stage) -> None:
    """A new release with more instances leaves the old fleet as it is."""
    play = stage.given("spec-and-size")
    play.deploy()
    play.instances = 3
    play.deploy()
    assert play.fleets() == {"r1": 2, "r2": 3}


def test_rollout_scaling_when_paused(stage: Stage) -> None:
    """A paused rollout still takes another size: it has it once it is resumed, and loses no instance meanwhile."""
    play = stage.given("scaling-paused", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    play.tell(Pause("ada"))
    play.tell(Scale("ada", 3))
    play.tell(Resume("ada"))
    play.until(lambda: play.fleets() == {"r1": 3, "r2": 3}, "three instances each")


def test_rollout_scaling_during_update(stage: Stage) -> None:
    """Both fleets follow a change of size in mid-rollout."""
    play = stage.given("scaling-update", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    play.tell(Scale("ada", 3))
    play.until(lambda: play.fleets() == {"r1": 3, "r2": 3}, "three instances each")
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()


def test_a_service_is_scaled_outside_any_rollout(stage: Stage) -> None:
    """The same instances go on, more join them, and the next deployment goes by its file."""
    play = stage.given("scaled", warm="0s")
    play.deploy(words="same")
    play.ended()
    before = {i.pid for i in play.fleet(Colour.BLUE)}
    assert stage.client.scale("dev", "scaled", ScaleOrder("ada", 3)) == Resized(1, 2, 3)
    play.until(lambda: sum(i.state == "ready" for i in play.fleet(Colour.BLUE)) == 3, "three ready instances")
    assert before < {i.pid for i in play.fleet(Colour.BLUE)}
    unchanged = play.submit({"FAIL": "", "WORDS": "same"})
    assert isinstance(unchanged, Unchanged) and unchanged.resized == Resized(1, 3, 2)
    play.until(lambda: {i.pid for i in play.fleet(Colour.BLUE)} == before, "the first two instances")


def test_blue_green_preview_replica_count(stage: Stage) -> None:
    """The preview has one instance, and the fleet is whole before traffic comes."""
    play = stage.given("preview-count", preview_instances=1, auto_promote=False)
    play.instances = 3
    play.begin_and_wait_for_approval()
    assert play.fleets() == {"r1": 1}
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()
    assert play.fleets() == {"r1": 3}


def test_abort_update_in_middle(stage: Stage) -> None:
    """An abort while the new fleet starts ends it."""
    play = stage.given("abort-middle")
    play.deploy()
    play.begin(SLOW_START="4")
    play.tell(Abort("ada"))
    assert play.settled().outcome == Aborted("ada")
    play.ended()
    assert play.fleets() == {"r1": 2}


def test_ping_pong_update(stage: Stage) -> None:
    """To the new release, back, and to it again, three times; each answers alone."""
    play = stage.given("ping-pong")
    play.deploy(words="one")
    for _ in range(3):
        assert play.deploy(words="two").target.number == 2
        play.until(lambda: play.answers(5) == {"r2"}, "r2 alone")
        play.rollback()
        play.until(lambda: play.answers(5) == {"r1"}, "r1 alone")
        play.until(lambda: isinstance(play.view().history[0].outcome, RolledBack), "the outcome")
        play.ended()


def test_header_route_and_preview(stage: Stage) -> None:
    """The idle colour answers to the preview host and to the header, before it has traffic."""
    play = stage.given("preview", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    assert play.answers() == {"r1"}
    assert play.get(host="preview.preview.localhost").headers["x-bleen-release"] == "r2"
    assert play.get(**{"x-bleen-release": "r2"}).json()["release"] == "r2"
    assert play.get(**{"x-bleen-release": "green"}).json()["release"] == "r2"
    assert play.get(**{"x-bleen-release": "r9"}).status_code == 404


def test_rollback_inside_window(stage: Stage) -> None:
    """While the old fleet is warm, going back launches nothing and checks nothing."""
    play = stage.given("inside-window", **CHECKED)
    play.deploy()
    play.deploy()
    before = {i.pid for i in play.fleet(Colour.BLUE)}
    began = time.monotonic()
    play.rollback()
    play.until(lambda: play.answers(3) == {"r1"}, "r1 alone")
    assert time.monotonic() - began < 5
    assert {i.pid for i in play.fleet(Colour.BLUE)} == before


def test_rollback_outside_window(stage: Stage) -> None:
    """After the warm time a rollback is a new rollout, which skips the checks of a release that was promoted lately."""
    play = stage.given("outside-window", warm="0s", **CHECKED)
    play.deploy()
    play.deploy()
    play.ended()
    play.rollback()
    play.until(lambda: play.view().history[0].id.endswith("/3"), "a third rollout")
    assert play.settled().outcome == Promoted()
    assert play.answers() == {"r1"}
    kinds = {line.kind for line in stage.client.explain(play.view().history[0].id).lines}
    assert "measure" not in kinds and "checked" not in kinds


def test_a_newer_release_supersedes_an_older_one_in_order(stage: Stage) -> None:
    """The third release waits until the second has gone back, and never are there three fleets."""
    play = stage.given("supersede")
    play.deploy()
    play.begin("health")
    play.until(lambda: "r2" in play.fleets(), "the second fleet")
    play.submit({"FAIL": "", "WORDS": "third"})
    most = 0
    while not (progress := play.view().progress) or progress.rollout.target.number != 3 or not progress.rollout.outcome:
        most = max(most, len(play.fleets()))
        time.sleep(0.05)
    assert most == 2
    play.settled(3)
    assert [type(r.outcome) for r in play.view().history] == [Promoted, Superseded, Promoted]
    assert play.answers() == {"r3"}


def test_a_deployment_of_what_serves_changes_nothing(stage: Stage) -> None:
    """Same image, same configuration: nothing to do, and no new release."""
    play = stage.given("unchanged")
    play.deploy(words="same")
    assert isinstance(play.submit({"FAIL": "", "WORDS": "same"}), Unchanged)


def test_config_is_rolled_back_with_the_release(stage: Stage) -> None:
    """The environment of a release is part of it (AR#1297)."""
    play = stage.given("config")
    play.deploy(words="old")
    play.deploy(words="new")
    assert play.get().json()["words"] == "new"
    play.rollback()
    play.until(lambda: play.get().json()["words"] == "old", "the old configuration")


def test_lost_node(stage: Stage) -> None:
    """Nomad LostNode: an instance that is killed is replaced, and the service answers throughout."""
    play = stage.given("lost-node")
    play.deploy()
    play.kill(Colour.BLUE, count=1)
    assert all(play.get().status_code == 200 for _ in range(20))
    play.until(lambda: sum(i.restarts for i in play.fleet(Colour.BLUE)) == 1, "a restart")
    play.until(lambda: all(i.state == "ready" for i in play.fleet(Colour.BLUE)), "two ready instances")


def test_progress_deadline_late_promote(stage: Stage) -> None:
    """Nomad ProgressDeadline_LatePromote: the time that a person takes to approve is not held against the release."""
    play = stage.given("late-promote", auto_promote=False, progress_deadline="5s")
    play.begin_and_wait_for_approval()
    time.sleep(6)
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()


def test_auto_promote_unhealthy(stage: Stage) -> None:
    """Nomad AutoPromote_UnhealthyCanaries: what is not healthy is not promoted, however automatic."""
    play = stage.given("unhealthy", progress_deadline="2s", crash_limit=99)
    play.deploy()
    assert isinstance(play.deploy("health").outcome, RolledBack)


def test_promotion_failed_after_traffic_shift(stage: Stage) -> None:
    """Flagger PromotionFailedAfterTrafficShift: a promoted release that dies goes back to the warm fleet by itself."""
    play = stage.given("dies-later")
    play.deploy()
    play.deploy(LIFE="2.5")
    play.until(lambda: isinstance(play.view().history[0].outcome, RolledBack), "a rollback by itself", seconds=40)
    assert play.answers() == {"r1"}


def test_traffic_guard(stage: Stage) -> None:
    """Spinnaker TrafficGuard: the last serving fleet is not retired, whoever asks."""
    play = stage.given("guard")
    play.deploy()
    refusal = play.rollback()
    assert isinstance(refusal, Refused) and "no earlier release" in refusal.what
    assert play.answers() == {"r1"}


def test_a_removed_service_loses_no_request_that_it_took(stage: Stage) -> None:
    """Each request is answered or told 404, never dropped; the warm fleet goes too, and a deployment brings it back."""
    play = stage.given("removed")
    play.deploy()
    play.deploy()
    assert play.fleets() == {"r1": 2, "r2": 2}
    pids = [instance.pid for colour in Colour for instance in play.fleet(colour)]
    with play.traffic(100) as traffic:
        stage.client.remove("dev", play.name, RemovalOrder("ada", "its day is over"))
        play.until(play.is_gone, "the end of the service")
    assert {failure.partition(" ")[2][:3] for failure in traffic.failed} == {"404"} and traffic.of("r2")
    assert play.get().status_code == 404
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    past = stage.client.history("dev", play.name)
    assert [len(past.rollouts), [removal.reason for removal in past.removals]] == [2, ["its day is over"]]
    assert play.deploy().outcome == Promoted()
    assert play.answers() == {"r3"}


def test_two_services_on_one_host_are_refused(stage: Stage) -> None:
    """The second one says which service has the name, and the first one keeps it."""
    first, second = stage.given("first-host"), stage.given("second-host")
    first.deploy()
    second.extra = {"hosts": ["first-host.localhost"]}
    refusal = second.submit({"FAIL": ""})
    assert isinstance(refusal, Refused) and "dev/first-host answers to first-host.localhost" in refusal.what
    assert stage.client.services("dev").services and "second-host" not in [
        s.service for s in stage.client.services("dev").services
    ]
    assert first.answers() == {"r1"} and first.get().json()["instance"].startswith("first-host")


def test_a_service_file_can_be_ten_lines() -> None:
    """Service, image, command, health: the rest has defaults."""
    plain = {"service": "tiny", "image": {"type": "directory", "path": "app"}, "command": ["./run"]}
    assert isinstance(convert(plain, Service), Service)
