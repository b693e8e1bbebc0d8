"""Scale sets where Azure is not kind: answers lost, crashes, quota, full zones, throttling; and how often it is asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec import structs

from bleen.domain.errors import Conflict, InvalidInput, NotFound, StartFailed, Unreachable
from bleen.domain.fleet import Fleet, FleetOrder, InstanceState, Slot
from bleen.domain.release import Runtime
from bleen.domain.traffic import Colour, Route, Split
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.fleet import Means, Timing
from bleen.providers.azure.fleets import AzureFleets
from bleen.providers.azure.operations import Operations
from bleen.providers.azure.sets import Change, ScaleSets
from bleen.providers.azure.site import Container
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from tests.azure.double.cloud import Cloud
from tests.azure.double.compute import ScaleSet
from tests.azure.double.faults import THROTTLED, Lost, Refused
from tests.azure.double.machines import LightMachines
from tests.azure.world import TIMING, Publisher, azure, fleets, keys_of
from tests.providers.local.world import until as eventually

T = TypeVar("T")
BLUE = Slot("dev", "local", "hello", Colour.BLUE)
GREEN = structs.replace(BLUE, colour=Colour.GREEN)
IMAGE = f"sha256:{7:064x}"
SETS = "/virtualMachineScaleSets/"


def order(size: int = 3, *, slot: Slot = BLUE, release: int = 1, files: dict[str, str] | None = None) -> FleetOrder:
    return FleetOrder(slot, release, IMAGE, size, Runtime(("run",), files=files or {}))


class Stage:
    """A cloud with one service, and controllers that come and go."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud = cloud
        self.gateways = MemoryGateways()
        self.gateway = MemoryGateway(self.gateways)
        self.keys = keys_of(folder)
        self._open: list[tuple[AzureFleets, Azure]] = []
        cloud.compute.make("hello")
        Publisher(cloud, self.keys).publish(IMAGE, "hello")

    def controller(self, timing: Timing = TIMING) -> AzureFleets:
        """Return the port as a new process has it."""
        there = azure(self.cloud)
        port = fleets(self.cloud, there, MemoryBackends(self.gateways), self.keys, timing)
        self._open.append((port, there))
        return port

    async def crash(self) -> None:
        """End every controller as kill -9 does: nothing is finished."""
        for port, there in self._open:
            await port.close()
            await there.close()
        self._open.clear()

    def set(self, slot: Slot = BLUE) -> ScaleSet:
        return self.cloud.compute.sets[f"vmss-hello-{slot.place}-bleen-dev-weu"]


@pytest.fixture
async def stage(cloud: Cloud, tmp_path: Path) -> AsyncIterator[Stage]:
    there = Stage(cloud, tmp_path)
    yield there
    await there.crash()


async def until(port: AzureFleets, holds: Callable[[Fleet], bool], slot: Slot = BLUE, patience: float = 20.0) -> Fleet:
    deadline = time.monotonic() + patience
    while True:
        fleet = next((f for f in await port.observe("hello") if f.slot == slot), None)
        if fleet is not None and holds(fleet):
            return fleet
        assert time.monotonic() < deadline, f"not in {patience:g} s; seen {fleet}"
        await asyncio.sleep(0.02)


def ready(size: int) -> Callable[[Fleet], bool]:
    return lambda fleet: fleet.ready == size == len(fleet.instances)


async def test_an_answer_that_is_lost_starts_nothing_twice(stage: Stage) -> None:
    """The scale set was changed and nobody heard of it: the change is found there, and not made again."""
    port = stage.controller()
    stage.cloud.faults.add("PATCH", SETS, Lost())
    await port.launch(order())
    await until(port, ready(3))
    assert stage.cloud.calls["PATCH sets"] == 1
    assert stage.set().starts == 3


async def test_a_controller_that_crashed_goes_on_with_the_operation_that_it_began(stage: Stage) -> None:
    """The next one reads order and operation in Azure, asks for nothing, and waits for what is under way."""
    stage.cloud.faults.slow = 1.0
    await stage.controller().launch(order())
    await stage.crash()
    port = stage.controller()
    await until(port, ready(3))
    assert (await port.observe())[0].size == 3
    assert stage.cloud.calls["PATCH sets"] == 1
    assert [o.kind for o in stage.cloud.operations.all.values()] == ["update vmss-hello-blue-bleen-dev-weu"]


async def test_a_shrink_that_was_cut_off_deletes_the_same_machines_once(stage: Stage) -> None:
    """The next controller follows the deletion by its URL; no machine beyond the order goes."""
    port = stage.controller()
    await port.launch(order(4))
    first, *_ = (await until(port, ready(4))).instances
    stage.cloud.faults.slow = 1.0
    await port.launch(order(1))

    async def deleting() -> bool:
        await port.observe()
        return "POST sets" in stage.cloud.calls

    await eventually(deleting, "three are being deleted")
    await stage.crash()
    port = stage.controller()
    last = await until(port, ready(1))
    assert last.instances[0].address == first.address
    assert stage.cloud.calls["POST sets"] == 1


