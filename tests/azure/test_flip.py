"""An Application Gateway whose rules are flipped: one update at a time, none twice, none lost, and nothing but 0 or 100 %."""

import asyncio
from contextlib import suppress

import msgspec
import pytest

from bleen.domain.errors import BleenError, Conflict, InvalidInput, LawBroken, NotConverged, NotFound
from bleen.domain.traffic import Baseline, Colour, Route, Split
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.flip import Flip, FlipGateway
from bleen.providers.azure.site import Container
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.double.faults import THROTTLED, Lost, Refused
from tests.azure.flipping import PATIENCE, FlipRun
from tests.contracts.gateway import BLUE, GREEN, a_route, both_colours, directed, fair
from tests.providers.local.world import until

HASTY = msgspec.structs.replace(PATIENCE, converge=0.8)
MIXED = Split(blue=9000, green=1000)


async def serving_blue(run: FlipRun, *services: str) -> None:
    """Given: blue r1 serves, and green r2 is at the preview."""
    for service in services or ("hello",):
        await both_colours(run.backends, service)
        await run.gateway.set_route(a_route(BLUE, service=service, preview=Colour.GREEN), 1)


async def has(run: FlipRun, service: str = "hello") -> tuple[bool, Route | None, int]:
    (seen,) = await run.gateway.observe("dev", service)
    return seen.answered, seen.route, seen.generation


async def comes(run: FlipRun, route: Route, generation: int) -> None:
    """Return when that is what is observed."""
    async with asyncio.timeout(5):
        while True:
            if await has(run) == (True, route, generation):
                return
            await asyncio.sleep(0.02)


