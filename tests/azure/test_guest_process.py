"""The guest as it is on a machine: a process for each, whose user data, events and storage are the double's."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from azure.core.exceptions import HttpResponseError
from msgspec import structs

from bleen.domain.errors import InvalidInput
from bleen.domain.fleet import Instance, InstanceState
from bleen.domain.release import SecretRef
from bleen.providers.azure.assignment import Assignment, to_user_data
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.fleets import AzureFleets
from bleen.providers.azure.reports import Reports
from bleen.providers.azure.site import Container
from bleen.providers.local.watchdog import REFUSED
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateways
from tests.azure.double.cloud import Cloud
from tests.azure.double.guests import GuestMachine, GuestMachines
from tests.azure.estate import certify
from tests.azure.test_fleets import ready
from tests.azure.test_fleets import until as seen
from tests.azure.world import Publisher, azure, fleets, keys_of
from tests.providers.local.test_loads import BUSY
from tests.providers.local.world import World, build_app, get, until

SET = "vmss-hello-blue-bleen-dev-weu"
PATIENCE = 60.0
UNASSIGNED = base64.b64encode(json.dumps({"service": "hello", "colour": "blue"}).encode()).decode()
"""What the module service writes."""


@dataclass
class Ground:
    """A site whose machines run the program, and who orders there."""

    world: World
    cloud: Cloud
    machines: GuestMachines
    there: Azure
    port: AzureFleets
    reports: Reports

    def user_data(self, env: Mapping[str, str | SecretRef] | None = None, **changes: object) -> str:
        order = structs.replace(self.world.order(1, **env or {}), **changes)
        assignment = Assignment(self.there.site.account, order, self.cloud.secure_url)
        return base64.b64encode(to_user_data(assignment)).decode()

    async def machine(self, name: str, user_data: str) -> GuestMachine:
        """Return a machine that nobody but Azure knows, booting."""
        machine = self.machines.make(SET, name, user_data)
        await machine.boot()
        return machine

    async def told(self, machine: GuestMachine, state: InstanceState) -> Instance:
        """Return what a machine reports, once it reports ``state``."""
        found: list[Instance] = []

        async def there() -> bool:
            reports = await self.reports.read()
            found[:] = [each.instance for (_, name), each in reports.items() if name == machine.name]
            return bool(found) and found[0].state is state

        try:
            await until(there, f"{machine.name} is {state}", PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}; it reports {found}; its log:\n{machine.log}") from error
        return found[0]

    async def serving(self, name: str) -> tuple[GuestMachine, Instance]:
        """Return a machine whose instance is ready, and the instance."""
        machine = await self.machine(name, self.user_data())
        return machine, await self.told(machine, InstanceState.READY)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store that a bake puts into an image."""
    home = tmp_path_factory.mktemp("guest") / "home"
    return home, asyncio.run(build_app(home))


@pytest.fixture
async def ground(image: tuple[Path, str], tmp_path: Path) -> AsyncIterator[Ground]:
    home, digest = image
    tls = certify(tmp_path / "azure.pem")
    machines = GuestMachines(tmp_path / "m", home, tmp_path / "azure.pem")
    cloud = machines.cloud = Cloud(machines)
    await cloud.start(tls)
    there = azure(cloud)
    reports = Reports(there.container(Container.MACHINES))
    # Machines sign in, and nobody sends a token in plain.
    there.site = structs.replace(there.site, account=f"{cloud.secure_url}/account")
    cloud.compute.make("hello")
    Publisher(cloud, keys_of(tmp_path)).publish(digest, "hello")
    port = fleets(cloud, there, MemoryBackends(MemoryGateways()), keys_of(tmp_path))
    yield Ground(World(home, digest), cloud, machines, there, port, reports)
    await port.close()
    await cloud.close()
    await there.close()


async def test_machines_serve_what_the_controller_orders(ground: Ground) -> None:
    """Each reads the order in its user data, starts it at its own address, reports it, and is healthy to Azure."""
    await ground.port.launch(ground.world.order(2))
    fleet = await seen(ground.port, ready(2), patience=PATIENCE)
    told = {each.address for each in ground.cloud.imds.machines.values()}
    assert {each.address for each in fleet.instances} == told and len(told) == 2
    assert {each.health for each in ground.machines.started.values()} == {"healthy"}
    assert [await get(each) for each in fleet.instances] == ["hello-blue-r1-1"] * 2
    assert [set_.tags["release"] for set_ in ground.cloud.compute.sets.values() if set_.machines] == ["r1"]