async def test_a_retirement_that_was_cut_off_is_finished_by_asking_again(stage: Stage) -> None:
    """What is being ended is seen no more, its slot is not given away meanwhile, and asking again ends well."""
    port = stage.controller()
    await port.launch(order())
    await until(port, ready(3))
    stage.cloud.faults.slow = 0.5
    ending = asyncio.create_task(port.retire(BLUE, 1))
    await eventually(lambda: not stage.set().capacity, "no machine is wanted")
    await stage.crash()
    ending.cancel()
    port = stage.controller()
    with pytest.raises(Conflict, match="being retired"):
        await port.launch(order(release=2))
    await port.retire(BLUE, 1)
    await eventually(lambda: not stage.set().machines, "no machine is left")
    await port.launch(order(release=2))
    await until(port, ready(3))


async def test_what_another_process_ended_is_not_started_again(stage: Stage) -> None:
    """The one that had launched it forgets it, and asks for no machine."""
    one = stage.controller()
    await one.launch(order())
    await until(one, ready(3))
    await stage.controller().retire(BLUE, 1)

    async def forgotten() -> bool:
        return list(await one.observe()) == []

    await eventually(forgotten, "it is no fleet any more")
    await asyncio.sleep(0.3)
    assert (stage.set().capacity, stage.set().starts) == (0, 3)


async def test_what_was_ended_meanwhile_is_not_made_larger(stage: Stage) -> None:
    """Whoever saw it before may still want its machines back: what has ended since refuses, and stays empty."""
    one = stage.controller()
    await one.launch(order())
    await until(one, ready(3))
    there = azure(stage.cloud)
    means = Means(
        ScaleSets(there),
        Operations(there, there.container(Container.OPERATIONS), 0.01, 0.03),
        MemoryBackends(stage.gateways),
        TIMING,
    )
    seen = await means.sets.find(BLUE)
    await one.retire(BLUE, 1)
    with pytest.raises(Conflict):
        await means.write(seen, Change(3), "grow to 3")
    assert (stage.set().capacity, stage.set().starts) == (0, 3)
    await there.close()


async def test_an_end_whose_answer_was_lost_is_not_taken_for_a_fleet_by_old_reads(stage: Stage) -> None:
    """What is read after it may be from before it: a set whose etag was refused is not the one that is there."""
    one = stage.controller()
    await one.launch(order())
    await until(one, ready(3))
    stage.cloud.faults.lag = 1.0
    await one.retire(GREEN, 1)  # it is not known, so that scale sets are listed
    stage.cloud.faults.add("PATCH", SETS, Lost())
    await one.retire(BLUE, 1)
    await one.retire(GREEN, 1)
    assert list(await one.observe()) == []
    assert (stage.set().capacity, stage.set().starts) == (0, 3)


async def test_polls_wait_as_long_as_azure_asks(stage: Stage) -> None:
    """Not even the first question about an operation comes sooner than Retry-After."""
    stage.cloud.operations.retry_after = 1
    stage.cloud.faults.slow = 1.5
    port = stage.controller()
    await port.launch(order())
    await until(port, ready(3))
    await asyncio.sleep(1.2)
    assert 1 <= stage.cloud.calls["GET operations"] <= 3
    assert stage.cloud.operations.hasty == 0


async def test_throttling_is_waited_out(stage: Stage) -> None:
    """429 with Retry-After, on reads and on the write."""
    for method, path in (("GET", SETS), ("PATCH", SETS), ("GET", "/virtualMachines$"), ("GET", "/operations/")):
        stage.cloud.faults.add(method, path, THROTTLED, 2)
    port = stage.controller()
    await port.launch(order())
    await until(port, ready(3))


async def test_somebody_elses_change_is_not_overwritten(stage: Stage) -> None:
    """Autoscale changed the set between our read and our write (412): it is read again. Another release is a Conflict."""
    one, two = stage.controller(), stage.controller()
    outcomes = await asyncio.gather(one.launch(order()), two.launch(order(release=2)), return_exceptions=True)
    assert [type(each) for each in outcomes if each is not None] == [Conflict]
    stage.set().touch()
    assert len((await until(one, ready(3))).instances) == 3


async def test_a_quota_that_is_used_up_is_said_at_once(stage: Stage) -> None:
    """With what to do; nothing was started."""
    stage.cloud.faults.quota = 2
    with pytest.raises(StartFailed, match="quota") as refused:
        await stage.controller().launch(order())
    assert "az vm list-usage" in refused.value.next
    assert stage.set().starts == 0


