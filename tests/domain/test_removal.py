"""Removals: the route first, and nothing ends that a gateway may still route to, whatever is seen and whenever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bleen.domain.decision import Wait
from bleen.domain.errors import Conflict, LawBroken
from bleen.domain.fleet import Fleet, Slot
from bleen.domain.laws import check_removal
from bleen.domain.ledger import Draft, Entry, ServiceRemoved, Settled
from bleen.domain.removal import Drain, Gone, Leaver, Removing, Withdraw, being_removed, next_step
from bleen.domain.rollout import Observation, Promoted
from bleen.domain.traffic import Baseline, Colour, GatewaySeen, Route, Split
from bleen.domain.views import removals, removed, standing
from tests.contracts.ledger import NOON

REGIONS = ("east", "west")
releases = st.one_of(st.none(), st.integers(1, 3))


@st.composite
def routes(draw: st.DrawFn) -> Route | None:
    """A route, as a gateway may report it at any moment of a rollout, or none."""
    blue, green = draw(releases), draw(releases)
    if draw(st.booleans()):
        return None
    split = Split.of(Colour.BLUE, draw(st.integers(0, 10_000)))
    apart = Baseline(Colour.BLUE, split.blue) if blue and split.blue and draw(st.booleans()) else None
    return Route("dev", "hello", ("hello.localhost",), split, blue, green, baseline=apart)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """What may be seen: silence, routes of every age, fleets in every place."""
    gateways = tuple(
        GatewaySeen(name, name, True, draw(routes())) if draw(st.booleans()) else GatewaySeen(name, name, False)
        for name in draw(st.sampled_from([REGIONS, REGIONS[:1], ()]))
    )
    slots = [
        Slot("dev", region, "hello", colour, baseline) for region in REGIONS for colour in Colour for baseline in (False, True)
    ]
    chosen = draw(st.lists(st.sampled_from(slots), unique=True))
    fleets = tuple(Fleet(slot, draw(st.integers(1, 3)), 2) for slot in chosen)
    return Observation(NOON, fleets, gateways, hosts_answered=draw(st.booleans()))


@settings(deadline=None)
@given(observations())
def test_nothing_ends_that_a_gateway_may_route_to(seen: Observation) -> None:
    """Law 3 and law 4, for every observation; a silent gateway may route to anything."""
    step = next_step(seen)
    check_removal(seen, step)
    if isinstance(step, Drain | Gone):
        assert seen.gateways and not seen.silent and not any(seen.routes) and seen.hosts_answered
    if isinstance(step, Drain):
        assert {leaver.slot for leaver in step.fleets} == {fleet.slot for fleet in seen.fleets}


@settings(deadline=None)
@given(observations())
def test_a_service_is_gone_only_when_nothing_of_it_is_left(seen: Observation) -> None:
    """And what is left is named by the step that removes it, or waited for."""
    step = next_step(seen)
    assert isinstance(step, Gone) == (
        bool(seen.gateways) and not seen.silent and not any(seen.routes) and seen.hosts_answered and not seen.fleets
    )
    assert isinstance(step, Withdraw) == any(seen.routes)
    assert isinstance(step, Wait | Withdraw) or seen.hosts_answered


@settings(deadline=None)
@given(observations(), st.integers(1, 3), st.sampled_from(list(Colour)), st.booleans())
def test_the_law_is_checked_whatever_was_decided(seen: Observation, release: int, colour: Colour, baseline: bool) -> None:
    """A step that would end a fleet with a route is refused, as a rollout's would be."""
    drain = Drain((Leaver(Slot("dev", "east", "hello", colour, baseline), release),), "a mistake")
    if seen.may_name(colour, release, baseline=baseline):
        with pytest.raises(LawBroken):
            check_removal(seen, drain)


def test_who_is_refused_meanwhile_hears_who_removes_it() -> None:
    """And why, and how it comes back."""
    error = being_removed(Removing("dev", "hello", "ada", "nobody uses it", NOON))
    assert isinstance(error, Conflict)
    assert "ada asked for it: nobody uses it" in error.why and "bleen deploy hello" in error.next


def test_nothing_stands_after_a_removal() -> None:
    """What was promoted before it is no release to go back to by itself; the removal is the last one until something begins."""

    def entry(sequence: int, event: Settled | ServiceRemoved) -> Entry:
        draft = Draft(f"k{sequence}", "dev", "hello", event, "ada", f"dev/hello/{sequence}")
        return Entry(sequence, NOON, draft.key, draft.environment, draft.service, draft.event, draft.by, draft.rollout)

    before = [entry(1, Settled(Promoted(), 1)), entry(2, Settled(Promoted(), 2))]
    gone = entry(3, ServiceRemoved("nobody uses it"))
    assert (standing(before).stable, standing(before).previous) == (2, (1,))
    assert (standing([*before, gone]).stable, standing([*before, gone]).previous) == (None, ())
    assert removed([*before, gone]) == removals([gone])[0]
    after = standing([*before, gone, entry(4, Settled(Promoted(), 3))])
    assert (after.stable, after.previous) == (3, ())