async def test_a_machine_that_is_deleted_finishes_its_requests_and_approves_its_own_end(ground: Ground) -> None:
    """Whoever deletes it: the request under way is answered, only then Azure is told to go on, by that machine alone."""
    await ground.port.launch(ground.world.order(2))
    fleet = await seen(ground.port, ready(2), patience=PATIENCE)
    await ground.port.close()
    names = list(ground.machines.started)
    told = await ground.reports.read()
    leaving = told[SET, names[0]].instance
    slow = asyncio.create_task(get(leaving, "/slow/8"))
    await asyncio.sleep(0.2)
    sets = ground.there.compute.virtual_machine_scale_sets
    await sets.begin_delete_instances(ground.there.site.group, SET, {"instanceIds": names[:1]}, polling=False)
    await until(lambda: bool(ground.cloud.imds.ended), "the end of one machine", PATIENCE)
    assert slow.done() and await slow == "hello-blue-r1-1"
    assert [event.approved_by for event in ground.cloud.imds.ended] == [[names[0]]]
    assert set(await ground.reports.read()) == {(SET, names[1])}
    (other,) = [each for each in fleet.instances if each.address != leaving.address]
    assert await get(other) == "hello-blue-r1-1"


async def test_a_guest_that_was_killed_adopts_what_runs(ground: Ground) -> None:
    """kill -9, and a start as systemd does it: the same process serves on, and is watched and reported again."""
    machine, before = await ground.serving("m1")
    await machine.crash()
    assert await get(before) == before.name
    ground.cloud.storage.blobs.pop(f"machines/instances/{SET}/m1")
    await machine.boot()
    after = await ground.told(machine, InstanceState.READY)
    assert (after.pid, after.since, after.restarts) == (before.pid, before.since, 0)
    assert await get(after) == before.name


async def test_a_machine_says_what_its_instance_uses(ground: Ground) -> None:
    """Measured, of all its processes; a guest that was killed goes on where the one before it ended."""
    runtime = ground.world.order(1).runtime
    busy = structs.replace(runtime, command=("python3", "-c", BUSY, "{app}/serve.py", "{address}", "{port}"))
    machine = await ground.machine("m1", ground.user_data(runtime=busy))
    instance = await ground.told(machine, InstanceState.READY)
    first = (await ground.reports.read())[SET, "m1"].used
    assert first is not None and first.cpu >= 0.5
    assert first.memory >= psutil.Process(instance.pid).memory_info().rss // 2
    await machine.crash()
    ground.cloud.storage.blobs.pop(f"machines/instances/{SET}/m1")
    await machine.boot()
    await ground.told(machine, InstanceState.READY)
    second = (await ground.reports.read())[SET, "m1"].used
    assert second is not None and second.cpu >= first.cpu


async def test_user_data_without_an_order_are_waited_for(ground: Ground) -> None:
    """As Terraform makes machines: nothing is reported, and it is initializing to Azure; then it is given an order."""
    machine = await ground.machine("m1", UNASSIGNED)
    await until(lambda: machine.extension.last == "Initializing", "its page", PATIENCE)
    assert await ground.reports.read() == {} and machine.health == "initializing"
    ground.cloud.imds.machines["m1"].user_data = ground.user_data()
    assert (await ground.told(machine, InstanceState.READY)).address == ground.cloud.imds.machines["m1"].address
    assert "its user data assign nothing" in machine.log


async def test_a_machine_without_its_image_says_so_and_is_unhealthy(ground: Ground) -> None:
    """Nothing starts; the report says which image is missing, for `bleen status`, and the health lets Azure replace it."""
    machine = await ground.machine("m1", ground.user_data(image=f"sha256:{9:064x}"))
    told = await ground.told(machine, InstanceState.CRASHED)
    assert "there is no image sha256:0000" in told.last_exit and "there is no image" in machine.log
    await until(lambda: machine.health == "unhealthy", "its health", PATIENCE)


async def test_a_machine_whose_storage_is_away_serves(ground: Ground) -> None:
    """What it could not say it says when storage is back."""
    ground.cloud.storage.away.add("all")
    machine = await ground.machine("m1", ground.user_data())
    await until(lambda: machine.health == "healthy", "its health", PATIENCE)
    ground.cloud.storage.away.clear()
    assert await get(await ground.told(machine, InstanceState.READY)) == "hello-blue-r1-1"


