"""What a gateway must have before it takes a route."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.errors import NotFound
from bleen.domain.listing import Listing, backend_of, named, reached, refuse
from bleen.domain.traffic import WHOLE, Cohort, Colour, CookieCohort, HeaderCohort, Mirror, Route, Split, Sticky

COHORT = HeaderCohort("x-team", "beta")
releases = st.none() | st.integers(1, 9)
colours = st.sampled_from(Colour)
cohorts = st.lists(st.sampled_from([COHORT, CookieCohort("beta", "yes")]), max_size=2).map(tuple)
all_routes = st.builds(
    Route,
    environment=st.just("dev"),
    service=st.just("hello"),
    hosts=st.just(("hello.localhost",)),
    split=st.builds(Split.of, colours, st.integers(0, WHOLE)),
    blue=releases,
    green=releases,
    preview=st.none() | colours,
    cohorts=cohorts,
    mirror=st.none() | st.builds(Mirror, st.integers(0, WHOLE)),
    sticky=st.none() | st.builds(Sticky, st.just("user"), st.integers(0, 99), colours),
)


def a_route(preview: Colour | None = Colour.GREEN, cohorts: tuple[Cohort, ...] = (), mirror: Mirror | None = None) -> Route:
    """Return blue r1 with all traffic, green r2 without."""
    return Route("dev", "hello", ("hello.localhost",), Split.of(Colour.BLUE), 1, 2, preview, cohorts, mirror)


BLUE_NAME, GREEN_NAME = "dev.hello.blue.r1", "dev.hello.green.r2"


@pytest.mark.parametrize(
    ("route", "names"),
    [
        (a_route(), [BLUE_NAME]),
        (a_route(cohorts=(COHORT,)), [BLUE_NAME, GREEN_NAME]),
        (a_route(mirror=Mirror(100)), [BLUE_NAME, GREEN_NAME]),
        (a_route(Colour.BLUE, (COHORT,), Mirror(100)), [BLUE_NAME]),
        (a_route(None, (COHORT,), Mirror(100)), [BLUE_NAME]),
    ],
)
def test_a_route_reaches_its_preview_by_cohorts_and_by_copies(route: Route, names: list[str]) -> None:
    """Beside those that have weight; a preview by name alone is not counted."""
    assert reached(route) == names


@given(all_routes, st.data())
def test_a_route_is_refused_just_where_a_backend_is_missing_that_it_reaches(route: Route, data: st.DataObject) -> None:
    """What it names and does not reach may come later."""
    wanted = Listing("dev", "hello", 1, route)
    known = data.draw(st.sets(st.sampled_from(list(named(route))))) if named(route) else set()
    assert set(reached(route)) <= set(named(route))
    if set(reached(route)) <= known:
        refuse(wanted, {}, known)
    else:
        with pytest.raises(NotFound):
            refuse(wanted, {}, known)


@given(all_routes)
def test_what_gets_weight_is_always_reached(route: Route) -> None:
    """A filled slot with weight, whatever else the route has."""
    weighty = {backend_of(route, c) for c in Colour if route.release(c) is not None and route.split.weight(c)}
    assert weighty <= set(reached(route))
