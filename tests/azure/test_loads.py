"""What instances in Azure use, as their machines report it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from bleen.domain.errors import Unreachable
from bleen.domain.fleet import InstanceState
from bleen.domain.signals import Load
from bleen.providers.azure.fleets import AzureFleets
from bleen.providers.azure.loads import SPREAD_SECONDS, AzureLoads
from tests.azure.double.cloud import Cloud
from tests.azure.double.machines import LightMachine, LightMachines
from tests.azure.test_fleets import BLUE, GREEN, TIMING, Stage, order, ready, until
from tests.providers.local.world import until as eventually
from tests.providers.test_usage import ASKED, Clock

BESIDE = structs.replace(BLUE, baseline=True)


@pytest.fixture
async def stage(cloud: Cloud, tmp_path: Path) -> AsyncIterator[Stage]:
    there = Stage(cloud, tmp_path)
    cloud.compute.make("hello", "bleen-dev-weu", "blue", "green", "blue-baseline")
    yield there
    await there.crash()


def machines(stage: Stage) -> list[LightMachine]:
    assert isinstance(stage.cloud.machines, LightMachines)
    return stage.cloud.machines.started


async def told(loads: AzureLoads, holds: Callable[[tuple[Load, ...]], bool], fair: bool = False) -> tuple[Load, ...]:
    """Return the loads, once they are as wanted."""
    found: list[tuple[Load, ...]] = []

    async def there() -> bool:
        found[:] = [await loads.read(structs.replace(ASKED, fair=fair))]
        return holds(found[0])

    await eventually(there, "other loads")
    return found[0]


def is_(*wanted: Load) -> Callable[[tuple[Load, ...]], bool]:
    return lambda loads: loads == wanted


async def running(stage: Stage, port: AzureFleets, size: int = 2) -> list[LightMachine]:
    """Return the machines of the blue fleet, ready."""
    await port.launch(order(size))
    await until(port, ready(size))
    return machines(stage)


async def test_each_release_has_the_load_of_its_machines(stage: Stage) -> None:
    """And each fleet that of its own: the baseline fleet counts where it is the one that is compared."""
    port = stage.controller()
    loads = AzureLoads(port)
    for number, machine in enumerate(await running(stage, port), 1):
        machine.uses(10.0 * number, 100)
    await told(loads, is_(Load(1, 30.0, 200)))
    await port.launch(order(1, slot=GREEN, release=2))
    await port.launch(order(1, slot=BESIDE))
    await until(port, ready(1), GREEN)
    await until(port, ready(1), BESIDE)
    for machine in machines(stage)[2:]:
        machine.uses(*((1.0, 50) if "green" in machine.place[0] else (2.0, 40)))
    await told(loads, is_(Load(1, 30.0, 200), Load(2, 1.0, 50)))
    await told(loads, is_(Load(1, 2.0, 40), Load(2, 1.0, 50)), fair=True)


async def test_a_machine_that_does_not_say_what_it_uses_counts_for_nothing(stage: Stage) -> None:
    """A guest of before, or rubbish beside a report that is none: the instance is there, its figures are not."""
    port = stage.controller()
    first, second = await running(stage, port)
    assert await AzureLoads(port).read(ASKED) == ()
    second.uses(3.0, 70)
    await told(AzureLoads(port), is_(Load(1, 3.0, 70)))
    (blob,) = [each for name, each in stage.cloud.storage.blobs.items() if name.endswith(f"/{first.place[1]}")]
    blob.metadata["used"] = "e30="
    await told(AzureLoads(port), is_(Load(1, 3.0, 70)))
    assert [i.state for f in await port.observe() for i in f.instances] == [InstanceState.READY] * 2


async def test_a_silent_machine_is_left_out_and_takes_nothing_back(stage: Stage) -> None:
    """Its memory is not known any more; the processor time that it had used was used."""
    port = stage.controller(structs.replace(TIMING, silent=10.0))
    loads = AzureLoads(port)
    first, second = await running(stage, port)
    first.uses(5.0, 100)
    second.uses(7.0, 100)
    await told(loads, is_(Load(1, 12.0, 200)))
    for name, blob in stage.cloud.storage.blobs.items():
        if name.endswith(f"/{first.place[1]}"):
            blob.modified = datetime.now(UTC) - timedelta(seconds=20)
    await told(loads, is_(Load(1, 12.0, 100)))


async def test_a_machine_that_is_replaced_takes_nothing_back(stage: Stage) -> None:
    """The one that comes instead has another name, though its instance has the same one."""
    port = stage.controller()
    loads = AzureLoads(port)
    first, second = await running(stage, port)
    first.uses(5.0, 100)
    second.uses(7.0, 110)
    await told(loads, is_(Load(1, 12.0, 210)))
    stage.cloud.compute.lose(first.place[1])

    async def another() -> bool:
        return bool(await port.observe()) and len(machines(stage)) == 3

    await eventually(another, "another machine")
    machines(stage)[2].uses(1.0, 90)
    await told(loads, is_(Load(1, 13.0, 200)))


async def test_what_comes_once_in_a_while_is_told_as_if_it_came_all_the_time(stage: Stage) -> None:
    """Half of what was newly used after half of the time."""
    port, clock = stage.controller(), Clock()
    loads = AzureLoads(port, clock)
    (machine,) = await running(stage, port, 1)
    machine.uses(10.0, 100)
    await told(loads, is_(Load(1, 10.0, 100)))
    machine.uses(16.0, 120)
    await told(loads, is_(Load(1, 10.0, 120)))
    clock.now += SPREAD_SECONDS / 2
    assert await loads.read(ASKED) == (Load(1, 13.0, 120),)
    clock.now += SPREAD_SECONDS
    assert await loads.read(ASKED) == (Load(1, 16.0, 120),)


async def test_azure_is_asked_for_nothing_more(stage: Stage) -> None:
    """Who reads loads as often as fleets are observed asks as rarely."""
    port = stage.controller(structs.replace(TIMING, first=600.0, longest=600.0, listen=600.0))
    await port.observe()
    before = (stage.cloud.arm_calls, stage.cloud.storage.calls)
    loads = AzureLoads(port)
    for _ in range(20):
        await loads.read(ASKED)
    assert (stage.cloud.arm_calls, stage.cloud.storage.calls) == before


async def test_fleets_that_cannot_be_seen_have_no_load_that_is_known(stage: Stage) -> None:
    """Which is something else than none."""
    stage.cloud.storage.away.add("all")
    with pytest.raises(Unreachable):
        await AzureLoads(stage.controller()).read(ASKED)
