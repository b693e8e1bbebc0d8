"""A real controller behind an Application Gateway: as `estate.py`, with its listeners in place of Envoys."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from ssl import SSLContext

from msgspec import structs

from bleen.app.platform import LocalPlatform
from bleen.domain.codec import encode
from bleen.domain.fidelity import GatewayMode
from bleen.interfaces.client import Client
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.reports import Reports
from bleen.providers.azure.site import Container
from bleen.providers.local.images import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.sandbox import probe_isolation
from bleen.providers.local.secrets import FolderSecrets
from tests.azure.aside import Aside
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.double.front import Front, PoolFront
from tests.azure.double.machines import RealMachines
from tests.azure.estate import certify, settings_of, signed_in
from tests.azure.flipping import make_edge
from tests.azure.mixing import make_pools
from tests.azure.world import azure, site
from tests.journeys.stage import Play, Stage
from tests.providers.local.world import BACKOFF

SUFFIX = "bleen-dev-weu"
GRAIN = timedelta(seconds=4)
"""In place of a minute: so much of what it counts Azure Monitor tells at once."""


@dataclass
class EdgeEstate:
    """The double, its machines, its gateway and what traffic meets there."""

    cloud: Cloud
    edge: Edge
    front: Front
    there: Azure

    async def close(self) -> None:
        await self.front.close()
        await self.cloud.close()
        await self.there.close()


async def open_estate(
    home: Path, machines_home: Path, mode: GatewayMode, services: tuple[str, ...], tls: SSLContext
) -> EdgeEstate:
    """Start it, with what Terraform makes of ``services`` in that mode."""
    machine = Machine(machines_home, LocalImages(home), FolderSecrets(machines_home), probe_isolation(), backoff=BACKOFF)
    machines = RealMachines(machine, every=0.2)
    cloud = Cloud(machines)
    await cloud.start(tls)
    cloud.faults.slow = 0.5
    cloud.monitor.grain, cloud.monitor.lag = GRAIN, 1.0
    there = azure(cloud)
    machines.reports = Reports(there.container(Container.MACHINES))
    await machines.begin()
    make, meets = {GatewayMode.FLIP: (make_edge, Front), GatewayMode.MIXED: (make_pools, PoolFront)}[mode]
    edge = make(cloud, {name: (f"{name}.localhost",) for name in services})
    front = meets(cloud, edge, SUFFIX)
    await front.start()
    return EdgeEstate(cloud, edge, front, there)


@dataclass
class EdgeStage(Stage):
    """A platform whose fleets are in "Azure", behind one Application Gateway."""

    estate: EdgeEstate
    aside: Aside

    @property
    def gateway_port(self) -> int:
        return self.estate.front.public

    def given(self, name: str, **strategy: object) -> Play:
        """As `terraform apply` leaves it: two empty scale sets, and a definition without a version in the gallery."""
        self.estate.cloud.compute.make(name, SUFFIX)
        self.estate.cloud.gallery.define(name)
        return super().given(name, **strategy)

    def hold(self) -> None:
        """Have no update of the gateway end, nor of an interface."""
        self.aside.loop.call_soon_threadsafe(self.estate.cloud.edges.going.clear)

    def go_on(self) -> None:
        """Have them end."""
        self.aside.loop.call_soon_threadsafe(self.estate.cloud.edges.going.set)


def write_site(estate: EdgeEstate, mode: GatewayMode, path: Path) -> None:
    """Write what Terraform would tell of the site."""
    url = estate.cloud.secure_url
    told = structs.replace(site(estate.cloud), endpoint=url, account=f"{url}/account", gateway_mode=mode, monitor=url)
    inside = f"http://127.0.0.1:{estate.front.preview}" if mode is GatewayMode.FLIP else ""
    path.write_bytes(encode(structs.replace(told, gateway=inside)))


@contextmanager
def edge_stage(folder: Path, mode: GatewayMode, *services: str, look: str = "500ms") -> Iterator[EdgeStage]:
    """Open a stage on an estate of its own, and end both with nothing left. ``look`` is between two looks at what changes."""
    home, certificate = folder / "home", folder / "azure.pem"
    aside = Aside()
    estate = aside.run(open_estate(home, folder / "machines", mode, services, certify(certificate)))
    try:
        write_site(estate, mode, folder / "site.json")
        bake = f"env PYTHONPATH={Path(__file__).parents[2]} {sys.executable} -m tests.azure.baking {estate.cloud.url}"
        with signed_in(estate.cloud, certificate):
            yield from _opened(LocalPlatform(settings_of(home, folder / "site.json", bake, look)), estate, aside)
    finally:
        aside.run(estate.close())
        aside.close()


def _opened(platform: LocalPlatform, estate: EdgeEstate, aside: Aside) -> Iterator[EdgeStage]:
    with Client(platform.up()) as client:
        try:
            yield EdgeStage(platform, client, estate, aside)
        finally:
            platform.down()
