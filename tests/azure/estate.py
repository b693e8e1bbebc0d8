"""A real controller that has Azure for its provider: a process of its own, over TLS, signed in by a managed identity.

What it speaks to is the double, whose machines are real processes, and a tier of real Envoys with their agents.
"""

import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs

from bleen.app.platform import LocalPlatform
from bleen.domain.codec import encode
from bleen.interfaces.client import Client
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.reports import Reports
from bleen.providers.azure.site import Container
from bleen.providers.local.images import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.sandbox import probe_isolation
from bleen.providers.local.secrets import FolderSecrets
from bleen.settings import Settings, read_settings
from tests.azure.aside import Aside
from tests.azure.double.cloud import Cloud
from tests.azure.double.guests import GuestMachines
from tests.azure.double.machines import RealMachines
from tests.azure.tier import TierRun
from tests.azure.world import azure, site
from tests.journeys.stage import Play, Stage
from tests.providers.local.world import BACKOFF

PLACES = ("blue", "green", "blue-baseline", "green-baseline")


@dataclass
class Estate:
    """The double, its machines, its Envoys."""

    cloud: Cloud
    tier: TierRun
    there: Azure

    async def close(self) -> None:
        await self.tier.close()
        await self.cloud.close()
        await self.there.close()


async def open_estate(machines: RealMachines | GuestMachines, short: Path, tls: ssl.SSLContext) -> Estate:
    """Start it."""
    cloud = Cloud(machines)
    await cloud.start(tls)
    there = azure(cloud)
    if isinstance(machines, RealMachines):
        machines.reports = Reports(there.container(Container.MACHINES))
        await machines.begin()
    else:
        machines.cloud = cloud
    tier = TierRun(cloud, short)
    for name in ("envoy-1", "envoy-2"):
        tier.machines.add(name)
        await tier.start(name)
    return Estate(cloud, tier, there)


@dataclass
class AzureStage(Stage):
    """A platform whose fleets are in "Azure"."""

    estate: Estate
    aside: Aside

    @property
    def gateway_port(self) -> int:
        return self.estate.tier.members[0].envoy.place.port

    def given(self, name: str, **strategy: object) -> Play:
        """As `terraform apply` leaves it: four empty scale sets, and a definition without a version in the gallery."""
        self.estate.cloud.compute.make(name, "bleen-dev-weu", *PLACES)
        self.estate.cloud.gallery.define(name)
        return super().given(name, **strategy)


def write_site(estate: Estate, path: Path) -> None:
    """Write what Terraform would tell of the site."""
    url, port = estate.cloud.secure_url, estate.tier.members[0].envoy.place.port
    told = structs.replace(site(estate.cloud), endpoint=url, account=f"{url}/account", gateway=f"http://127.0.0.1:{port}")
    path.write_bytes(encode(told))


def settings_of(home: Path, described: Path, bake: str = "", look: str = "500ms") -> Settings:
    return read_settings(
        {
            "BLEEN_HOME": str(home),
            "BLEEN_API_PORT": "0",
            "BLEEN_PROVIDER": "azure",
            "BLEEN_AZURE_SITE": str(described),
            "BLEEN_AZURE_LOOK": look,
            "BLEEN_AZURE_BAKE": bake,
        }
    )


@contextmanager
def signed_in(cloud: Cloud, certificate: Path) -> Iterator[None]:
    """Have processes that are started meanwhile the managed identity of a machine in the double, and trust its certificate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDENTITY_ENDPOINT", f"{cloud.url}/identity")
        patch.setenv("IDENTITY_HEADER", "secret")
        patch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        patch.setenv("SSL_CERT_FILE", str(certificate))
        yield


def machines_of(home: Path, folder: Path) -> RealMachines:
    """Return machines that have the images which the platform of ``home`` builds: what Packer puts into them."""
    machine = Machine(folder, LocalImages(home), FolderSecrets(folder), probe_isolation(), backoff=BACKOFF)
    return RealMachines(machine, every=0.2, refresh=5.0)


@contextmanager
def azure_stage(folder: Path, *, guests: bool = False) -> Iterator[AzureStage]:
    """Open a stage on an estate of its own, and end both with nothing left. With ``guests`` each machine runs the program."""
    home, certificate, there = folder / "home", folder / "azure.pem", folder / "machines"
    aside = Aside()
    tls = certify(certificate)
    with TemporaryDirectory(prefix="bleen-") as short:
        machines = GuestMachines(there, home, certificate) if guests else machines_of(home, there)
        estate = aside.run(open_estate(machines, Path(short), tls))
        try:
            write_site(estate, folder / "site.json")
            found_from_anywhere = f"PYTHONPATH={Path(__file__).parents[2]}"
            bake = f"env {found_from_anywhere} {sys.executable} -m tests.azure.baking {estate.cloud.url}"
            with signed_in(estate.cloud, certificate):
                yield from _opened(LocalPlatform(settings_of(home, folder / "site.json", bake)), estate, aside)
        finally:
            aside.run(estate.close())
            aside.close()


def _opened(platform: LocalPlatform, estate: Estate, aside: Aside) -> Iterator[AzureStage]:
    with Client(platform.up()) as client:
        try:
            yield AzureStage(platform, client, estate, aside)
        finally:
            platform.down()


def certify(path: Path, who: x509.GeneralName | None = None) -> ssl.SSLContext:
    """Write a certificate of ``who``, or of 127.0.0.1, and return what a server needs to show it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the double")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([who or x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = path.with_suffix(".key")
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, private)
    return context


def status(said: str) -> Any:
    """Return what a command printed as JSON."""
    return json.loads(said)