async def test_a_zone_without_room_is_told_and_asked_again(stage: Stage) -> None:
    """Part of the fleet serves; what is missing says why and counts the tries; it comes as soon as there is room."""
    stage.cloud.faults.full_zones.add("2")
    port = stage.controller()
    await port.launch(order())
    fleet = await until(port, lambda f: f.ready == 2 and f.instances[-1].restarts >= 2)
    missing = fleet.instances[-1]
    assert (missing.state, missing.address) == (InstanceState.CRASHED, "")
    assert "ZonalAllocationFailed" in missing.last_exit and "zone 2" in missing.last_exit
    stage.cloud.faults.full_zones.clear()
    fleet = await until(port, ready(3))
    assert all(not i.last_exit for i in fleet.instances)


async def test_a_machine_that_vanishes_is_replaced(stage: Stage) -> None:
    """Its report stays, and is not believed; the gateways lose its address."""
    port = stage.controller()
    await port.launch(order())
    lost = (await until(port, ready(3))).instances[0]
    stage.cloud.compute.lose(next(iter(stage.set().machines)))
    fleet = await until(port, lambda f: f.ready == 3 and lost.address not in {i.address for i in f.instances})
    known = stage.gateways.regions["local"].backends
    addresses = {i.address for i in fleet.instances}
    there = lambda: {e.address for e in known["dev.hello.blue.r1"].endpoints} == addresses  # noqa: E731
    await eventually(there, "the gateways have the new one")


async def test_a_sick_instance_is_seen_though_azure_is_not_asked(stage: Stage) -> None:
    """Its own report says so, between two looks at Azure that may be far apart."""
    port = stage.controller(structs.replace(TIMING, longest=600.0))
    await port.launch(order())
    await until(port, ready(3))
    machines = stage.cloud.machines
    assert isinstance(machines, LightMachines)
    machines.started[0].sick = True
    assert machines.started[0].health == "unhealthy"
    await until(port, lambda f: f.ready == 2)


async def test_a_machine_that_azure_cannot_ask_keeps_its_traffic(stage: Stage) -> None:
    """It is not ready any more, and no instance has failed: gateways have their own eyes, and may have all of the fleet."""
    port = stage.controller()
    await port.launch(order())
    fleet = await until(port, ready(3))
    machines = stage.cloud.machines
    assert isinstance(machines, LightMachines)
    for machine in machines.started:
        machine.silent = True
    await until(port, lambda f: {i.state for i in f.instances} == {InstanceState.SICK})
    known = stage.gateways.regions["local"].backends["dev.hello.blue.r1"]
    assert {e.address for e in known.endpoints} == {i.address for i in fleet.instances}


async def test_machines_that_nobody_ordered_are_not_touched(stage: Stage) -> None:
    """A set in which somebody started machines by hand is no free slot."""
    stage.set().capacity = 2
    with pytest.raises(Conflict, match="did not start"):
        await stage.controller().launch(order())


async def test_a_service_without_scale_sets_is_told_what_makes_them(stage: Stage) -> None:
    """And a configuration that Azure cannot carry is refused before anything is asked."""
    other = structs.replace(BLUE, service="other")
    with pytest.raises(NotFound, match="vmss-other-blue") as missing:
        await stage.controller().launch(order(slot=other))
    assert "terraform apply" in missing.value.next
    with pytest.raises(InvalidInput, match="too long"):
        await stage.controller().launch(order(files={"big": "x" * 60_000}))
    assert stage.set().starts == 0


async def test_the_envoys_that_exist_are_those_of_their_scale_set(stage: Stage) -> None:
    """Which are no fleet, and not told as one."""
    cloud, port = stage.cloud, stage.controller()
    await port.launch(order())
    await until(port, ready(3))
    cloud.compute.sets["vmss-gateway-bleen-dev-weu"] = gateways = ScaleSet("vmss-gateway-bleen-dev-weu", {"project": "bleen"})
    vm = next(iter(stage.set().machines.values()))
    gateways.machines = {name: replace(vm, name=name) for name in ("envoy-1", "envoy-2")}
    there = azure(cloud)
    assert await ScaleSets(there).members() == {"envoy-1", "envoy-2"}
    assert len(await port.observe()) == 1
    await there.close()


async def test_an_operation_of_another_host_is_not_followed(stage: Stage) -> None:
    """A note is a file that others may write: our token goes nowhere else."""
    port = stage.controller()
    stage.cloud.faults.slow = 0.5
    await port.launch(order())
    name = "operations/vmss-hello-blue-bleen-dev-weu"
    blob = stage.cloud.storage.blobs[name]
    blob.data = blob.data.replace(stage.cloud.url.encode(), b"http://127.0.0.9:1")
    await stage.crash()
    port = stage.controller()
    await until(port, ready(3))


