"""Instances of the host agent: real processes, in a sandbox where this machine allows it."""

import os
import signal
import socket

import httpx
import psutil
import pytest

from bleen.domain.fleet import InstanceState, Isolation
from bleen.domain.release import SecretRef
from tests.providers.local.world import BLUE, World, fleet, get, ready, until

NOT_SANDBOXED = "this machine refuses bubblewrap"


async def test_a_fleet_becomes_ready_and_stands_behind_its_gateway(world: World) -> None:
    """Each instance has an address of its own, and the gateway has exactly those that are ready."""
    agent = await world.agent()
    await agent.launch(world.order(3))
    instances = await ready(agent, 3)
    assert [i.name for i in instances] == ["hello-blue-r1-1", "hello-blue-r1-2", "hello-blue-r1-3"]
    assert len({i.address for i in instances}) == 3
    assert all(i.address.startswith("127.") and not i.address.startswith("127.0.") for i in instances)
    assert [await get(i) for i in instances] == [i.name for i in instances]
    await until(lambda: world.endpoints() == [i.address for i in instances], "the gateway has them")


async def test_a_crashed_instance_is_replaced_after_a_back_off(world: World) -> None:
    """It leaves the gateway, tells how it ended, and comes back; its neighbours never notice."""
    agent = await world.agent()
    await agent.launch(world.order(2))
    first, second = await ready(agent, 2)
    await until(lambda: world.endpoints() == [first.address, second.address], "the gateway has both")
    with pytest.raises(httpx.RemoteProtocolError):
        await get(first, "/exit/3")
    await until(lambda: world.endpoints() == [second.address], "the gateway forgets it")
    crashed = (await fleet(agent)).instances[0]
    assert (crashed.state, crashed.last_exit, crashed.restarts) == (InstanceState.CRASHED, "exit 3", 1)
    again = (await ready(agent, 2))[0]
    assert again.pid not in (0, first.pid)
    assert (again.name, again.address) == (first.name, first.address)
    assert (await fleet(agent)).instances[1].pid == second.pid
    await until(lambda: len(world.endpoints()) == 2, "the gateway has it again")


async def test_the_last_words_of_a_crash_are_kept(world: World) -> None:
    """The last five lines of its log tell why; each crash waits longer than the one before."""
    agent = await world.agent()
    await agent.launch(world.order(1, MISBEHAVE="crash"))

    async def crashed_thrice() -> bool:
        return (await fleet(agent)).instances[0].restarts >= 3

    await until(crashed_thrice, "it crashed three times")
    seen = (await fleet(agent)).instances[0]
    assert seen.last_exit == "exit 1"
    assert seen.last_words == "two\nthree\nfour\nfive\nthe configuration has no key 'colour'"
    assert world.endpoints() == []


async def test_an_instance_that_is_never_healthy_is_started_anew_and_never_in_the_gateway(world: World) -> None:
    """Its start has a deadline."""
    agent = await world.agent()
    await agent.launch(world.order(1, grace=0.5, MISBEHAVE="never-healthy"))

    async def replaced() -> bool:
        return (await fleet(agent)).instances[0].restarts >= 1

    await until(replaced, "it was started anew")
    assert (await fleet(agent)).instances[0].last_exit == "health path /healthz not good within 500ms: 503"
    assert world.endpoints() == []


async def test_a_sick_instance_leaves_the_gateway_and_is_replaced(world: World) -> None:
    """It was ready, fails its health path, and makes room for a new one."""
    agent = await world.agent()
    await agent.launch(world.order(2))
    first, _ = await ready(agent, 2)
    await get(first, "/sick")

    async def replaced() -> bool:
        return (await fleet(agent)).instances[0].restarts == 1

    await until(replaced, "it was replaced")
    again = (await ready(agent, 2))[0]
    assert again.pid != first.pid
    assert again.last_exit == "health path /healthz failed 2 times: 503"


async def test_a_cause_that_all_share_never_takes_all_of_a_fleet(world: World) -> None:
    """With every instance sick, one is replaced at a time and the others stay for the gateway to judge."""
    agent = await world.agent()
    await agent.launch(world.order(3))
    instances = await ready(agent, 3)
    for instance in instances:
        await get(instance, "/sick")
    least = 3

    async def all_replaced() -> bool:
        nonlocal least
        least = min(least, len(world.endpoints()))
        seen = await fleet(agent)
        return seen.ready == 3 and all(i.restarts == 1 for i in seen.instances)

    await until(all_replaced, "each was replaced")
    assert least == 2


async def test_a_frozen_instance_is_killed_and_replaced(world: World) -> None:
    """SIGTERM would not be noticed by it; SIGKILL is."""
    agent = await world.agent()
    await agent.launch(world.order(2))
    first, _ = await ready(agent, 2)
    os.kill(first.pid, signal.SIGSTOP)

    async def replaced() -> bool:
        return (await fleet(agent)).instances[0].restarts == 1

    await until(replaced, "it was replaced")
    assert (await ready(agent, 2))[0].pid != first.pid


