"""The tier of Envoys where not all is well: one is slow, dead, cut off; storage is away; the agent crashes."""

import asyncio
import time

import httpx
import msgspec
import pytest

from bleen.domain.errors import InvalidInput, NotConverged, Unreachable
from bleen.domain.traffic import Backend, Colour, Endpoint, Route, Split
from bleen.providers.azure.site import Container
from tests.azure.double.storage import Blob
from tests.azure.tier import PATIENCE, Member, TierRun
from tests.contracts.gateway import BLUE, GREEN, a_route, both_colours
from tests.fixtures.envoy import Instances, until

SILENT = PATIENCE.silent + 0.5


async def routes(tier: TierRun) -> dict[str, Route | None]:
    return {seen.gateway: seen.route for seen in await tier.gateway.observe("dev", "hello")}


async def ask(member: Member, host: str = "hello.localhost") -> httpx.Response:
    place = member.envoy.place
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        return await client.get(f"http://{place.address}:{place.port}/", headers={"host": host})


async def test_a_change_waits_for_the_slowest_envoy(tier: TierRun) -> None:
    """It is done when the agent that pulls every second has applied it, too."""
    await both_colours(tier.backends)
    slow = tier.members[1]
    await slow.rest()
    slow.begin(every=1.0)
    await tier.gateway.set_route(a_route(), 1)
    assert await routes(tier) == {"envoy-1": a_route(), "envoy-2": a_route()}


async def test_a_dead_envoy_holds_a_change_up_until_it_is_back(tier: TierRun) -> None:
    """Its agent says that it is silent; started again, it has the last good routes, and takes the new ones."""
    await both_colours(tier.backends)
    await tier.gateway.set_route(a_route(), 1)
    dead = tier.members[1].envoy
    dead.kill()
    with pytest.raises(NotConverged, match="envoy-2: it is silent"):
        await tier.gateway.set_route(a_route(GREEN), 2)
    assert await tier.backends.routed("dev.nobody.blue.r1"), "a silent one may name anything"
    await dead.start()
    await tier.gateway.set_route(a_route(GREEN), 2)
    assert set((await routes(tier)).values()) == {a_route(GREEN)}


async def test_an_envoy_that_is_cut_off_serves_on_and_catches_up(tier: TierRun, instances: Instances) -> None:
    """Cut off from storage it keeps its routes, counts as silent, holds changes up, and takes them when it is back."""
    endpoint = await instances.start("blue-1")
    await tier.backends.set_backend(Backend("dev", "hello", Colour.BLUE, 1, (endpoint,), "/health"))
    await tier.backends.set_backend(Backend("dev", "hello", Colour.GREEN, 2, ()))
    await tier.gateway.set_route(a_route(), 1)
    tier.cloud.storage.away.add("envoy-2")
    with pytest.raises(NotConverged, match="envoy-2"):
        await tier.gateway.set_route(a_route(GREEN), 2)
    assert (await ask(tier.members[1])).status_code == 200
    await asyncio.sleep(SILENT)
    seen = {each.gateway: each.answered for each in await tier.gateway.observe("dev", "hello")}
    assert seen == {"envoy-1": True, "envoy-2": False}
    with pytest.raises(Unreachable):
        await tier.backends.remove_backend("dev.nobody.blue.r1")
    tier.cloud.storage.away.clear()
    await tier.gateway.set_route(a_route(GREEN), 2)
    assert set((await routes(tier)).values()) == {a_route(GREEN)}


@pytest.mark.parametrize("host", ["gateway.internal", "Gateway.Internal"])
async def test_the_name_by_which_load_balancers_ask_is_no_services(tier: TierRun, host: str) -> None:
    """Every Envoy would refuse the routes of all services: it is refused before anything is written."""
    await both_colours(tier.backends)
    with pytest.raises(InvalidInput, match="no service's"):
        await tier.gateway.set_route(msgspec.structs.replace(a_route(), hosts=("hello.localhost", host)), 1)
    await tier.gateway.set_route(a_route(), 1)
    assert set((await routes(tier)).values()) == {a_route()}


