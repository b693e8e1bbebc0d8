"""A freeze on a real platform: a rollout under way stops where it is safe, and the way back stays open."""

import contextlib
from collections.abc import Iterator

import pytest

from bleen.domain.command import Advance, Exempt
from bleen.domain.errors import Frozen
from bleen.domain.rollout import Promoted, RolledBack
from bleen.interfaces.views import FreezeOrder, ThawOrder
from tests.journeys.stage import Play, Stage

pytestmark = pytest.mark.journey


@contextlib.contextmanager
def frozen(stage: Stage) -> Iterator[None]:
    """Freeze the environment that all journeys share while the block runs."""
    stage.client.freeze("dev", FreezeOrder("ada", "a fair"))
    try:
        yield
    finally:
        stage.client.thaw("dev", ThawOrder("ada", "it is over"))


def held(play: Play) -> None:
    """Wait until a freeze holds the rollout."""
    play.until(lambda: play.rollout().held_since is not None, "a rollout that is held")


def test_a_freeze_holds_a_rollout_under_traffic_and_its_end_lets_it_go_on(stage: Stage) -> None:
    """Given a release that waits for approval, when it is approved in a freeze, then it moves at the thaw."""
    play = stage.given("freeze-holds", auto_promote=False)
    play.install()
    with play.traffic(100) as traffic:
        play.begin_and_wait_for_approval()
        with frozen(stage):
            play.tell(Advance("ada"))
            held(play)
            assert play.answers() == {"r1"}
            with pytest.raises(Frozen, match="a fair"):
                play.begin()
        assert play.settled(2).outcome == Promoted()
    assert play.answers() == {"r2"} and not traffic.failed
    [wait] = [line for line in play.lines("wait") if "opens" in line.why]
    assert wait.why == "its step is done, and it goes on when dev opens: frozen by ada: a fair"


def test_a_release_is_gone_back_from_in_a_freeze(stage: Stage) -> None:
    """Given a promoted release in its warm time, when it is rolled back in a freeze, then the old one has all traffic."""
    play = stage.given("freeze-back")
    play.install()
    play.deploy()
    with frozen(stage):
        play.rollback()
        play.until(lambda: play.answers() == {"r1"}, "the old release")
        assert isinstance(play.settled(2).outcome, RolledBack)


def test_an_approver_lets_one_go_on(stage: Stage) -> None:
    """Given a rollout that a freeze holds, when an approver overrides it with a reason, then it goes on."""
    play = stage.given("freeze-override", auto_promote=False)
    play.install()
    play.begin_and_wait_for_approval()
    with frozen(stage):
        play.tell(Advance("ada"))
        held(play)
        play.tell(Exempt("grace", "a hole is open"))
        assert play.settled(2).outcome == Promoted()
    told = [entry.what for entry in stage.client.audit(service=play.name).entries]
    assert "asked to go on in spite of the freeze: a hole is open" in told