async def test_traffic_follows_one_update(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """Both rules of the service change together; what else the document says stays as it was."""
    await serving_blue(flipping)
    before, updates = edge.body, edge.updates
    await flipping.gateway.set_route(a_route(GREEN, preview=Colour.BLUE), 2)
    assert edge.updates == updates + 1
    assert edge.traffic | {"hello": "", "hello-preview": ""} == {
        "hello": "",
        "hello-preview": "",
        "other": "other-blue",
        "other-preview": "other-green",
    }
    assert (edge.traffic["hello"], edge.traffic["hello-preview"]) == ("hello-green", "hello-blue")
    parts = {name: part for name, part in edge.body["properties"].items() if name != "requestRoutingRules"}
    assert parts == {name: part for name, part in before["properties"].items() if name != "requestRoutingRules"}
    assert edge.body["tags"] == {"project": "bleen"}


async def test_what_changes_no_reference_asks_for_no_update(edge: Edge, flipping: FlipRun) -> None:
    """A slot that is named or not, a newer generation: these are in the table, and cost no minutes."""
    await serving_blue(flipping)
    updates = edge.updates
    await flipping.gateway.set_route(a_route(BLUE, blue=1, green=3, preview=Colour.GREEN), 2)
    assert edge.updates == updates
    assert (await has(flipping))[2] == 2


@pytest.mark.parametrize(
    "route",
    [
        a_route(MIXED),
        directed(a_route(BLUE, preview=Colour.GREEN)),
        msgspec.structs.replace(a_route(BLUE, preview=Colour.GREEN), mirror=directed(a_route()).mirror),
        msgspec.structs.replace(a_route(BLUE), sticky=directed(a_route()).sticky),
        fair(a_route(BLUE), 1000),
        msgspec.structs.replace(a_route(BLUE), baseline=Baseline(Colour.BLUE, 10_000)),
        a_route(GREEN, hosts=("elsewhere.example.com",)),
    ],
)
async def test_what_a_rule_cannot_do_is_refused_and_changes_nothing(
    cloud: Cloud, edge: Edge, flipping: FlipRun, route: Route
) -> None:
    """A share, a cohort, a copy, affinity, a baseline, a foreign name: InvalidInput with what to do; table and gateway stay."""
    await serving_blue(flipping)
    table, etag = cloud.storage.blobs["routes/table"].data, edge.etag
    with pytest.raises(InvalidInput) as caught:
        await flipping.gateway.set_route(route, 9)
    assert caught.value.why and caught.value.next
    assert (cloud.storage.blobs["routes/table"].data, edge.etag) == (table, etag)
    assert await has(flipping) == (True, a_route(BLUE, preview=Colour.GREEN), 1)


async def test_a_service_without_rules_is_refused(flipping: FlipRun) -> None:
    """With the names that they would have: nothing is made that Terraform does not know of."""
    await both_colours(flipping.backends, "stranger")
    with pytest.raises(NotFound, match="stranger-preview"):
        await flipping.gateway.set_route(a_route(service="stranger"), 1)


async def test_while_it_updates_nobody_knows_what_it_has(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """Of the service that changes; another one is known all along. Both fleets may be in use: neither can go (law 3)."""
    await serving_blue(flipping, "hello", "other")
    cloud.edges.going.clear()
    switching = asyncio.create_task(flipping.gateway.set_route(a_route(GREEN), 2))
    await until(lambda: edge.state == "Updating", "the update")
    await asyncio.sleep(2 * PATIENCE.look)
    assert await has(flipping) == (False, None, 0)
    assert (await has(flipping, "other"))[0]
    for name in ("dev.hello.blue.r1", "dev.hello.green.r2"):
        assert await flipping.backends.routed(name)
        with pytest.raises(LawBroken):
            await flipping.backends.remove_backend(name)
    assert edge.traffic["hello"] == "hello-blue"
    cloud.edges.going.set()
    await switching
    assert await has(flipping) == (True, a_route(GREEN), 2)


async def test_a_slow_update_goes_on_and_is_begun_once(cloud: Cloud, edge: Edge) -> None:
    """Whoever ordered it is told NotConverged, orders again, and takes up the same update."""
    run = FlipRun(cloud, HASTY)
    await serving_blue_slowly(run)
    updates = edge.updates
    cloud.edges.going.clear()
    await begun(run, edge)
    with pytest.raises(NotConverged, match="minutes"):
        await run.gateway.set_route(a_route(GREEN), 2)
    cloud.edges.going.set()
    await until(lambda: edge.state == "Succeeded", "its end")
    await run.gateway.set_route(a_route(GREEN), 3)
    assert edge.updates == updates + 1
    assert await has(run) == (True, a_route(GREEN), 3)
    await run.close()


async def serving_blue_slowly(run: FlipRun) -> None:
    await both_colours(run.backends)
    with suppress(NotConverged):
        await run.gateway.set_route(a_route(BLUE, preview=Colour.GREEN), 1)
    await comes(run, a_route(BLUE, preview=Colour.GREEN), 1)


async def begun(run: FlipRun, edge: Edge) -> None:
    """Order green, until the update of it is under way, and be told that it is not there yet."""
    while edge.state != "Updating":
        with pytest.raises(NotConverged, match="does not have the change yet"):
            await run.gateway.set_route(a_route(GREEN), 2)


async def test_an_update_that_nobody_waits_for_is_seen_to_its_end(cloud: Cloud, edge: Edge) -> None:
    """The rollout only watches: what it sees becomes the new route."""
    run = FlipRun(cloud, HASTY)
    await serving_blue_slowly(run)
    cloud.edges.going.clear()
    await begun(run, edge)
    assert await has(run) == (False, None, 0)
    cloud.edges.going.set()
    await comes(run, a_route(GREEN), 2)
    await run.close()


@pytest.mark.parametrize("noted", [True, False])
async def test_after_a_crash_the_same_update_is_followed(cloud: Cloud, edge: Edge, noted: bool) -> None:
    """By its URL; and where the crash came before that was written down, by the gateway's own state. It is begun once."""
    first = FlipRun(cloud, HASTY)
    await serving_blue_slowly(first)
    updates = edge.updates
    cloud.edges.going.clear()
    await begun(first, edge)
    await first.close()
    if not noted:
        del cloud.storage.blobs[f"{Container.OPERATIONS}/{edge.name}"]
    second = FlipRun(cloud)
    assert await has(second) == (False, None, 0)
    cloud.edges.going.set()
    await second.gateway.set_route(a_route(GREEN), 2)
    assert edge.updates == updates + 1
    assert edge.traffic["hello"] == "hello-green"
    assert await has(second) == (True, a_route(GREEN), 2)
    await second.close()


@pytest.mark.parametrize("after", [0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16])
async def test_wherever_it_is_interrupted_the_newest_order_is_what_comes(cloud: Cloud, edge: Edge, after: float) -> None:
    """A controller dies some milliseconds into a switch; the next one is told to go back, and never seen to lie about it."""
    cloud.faults.slow = 0.05
    first = FlipRun(cloud)
    await serving_blue(first, "hello", "other")
    switching = asyncio.create_task(first.gateway.set_route(a_route(GREEN, preview=Colour.BLUE), 2))
    await asyncio.sleep(after)
    switching.cancel()
    await asyncio.gather(switching, return_exceptions=True)
    await first.close()
    second = FlipRun(cloud)
    answered, route, _ = await has(second)
    if answered and route and edge.state == "Succeeded":
        assert edge.traffic["hello"] == f"hello-{Colour.BLUE if route.split == BLUE else Colour.GREEN}"
    back = a_route(BLUE, preview=Colour.GREEN)
    await asyncio.gather(second.gateway.set_route(back, 3), second.gateway.set_route(a_route(GREEN, service="other"), 3))
    assert (edge.traffic["hello"], edge.traffic["other"]) == ("hello-blue", "other-green")
    assert await has(second) == (True, back, 3)
    await second.close()


async def test_an_answer_that_is_lost_is_no_second_update(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """The connection breaks after Azure took the document: it is seen to be there, and is not sent again."""
    await serving_blue(flipping)
    cloud.faults.slow, updates = 0.2, edge.updates
    cloud.faults.add("PUT", "applicationGateways", Lost())
    await flipping.gateway.set_route(a_route(GREEN), 2)
    assert edge.updates == updates + 1
    assert edge.traffic["hello"] == "hello-green"


async def test_changes_of_several_services_lose_none(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """Ordered at once they go in one update; ordered while one runs, in the next one."""
    await serving_blue(flipping, "hello", "other")
    cloud.faults.slow, updates = 0.2, edge.updates
    orders = [a_route(GREEN), a_route(GREEN, service="other")]
    await asyncio.gather(*(flipping.gateway.set_route(each, 2) for each in orders))
    assert edge.updates - updates <= 2
    assert (edge.traffic["hello"], edge.traffic["other"]) == ("hello-green", "other-green")
    back = asyncio.create_task(flipping.gateway.set_route(a_route(BLUE), 3))
    await until(lambda: edge.state == "Updating", "the update")
    await flipping.gateway.set_route(a_route(BLUE, service="other"), 3)
    await back
    assert (edge.traffic["hello"], edge.traffic["other"]) == ("hello-blue", "other-blue")


@pytest.mark.parametrize(
    "fault",
    [
        Refused(412, "PreconditionFailed", "The etag does not match"),
        Refused(409, "AnotherOperationInProgress", "Another operation on this resource is in progress"),
        THROTTLED,
        Refused(503, "ServiceUnavailable", "The service is unavailable"),
    ],
)
async def test_what_passes_by_itself_is_tried_again(cloud: Cloud, edge: Edge, flipping: FlipRun, fault: Refused) -> None:
    """Somebody was first, another update runs, Azure throttles or is away: in the end the route is there."""
    await serving_blue(flipping)
    cloud.faults.add("PUT", "applicationGateways", fault, times=3)
    await flipping.gateway.set_route(a_route(GREEN), 2)
    assert edge.traffic["hello"] == "hello-green"


async def test_what_somebody_else_changed_meanwhile_is_kept(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """Another writer changed the document after it was read: 412, read again, and both changes are there."""
    await serving_blue(flipping)
    edge.meddled = {"team": "edge"}
    await flipping.gateway.set_route(a_route(GREEN), 2)
    assert edge.body["tags"]["team"] == "edge" and edge.traffic["hello"] == "hello-green"


async def test_an_update_that_fails_is_told_and_the_old_route_is_what_there_is(
    cloud: Cloud, edge: Edge, flipping: FlipRun
) -> None:
    """Though the document shows what was to be. Ordered again, it is tried again."""
    await serving_blue(flipping, "hello", "other")
    edge.fails = Refused(400, "ApplicationGatewayKeyVaultSecretException", "The secret of the certificate cannot be read")
    with pytest.raises(BleenError, match="certificate cannot be read"):
        await flipping.gateway.set_route(a_route(GREEN), 2)
    assert (edge.state, edge.references()["hello"], edge.traffic["hello"]) == ("Failed", "hello-green", "hello-blue")
    assert await has(flipping) == (True, a_route(BLUE, preview=Colour.GREEN), 1)
    assert await flipping.backends.routed("dev.hello.green.r2")
    await flipping.gateway.set_route(a_route(GREEN), 3)
    assert edge.traffic["hello"] == "hello-green"


async def test_what_failed_does_not_come_with_the_next_update(edge: Edge, flipping: FlipRun) -> None:
    """Another service's change gives the first one back what it had: nobody waits for its flip any more."""
    await serving_blue(flipping, "hello", "other")
    edge.fails = Refused(400, "Failed", "no")
    with pytest.raises(BleenError):
        await flipping.gateway.set_route(a_route(GREEN), 2)
    await flipping.gateway.set_route(a_route(GREEN, service="other"), 2)
    assert (edge.traffic["hello"], edge.traffic["other"]) == ("hello-blue", "other-green")
    assert await has(flipping) == (True, a_route(BLUE, preview=Colour.GREEN), 1)


async def test_a_rule_that_was_flipped_by_hand_is_seen(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """What is observed is what traffic meets, and not what was ordered; ordered again, it is as ordered."""
    await serving_blue(flipping)
    cloud.edges.by_hand(edge, "hello", "hello-green")
    await comes(flipping, a_route(GREEN, preview=Colour.GREEN), 1)
    assert await flipping.backends.routed("dev.hello.green.r2")
    await flipping.gateway.set_route(a_route(BLUE, preview=Colour.GREEN), 2)
    assert edge.traffic["hello"] == "hello-blue"


async def test_a_rule_that_refers_to_something_else_is_unknown(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """Neither colour has its traffic: nobody can say what has, and nothing may end."""
    await serving_blue(flipping, "hello", "other")
    cloud.edges.by_hand(edge, "hello", "other-blue")
    assert await flipping.backends.routed("dev.hello.blue.r1")
    assert (await has(flipping))[0] is False


async def test_a_gateway_that_does_not_answer_is_silent(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """To `observe` a fact, to whoever asks whether a fleet may end a yes."""
    await both_colours(flipping.backends)
    cloud.edges.all.clear()
    assert await has(flipping) == (False, None, 0)
    assert await flipping.backends.routed("dev.hello.blue.r1")
    with pytest.raises(NotFound, match="terraform apply"):
        await flipping.gateway.set_route(a_route(), 1)


async def test_who_lost_the_site_changes_nothing(cloud: Cloud, edge: Edge, flipping: FlipRun) -> None:
    """Without its lease a controller begins no update."""
    await serving_blue(flipping)
    updates = edge.updates

    def lost() -> None:
        raise Conflict("another controller has the site")

    there: Azure = flipping.there
    late = FlipGateway(Flip(there, PATIENCE, check=lost))
    with pytest.raises(NotConverged, match="another controller"):
        await late.set_route(a_route(GREEN), 2)
    assert edge.updates == updates


async def test_watching_asks_resource_manager_ever_more_rarely(cloud: Cloud, edge: Edge) -> None:
    """A rollout looks many times a second; a gateway at rest is read a few times, twice as late each time."""
    run = FlipRun(cloud, msgspec.structs.replace(PATIENCE, look=0.0, longest=60.0))
    await serving_blue(run)
    before = cloud.calls["GET edges"]
    for _ in range(100):
        await has(run)
    assert cloud.calls["GET edges"] - before <= 10
    await run.close()
