"""An Application Gateway whose pools have machines of both colours: exact shares, nobody moved twice, and never empty."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import pytest

from bleen.domain.errors import BleenError, Conflict, InvalidInput, LawBroken, NotConverged, NotFound
from bleen.domain.traffic import Baseline, Colour, Route, Split
from bleen.providers.azure.mixed import Mixed, MixedGateway
from bleen.providers.azure.site import Container
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.double.faults import THROTTLED, Lost, Refused
from tests.azure.flipping import PATIENCE
from tests.azure.mixing import PATIENT, MixedRun, a_fleet, machine, shares
from tests.contracts.gateway import BLUE, GREEN, a_route, directed, fair
from tests.providers.local.world import until

HASTY = msgspec.structs.replace(PATIENCE, converge=0.8)
TENTH = Split(blue=9000, green=1000)
NICS = "networkInterfaces/nic"


async def serving_blue(run: MixedRun, cloud: Cloud, *services: str, blue: int = 9, green: int = 3) -> None:
    """Given: blue r1 serves with all its machines, and green r2 is ready beside it."""
    for service in services or ("hello",):
        await run.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, blue, service))
        await run.backends.set_backend(a_fleet(cloud, Colour.GREEN, 2, green, service))
        await surely(lambda service=service: run.gateway.set_route(a_route(BLUE, service=service), 1))  # type: ignore[misc]


async def surely(order: Callable[[], Awaitable[None]]) -> None:
    """Order it until it is there: whoever waits in a hurry is told that it is not yet."""
    async with asyncio.timeout(20):
        while True:
            with suppress(NotConverged):
                return await order()


async def has(run: MixedRun, service: str = "hello") -> tuple[bool, Route | None, int]:
    (seen,) = await run.gateway.observe("dev", service)
    return seen.answered, seen.route, seen.generation


async def comes(run: MixedRun, route: Route, generation: int) -> None:
    """Return when that is what is observed."""
    async with asyncio.timeout(10):
        while True:
            if await has(run) == (True, route, generation):
                return
            await asyncio.sleep(0.02)


def least(pools: Edge, since: int, service: str = "hello") -> int:
    """Return how few machines a pool had at any moment since so many changes."""
    return min((count for _, each, _, count in pools.changes[since:] if each == service), default=len(pools.members[service]))


async def test_a_share_is_a_share_of_machines(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """1 of 10, half, all, and back: exactly that, and never fewer machines than serve before or after."""
    await serving_blue(mixing, cloud)
    for generation, (green, wanted) in enumerate([(1000, (9, 1)), (2500, (9, 3)), (5000, (3, 3)), (0, (9, 0))], 2):
        before, since = len(pools.members["hello"]), len(pools.changes)
        await mixing.gateway.set_route(a_route(Split(10_000 - green, green)), generation)
        assert shares(pools) == wanted
        assert least(pools, since) >= min(before, sum(wanted))
        assert (await has(mixing))[1:] == (a_route(Split(10_000 - green, green)), generation)


async def test_who_enters_is_in_before_anybody_leaves(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """All of green has traffic when the first of blue loses it; the document of the gateway is not touched."""
    await serving_blue(mixing, cloud, blue=3)
    body, since, updates = pools.body, len(pools.changes), pools.updates
    await mixing.gateway.set_route(a_route(GREEN), 2)
    assert [kind for kind, *_ in pools.changes[since:]] == ["entered"] * 3 + ["left"] * 3
    assert shares(pools) == (0, 3) and (pools.body, pools.updates) == (body, updates)


async def test_only_the_pool_of_an_interface_is_changed(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Its subnet, its security group, the pools of its load balancer and of other gateways: all is sent back as it was."""
    other = cloud.edges.mix("agw-of-others", {"theirs": ()})
    backend = a_fleet(cloud, Colour.BLUE, 1, 1)
    nic = cloud.nics.of(machine("hello", Colour.BLUE, 1))
    cloud.nics.by_hand(nic.machine, other, "theirs", inside=True)
    before = msgspec.json.decode(msgspec.json.encode(nic.body))
    await mixing.backends.set_backend(backend)
    await mixing.gateway.set_route(a_route(BLUE), 1)
    assert nic.pools == {other.pool_id("theirs"), pools.pool_id("hello")}
    await mixing.gateway.remove_route("dev", "hello", 2)
    assert nic.pools == {other.pool_id("theirs")} and says(nic.body, before)


