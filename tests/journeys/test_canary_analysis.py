"""What the traffic decides, on a real platform: canaries under requests that come on schedule, whatever becomes of them.

Named after Argo Rollouts' end-to-end tests of analysis, Nomad's and Flagger's of automatic rollback, where they have one.
"""

import os
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bleen.app.home import free_port
from bleen.domain.command import Advance
from bleen.domain.rollout import Promoted, RolledBack
from bleen.domain.traffic import Colour
from bleen.domain.verdict import Cause, Fail, Inconclusive, Pass
from tests.journeys.stage import Play, Stage
from tests.journeys.test_control_plane import wait_until_whole

pytestmark = pytest.mark.journey
HALF: dict[str, object] = {"type": "weight", "percent": 50}
MEASURE: dict[str, object] = {"type": "measure", "max": "60s"}
PERSON: dict[str, object] = {"type": "pause"}


def a_canary(stage: Stage, name: str, *steps: dict[str, object], **strategy: object) -> Play:
    """Return a service with a first release; the next one has half of the traffic, which is measured."""
    play = stage.canary(name, *(steps or (HALF, MEASURE)), **strategy)  # type: ignore[arg-type]
    play.deploy()
    return play


def causes(play: Play) -> set[Cause]:
    """Return why there was no verdict, as far as the ledger tells."""
    return {a.verdict.cause for a in play.measured() if isinstance(a.verdict, Inconclusive)}


def counted(play: Play) -> int:
    """Return how many requests to the canary are evidence in the ledger."""
    return max((a.requests for a in play.measured()), default=0)


def test_canary_inline_analysis(stage: Stage) -> None:
    """A release is promoted by its traffic, errors and latencies, with nobody asked and no request lost."""
    play = a_canary(stage, "analysis-inline", analysis={"latency": {"weight": 1, "ratio": 3}})
    with play.traffic(400) as traffic:
        assert play.deploy().outcome == Promoted()
    passed = next(a for a in play.measured() if isinstance(a.verdict, Pass))
    assert {reading.metric for reading in passed.readings} == {"errors", "latency"}
    assert play.weights() == [50, 100]
    assert traffic.failed == set() and traffic.of("r1") and traffic.of("r2")


def test_canary_inline_analysis_of_latency(stage: Stage) -> None:
    """A release whose every answer is right, and comes late, is rolled back for that."""
    play = a_canary(stage, "analysis-slow", analysis={"latency": {"weight": 1}})
    with play.traffic() as traffic:
        outcome = play.deploy(LATENCY="0.1").outcome
    assert isinstance(outcome, RolledBack) and "take longer than" in outcome.reason
    assert traffic.failed == set()


def test_canary_background_analysis(stage: Stage) -> None:
    """From its starting step on the traffic rolls a release back without any step that measures; before that it does not."""
    steps = [HALF, PERSON, PERSON]
    play = a_canary(stage, "analysis-background", *steps, analysis={"starting_step": 3})
    with play.traffic():
        play.begin(ERRORS="0.3")
        play.asked()
        play.until(lambda: any(isinstance(a.verdict, Fail) for a in play.measured()), "a verdict in the ledger")
        assert play.rollout().retreat is None and play.view().history[0].outcome is None
        play.tell(Advance("ada"))
        outcome = play.settled().outcome
    assert isinstance(outcome, RolledBack) and "its traffic says no" in outcome.reason
    assert play.answers() == {"r1"}


def test_canary_inconclusive_analysis(stage: Stage) -> None:
    """Without traffic a person is asked, never is it a pass; on their word it goes on."""
    play = a_canary(stage, "analysis-unsure", HALF, {"type": "measure", "max": "1s"}, inconclusive="ask")
    play.begin()
    play.asked("Go on with r2?")
    assert play.view().history[0].outcome is None
    play.tell(Advance("ada"))
    assert play.settled().outcome == Promoted()