async def test_an_envoy_whose_machine_is_gone_counts_no_more(tier: TierRun) -> None:
    """A silent one is forgotten once Azure has no such machine, and not before."""
    await both_colours(tier.backends)
    await tier.members[1].rest()
    await asyncio.sleep(SILENT)
    with pytest.raises(NotConverged):
        await tier.gateway.set_route(a_route(), 1)
    tier.machines.discard("envoy-2")
    await tier.gateway.set_route(a_route(), 1)
    assert await routes(tier) == {"envoy-1": a_route()}


async def test_a_new_envoy_has_everything_before_it_reports_so(tier: TierRun) -> None:
    """It joins with the routes of now, and holds nothing up."""
    await both_colours(tier.backends)
    await tier.gateway.set_route(a_route(), 1)
    await tier.start("envoy-3")

    async def caught_up() -> bool:
        return (await routes(tier)).get("envoy-3") == a_route()

    await until(caught_up)
    await tier.gateway.set_route(a_route(GREEN), 2)
    assert set((await routes(tier)).values()) == {a_route(GREEN)}


async def test_every_envoy_serves_through_an_outage_of_storage(tier: TierRun, instances: Instances) -> None:
    """With storage away nothing changes and nothing is lost, even where agents and Envoys are started anew."""
    endpoint = await instances.start("blue-1")
    await tier.backends.set_backend(Backend("dev", "hello", Colour.BLUE, 1, (endpoint,), "/health"))
    await tier.gateway.set_route(a_route(green=None), 1)
    tier.cloud.storage.away.add("all")
    member = tier.members[0]
    await member.rest()
    member.envoy.kill()
    await member.envoy.start()
    restarted = tier.beside(member.envoy, member.name)
    restarted.begin()
    await asyncio.sleep(0.5)
    assert [(await ask(each)).status_code for each in tier.members] == [200, 200]
    assert [each.answered for each in await tier.gateway.observe("dev", "hello")] == [False]
    with pytest.raises(Unreachable):
        await tier.gateway.set_route(a_route(green=None), 2)
    tier.cloud.storage.away.clear()
    await tier.gateway.set_route(a_route(green=None), 2)
    await restarted.rest()
    await restarted.agent.close()
    await restarted.blobs.close()


async def test_older_or_broken_routes_in_storage_change_nothing(tier: TierRun) -> None:
    """Storage that shows what was, or rubbish, leaves every Envoy as it is, and each says so."""
    await both_colours(tier.backends)
    await tier.gateway.set_route(a_route(), 1)
    name = f"{Container.ROUTES}/table"
    good = tier.cloud.storage.blobs[name]
    for bad in (b"{}", b"no table"):
        tier.cloud.storage.blobs[name] = Blob(bad)
        await asyncio.sleep(0.5)
        assert set((await routes(tier)).values()) == {a_route()}
    assert b"no table" in tier.cloud.storage.blobs[f"{Container.GATEWAYS}/envoy-1"].data
    tier.cloud.storage.blobs[name] = Blob(good.data)
    await tier.gateway.set_route(a_route(GREEN), 2)


async def test_two_controllers_lose_none_of_their_changes(tier: TierRun) -> None:
    """Each write is of the table that was read (its etag): twenty at once are all there."""
    other = TierRun(tier.cloud, tier.cloud and tier.members[0].envoy.place.folder)
    wanted = [Backend("dev", f"service-{k}", Colour.BLUE, 1, (Endpoint("127.76.0.1", 9),)) for k in range(20)]
    sides = (tier.backends, other.backends)
    await asyncio.gather(*(sides[k % 2].set_backend(each) for k, each in enumerate(wanted)))
    await both_colours(tier.backends)
    await tier.gateway.set_route(a_route(Split(blue=5000, green=5000)), 1)
    seen = [await tier.gateway.observe("dev", f"service-{k}") for k in range(20)]
    assert all(len(each.backends) == 1 for found in seen for each in found)
    await other.close()


async def test_a_shift_takes_about_as_long_as_two_turns_of_an_agent(tier: TierRun) -> None:
    """No wait is hidden in it: with agents that pull each 50 ms, well below a second."""
    await both_colours(tier.backends)
    await tier.gateway.set_route(a_route(), 1)
    began = time.monotonic()
    for generation in range(2, 7):
        await tier.gateway.set_route(a_route(BLUE if generation % 2 else GREEN), generation)
    assert (time.monotonic() - began) / 5 < 1.0
