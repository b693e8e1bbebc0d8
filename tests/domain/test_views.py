"""Views: what the entries say, on stories of a few entries each."""

from datetime import UTC, datetime, timedelta

from msgspec import structs

from bleen.domain.check import CheckResult, CheckTime
from bleen.domain.codec import decode, encode, plain
from bleen.domain.command import Advance, GoBack
from bleen.domain.decision import Promote, Shift, Wait
from bleen.domain.fleet import Fleet, Instance, InstanceState, Slot
from bleen.domain.ledger import (
    Checked,
    Commanded,
    Decided,
    Entry,
    Event,
    Finished,
    Measured,
    ReleaseMade,
    RolloutStarted,
    Scaled,
    Settled,
)
from bleen.domain.rollout import Aborted, Failed, Observation, Outcome, Promoted, ReleaseRef, RolledBack
from bleen.domain.traffic import BackendSeen, Colour, Endpoint, EndpointSeen, GatewaySeen, Route, Split
from bleen.domain.verdict import Assessment, Cause, Inconclusive
from bleen.domain.views import Line, RolloutSummary, Standing, explain, history, standing
from tests.contracts.ledger import a_release, a_rollout, an_image

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BACK = RolledBack("a check failed")


def minute(n: int) -> datetime:
    return NOON + timedelta(minutes=n)


def entries(*story: tuple[int, Event]) -> list[Entry]:
    """Return entries, a minute apart, of (number of the rollout, event)."""
    return [
        Entry(n + 1, minute(n), f"k{n}", "dev", "hello", event, by="system", rollout=f"dev/hello/{rollout}")
        for n, (rollout, event) in enumerate(story)
    ]


def settled(stable: int | None, outcome: Outcome | None = None) -> Settled:
    return Settled(outcome or Promoted(), stable)


def started(number: int, source: int | None, target: int) -> RolloutStarted:
    def ref(release: int) -> ReleaseRef:
        return ReleaseRef(release, f"1.{release}", an_image(release))

    stable = None if source is None else ref(source)
    return RolloutStarted(structs.replace(a_rollout(), id=f"dev/hello/{number}", stable=stable, target=ref(target)))


def test_a_service_never_deployed_stands_nowhere() -> None:
    """No entries: no stable release, no history, nothing to explain."""
    assert standing([]) == Standing(None, None, ())
    assert history([]) == ()
    assert explain([]) == ()


def test_the_last_promotion_stands() -> None:
    """The stable release is the last promoted one, since its promotion; earlier ones are previous, newest first."""
    told = entries((1, settled(1)), (2, settled(2)), (3, settled(3)))
    assert standing(told) == Standing(3, minute(2), (2, 1))


def test_a_refused_release_changes_nothing() -> None:
    """A rollout that was rolled back or aborted leaves the stable release, and the time since, as they were."""
    told = entries((1, settled(1)), (2, settled(1, BACK)), (3, settled(1, Aborted("ada"))))
    assert standing(told) == Standing(1, minute(0), ())


def test_a_reversed_promotion_is_no_promotion() -> None:
    """A release promoted and then reversed in its warm window is not one to go back to."""
    told = entries((1, settled(1)), (2, settled(2)), (3, settled(3)), (3, settled(2, BACK)))
    assert standing(told) == Standing(2, minute(3), (1,))


def test_going_back_by_a_rollout_keeps_what_was_left() -> None:
    """After a rollout back to r1, r3 and r2 are previous, and no number is there twice."""
    told = entries((1, settled(1)), (2, settled(2)), (3, settled(3)), (4, settled(1)))
    assert standing(told) == Standing(1, minute(3), (3, 2))


def test_a_first_release_that_failed_leaves_nothing_stable() -> None:
    """With nothing to go back to, nothing is stable, and there is no time since."""
    assert standing(entries((1, settled(None, Failed("never ready"))))) == Standing(None, None, ())


def test_the_order_of_the_entries_does_not_matter() -> None:
    """Entries read newest first give the same views."""
    told = entries((1, started(1, None, 1)), (1, settled(1)), (1, Finished()), (2, started(2, 1, 2)), (2, settled(2)))
    backwards = told[::-1]
    assert standing(backwards) == standing(told)
    assert history(backwards) == history(told)
    assert explain(backwards) == explain(told)


def test_history_tells_each_rollout_once() -> None:
    """Newest first: from, to, outcome, how long it took and who asked; a running one has no outcome yet."""
    told = entries(
        (1, started(1, None, 1)), (1, settled(1)), (1, Finished()), (2, started(2, 1, 2)), (2, Decided(Wait("not ready")))
    )
    running, first = history(told)
    assert (first.id, first.origin, first.target.number, first.by) == ("dev/hello/1", None, 1, "ada")
    assert (first.outcome, first.started, first.settled, first.seconds) == (Promoted(), minute(0), minute(1), 60)
    assert first.finished == minute(2)
    assert running.origin is not None and running.origin.number == 1
    assert (running.id, running.outcome, running.settled, running.seconds, running.finished) == ("dev/hello/2",) + (None,) * 4


