"""One site in the double, and fleets on it whose instances are real processes."""

import asyncio
import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.pipeline.policies import SansIOHTTPPolicy

from bleen.domain.codec import digest_of, encode
from bleen.domain.image import Digest
from bleen.domain.provenance import PAYLOAD_TYPE, Built, bare, seal, statement_of, to_sign
from bleen.domain.release import Runtime
from bleen.ports import Backends, Fleets, Gateway
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.fleet import Timing
from bleen.providers.azure.fleets import AzureFleets
from bleen.providers.azure.gallery import Gallery
from bleen.providers.azure.site import Container, Site
from bleen.providers.local.images.keys import Keys
from tests.azure.double.cloud import GROUP, SUBSCRIPTION, Cloud
from tests.azure.double.storage import Blob

TIMING = Timing(first=0.05, longest=0.4, retry=0.1, silent=30.0, drain=0.02, listen=0.02)
KEY = AzureNamedKeyCredential("account", base64.b64encode(b"a key of nobody").decode())


class Credential:
    """A token that the double believes."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("nobody", 2**40)

    async def close(self) -> None:
        """Nothing is held."""

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held."""


def site(cloud: Cloud) -> Site:
    return Site(
        environment="dev",
        region="local",
        subscription=SUBSCRIPTION,
        group=GROUP,
        suffix="bleen-dev-weu",
        gallery="gal",
        gallery_group=GROUP,
        location="weu",
        account=f"{cloud.url}/account",
        endpoint=cloud.url,
        monitor=cloud.url,
    )


def azure(cloud: Cloud) -> Azure:
    """Return real clients of the double."""
    policy: SansIOHTTPPolicy[Any, Any] = SansIOHTTPPolicy()
    return Azure(site(cloud), Credential(), storage=KEY, authentication_policy=policy)


class Publisher:
    """Puts images into the gallery, with the provenance that the image pipeline signs."""

    def __init__(self, cloud: Cloud, keys: Keys) -> None:
        self._cloud = cloud
        self._keys = keys

    def publish(self, digest: Digest, *names: str, version: str = "1.0.0", **tags: str) -> None:
        at = datetime(2026, 11, 1, tzinfo=UTC)
        built = Built(digest, names[0], version, {}, digest, "host", "", at, "0")
        payload = encode(statement_of(built))
        envelope = seal(payload, *self._keys.sign(to_sign(PAYLOAD_TYPE, payload)))
        self._cloud.storage.blobs[f"{Container.IMAGES}/{bare(digest)}.json"] = Blob(envelope)
        for name in names:
            told: dict[str, Any] = {"digest": digest, "signature": digest_of(envelope), **tags}
            self._cloud.gallery.add(name, version, **told)


def fleets(cloud: Cloud, there: Azure, backends: Backends, keys: Keys, timing: Timing = TIMING) -> AzureFleets:
    """Return the port, as a new process would have it."""
    return AzureFleets(there, Gallery(there, keys), backends, timing)


@dataclass
class Work:
    image: Digest
    runtime: Runtime


@dataclass
class Ways:
    """How requests reach the fleets of a site: both halves of its gateways."""

    gateway: Gateway
    backends: Backends


@dataclass
class AzureBench:
    """What the kit of `Fleets` needs."""

    fleets: Fleets
    gateway: Gateway
    good: Work
    crashing: Work
    never_healthy: Work
    damaged: Work

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def keys_of(folder: Path) -> Keys:
    return Keys(folder / "keys")
