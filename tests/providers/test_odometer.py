"""Sums over counters that begin anew."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.canary import Analysis
from bleen.domain.comparison import Comparison, Phase
from bleen.providers.odometer import Meters, Odometer


@given(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1))
def test_a_sum_is_all_that_ever_came(lives: list[list[int]]) -> None:
    """However often a counter begins anew, what was read of each of its lives is added up."""
    odometer, came, told = Odometer(), 0, 0.0
    for number, life in enumerate(lives):
        # A new life shows itself by being smaller: it begins with a reading of zero.
        for value in [0, *_running(life)]:
            before, told = told, odometer.read("requests", {"": value})[""]
            assert told >= before
        came += sum(life)
        assert told == came, number


def _running(steps: list[int]) -> list[int]:
    return [sum(steps[:count]) for count in range(1, len(steps) + 1)]


def test_parts_begin_anew_together() -> None:
    """One bucket that fell shows that the histogram is a new one, and all its counts are new."""
    odometer = Odometer()
    odometer.read("latency", {1.0: 5, 2.0: 1})
    assert odometer.read("latency", {1.0: 2, 2.0: 3}) == {1.0: 7, 2.0: 4}
    assert odometer.read("latency", {}) == {1.0: 7, 2.0: 4}
    assert odometer.read("latency", {2.0: 1}) == {1.0: 7, 2.0: 5}


def test_a_term_that_left_a_sum_takes_nothing_away_and_adds_nothing() -> None:
    """A sum over instances that fell has not begun at zero."""
    odometer = Odometer()
    assert odometer.read("jobs", {"": 300}, from_zero=False) == {"": 300}
    assert odometer.read("jobs", {"": 200}, from_zero=False) == {"": 300}
    assert odometer.read("jobs", {"": 210}, from_zero=False) == {"": 310}


def test_counters_do_not_mix() -> None:
    """Each has sums of its own."""
    odometer = Odometer()
    odometer.read("blue", {"": 3})
    assert odometer.read("green", {"": 1}) == {"": 1}


def test_a_service_keeps_its_meter_while_the_same_is_compared() -> None:
    """Other releases, or other counters, have another meter, whose sums are of another epoch; other services their own."""
    meters = Meters(lambda odometer: odometer)
    first, epoch = meters.of(_comparison(), "a")
    assert meters.of(_comparison(), "a") == (first, epoch)
    meters.of(_comparison(service="other"), "a")
    assert meters.of(_comparison(), "a") == (first, epoch)
    for comparison, counters in ((_comparison(canary=3), "a"), (_comparison(), "b"), (_comparison(), "a")):
        meter, other = meters.of(comparison, counters)
        assert meter is not first and other != epoch


def _comparison(service: str = "hello", canary: int = 2) -> Comparison:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return Comparison("dev", service, 1, began, canary, 1, Phase.BESIDE, Analysis())