def test_history_keeps_the_last_outcome() -> None:
    """A promotion that was reversed reads as rolled back, with the time until then."""
    told = entries((1, started(1, 1, 2)), (1, settled(2)), (1, settled(1, BACK)))
    (only,) = history(told)
    assert only.outcome == BACK
    assert only.seconds == 120


def test_history_leaves_out_what_it_has_not_seen_begin() -> None:
    """Entries cut off by a limit make no half-known rollout."""
    assert history(entries((1, settled(1)), (1, Finished()))) == ()


def test_a_summary_says_from_and_to() -> None:
    """In JSON the releases are called ``from`` and ``to``, and the value survives the way there and back."""
    (only,) = history(entries((1, started(1, 1, 2)), (1, settled(2))))
    spelled = plain(only)
    assert spelled["from"]["number"] == 1
    assert spelled["to"]["number"] == 2
    assert decode(encode(only), RolloutSummary) == only


def seen_by_one_gateway() -> Observation:
    route = Route("dev", "hello", ("hello.localhost",), Split.of(Colour.BLUE), blue=1, green=2)
    slot = Slot("dev", "local", "hello", Colour.GREEN)
    sick = Instance("hello-green-r2-1", "127.0.0.2", 8080, InstanceState.CRASHED, NOON, restarts=2)
    fine = Instance("hello-green-r2-2", "127.0.0.3", 8080, InstanceState.READY, NOON)
    backend = BackendSeen(Colour.GREEN, 2, (EndpointSeen(Endpoint("127.0.0.3", 8080), True, 0),))
    gateways = (GatewaySeen("a", "local", True, route, 7, (backend,)), GatewaySeen("b", "local", False))
    return Observation(NOON, (Fleet(slot, 2, 2, (sick, fine)),), gateways)


def test_explain_gives_each_decision_its_reason_and_evidence() -> None:
    """A line has the decision, why, and what was seen: ready and ordered instances, restarts, splits, silent gateways."""
    decision = Wait("1 of 2 instances are ready")
    (line,) = explain(entries((1, Decided(decision, seen_by_one_gateway()))))
    assert (line.sequence, line.at, line.kind, line.why, line.by) == (1, NOON, "wait", decision.why, "system")
    assert line.event == Decided(decision)
    assert line.evidence is not None
    (fleet,) = line.evidence.fleets
    assert (fleet.colour, fleet.release, fleet.ready, fleet.size, fleet.restarts) == (Colour.GREEN, 2, 1, 2, 2)
    one, silent = line.evidence.gateways
    assert (one.gateway, one.split, one.generation, one.healthy) == ("a", Split.of(Colour.BLUE), 7, {"green r2": 1})
    assert (silent.answered, silent.split) == (False, None)


def test_explain_tells_the_whole_story_in_order() -> None:
    """Start, decisions, checks, commands, outcome and end are lines; a release made or a scaling outside is none."""
    route = Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN), blue=1, green=2)
    check = CheckResult("GET / is 200", CheckTime.BEFORE, True, "200", NOON)
    told = entries(
        (1, ReleaseMade(a_release())),
        (1, started(1, 1, 2)),
        (1, Checked((check,))),
        (1, Commanded(Advance(by="bob"))),
        (1, Decided(Shift(route, why="every check passed"))),
        (1, Decided(Promote(2, why="all traffic is on r2"))),
        (1, settled(2)),
        (1, Commanded(GoBack(by="eve"))),
        (1, settled(1, BACK)),
        (1, Finished()),
        (1, Scaled(1, 3)),
    )
    lines = explain(told)
    assert [(line.kind, line.why, line.by) for line in lines] == [
        ("rollout-started", "", "ada"),
        ("checked", "", "system"),
        ("promote", "", "bob"),
        ("shift", "every check passed", "system"),
        ("promote", "all traffic is on r2", "system"),
        ("promoted", "", "system"),
        ("rollback", "", "eve"),
        ("rolled-back", "a check failed", "system"),
        ("finished", "", "system"),
    ]
    assert lines[1].event == Checked((check,))


def test_a_line_survives_the_way_to_a_client() -> None:
    """Every line is a value that the codec writes and reads."""
    told = entries((1, started(1, 1, 2)), (1, Decided(Wait("not ready"), seen_by_one_gateway())), (1, settled(2)))
    for line in explain(told):
        assert decode(encode(line), Line) == line


def test_a_measurement_is_explained_with_its_verdict() -> None:
    """Each one is a line, whole, with the sentence of its verdict as the reason; a history is not made longer by it."""
    assessment = Assessment(NOON, Inconclusive(Cause.MORE_REQUESTS, "about 9 more requests are needed", 9), 3, 100, 900)
    story = entries((1, started(1, 1, 2)), (1, Measured(assessment)), (1, settled(2)))
    (line,) = (line for line in explain(story) if line.kind == "measured")
    assert (line.event, line.why, line.evidence) == (Measured(assessment), "about 9 more requests are needed", None)
    assert len(history(story)) == 1
