"""The port `Builder` in Azure: stages are carried out on this machine, and what they made is published in the gallery."""

from bleen.domain.base import Stage
from bleen.domain.errors import NotFound
from bleen.domain.image import Digest, Image
from bleen.domain.pipeline import Carried, Making, Plan
from bleen.providers.azure.images import GalleryImages
from bleen.providers.local.images.builder import LocalBuilder

BUILT = "built"
"""The only stage of what this machine has built and the gallery lacks: gates and publication are still to come."""


class GalleryBuilder:
    """A build that ended in no version of the gallery is begun again where it stopped: nothing is built twice."""

    def __init__(self, own: LocalBuilder, images: GalleryImages) -> None:
        self._own = own
        self._images = images

    async def begin(self, making: Making) -> Plan:
        """See `bleen.ports.Builder`."""
        plan = await self._own.begin(making)
        if plan.image is None or await self._images.has(plan.image):
            return plan
        return Plan(plan.key, plan.name, (BUILT,), told=plan.told)

    async def carry_out(self, key: Digest, stage: str) -> Carried:
        """See `bleen.ports.Builder`."""
        if stage != BUILT:
            return await self._own.carry_out(key, stage)
        image = await self._own.published(key)
        return Carried(Stage(BUILT, "here already, and not in the gallery", cached=True), image.digest)

    async def find(self, digest: Digest) -> Image:
        """See `bleen.ports.Builder`."""
        try:
            return await self._own.find(digest)
        except NotFound:
            return await self._images.find(digest)

    async def publish(self, key: Digest, digest: Digest) -> Image:
        """See `bleen.ports.Builder`. BuildFailed where the gallery has no such version, and nobody could make it."""
        return await self._images.publish(await self._own.publish(key, digest))
