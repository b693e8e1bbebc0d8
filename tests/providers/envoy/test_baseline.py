"""A baseline fleet beside the stable one, at a real Envoy."""

from collections import Counter

import msgspec
import pytest

from bleen.domain.traffic import WHOLE, Colour, Mirror, Route, Split, Sticky
from tests.contracts.gateway import a_route, fair
from tests.fixtures.envoy import until
from tests.providers.envoy.recorder import Recorder
from tests.providers.envoy.visits import visit
from tests.providers.envoy.world import World

USERS = tuple(f"bleen-user=user-{n}" for n in range(2_000))


@pytest.fixture
async def three(world: World) -> World:
    """Blue r1, green r2 and a baseline fleet of r1, no route yet."""
    await world.fill(Colour.BLUE, 1, "blue-1")
    await world.fill(Colour.GREEN, 2, "green-1")
    await world.fill(Colour.BLUE, 1, "beside-1", baseline=True)
    return world


def beside(weight: int, share: int) -> Route:
    """Return the route that gives green ``weight``, and ``share`` of the rest to the baseline fleet."""
    return fair(a_route(Split.of(Colour.GREEN, weight), preview=Colour.GREEN), share)


async def shares(world: World, count: int = 2_000, method: str = "GET") -> dict[str, float]:
    """Return which part of so many requests each instance answered."""
    found = Counter(seen.instance for seen in await visit(world, [""] * count, method))
    return {name: found[name] / count for name in ("blue-1", "green-1", "beside-1")}


@pytest.mark.parametrize(("weight", "share"), [(1000, 1000), (5000, 5000), (8000, 2000)])
async def test_it_has_as_much_as_was_said_and_the_stable_fleet_the_rest(three: World, weight: int, share: int) -> None:
    """Of all requests, whatever their method; its answers are those of the stable release."""
    await three.gateway.set_route(beside(weight, share), 1)
    for method in ("GET", "POST"):
        found = await shares(three, method=method)
        wanted = {"blue-1": WHOLE - weight - share, "green-1": weight, "beside-1": share}
        assert all(abs(found[name] - part / WHOLE) < 0.05 for name, part in wanted.items()), found
    answer = await three.ask(x_bleen_release="baseline")
    assert (answer.text, answer.headers["x-bleen-release"]) == ("beside-1", "r1")


async def test_asking_for_the_release_reaches_the_stable_fleet_and_without_a_part_the_name_reaches_nobody(three: World) -> None:
    """The header of a release, or of a colour, never reaches a baseline fleet."""
    await three.gateway.set_route(beside(1000, 9000), 1)
    for wanted in ("r1", "blue"):
        assert {(await three.ask(x_bleen_release=wanted)).text for _ in range(10)} == {"blue-1"}
    await three.gateway.set_route(a_route(), 2)
    assert (await three.ask(x_bleen_release="baseline")).status_code == 404
    assert (await shares(three, 200))["beside-1"] == 0


async def test_users_keep_their_release_while_both_grow(three: World) -> None:
    """The canary takes users from the stable fleet alone, as long as that has some; the baseline fleet does, too."""
    canary: list[set[str]] = []
    baseline: list[set[str]] = []
    for generation, (weight, share) in enumerate(((1000, 1000), (3000, 3000), (6000, 4000)), 1):
        sticky = Sticky("bleen-user", 600, Colour.GREEN)
        await three.gateway.set_route(msgspec.structs.replace(beside(weight, share), sticky=sticky), generation)
        seen = await visit(three, USERS)
        canary.append({user for user, each in zip(USERS, seen, strict=True) if each.instance == "green-1"})
        baseline.append({user for user, each in zip(USERS, seen, strict=True) if each.instance == "beside-1"})
        assert abs(len(canary[-1]) / len(USERS) - weight / WHOLE) < 0.05
        assert abs(len(baseline[-1]) / len(USERS) - share / WHOLE) < 0.05
    assert canary[0] < canary[1] < canary[2] and baseline[0] < baseline[1]
    assert not baseline[1] & canary[2]


async def test_its_requests_are_copied_as_those_of_the_stable_fleet_are(three: World) -> None:
    """It answers for the same release: a mirrored canary is sent copies of both."""
    green = Recorder("green-1")
    await three.backends.set_backend(three.backend(Colour.GREEN, 2, (await green.start(),)))
    await three.gateway.set_route(msgspec.structs.replace(beside(0, 5000), mirror=Mirror(WHOLE)), 1)
    found = await shares(three, 400)
    assert found["green-1"] == 0 and found["beside-1"] > 0.3 and found["blue-1"] > 0.3

    async def all_copied() -> bool:
        return len(green.heads) == 400

    await until(all_copied)
    green.stop()
