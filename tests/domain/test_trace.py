"""The trace of a rollout, from its entries alone."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from bleen.domain.command import Pause
from bleen.domain.decision import Launch, Wait
from bleen.domain.ledger import Commanded, Decided, Entry, Event, Finished, RolloutStarted, Settled, read_event, write_event
from bleen.domain.rollout import Outcome, Promoted, RolledBack, Rollout
from bleen.domain.trace import Span, spans_of, trace_of
from bleen.domain.traffic import Colour
from tests.domain.world import World

BEGAN = datetime(2026, 11, 28, tzinfo=UTC)


def entries(outcome: Outcome | None = None, *, traced: bool = True) -> list[Entry]:
    """Return the entries of a rollout that came to ``outcome``, and ended."""
    rollout = structs.replace(World().begin(1), started=BEGAN)
    events: list[Event] = [
        RolloutStarted(rollout, trace_of(rollout) if traced else ""),
        Decided(Launch(Colour.GREEN, 2, 3, "the idle colour is empty")),
        Commanded(Pause("ada")),
        Decided(Wait("ada paused it", until=None)),
        Settled(outcome or Promoted(), 2),
        Decided(Wait("the old fleet is warm", until=None)),
        Finished(),
    ]
    return [
        Entry(n + 10, BEGAN + timedelta(seconds=n), str(n), "dev", "hello", event, "ada", rollout.id)
        for n, event in enumerate(events)
    ]


def shape(spans: tuple[Span, ...]) -> list[tuple[str, int, int]]:
    """Return the name of each span, and the seconds in which it began and ended."""
    return [(s.name, (s.started - BEGAN).seconds, (s.ended - BEGAN).seconds) for s in spans]


def test_a_rollout_is_one_span_and_one_for_each_decision() -> None:
    """By the outcome all that led to it is told, and by the end the rest; nothing twice."""
    told = entries()
    by_outcome, by_end = spans_of(told[:5]), spans_of(told)
    assert shape(by_outcome) == [("rollout hello", 0, 4), ("launch", 1, 3), ("wait", 3, 4)]
    assert shape(by_end) == [("wait", 5, 6)]
    spans = (*by_outcome, *by_end)
    assert len({span.id for span in spans}) == 4
    assert {span.trace for span in spans} == {trace_of(a_rollout_of(told))}
    assert [span.parent for span in spans] == ["", *[spans[0].id] * 3]
    assert [moment.name for moment in spans[0].moments] == ["commanded", "settled"]
    assert spans[1].attributes == {"bleen.entry": 11, "bleen.why": "the idle colour is empty"}


def a_rollout_of(told: list[Entry]) -> Rollout:
    """Return the plan."""
    assert isinstance(told[0].event, RolloutStarted)
    return told[0].event.rollout


def test_whoever_tells_it_again_tells_the_same() -> None:
    """Ids come of the ledger."""
    assert spans_of(entries()[:5]) == spans_of(entries()[:5])


def test_a_rollout_that_went_back_has_failed() -> None:
    """And says what it came to."""
    whole = spans_of(entries(RolledBack("too many errors"))[:5])[0]
    assert (whole.failed, whole.attributes["bleen.outcome"]) == ("rolled-back", "rolled-back")
    assert spans_of(entries()[:5])[0].failed == ""


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_nothing_is_told_before_the_outcome(count: int) -> None:
    """Nor of a rollout whose beginning is not there."""
    assert spans_of(entries()[:count]) == ()
    assert spans_of(entries()[1:5]) == ()


def test_a_rollout_of_before_there_were_traces_is_left_out() -> None:
    """Its entry can still be read."""
    old = entries(traced=False)
    assert spans_of(old[:5]) == spans_of(old) == ()
    text = write_event(old[0].event).replace(',"trace":""', "")
    assert read_event(text, "test") == old[0].event


def test_two_rollouts_have_two_traces() -> None:
    """Of another number, and of another platform whose seventh rollout began another moment."""
    rollout = structs.replace(World().begin(1), started=BEGAN)
    other = structs.replace(rollout, started=BEGAN + timedelta(microseconds=1))
    further = structs.replace(rollout, id="dev/hello/8")
    assert len({trace_of(r) for r in (rollout, other, further)}) == 3
    assert len(trace_of(rollout)) == 32 and int(trace_of(rollout), 16)