def says(body: object, all_of: object) -> bool:
    """Return whether a body has all that another has, and more at most."""
    if isinstance(body, dict) and isinstance(all_of, dict):
        return all(name in body and says(body[name], value) for name, value in all_of.items())
    if isinstance(body, list) and isinstance(all_of, list):
        return len(body) == len(all_of) and all(map(says, body, all_of))
    return body == all_of


async def test_what_changes_no_machine_asks_for_no_operation(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """A preview, which means nothing here, or a newer generation: these are in the table."""
    await serving_blue(mixing, cloud)
    changes = cloud.calls["PUT nics"]
    await mixing.gateway.set_route(a_route(BLUE, preview=Colour.GREEN), 2)
    assert cloud.calls["PUT nics"] == changes
    assert await has(mixing) == (True, a_route(BLUE, preview=Colour.GREEN), 2)


@pytest.mark.parametrize(
    "route",
    [
        a_route(Split(blue=9900, green=100)),
        a_route(Split(blue=1000, green=9000)),
        a_route(Split(blue=5000, green=5000), green=None),
        directed(a_route(BLUE, preview=Colour.GREEN)),
        msgspec.structs.replace(a_route(BLUE, preview=Colour.GREEN), mirror=directed(a_route()).mirror),
        msgspec.structs.replace(a_route(BLUE), sticky=directed(a_route()).sticky),
        fair(a_route(BLUE), 1000),
        msgspec.structs.replace(a_route(BLUE), baseline=Baseline(Colour.BLUE, 10_000)),
        a_route(GREEN, hosts=("elsewhere.example.com",)),
        a_route(GREEN, green=None),
    ],
)
async def test_what_a_pool_cannot_do_is_refused_and_changes_nothing(
    cloud: Cloud, pools: Edge, mixing: MixedRun, route: Route
) -> None:
    """A share without the machines for it, a cohort, a copy, affinity, a baseline, a foreign name, nobody at all."""
    await serving_blue(mixing, cloud)
    table, changes = cloud.storage.blobs["routes/table"].data, cloud.calls["PUT nics"]
    with pytest.raises(InvalidInput) as caught:
        await mixing.gateway.set_route(route, 9)
    assert caught.value.why and caught.value.next
    assert (cloud.storage.blobs["routes/table"].data, cloud.calls["PUT nics"]) == (table, changes)
    assert await has(mixing) == (True, a_route(BLUE), 1)


async def test_a_service_without_a_pool_is_refused(cloud: Cloud, mixing: MixedRun) -> None:
    """With what makes it: Terraform, also for a service that is added later."""
    await mixing.backends.set_backend(msgspec.structs.replace(a_fleet(cloud, Colour.BLUE, 1, 1), service="stranger"))
    with pytest.raises(NotFound, match="no rule stranger") as caught:
        await mixing.gateway.set_route(a_route(service="stranger"), 1)
    assert "terraform apply" in caught.value.next


async def test_a_removed_service_leaves_its_pool(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Its rule stays, with nobody behind it; then its fleets may go. Deployed again, it serves again."""
    await serving_blue(mixing, cloud)
    await mixing.gateway.remove_route("dev", "hello", 2)
    assert pools.members["hello"] == set()
    assert not await mixing.backends.routed("dev.hello.blue.r1")
    await mixing.backends.remove_backend("dev.hello.green.r2")
    await mixing.gateway.set_route(a_route(BLUE, green=None), 3)
    assert shares(pools) == (9, 0)


async def test_a_machine_that_comes_and_one_that_goes_are_followed(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """A fleet grows: who came is in. It shrinks: who is to go has left before the order returns. One is replaced, likewise."""
    await serving_blue(mixing, cloud, blue=3)
    await mixing.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 5))
    assert shares(pools) == (5, 0)
    await mixing.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 2))
    assert shares(pools) == (2, 0)
    await mixing.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 2, first=2))
    assert pools.members["hello"] == {machine("hello", Colour.BLUE, number) for number in (2, 3)}
    assert await has(mixing) == (True, a_route(BLUE), 1)


async def test_a_share_is_kept_while_a_fleet_grows_and_shrinks(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """A machine more of the idle kind changes nothing; one less of those that serve is replaced by one that waits."""
    await serving_blue(mixing, cloud, blue=10, green=2)
    await mixing.gateway.set_route(a_route(TENTH), 2)
    inside = {each for each in pools.members["hello"] if "-blue-" in each}
    leaving = min(int(each.rpartition("_")[2]) for each in inside)
    rest = a_fleet(cloud, Colour.BLUE, 1, 10)
    gone = rest.endpoints[leaving - 1]
    await mixing.backends.set_backend(
        msgspec.structs.replace(rest, endpoints=tuple(each for each in rest.endpoints if each != gone))
    )
    assert shares(pools) == (9, 1) and machine("hello", Colour.BLUE, leaving) not in pools.members["hello"]


async def test_the_last_machines_are_kept_though_nobody_tells_of_them(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """A fleet that is not heard of is no reason to answer 502: its machines stay in, and the route is not known."""
    await serving_blue(mixing, cloud, blue=2)
    await mixing.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 0))
    assert shares(pools) == (2, 0)
    assert (await has(mixing))[0] is False
    with pytest.raises(InvalidInput, match="would be empty"):
        await mixing.gateway.set_route(a_route(GREEN, green=None), 3)


@pytest.mark.parametrize("told", [3, 0])
async def test_a_fleet_ends_only_when_none_of_it_is_in_the_pool(cloud: Cloud, pools: Edge, mixing: MixedRun, told: int) -> None:
    """Law 3, by the fact: no route names it any more, and yet one machine is in, put there by hand; also of a fleet that ends,
    which tells of no machine any more."""
    await serving_blue(mixing, cloud)
    await mixing.gateway.set_route(a_route(BLUE, green=None), 2)
    await mixing.backends.set_backend(a_fleet(cloud, Colour.GREEN, 2, told))
    intruder = machine("hello", Colour.GREEN, 1)
    cloud.nics.by_hand(intruder, pools, "hello", inside=True)
    assert await mixing.backends.routed("dev.hello.green.r2")
    cloud.nics.by_hand(intruder, pools, "hello", inside=True)
    cloud.edges.going.clear()
    with pytest.raises(LawBroken):
        await mixing.backends.remove_backend("dev.hello.green.r2")
    cloud.edges.going.set()
    await until(lambda: shares(pools) == (9, 0), "the intruder's leaving")
    await until_free(mixing, "dev.hello.green.r2")


async def until_free(run: MixedRun, name: str) -> None:
    async with asyncio.timeout(5):
        while True:
            if not await run.backends.routed(name):
                return await run.backends.remove_backend(name)
            await asyncio.sleep(0.02)


async def test_what_somebody_put_in_by_hand_leaves_again(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Of whatever kind it is; until then nobody says what the gateway has. Who was taken out comes back."""
    await serving_blue(mixing, cloud)
    stranger = cloud.nics.make("", "vm-of-somebody", "10.9.9.9").machine
    cloud.nics.by_hand(stranger, pools, "hello", inside=True)
    cloud.nics.by_hand(machine("hello", Colour.BLUE, 1), pools, "hello", inside=False)
    await mixing.mixed.look(anew=True)
    assert (await has(mixing))[0] is False
    await comes(mixing, a_route(BLUE), 1)
    assert shares(pools) == (9, 0) and stranger not in pools.members["hello"]


async def test_a_machine_that_vanishes_leaves_the_nearest_share(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Nothing else could serve: 8 of blue and 1 of green is what there is. Its replacement makes the share exact again."""
    await serving_blue(mixing, cloud)
    await mixing.gateway.set_route(a_route(TENTH), 2)
    cloud.nics.remove(machine("hello", Colour.BLUE, 1))
    await mixing.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 8, first=2))
    assert shares(pools) == (8, 1)
    await mixing.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 9, first=2))
    assert shares(pools) == (9, 1) and await has(mixing) == (True, a_route(TENTH), 2)


async def test_while_machines_move_nobody_knows_what_it_has(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Of the service that changes; another one is known all along. Both fleets have traffic, or may: neither can go (law 3)."""
    await serving_blue(mixing, cloud, "hello", "other")
    cloud.edges.going.clear()
    switching = asyncio.create_task(mixing.gateway.set_route(a_route(GREEN), 2))
    await until(lambda: pools.state == "Updating", "the update")
    await asyncio.sleep(4 * PATIENCE.look)
    assert await has(mixing) == (False, None, 0)
    assert await has(mixing, "other") == (True, a_route(BLUE, service="other"), 1)
    for name in ("dev.hello.blue.r1", "dev.hello.green.r2"):
        assert await mixing.backends.routed(name)
        with pytest.raises(LawBroken):
            await mixing.backends.remove_backend(name)
    assert shares(pools) == (9, 0)
    cloud.edges.going.set()
    await switching
    assert await has(mixing) == (True, a_route(GREEN), 2)


async def test_a_slow_change_goes_on_and_is_begun_once(cloud: Cloud, pools: Edge) -> None:
    """Whoever ordered it is told NotConverged, orders again, and takes up the same operations."""
    run = MixedRun(cloud, HASTY)
    await serving_blue(run, cloud, blue=1, green=1)
    cloud.edges.going.clear()
    with pytest.raises(NotConverged, match="does not have the change yet"):
        await run.gateway.set_route(a_route(GREEN), 2)
    with pytest.raises(NotConverged):
        await run.gateway.set_route(a_route(GREEN), 2)
    cloud.edges.going.set()
    await comes(run, a_route(GREEN), 2)
    assert [nic.changes for nic in cloud.nics.all.values()] == [2, 1]
    await run.close()


@pytest.mark.parametrize("noted", [True, False])
async def test_after_a_crash_what_was_begun_is_followed(cloud: Cloud, pools: Edge, noted: bool) -> None:
    """By what the interfaces show. The rest is done by whoever comes next, though nobody orders it again; nothing twice."""
    first = MixedRun(cloud, HASTY)
    await serving_blue(first, cloud, blue=2, green=2)
    cloud.edges.going.clear()
    with pytest.raises(NotConverged):
        await first.gateway.set_route(a_route(GREEN), 2)
    await first.close()
    if not noted:
        for name in [each for each in cloud.storage.blobs if each.startswith(f"{Container.OPERATIONS}/")]:
            del cloud.storage.blobs[name]
    second = MixedRun(cloud)
    assert await has(second) == (False, None, 0)
    cloud.edges.going.set()
    await comes(second, a_route(GREEN), 2)
    assert shares(pools) == (0, 2)
    assert [nic.changes for nic in cloud.nics.all.values()] == [2, 2, 1, 1]
    await second.close()


@pytest.mark.parametrize("after", [0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.3])
async def test_wherever_it_is_interrupted_the_newest_order_is_what_comes(cloud: Cloud, pools: Edge, after: float) -> None:
    """A controller dies some milliseconds into a canary's step; the next one is told to go back. The pool is never empty."""
    first = MixedRun(cloud)
    await serving_blue(first, cloud, "hello", "other")
    cloud.faults.slow, since = 0.05, len(pools.changes)
    shifting = asyncio.create_task(first.gateway.set_route(a_route(GREEN), 2))
    await asyncio.sleep(after)
    shifting.cancel()
    await asyncio.gather(shifting, return_exceptions=True)
    await first.close()
    second = MixedRun(cloud)
    answered, route, _ = await has(second)
    if answered and route and pools.state == "Succeeded":
        assert shares(pools) == ((9, 0) if route.split == BLUE else (0, 3))
    orders = [a_route(BLUE), a_route(TENTH, service="other")]
    await asyncio.gather(*(surely(lambda each=each: second.gateway.set_route(each, 3)) for each in orders))  # type: ignore[misc]
    async with asyncio.timeout(10):  # what the first one had sent may arrive when the second has looked: it is undone
        while (shares(pools), shares(pools, "other")) != ((9, 0), (9, 1)) or await has(second) != (True, a_route(BLUE), 3):
            await has(second)
            await asyncio.sleep(0.02)
    assert least(pools, since) >= 3 and least(pools, since, "other") >= 9
    await second.close()


async def test_an_answer_that_is_lost_is_no_second_operation(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """The connection breaks after Azure took the interface: it is seen to be changed, and is not sent again."""
    await serving_blue(mixing, cloud, blue=1, green=1)
    cloud.faults.slow = 0.1
    cloud.faults.add("PUT", NICS, Lost())
    await mixing.gateway.set_route(a_route(GREEN), 2)
    assert [nic.changes for nic in cloud.nics.all.values()] == [2, 1]
    assert shares(pools) == (0, 1)


async def test_two_services_at_once_have_what_they_order(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Neither waits for the other's machines."""
    await serving_blue(mixing, cloud, "hello", "other")
    cloud.faults.slow = 0.1
    orders = [a_route(GREEN), a_route(TENTH, service="other")]
    await asyncio.gather(*(mixing.gateway.set_route(each, 2) for each in orders))
    assert (shares(pools), shares(pools, "other")) == ((0, 3), (9, 1))


@pytest.mark.parametrize(
    "fault",
    [
        Refused(412, "PreconditionFailed", "The etag does not match"),
        Refused(409, "AnotherOperationInProgress", "Another operation on this or dependent resource is in progress"),
        THROTTLED,
        Refused(503, "ServiceUnavailable", "The service is unavailable"),
    ],
)
async def test_what_passes_by_itself_is_tried_again(cloud: Cloud, pools: Edge, mixing: MixedRun, fault: Refused) -> None:
    """Somebody was first, the gateway is updated, Azure throttles or is away: in the end the share is there."""
    await serving_blue(mixing, cloud)
    cloud.faults.add("PUT", NICS, fault, times=6)
    await mixing.gateway.set_route(a_route(Split(7500, 2500)), 2)
    assert shares(pools) == (9, 3)


async def test_a_gateway_that_takes_one_change_at_a_time_gets_one_at_a_time(cloud: Cloud, pools: Edge) -> None:
    """Whether Azure does is not known: then it takes longer, and fewer are asked at once."""
    run = MixedRun(cloud)
    await serving_blue(run, cloud, blue=4, green=4)
    cloud.nics.one_at_a_time, cloud.faults.slow, since = True, 0.02, len(pools.changes)
    await surely(lambda: run.gateway.set_route(a_route(GREEN), 2))
    assert shares(pools) == (0, 4) and least(pools, since) >= 4
    await run.close()


async def test_what_somebody_else_changed_meanwhile_is_kept(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Another writer changed the interface after it was read: 412, read again, and both changes are there."""
    await serving_blue(mixing, cloud)
    nic = cloud.nics.of(machine("hello", Colour.GREEN, 1))
    cloud.faults.lag = 0.2
    await mixing.mixed.look(anew=True)
    nic.body["tags"]["team"] = "edge"
    nic.touch()
    await surely(lambda: mixing.gateway.set_route(a_route(TENTH), 2))
    assert nic.body["tags"]["team"] == "edge" and shares(pools) == (9, 1)


async def test_a_change_that_fails_is_told_and_done_again(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Though the interface shows what was to be: it is not believed, the route is not known, and ordered again it comes."""
    await serving_blue(mixing, cloud, green=1)
    nic = cloud.nics.of(machine("hello", Colour.GREEN, 1))
    nic.fails = Refused(400, "ApplicationGatewayBackendPoolFull", "The pool has no room")
    with pytest.raises(BleenError, match="no room"):
        await mixing.gateway.set_route(a_route(TENTH), 2)
    assert (nic.state, shares(pools)) == ("Failed", (9, 0))
    await surely(lambda: mixing.gateway.set_route(a_route(TENTH), 3))
    assert shares(pools) == (9, 1) and nic.state == "Succeeded"
    assert await has(mixing) == (True, a_route(TENTH), 3)


async def test_a_right_that_lacks_is_told_by_its_name(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """The identity may not join the pool: Forbidden, and nobody has moved."""
    await serving_blue(mixing, cloud)
    cloud.faults.add(
        "PUT", NICS, Refused(403, "LinkedAuthorizationFailed", "may not perform backendAddressPools/join"), times=99
    )
    with pytest.raises(BleenError, match="backendAddressPools/join"):
        await mixing.gateway.set_route(a_route(GREEN), 2)
    assert shares(pools) == (9, 0)


async def test_a_gateway_that_does_not_answer_is_silent(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """To `observe` a fact, to whoever asks whether a fleet may end a yes."""
    await mixing.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 1))
    cloud.edges.all.clear()
    assert await has(mixing) == (False, None, 0)
    assert await mixing.backends.routed("dev.hello.blue.r1")
    with pytest.raises(NotFound, match="terraform apply"):
        await mixing.gateway.set_route(a_route(green=None), 1)


async def test_after_an_update_that_failed_nobody_leaves(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Who entered may have no traffic: the old machines keep theirs until the gateway is at rest, and it is said why."""
    await serving_blue(mixing, cloud, blue=2, green=2)
    run = MixedRun(cloud, HASTY)
    switching = asyncio.create_task(run.gateway.set_route(a_route(GREEN), 2))
    await until(lambda: shares(pools) == (2, 2), "green's entering")
    pools.state = "Failed"
    with pytest.raises(NotConverged, match="Failed"):
        await asyncio.gather(switching)
    await run.close()


async def test_who_lost_the_site_changes_nothing(cloud: Cloud, pools: Edge, mixing: MixedRun) -> None:
    """Without its lease a controller begins no operation."""
    await serving_blue(mixing, cloud)
    changes = cloud.calls["PUT nics"]

    def lost() -> None:
        raise Conflict("another controller has the site")

    late = Mixed(mixing.there, HASTY, check=lost)
    with pytest.raises(NotConverged, match="another controller"):
        await MixedGateway(late).set_route(a_route(GREEN), 2)
    await late.close()
    assert cloud.calls["PUT nics"] == changes


@pytest.mark.parametrize("lag", [0.0, 0.1])
async def test_reads_that_lag_begin_nothing_twice(cloud: Cloud, pools: Edge, lag: float) -> None:
    """What is read is from before: an interface is sent once, for its etag, and its operation's URL says how it went."""
    run = MixedRun(cloud)
    await serving_blue(run, cloud, blue=2, green=2)
    cloud.faults.lag = lag
    await surely(lambda: run.gateway.set_route(a_route(GREEN), 2))
    assert [nic.changes for nic in cloud.nics.all.values()] == [2, 2, 1, 1]
    await run.close()


async def test_a_machine_that_is_not_listed_yet_enters_soon(cloud: Cloud, pools: Edge) -> None:
    """Though for long nothing had changed, and the next look would have been far away."""
    run = MixedRun(cloud, msgspec.structs.replace(PATIENT, longest=600.0))
    await serving_blue(run, cloud, blue=1, green=1)
    cloud.faults.lag = 0.5
    for _ in range(12):
        await run.mixed.look(anew=True)
    await run.backends.set_backend(a_fleet(cloud, Colour.BLUE, 1, 2))
    assert shares(pools) == (1, 0)

    async def entered() -> bool:
        return bool(await has(run)) and shares(pools) == (2, 0)

    await until(entered, "the one that came")
    await run.close()


async def test_watching_asks_resource_manager_ever_more_rarely(cloud: Cloud, pools: Edge) -> None:
    """A rollout looks many times a second; a gateway at rest is read a few times, twice as late each time."""
    run = MixedRun(cloud, msgspec.structs.replace(PATIENCE, look=0.0, longest=60.0))
    await serving_blue(run, cloud)
    before = cloud.arm_calls
    for _ in range(100):
        await has(run)
    assert cloud.arm_calls - before <= 20
    await run.close()


async def test_ten_machines_are_twenty_operations_and_a_few_looks(cloud: Cloud, pools: Edge) -> None:
    """All of ten to all of ten others: one operation for each who enters or leaves; one listing tells of all of them."""
    run = MixedRun(cloud, msgspec.structs.replace(PATIENCE, first=0.2, longest=60.0))
    await serving_blue(run, cloud, blue=10, green=10)
    cloud.faults.slow, before = 0.3, cloud.arm_calls
    await run.gateway.set_route(a_route(GREEN), 2)
    assert cloud.calls["PUT nics"] == 30
    assert cloud.arm_calls - before <= 45, cloud.calls
    await run.close()
