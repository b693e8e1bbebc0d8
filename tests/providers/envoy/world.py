"""A service behind a real Envoy."""

from dataclasses import dataclass

import httpx

from bleen.domain.traffic import Backend, Colour, Endpoint
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.envoy.gateway import EnvoyGateway
from bleen.providers.envoy.place import Place
from tests.fixtures.envoy import Instances


@dataclass
class World:
    """One gateway, and whatever a test puts behind it."""

    place: Place
    gateway: EnvoyGateway
    backends: EnvoyBackends
    instances: Instances

    async def fill(
        self, colour: Colour, release: int, *names: str, service: str = "hello", baseline: bool = False
    ) -> tuple[Endpoint, ...]:
        """Start instances and put them behind the gateway."""
        endpoints = tuple([await self.instances.start(name) for name in names])
        await self.backends.set_backend(self.backend(colour, release, endpoints, service, baseline=baseline))
        return endpoints

    def backend(
        self, colour: Colour, release: int, endpoints: tuple[Endpoint, ...], service: str = "hello", *, baseline: bool = False
    ) -> Backend:
        return Backend("dev", service, colour, release, endpoints, "/health", 0.2, 0.2, baseline)

    @property
    def url(self) -> str:
        return f"http://{self.place.address}:{self.place.port}"

    async def ask(self, path: str = "/", host: str = "hello.localhost", method: str = "GET", **headers: str) -> httpx.Response:
        """Return what the gateway answers."""
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            return await client.request(method, self.url + path, headers={"host": host, **spelled})
