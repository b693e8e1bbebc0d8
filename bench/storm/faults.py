"""The faults. Each says what it did; one that could do nothing says so by an empty sentence."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from random import Random

from bench.storm.body import Body, children_of, kill, kill_group
from bench.storm.witness import KEY, SERVICE, Witness
from bleen.app.platform import LocalPlatform
from bleen.domain.errors import BleenError
from bleen.domain.fleet import Fleet, InstanceState
from bleen.domain.listing import reached
from bleen.providers.local.addresses import candidates

GATEWAY = "gateway-local"


class Kind(StrEnum):
    """What a fault may cost."""

    CONTROL = "control"
    """Nothing: no request may fail, and every rollout ends as if nothing had been."""
    INSTANCE = "instance"
    """The requests under way at one instance that cannot be repeated (POST)."""
    DATA = "data"
    """Everything until it is mended: the gateway, or the only healthy instances."""


@dataclass
class Scene:
    """What a fault can reach."""

    platform: LocalPlatform
    body: Body
    witness: Witness
    random: Random
    room: Path | None
    """A file on the disk of the home that can fill it; None where the disk is not ours to fill."""
    victims: set[str] = field(default_factory=set)
    """The addresses of instances that were hit in this round."""
    dead: set[int] = field(default_factory=set)
    """The processes of instances that were killed."""
    hit: int = 0
    """The process of the instance that was hit last."""

    @property
    def home(self) -> Path:
        return self.platform.settings.path

    async def fleets(self) -> list[Fleet]:
        """Return the fleets; nothing while the agent is away."""
        try:
            return [f for f in await self.witness.agent.observe(SERVICE) if f.instances]
        except BleenError:
            return []

    async def serving(self) -> Fleet | None:
        """Return the fleet that has the traffic."""
        if not self.witness.routes:
            return None
        route = self.witness.routes[-1].listing.route
        fleets = await self.fleets()
        return next((f for f in fleets if route is not None and route.split.weight(f.slot.colour) > 0), None)

    async def healthy(self) -> set[str]:
        """Return the addresses that the gateway finds healthy and nobody has hit."""
        try:
            hosts = await self.witness.admin.hosts()
        except BleenError:
            return set()
        return {e.endpoint.address for each in hosts.values() for e in each if e.healthy} - self.victims

    async def can_serve(self) -> bool:
        """Return whether what the gateway routes to has an instance that it finds healthy and that was not killed."""
        listing = (await self.witness.admin.routes()).listings.get(KEY)
        hosts = await self.witness.admin.hosts()
        fleets = await self.fleets()
        alive = {i.address for f in fleets for i in f.instances if i.state is InstanceState.READY and i.pid not in self.dead}
        names = reached(listing.route) if listing is not None and listing.route is not None else ()
        return bool(names) and all(
            any(e.healthy and e.endpoint.address in alive for e in hosts.get(name, ())) for name in names
        )


Act = Callable[[Scene], Awaitable[str]]


@dataclass(frozen=True)
class Fault:
    """One way to hurt a platform."""

    name: str
    kind: Kind
    weight: int
    act: Act


async def kill_controller(scene: Scene) -> str:
    pid = scene.body.part("controller")
    return f"controller {pid}" if kill(pid) else ""


async def kill_engine(scene: Scene) -> str:
    pid = scene.body.part("engine")
    return f"engine {pid}" if kill(pid) else ""


async def kill_postmaster(scene: Scene) -> str:
    pid = scene.body.part("postgres")
    return f"postmaster {pid}" if kill(pid) else ""


async def kill_postgres_group(scene: Scene) -> str:
    pid = scene.body.part("postgres")
    backends = children_of(pid) if pid else []
    done = [kill_group(pid), *(kill(backend) for backend in backends)]
    return f"postmaster {pid} and {len(backends)} backends" if any(done) else ""


async def kill_postgres_child(scene: Scene) -> str:
    pid = scene.body.part("postgres")
    backends = sorted(children_of(pid)) if pid else []
    if not backends:
        return ""
    chosen = scene.random.choice(backends)
    return f"backend {chosen} of postmaster {pid}" if kill_group(chosen) or kill(chosen) else ""


async def kill_agent(scene: Scene) -> str:
    pid = scene.body.agent()
    return f"host agent {pid}" if kill(pid) else ""


async def kill_watchdog(scene: Scene) -> str:
    shells = scene.body.watchdogs()
    return f"watchdog {shells}" if [kill(pid) for pid in shells] else ""


async def kill_agent_and_watchdog(scene: Scene) -> str:
    """Then nobody is left to start the agent: a person types `bleen up`."""
    shells, pid = scene.body.watchdogs(), scene.body.agent()
    done = [kill(shell) for shell in shells] + [kill(pid)]
    await asyncio.sleep(scene.random.uniform(0.1, 1))
    await asyncio.to_thread(scene.platform.up)
    return f"watchdog {shells} and host agent {pid}, then bleen up" if any(done) else ""


async def kill_control_plane(scene: Scene) -> str:
    """Law 8: all of it at once."""
    parts = {name: scene.body.part(name) for name in ("controller", "engine", "postgres")}
    agent = scene.body.agent()
    done = [kill(pid) for pid in parts.values()] + [kill(agent)]
    return f"{parts}, agent {agent}" if any(done) else ""


async def _hit(scene: Scene, number: signal.Signals) -> str:
    fleets = await scene.fleets()
    healthy = await scene.healthy()
    choices = [
        (instance, fleet)
        for fleet in fleets
        for instance in fleet.instances
        if instance.pid
        and instance.state is InstanceState.READY
        and len(healthy & {i.address for i in fleet.instances if i is not instance and i.state is InstanceState.READY})
    ]
    if not choices:
        return ""
    instance, fleet = scene.random.choice(sorted(choices, key=lambda each: each[0].name))
    scene.victims.add(instance.address)
    scene.hit = instance.pid
    return f"{instance.name} (pid {instance.pid}) of r{fleet.release}" if kill(instance.pid, number) else ""


async def kill_instance(scene: Scene) -> str:
    return await _hit(scene, signal.SIGKILL)


async def freeze_instance(scene: Scene) -> str:
    return await _hit(scene, signal.SIGSTOP)


async def take_instance_ports(scene: Scene) -> str:
    """Another program listens where the next instances will be placed."""
    live = {i.address for f in await scene.fleets() for i in f.instances}
    row = list(islice(candidates(scene.home), 2000))
    highest = max((row.index(a) for a in live if a in row), default=0)
    wanted = [*row[highest + 1 : highest + 3], *[a for a in row[: highest + 8] if a not in live][:2]]
    with ExitStack() as stack:
        taken = [address for address in dict.fromkeys(wanted) if _listen(stack, address, 8080)]
        await asyncio.sleep(scene.random.uniform(1, 4))
    return f"port 8080 of {', '.join(taken)}" if taken else ""


async def take_api_port(scene: Scene) -> str:
    """The controller dies, and another program takes its port for some seconds."""
    port = scene.platform.ports().api
    if not kill(scene.body.part("controller")):
        return ""
    with ExitStack() as stack:
        for _ in range(2000):
            if _listen(stack, "127.0.0.1", port):
                break
            await asyncio.sleep(0.0005)
        else:
            return "controller; its port was not to be had"
        await asyncio.sleep(scene.random.uniform(0.5, 4))
    return f"controller, and its port {port}"


def _listen(stack: ExitStack, address: str, port: int) -> bool:
    listener = stack.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError:
        return False
    listener.listen()
    return True


async def fill_disk(scene: Scene) -> str:
    if scene.room is None:
        return ""
    seconds = scene.random.uniform(1, 6)
    try:
        await asyncio.to_thread(_fill, scene.room, seconds)
    finally:
        scene.room.unlink(missing_ok=True)
    return f"no byte left for {seconds:.1f} s"


def _fill(path: Path, seconds: float) -> None:
    """Take every free byte, also those that are freed meanwhile."""
    import time

    deadline = time.monotonic() + seconds
    with path.open("wb", buffering=0) as file:
        while time.monotonic() < deadline:
            found = os.statvfs(path)
            size = max(4096, found.f_bavail * found.f_frsize // 2)
            try:
                os.posix_fallocate(file.fileno(), file.tell(), size)
                file.seek(size, os.SEEK_CUR)
            except OSError:
                if size == 4096:
                    time.sleep(0.01)


async def kill_gateway(scene: Scene) -> str:
    pid = scene.body.part(GATEWAY)
    return f"Envoy {pid}" if kill(pid) else ""


async def kill_serving(scene: Scene) -> str:
    fleet = await scene.serving()
    if fleet is None:
        return ""
    scene.dead |= {i.pid for i in fleet.instances}
    done = [kill(i.pid) for i in fleet.instances if i.pid]
    return f"all {len(done)} instances of r{fleet.release}" if any(done) else ""


FAULTS = (
    Fault("kill the controller", Kind.CONTROL, 5, kill_controller),
    Fault("kill the engine", Kind.CONTROL, 4, kill_engine),
    Fault("kill the postmaster", Kind.CONTROL, 2, kill_postmaster),
    Fault("kill PostgreSQL's process group", Kind.CONTROL, 2, kill_postgres_group),
    Fault("kill a backend of PostgreSQL", Kind.CONTROL, 2, kill_postgres_child),
    Fault("kill the host agent", Kind.CONTROL, 5, kill_agent),
    Fault("kill the watchdog", Kind.CONTROL, 1, kill_watchdog),
    Fault("kill watchdog and agent", Kind.CONTROL, 2, kill_agent_and_watchdog),
    Fault("kill the control plane", Kind.CONTROL, 2, kill_control_plane),
    Fault("take the port of instances", Kind.CONTROL, 3, take_instance_ports),
    Fault("take the port of the controller", Kind.CONTROL, 2, take_api_port),
    Fault("fill the disk", Kind.CONTROL, 3, fill_disk),
    Fault("kill an instance", Kind.INSTANCE, 5, kill_instance),
    Fault("freeze an instance", Kind.INSTANCE, 3, freeze_instance),
    Fault("kill the gateway", Kind.DATA, 2, kill_gateway),
    Fault("kill all instances", Kind.DATA, 2, kill_serving),
)