async def test_a_guest_that_is_told_to_stop_ends_its_instance(ground: Ground) -> None:
    """SIGTERM, as when a machine shuts down: the request under way is answered, nothing is left, and it ends well."""
    machine, instance = await ground.serving("m1")
    slow = asyncio.create_task(get(instance, "/slow/7"))
    await asyncio.sleep(0.2)
    assert machine.process is not None
    machine.process.terminate()
    assert await asyncio.wait_for(machine.process.wait(), PATIENCE) == 0
    assert slow.done() and await slow == instance.name
    assert await ground.reports.read() == {}
    with pytest.raises(httpx.ConnectError):
        await get(instance)


async def test_a_machine_answers_for_no_other(ground: Ground) -> None:
    """An event that names another machine alone changes nothing; nor is one approved that would end another with this one."""
    machine, _ = await ground.serving("m1")
    ground.cloud.imds.enter("m2", SET, "127.9.9.9", UNASSIGNED)
    event = ground.cloud.imds.schedule("Terminate", "m2")
    ground.cloud.imds.schedule("Reboot", "m1")
    await asyncio.sleep(3.0)
    assert machine.health == "healthy" and event.approved_by == []
    both = ground.cloud.imds.schedule("Preempt", "m1", "m2")
    await until(lambda: machine.extension.last == "Unhealthy", "its leave", PATIENCE)

    async def silent() -> bool:
        return await ground.reports.read() == {}

    await until(silent, "the end of its report", PATIENCE)
    await asyncio.sleep(2.0)
    assert both.approved_by == []


async def test_a_metadata_service_that_does_not_answer_is_waited_for(ground: Ground) -> None:
    """The page is there from the first moment on."""
    machine = ground.machines.make(SET, "m1", ground.user_data())
    ground.cloud.imds.machines["m1"].away = True
    await machine.boot()
    await until(lambda: machine.extension.last == "Initializing", "its page", PATIENCE)
    await until(lambda: "metadata service has no good answer" in machine.log, "that it has asked", PATIENCE)
    ground.cloud.imds.machines["m1"].away = False
    await ground.told(machine, InstanceState.READY)


async def test_a_second_guest_is_refused(ground: Ground) -> None:
    """By the home that it would share, and by the port, each with who has it."""
    machine = await ground.machine("m1", UNASSIGNED)
    await until(lambda: machine.extension.last == "Initializing", "its page", PATIENCE)
    first = machine.process
    assert first is not None
    second = await machine.boot()
    assert await asyncio.wait_for(second.wait(), PATIENCE) == REFUSED
    assert "a guest keeps" in machine.log and f"pid {first.pid}" in machine.log
    machine.process = first
    beside = ground.machines.make(SET, "m2", UNASSIGNED)
    beside.port = machine.port
    assert await asyncio.wait_for((await beside.boot()).wait(), PATIENCE) == REFUSED
    assert f"127.0.0.1:{machine.port} is taken by" in beside.log


async def test_an_instance_starts_with_the_secrets_of_its_vault(ground: Ground) -> None:
    """As whoever the machine is, at each start; one that is missing is told in the report, and tried again."""
    machine = await ground.machine("m1", ground.user_data({"KEY": SecretRef("shop-db")}))
    crashed = await ground.told(machine, InstanceState.CRASHED)
    assert crashed.last_exit.startswith("there is no secret shop-db")
    ground.cloud.vault.secrets["shop-db"] = "hunter2"
    instance = await ground.told(machine, InstanceState.READY)
    assert await get(instance, "/environ/KEY") == "hunter2"
    assert b"hunter2" not in b"".join(each.read_bytes() for each in machine.home.rglob("*") if each.is_file())
    assert "hunter2" not in machine.log


async def test_an_order_whose_secrets_no_machine_could_read_is_refused(ground: Ground) -> None:
    """Before anything of a scale set is changed."""
    for name, why in (("SHOP_DB", "no name of a secret"), ("shop-db", "which vault")):
        with pytest.raises(InvalidInput, match=why):
            await ground.port.launch(ground.world.order(1, KEY=SecretRef(name)))
    assert ground.cloud.compute.sets[SET].user_data == ""


async def test_no_user_data_are_larger_than_azure_takes(ground: Ground) -> None:
    """The account counts, too: what is refused here is refused before Azure would."""
    files = {"big": "x" * 49_000}
    order = ground.world.order(1, files=files)
    with pytest.raises(Exception, match="too long for Azure's user data") as refused:
        await ground.port.launch(order)
    assert not isinstance(refused.value, HttpResponseError)
    assert ground.cloud.compute.sets[SET].user_data == ""