async def rollout(stage: Stage, port: AzureFleets, watching: float) -> int:
    """Go from blue r1 to green r2, ten instances each, watched all the time; return the calls to Resource Manager."""
    before = stage.cloud.arm_calls
    await port.launch(order(10, slot=GREEN, release=2))
    await until(port, ready(10), GREEN)
    await stage.gateway.set_route(route(Colour.GREEN, None, 2), 2)
    ends = time.monotonic() + watching
    while time.monotonic() < ends:
        await port.observe("hello")
        await asyncio.sleep(0.02)
    await port.retire(BLUE, 1)
    return stage.cloud.arm_calls - before


def route(colour: Colour, blue: int | None, green: int | None) -> Route:
    return Route("dev", "hello", ("hello.localhost",), Split.of(colour), blue=blue, green=green)


@pytest.mark.parametrize("watching", [0.5, 6.0])
async def test_a_rollout_asks_resource_manager_sixty_times_at_most(stage: Stage, watching: float) -> None:
    """Ten instances; however long it is watched, and with operations that answer only when polled."""
    port = stage.controller(structs.replace(TIMING, first=0.1, longest=9.0))
    stage.cloud.faults.slow = 1.0
    await port.launch(order(10))
    await until(port, ready(10))
    await stage.gateway.set_route(route(Colour.BLUE, 1, None), 1)
    calls = await rollout(stage, port, watching)
    assert calls <= 60, stage.cloud.calls


async def test_waiting_costs_almost_nothing(stage: Stage) -> None:
    """A fleet that does not change is looked at ever more rarely: ten times as long, a few calls more."""
    port = stage.controller(structs.replace(TIMING, first=0.1, longest=600.0))
    await port.launch(order())
    await until(port, ready(3))
    counted = []
    for seconds in (0.5, 5.0):
        before, ends = stage.cloud.arm_calls, time.monotonic() + seconds
        while time.monotonic() < ends:
            await port.observe()
            await asyncio.sleep(0.01)
        counted.append(stage.cloud.arm_calls - before)
    assert counted[1] <= 8, counted


async def test_all_who_watch_share_one_reading_of_the_reports(stage: Stage) -> None:
    """A listing of some hundred machines costs a third of a second of the controller: twenty rollouts would do nothing else."""
    port = stage.controller(structs.replace(TIMING, first=600.0, longest=600.0, listen=600.0))
    await port.observe()
    before = stage.cloud.storage.calls
    await asyncio.gather(*(port.observe("hello") for _ in range(20)))
    assert stage.cloud.storage.calls == before


async def test_a_look_that_takes_longer_than_who_asks_can_wait_is_not_begun_anew(stage: Stage) -> None:
    """Azure asks to wait a second; whoever asks gives up sooner, twice, and the third finds the same look ended."""
    port = stage.controller(structs.replace(TIMING, first=600.0, longest=600.0))
    stage.cloud.faults.add("GET", "virtualMachineScaleSets$", Refused(429, "TooManyRequests", retry_after=1))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await port.observe()
    await port.observe()
    assert stage.cloud.calls["GET sets"] == 2


async def test_many_fleets_at_once_with_failing_calls_end_right(cloud: Cloud, tmp_path: Path) -> None:
    """A hundred fleets, twenty rollouts at once, one of twenty calls fails."""
    stage = Stage(cloud, tmp_path)
    names = [f"svc-{k:02}" for k in range(50)]
    for name in names:
        cloud.compute.make(name)
    Publisher(cloud, stage.keys).publish(IMAGE, *names)
    cloud.faults.share = 0.05
    port = stage.controller(structs.replace(TIMING, first=0.2, longest=2.0))
    slots = [Slot("dev", "local", name, colour) for name in names for colour in Colour]
    await asyncio.gather(*(again(lambda s=slot: port.launch(order(1, slot=s))) for slot in slots))
    await eventually(lambda: all_ready(port, 100), "every fleet is ready", 100)
    await asyncio.gather(*(again(lambda s=slot: port.retire(s, 1)) for slot in slots[:20]))
    await asyncio.gather(*(again(lambda s=slot: port.launch(order(2, slot=s, release=2))) for slot in slots[:20]))
    await eventually(lambda: all_ready(port, 120), "the new fleets are ready", 100)
    assert {f.release for f in await again(port.observe)} == {1, 2}
    assert {each.starts for each in cloud.compute.sets.values() if each.tags["service"] in names} == {1, 3}
    await stage.crash()


async def all_ready(port: AzureFleets, count: int) -> bool:
    return sum(f.ready for f in await again(port.observe)) >= count


async def again(act: Callable[[], Awaitable[T]]) -> T:
    """Do as a workflow does with what may pass: try again."""
    while True:
        try:
            return await act()
        except Unreachable:
            await asyncio.sleep(0.1)
