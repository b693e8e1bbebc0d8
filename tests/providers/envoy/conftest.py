"""Envoys and instances for the tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.envoy.gateway import EnvoyGateway
from tests.fixtures.envoy import EnvoyRun, Instances
from tests.providers.envoy.world import World


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: a unix socket's is limited to 108 bytes."""
    with TemporaryDirectory(prefix="bleen-") as folder:
        yield Path(folder)


@pytest.fixture
async def envoy(home: Path) -> AsyncIterator[EnvoyRun]:
    run = EnvoyRun(home)
    await run.start()
    yield run
    run.kill()


@pytest.fixture
async def gateway(envoy: EnvoyRun) -> AsyncIterator[EnvoyGateway]:
    gateway = EnvoyGateway([envoy.place], envoy.place.folder.parent, services=0)
    yield gateway
    await gateway.close()


@pytest.fixture
async def backends(envoy: EnvoyRun) -> AsyncIterator[EnvoyBackends]:
    backends = EnvoyBackends([envoy.place])
    yield backends
    await backends.close()


@pytest.fixture
def instances() -> Iterator[Instances]:
    running = Instances()
    yield running
    running.end()


@pytest.fixture
def world(envoy: EnvoyRun, gateway: EnvoyGateway, backends: EnvoyBackends, instances: Instances) -> World:
    return World(envoy.place, gateway, backends, instances)
