"""Sums of what instances use."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.canary import Analysis
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.fleet import Instance, InstanceState, Slot
from bleen.domain.signals import Load, Usage
from bleen.domain.traffic import Colour
from bleen.providers.usage import FleetUsage, Totals, process_of

ASKED = Comparison("dev", "hello", 1, datetime(2026, 1, 1, tzinfo=UTC), 2, 1, Phase.BESIDE, Analysis())
BLUE = Slot("dev", "local", "hello", Colour.BLUE)
GREEN = structs.replace(BLUE, colour=Colour.GREEN)
USED = st.none() | st.builds(Usage, cpu=st.floats(0, 1e6), memory=st.integers(0, 1 << 40))
SEEN = st.dictionaries(st.sampled_from(["m1/0/7", "m1/1/9", "m2/0/7"]), USED)
SECONDS = st.floats(0, 60)


class Clock:
    """Stands still until it is set forward."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def blue(instances: Mapping[str, Usage | None]) -> list[FleetUsage]:
    return [FleetUsage(BLUE, 1, instances)]


def only(loads: tuple[Load, ...]) -> Load:
    (load,) = loads
    return load


@given(st.lists(st.tuples(SECONDS, SEEN)), st.sampled_from([0.0, 20.0]))
def test_processor_time_never_goes_down(readings: list[tuple[float, dict[str, Usage | None]]], spread: float) -> None:
    """Whatever comes, goes, falls or is replaced; memory is that of what is there."""
    clock, before = Clock(), 0.0
    totals = Totals(spread, clock)
    for passed, seen in readings:
        clock.now += passed
        if loads := totals.loads(ASKED, blue(seen)):
            assert only(loads).cpu >= before
            assert only(loads).memory == sum(each.memory for each in seen.values() if each)
            before = only(loads).cpu


@given(st.lists(st.tuples(SECONDS, SEEN), min_size=1))
def test_what_is_spread_is_told_in_full(readings: list[tuple[float, dict[str, Usage | None]]]) -> None:
    """Neither more nor less than at once, only later."""
    clock = Clock()
    later, at_once = Totals(20.0, clock), Totals(0.0, clock)
    for passed, seen in readings:
        clock.now += passed
        pairs = zip(later.loads(ASKED, blue(seen)), at_once.loads(ASKED, blue(seen)), strict=True)
        assert all(late.cpu <= now.cpu for late, now in pairs)
    clock.now += 20.0
    assert later.loads(ASKED, blue(readings[-1][1])) == at_once.loads(ASKED, blue(readings[-1][1]))


@pytest.mark.parametrize("over", [3, 10])
def test_steady_work_is_told_as_a_steady_rate(over: int) -> None:
    """Of half a core, told each quarter of a minute and a bit: over any few seconds it is half a core."""
    clock, told = Clock(), []
    totals = Totals(20.0, clock)
    for second in range(300):
        clock.now = float(second)
        reported = second // 16 * 16
        told.append(only(totals.loads(ASKED, blue({"m1/0/7": Usage(reported / 2, 1)}))).cpu)
    rates = [(after - before) / over for before, after in zip(told[120:], told[120 + over :], strict=False)]
    assert min(rates) == pytest.approx(0.5, abs=0.01) and max(rates) == pytest.approx(0.5, abs=0.01)


def test_what_a_replaced_instance_used_is_kept_and_its_memory_is_not() -> None:
    """Another machine, another start, another process: each begins with what it has used by then."""
    totals = Totals()
    assert only(totals.loads(ASKED, blue({"m1/0/7": Usage(9.0, 100)}))) == Load(1, 9.0, 100)
    assert only(totals.loads(ASKED, blue({"m1/1/8": Usage(1.0, 60)}))) == Load(1, 10.0, 60)
    assert only(totals.loads(ASKED, blue({"m2/0/7": Usage(0.5, 50), "m1/1/8": Usage(2.0, 60)}))) == Load(1, 11.5, 110)
    assert only(totals.loads(ASKED, blue({"m2/0/7": None, "m1/1/8": Usage(2.0, 60)}))) == Load(1, 11.5, 60)


def test_two_releases_are_apart() -> None:
    """Each has what its own fleet uses; another release, and another environment, count for neither."""
    old, new = FleetUsage(BLUE, 1, {"m1/0/7": Usage(9.0, 100)}), FleetUsage(GREEN, 2, {"m2/0/7": Usage(1.0, 50)})
    others = [structs.replace(old, release=3), structs.replace(old, slot=structs.replace(BLUE, environment="staging"))]
    assert Totals().loads(ASKED, [old, new, *others]) == (Load(1, 9.0, 100), Load(2, 1.0, 50))
    assert Totals().loads(ASKED, [new]) == (Load(2, 1.0, 50),)
    assert Totals().loads(ASKED, []) == Totals().loads(ASKED, [structs.replace(new, instances={})]) == ()


@pytest.mark.parametrize(("fair", "seen"), [(False, Load(1, 9.0, 100)), (True, Load(1, 2.0, 40))])
def test_a_baseline_fleet_counts_where_it_is_compared(fair: bool, seen: Load) -> None:
    """And the stable fleet of the same release does not, or the other way round."""
    beside = FleetUsage(structs.replace(BLUE, baseline=True), 1, {"m3/0/7": Usage(2.0, 40)})
    own = FleetUsage(BLUE, 1, {"m1/0/7": Usage(9.0, 100)})
    assert Totals().loads(structs.replace(ASKED, fair=fair), [own, beside]) == (seen,)


def test_a_process_is_told_from_the_next_one() -> None:
    """Of the same instance, or of the same number on another machine."""
    first = Instance("hello", "10.0.0.4", 8080, InstanceState.READY, datetime(2026, 1, 1, tzinfo=UTC), pid=7)
    again, later = structs.replace(first, restarts=1), structs.replace(first, pid=8)
    assert len({process_of("m1", first), process_of("m1", again), process_of("m1", later), process_of("m2", first)}) == 4
