"""Cohorts reach the preview at a real Envoy, whatever the split, and nobody else does."""

import httpx
import msgspec
import pytest

from bleen.domain.traffic import Cohort, Colour, CookieCohort, HeaderCohort, Mirror, Split, Sticky
from tests.contracts.gateway import BLUE, GREEN, a_route
from tests.providers.envoy.world import World

TEAM = HeaderCohort("x-team", "a.c+(1)|b")
BETA = CookieCohort("beta", "y.s")


@pytest.fixture
async def both(world: World) -> World:
    """Blue r1 has all traffic; green r2 is the preview, and two cohorts reach it."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.fill(Colour.GREEN, 2, "green-1")
    await set_cohorts(world, 1, TEAM, BETA)
    return world


async def set_cohorts(
    world: World, generation: int, *cohorts: Cohort, split: Split = BLUE, preview: Colour = Colour.GREEN
) -> None:
    await world.gateway.set_route(msgspec.structs.replace(a_route(split, preview=preview), cohorts=cohorts), generation)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_a_header_leads_to_a_release_without_weight(both: World, method: str) -> None:
    """On any method, and the answer names who gave it."""
    answer = await both.ask(method=method, x_team=TEAM.value)
    assert (answer.status_code, answer.headers["x-instance"]) == (200, "green-1")
    assert answer.headers.get_list("x-bleen-release") == ["r2"]


@pytest.mark.parametrize("value", ["abc(1)", "b", "a.c+(1)|B", "a.c+(1)|b ,", "xa.c+(1)|b", "a.c+(1)|bb", ""])
async def test_a_value_is_literal_and_whole(both: World, value: str) -> None:
    """No pattern, no part of it, and no other case."""
    assert (await both.ask(x_team=value)).text == "blue-1"


async def test_the_name_of_a_header_has_no_case(both: World) -> None:
    """Neither in the request nor in the cohort."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(both.url, headers={"host": "hello.localhost", "X-TEAM": TEAM.value})
        assert answer.text == "green-1"
    await set_cohorts(both, 2, HeaderCohort("X-Team", "beta"))
    assert (await both.ask(x_team="beta")).text == "green-1"


@pytest.mark.parametrize("cookie", ["beta=y.s", "a=b; beta=y.s", "beta=y.s; c=d", "a=b; beta=y.s; c=d", 'beta="y.s"'])
async def test_a_cookie_is_found_among_others(both: World, cookie: str) -> None:
    """First, last and between; quoted, as some servers write it."""
    assert (await both.ask(cookie=cookie)).text == "green-1"


@pytest.mark.parametrize(
    "cookie",
    ["xbeta=y.s", "beta=y.s2", "beta=yxs", "beta=Y.S", "Beta=y.s", "beta=", "beta", "a=beta=y.s", "a=b,beta=y.s", "y.s=beta"],
)
async def test_no_other_cookie_is_taken_for_it(both: World, cookie: str) -> None:
    """Names and values are whole and exact."""
    assert (await both.ask(cookie=cookie)).text == "blue-1"


async def test_a_cohort_is_the_same_at_every_door(both: World) -> None:
    """The live host, with a port or without, and the service's own port."""
    assert (await both.ask(host="hello.localhost:8080", x_team=TEAM.value)).text == "green-1"
    own = both.gateway.service_port("dev", "hello")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{own}/", headers={"cookie": "beta=y.s"})).text == "green-1"
        assert (await client.get(f"http://127.0.0.1:{own}/")).text == "blue-1"


async def test_who_asks_for_a_release_by_name_gets_it(both: World) -> None:
    """The header ``x-bleen-release`` comes before any cohort, and its refusal too."""
    assert (await both.ask(x_bleen_release="r1", x_team=TEAM.value)).text == "blue-1"
    assert (await both.ask(x_bleen_release="r9", x_team=TEAM.value)).status_code == 404


async def test_cohorts_follow_the_preview(both: World) -> None:
    """They reach its colour though all of the weight is on the other one; without a preview there are none."""
    await set_cohorts(both, 2, TEAM, split=GREEN, preview=Colour.BLUE)
    assert ((await both.ask(x_team=TEAM.value)).text, (await both.ask()).text) == ("blue-1", "green-1")
    await both.gateway.set_route(msgspec.structs.replace(a_route(GREEN), cohorts=(TEAM,)), 3)
    assert (await both.ask(x_team=TEAM.value)).text == "green-1"


async def test_a_cohort_is_neither_placed_nor_copied(both: World) -> None:
    """Whatever the affinity says of the user; and it is given no cookie."""
    route = msgspec.structs.replace(
        a_route(Split.of(Colour.GREEN, 1), preview=Colour.GREEN),
        cohorts=(TEAM,),
        mirror=Mirror(10_000),
        sticky=Sticky("bleen-user", 600, Colour.GREEN),
    )
    await both.gateway.set_route(route, 2)
    answers = [await both.ask(x_team=TEAM.value, cookie=f"bleen-user={n}") for n in range(20)]
    assert {answer.text for answer in answers} == {"green-1"}
    assert "set-cookie" not in (await both.ask(x_team=TEAM.value)).headers


async def test_envoy_takes_every_name_that_a_file_may_spell(both: World) -> None:
    """One that it does not take makes it refuse the routes of all services."""
    name = "x!#$%&'*+.^_`|~-%%9"
    everything = msgspec.structs.replace(
        a_route(Split(blue=9999, green=1), preview=Colour.GREEN),
        cohorts=(HeaderCohort(name, "\\d%[(*'"), CookieCohort(name, "\\d%[(*'")),
        mirror=Mirror(1, ("GET", "PROPFIND", "OPTIONS")),
        sticky=Sticky(name, 1, Colour.GREEN),
    )
    await both.gateway.set_route(everything, 2)
    assert (await both.ask(cookie=f"{name}=\\d%[(*'")).text == "green-1"
    given = (await both.ask(cookie=f"{name}=")).headers["set-cookie"]
    assert given.startswith(f"{name}=")