async def test_an_instance_that_ignores_sigterm_is_killed(world: World) -> None:
    """It gets its time, and not more."""
    agent = await world.agent()
    await agent.launch(world.order(1, kill_after=0.3, MISBEHAVE="ignore-term"))
    await ready(agent, 1)
    await agent.retire(BLUE, 1)
    assert world.processes() == {}


async def test_killing_any_process_of_an_instance_ends_all_of_it(world: World) -> None:
    """The sandbox, its keeper or the application: whichever dies takes the others along, and a new instance comes."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    await ready(agent, 1)
    for index in range(len(world.processes())):
        before = set(world.processes())
        restarts = (await fleet(agent)).instances[0].restarts
        os.kill(sorted(before)[index], signal.SIGKILL)

        async def replaced(than: int = restarts) -> bool:
            return (await fleet(agent)).instances[0].restarts > than

        await until(replaced, f"the end of process {index} was missed")
        await ready(agent, 1)
        assert not before & set(world.processes())


async def test_children_end_with_their_instance(plain_world: World) -> None:
    """Even without a sandbox, and even in sessions of their own."""
    agent = await plain_world.agent()
    await agent.launch(plain_world.order(1))
    (instance,) = await ready(agent, 1)
    assert instance.isolation is Isolation.PROCESS
    child = int(await get(instance, "/child"))
    assert child in plain_world.processes()
    await agent.retire(BLUE, 1)
    assert plain_world.processes() == {}


async def test_a_port_that_is_taken_is_told_and_another_address_is_used(world: World) -> None:
    """The message names who listens there."""
    agent = await world.agent()
    await agent.launch(world.order(1))
    (instance,) = await ready(agent, 1)
    await agent.retire(BLUE, 1)
    with socket.socket() as other:
        other.bind((instance.address, world.port))
        other.listen()
        # A new agent hands the same address out first.
        second = await world.agent()
        await second.launch(world.order(1, release=2))
        (again,) = await ready(second, 1)
    assert again.last_exit == f"{instance.address}:{world.port} is taken by {_own_name()} (pid {os.getpid()})"
    assert again.address != instance.address


def _own_name() -> str:
    return str(psutil.Process().name())


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("no-such-program",), "cannot execute 'no-such-program': not found in the image or on PATH"),
        (("./serve.py",), "cannot execute './serve.py': it is not executable"),
        (("/no/such/program",), "cannot execute '/no/such/program': not found in the image or on PATH"),
    ],
)
async def test_a_command_that_cannot_be_executed_is_told(world: World, command: tuple[str, ...], reason: str) -> None:
    """It counts as a crash, with the reason."""
    agent = await world.agent()
    await agent.launch(world.order(1, command=command))

    async def crashed() -> bool:
        return (await fleet(agent)).instances[0].state is InstanceState.CRASHED

    await until(crashed, "it crashed")
    assert (await fleet(agent)).instances[0].last_exit == reason


async def test_environment_files_and_secrets_reach_the_instance(world: World) -> None:
    """Secrets are read at the start; files lie in $BLEEN_FILES."""
    secret = world.home / "secrets" / "KEY"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    agent = await world.agent()
    await agent.launch(world.order(1, files={"conf/a.txt": "text"}, GREETING="hi", KEY=SecretRef("KEY")))
    (instance,) = await ready(agent, 1)
    seen = [await get(instance, f"/environ/{name}") for name in ("GREETING", "KEY", "BLEEN_RELEASE", "BLEEN_COLOUR")]
    assert seen == ["hi", "s3cret", "r1", "blue"]
    assert await get(instance, "/file/conf/a.txt") == "text"
    told = b"".join(p.read_bytes() for p in (world.home / "fleets").rglob("*") if p.is_file())
    assert b"s3cret" not in told


async def test_a_missing_secret_is_told(world: World) -> None:
    """It counts as a crash, and says where the secret should be."""
    agent = await world.agent()
    await agent.launch(world.order(1, KEY=SecretRef("KEY")))

    async def crashed() -> bool:
        return (await fleet(agent)).instances[0].state is InstanceState.CRASHED

    await until(crashed, "it crashed")
    assert (await fleet(agent)).instances[0].last_exit.startswith("there is no secret KEY")


async def test_a_sandbox_is_read_only_and_sees_no_other_process(world: World) -> None:
    """Nothing of the machine can be written; the process tree is its own; the user is nobody in particular."""
    if world.level.isolation is not Isolation.SANDBOX:
        pytest.skip(NOT_SANDBOXED)
    agent = await world.agent()
    await agent.launch(world.order(1, files={"a": "b"}))
    (instance,) = await ready(agent, 1)
    assert instance.isolation is Isolation.SANDBOX
    for path in ("usr/x", "etc/x", "x", "home/x", "proc/sys/kernel/hostname"):
        assert await get(instance, f"/write/{path}") != "written", path
    assert await get(instance, "/write/tmp/bleen-test-x") == "written"
    assert await get(instance, "/write/tmp/no/x") == "No such file or directory"
    assert await get(instance, "/processes") == "1 2"
    assert await get(instance, "/uid") == "1000"
    assert (await get(instance, f"/write/{str(world.home)[1:]}/secrets/KEY")) == "No such file or directory"