def test_failed_deployment_auto_revert(stage: Stage) -> None:
    """One request in twenty fails: its own traffic rolls it back to the newest good release.

    Every request that failed was answered by the canary, which counts as many: the deployment itself lost none.
    """
    play = a_canary(stage, "analysis-errors", abort_delay="1h")
    assert play.install().outcome == Promoted()
    with play.traffic(400) as traffic:
        outcome = play.deploy(ERRORS="0.05").outcome
    assert isinstance(outcome, RolledBack) and "of its requests fail" in outcome.reason
    assert play.answers() == {"r2"}
    failures = [sample for sample in traffic.samples if sample.failure]
    assert {sample.answered_by for sample in failures} == {"r3"}
    assert len(failures) == play.counts(Colour.BLUE)["failed"] > 0
    assert isinstance(play.measured()[-1].verdict, Fail)


def test_promotion_failed_after_traffic_shift(stage: Stage) -> None:
    """Flagger: what fails only under all of the traffic is promoted, and goes back to the warm colour in one split change."""
    play = a_canary(stage, "analysis-limit", {"type": "weight", "percent": 20}, MEASURE, warm="1h")
    before = {i.pid for i in play.fleet(Colour.BLUE)}
    with play.traffic():
        number = play.begin(LIMIT="100")
        assert play.settled(number).outcome == Promoted()
        play.until(lambda: isinstance(play.view().history[0].outcome, RolledBack), "a rollback by its traffic")
    assert play.answers() == {"r1"} and {i.pid for i in play.fleet(Colour.BLUE)} == before
    kinds = [line.kind for line in play.lines("shift", "launch", "promoted", "rolled-back")]
    assert kinds[kinds.index("promoted") :][:3] == ["promoted", "shift", "rolled-back"]


def test_a_gateway_that_forgets_what_it_counted_decides_nothing(stage: Stage) -> None:
    """Metrics gone: it is killed in mid-measurement and counts anew. Neither promoted for it nor aborted, it goes on."""
    play = a_canary(stage, "analysis-gateway", analysis={"bake": "8s"})
    with play.traffic() as traffic:
        number = play.begin()
        play.until(lambda: counted(play) > 500, "figures in the ledger")
        os.kill(stage.pid("gateway-local"), signal.SIGKILL)
        wait_until_whole(play)
        assert play.settled(number).outcome == Promoted()
    verdicts = {type(a.verdict) for a in play.measured()}
    assert Pass in verdicts and Fail not in verdicts
    figures = [a.requests for a in play.measured()]
    assert figures == sorted(figures)
    assert {s.answered_by for s in traffic.samples if s.failure} <= {""}


@contextmanager
def dependency(port: int) -> Iterator[None]:
    """Let whoever depends on this port reach it."""

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 1000

    with Server(("127.0.0.1", port), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_both_colours_bad(stage: Stage) -> None:
    """What both releases depend on fails: held, the canary is not blamed. It comes back, and the release is promoted."""
    port = free_port()
    needs = {"DEPENDENCY": str(port)}
    # The first second of an outage is counted before it is known for one, and says that failures come in crowds: without so
    # much slack it would take minutes to show that the canary is no worse.
    play = stage.canary("analysis-shared", HALF, MEASURE, analysis={"bake": "5s", "slack": 50})
    play.deploy(**needs)
    with play.traffic(200):
        with dependency(port):
            number = play.begin(**needs)
            play.until(play.measured, "figures in the ledger")
        play.until(lambda: "is not to blame" in str(play.view().progress.decision), "a rollout that is held")
        with dependency(port):
            assert play.settled(number).outcome == Promoted()
    assert Cause.SHARED_OUTAGE in causes(play)


def test_a_controller_that_is_killed_in_mid_measurement(stage: Stage) -> None:
    """kill -9: the evidence in the ledger goes on from where it was, and the release is promoted on all of it."""
    play = a_canary(stage, "analysis-controller", analysis={"bake": "15s"})
    with play.traffic(400) as many:
        number = play.begin()
        play.until(lambda: counted(play) > 800, "figures in the ledger")
        before = play.measured()
        os.kill(stage.pid("controller"), signal.SIGKILL)
    with play.traffic(100) as few:  # who begins anew could not come near to what was counted before
        wait_until_whole(play)
        assert play.settled(number).outcome == Promoted()
    after = play.measured()
    assert after[: len(before)] == before and after[len(before)].requests > before[-1].requests
    assert many.failed == few.failed == set()
