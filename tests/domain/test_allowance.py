"""How often somebody may ask: the law of a token bucket, whatever the moments."""

from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st

from bleen.domain.allowance import Allowance

ALLOWANCES = st.builds(Allowance, st.floats(0.1, 1000), st.floats(1, 500))


def welcomed(allowance: Allowance, moments: list[float]) -> list[float]:
    """Return the moments whose requests were welcome."""
    due, found = 0.0, []
    for now in moments:
        due, wait = allowance.arrive(due, now)
        if not wait:
            found.append(now)
    return found


@given(ALLOWANCES, st.lists(st.floats(0, 5), max_size=60))
def test_no_span_has_more_than_its_share(allowance: Allowance, gaps: list[float]) -> None:
    """Not more than the burst and what the rate adds, between any two moments."""
    found = welcomed(allowance, list(accumulate(gaps)))
    for first, start in enumerate(found):
        for last in range(first, len(found)):
            count, span = last - first + 1, found[last] - start
            assert count <= allowance.burst + allowance.rate * span + 1e-3


@given(ALLOWANCES, st.floats(0, 1e6))
@example(Allowance(487.0, 77.0), 131072.0)
def test_who_was_quiet_may_ask_at_once(allowance: Allowance, start: float) -> None:
    """As often as the burst says, and then not."""
    found = welcomed(allowance, [start] * (int(allowance.burst) + 3))
    assert len(found) in (int(allowance.burst), int(allowance.burst) + 1)


@given(ALLOWANCES, st.lists(st.floats(0, 2), min_size=1, max_size=40))
def test_who_waits_as_long_as_told_is_welcome(allowance: Allowance, gaps: list[float]) -> None:
    """And what was refused costs nothing."""
    due = 0.0
    for now in accumulate(gaps):
        before = due
        due, wait = allowance.arrive(due, now)
        if wait:
            assert due == max(before, now)
            assert not allowance.arrive(due, now + wait + 1e-6)[1]
