"""A machine of the gateways as it boots: the programs of its two services, told by user data, metadata and storage."""

import asyncio
import base64
import json
import os
import shlex
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from bleen.domain.traffic import Backend, Colour
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.gateway import AzureBackends, AzureGateway, Tier
from bleen.providers.azure.site import Container
from bleen.providers.envoy.ports import free_port
from tests.azure.double.cloud import Cloud
from tests.azure.double.guests import Extension
from tests.azure.estate import certify
from tests.azure.tier import PATIENCE
from tests.azure.world import azure
from tests.contracts.gateway import a_route
from tests.fixtures.envoy import Instances
from tests.providers.local.world import until
from tests.terraform.hcl import TERRAFORM, load
from tests.terraform.test_packer import unit
from tests.terraform.test_packer_gateway import AGENT, ENVOY

NAME, SET = "vmss-gateway-bleen-dev-weu_7f3a", "vmss-gateway-bleen-dev-weu"
SECONDS = 30.0


@dataclass
class GatewayMachine:
    """One machine: its services are started as their units say, but for folders and addresses that this test has."""

    cloud: Cloud
    folder: Path
    certificate: Path
    number: int
    port: int = 0
    health_port: int = field(default_factory=lambda: free_port("127.0.0.1"))
    processes: dict[Path, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port(self.address)
        self.cloud.imds.enter(NAME, SET, self.address, base64.b64encode(json.dumps(self.user_data()).encode()).decode())
        self.extension = Extension(self.health_port, 0.1)
        self._asking = asyncio.create_task(self.extension.run())

    @property
    def address(self) -> str:
        return f"127.0.9.{self.number}"

    def user_data(self) -> dict[str, Any]:
        """What the module gateway writes, with the values of this test."""
        values = {
            "account": f"{self.cloud.secure_url}/account",
            "region": "weu",
            "client_id": "c-gateway",
            "port": self.port,
            "health_port": self.health_port,
        }
        return {name: values[name] for name in load(TERRAFORM / "modules/gateway").locals["agent"]}

    async def start(self, service: Path) -> None:
        """Start a service as systemd does."""
        keys = unit(service)
        told = dict(word.split("=") for word in keys["Environment"][0].split())
        places = {"BLEEN_HOME": self.folder / "lib", "XDG_RUNTIME_DIR": self.folder / "run"}
        assert set(told) == set(places)
        for place in places.values():
            place.mkdir(exist_ok=True)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BLEEN_")}
        own = {
            **{name: str(place) for name, place in places.items()},
            "BLEEN_GUEST_METADATA": f"{self.cloud.url}/imds/{NAME}",
            "IDENTITY_ENDPOINT": f"{self.cloud.url}/identity",
            "IDENTITY_HEADER": "secret",
            "SSL_CERT_FILE": str(self.certificate),
        }
        python, *rest = shlex.split(keys["ExecStart"][0])
        assert python == "/opt/bleen/gateway/bin/python"
        with (self.folder / "log").open("ab") as log:
            self.processes[service] = await asyncio.create_subprocess_exec(
                sys.executable, *rest, env={**environ, **own}, stdout=log, stderr=log
            )

    async def kill(self, service: Path) -> None:
        process = self.processes.pop(service)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def get(self, path: str, host: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://{self.address}:{self.port}{path}", headers={"host": host})

    async def status(self, host: str, path: str = "/healthz") -> int:
        """Return what its Envoy answers; 0 where it does not."""
        try:
            return (await self.get(path, host)).status_code
        except httpx.HTTPError:
            return 0

    async def answers(self, status: int, host: str, path: str = "/healthz") -> None:
        """Return when its Envoy answers so."""

        async def seen() -> bool:
            return await self.status(host, path) == status

        try:
            await until(seen, f"{status} for {host}{path}", SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{(self.folder / 'log').read_text()}") from error

    async def healthy(self, word: str) -> None:
        """Return when the extension has made up its mind."""
        await until(lambda: self.extension.health == word, f"Azure calls it {word}", SECONDS)

    async def close(self) -> None:
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        for service in list(self.processes):
            await self.kill(service)


@dataclass
class Ground:
    """A site, its only gateway, and who writes the routes."""

    cloud: Cloud
    there: Azure
    machine: GatewayMachine
    gateway: AzureGateway
    backends: AzureBackends

    async def deploy(self, instances: Instances, generation: int = 1) -> None:
        """Give the site a service that answers."""
        endpoint = await instances.start("blue-1")
        await self.backends.set_backend(Backend("dev", "hello", Colour.BLUE, 1, (endpoint,), "/health"))
        await self.gateway.set_route(a_route(green=None), generation)


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    cloud = Cloud()
    await cloud.start(certify(tmp_path / "azure.pem"))
    there = azure(cloud)

    async def machines() -> set[str]:
        return {NAME}

    tier = Tier(there.blobs, machines, PATIENCE)
    with TemporaryDirectory(prefix="gw-") as short:  # a unix socket is in it
        machine = GatewayMachine(cloud, Path(short), tmp_path / "azure.pem", os.getpid() % 250 + 1)
        yield Ground(cloud, there, machine, AzureGateway(tier), AzureBackends(tier))
        await machine.close()
    await cloud.close()
    await there.close()


@pytest.fixture
def instances() -> Any:
    running = Instances()
    yield running
    running.end()


async def test_a_gateway_is_given_no_requests_before_it_has_its_routes(ground: Ground, instances: Instances) -> None:
    """Until its agent has read storage, what probes ask is 404, and Azure waits; then it is 200."""
    machine = ground.machine
    ground.cloud.storage.away.add("all")
    await machine.start(ENVOY)
    await machine.answers(404, "gateway.internal")
    await machine.start(AGENT)
    await until(lambda: machine.extension.last == "Initializing", "its page", SECONDS)
    await asyncio.sleep(1.5)
    assert await machine.status("gateway.internal") == 404
    ground.cloud.storage.away.clear()
    await machine.answers(200, "gateway.internal")
    assert await machine.status("hello.localhost", "/") == 404
    await until(lambda: f"{Container.GATEWAYS}/{NAME}" in ground.cloud.storage.blobs, "its report, by its name", SECONDS)
    await ground.deploy(instances)
    await machine.answers(200, f"gateway.internal:{machine.port}")
    await machine.healthy("healthy")
    assert (await machine.get("/", "hello.localhost")).text == "blue-1"
    # What load balancers ask is no service's: its own /healthz goes to its instances, and a stranger's goes nowhere.
    assert (await machine.get("/healthz", "hello.localhost")).text == "blue-1"
    assert await machine.status("other.localhost") == 404
    assert await machine.status("gateway.internal", "/") == 404


async def test_envoy_and_its_agent_die_alone(ground: Ground, instances: Instances) -> None:
    """Without the agent it serves; without storage and metadata a machine that is started again serves what it had."""
    machine = ground.machine
    await machine.start(ENVOY)
    await machine.start(AGENT)
    await ground.deploy(instances)
    await machine.healthy("healthy")
    await machine.kill(AGENT)
    assert await machine.status("hello.localhost", "/") == await machine.status("gateway.internal") == 200
    await machine.kill(ENVOY)
    ground.cloud.storage.away.add("all")
    ground.cloud.imds.machines[NAME].away = True
    await machine.start(AGENT)
    await until(lambda: machine.extension.last == "Initializing", "its page", SECONDS)
    await machine.start(ENVOY)
    await machine.answers(200, "gateway.internal")
    await machine.answers(200, "hello.localhost", "/")
    await until(lambda: machine.extension.last == "Healthy", "its agent's word", SECONDS)
    await machine.kill(ENVOY)
    await until(lambda: machine.extension.last == "Unhealthy", "its agent's word", SECONDS)


async def test_a_machine_that_is_told_of_no_gateway_says_so(ground: Ground) -> None:
    """Both programs end with what to do, and systemd starts them again."""
    machine = ground.machine
    ground.cloud.imds.machines[NAME].user_data = base64.b64encode(b'{"service": "hello"}').decode()
    for service in (ENVOY, AGENT):
        await machine.start(service)
        assert await asyncio.wait_for(machine.processes.pop(service).wait(), SECONDS) == 3
    assert (machine.folder / "log").read_text().count("not those of a gateway") == 2
