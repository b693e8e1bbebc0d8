"""Keys of the ledger: what makes two entries one."""

from datetime import UTC, datetime, timedelta

from bleen.domain.decision import Retire, Shift, Wait
from bleen.domain.ledger import Decided, Finished
from bleen.domain.rollout import Observation
from bleen.domain.traffic import Colour, Route, Split
from bleen.workflows.outbox import Outbox

ROLLOUT = "dev/hello/7"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_decision_taken_again_is_the_same_entry() -> None:
    """A workflow task that was lost is done again, and sees the same world a moment later."""
    shift = Shift(Route("dev", "hello", ("hello.localhost",), Split.of(Colour.BLUE), blue=1), "r1 is ready")
    seen = [Observation(NOON + timedelta(seconds=s), (), ()) for s in (0, 1)]
    first, again = (Outbox(3).draft(ROLLOUT, Decided(shift, each)) for each in seen)
    assert first.key == again.key


def test_another_decision_in_its_place_is_another_entry() -> None:
    """Else it would be carried out under the entry, and the generation, of the one that was taken before."""
    first = Outbox(3).draft(ROLLOUT, Decided(Wait("1 of 2 instances are ready")))
    other = Outbox(3).draft(ROLLOUT, Decided(Retire(Colour.BLUE, 1, "no gateway names r1 any more")))
    assert first.key != other.key


def test_the_same_decision_later_is_another_entry() -> None:
    """Waiting for the same thing twice is two entries."""
    outbox = Outbox()
    keys = {outbox.draft(ROLLOUT, Decided(Wait("paused by ada"))).key for _ in range(3)}
    assert len(keys) == 3


def test_a_rollout_finishes_once() -> None:
    """The task that ended it was lost, and done again after a command that came meanwhile."""
    first, again = Outbox(3).draft(ROLLOUT, Finished()), Outbox(4).draft(ROLLOUT, Finished())
    assert first.key == again.key
