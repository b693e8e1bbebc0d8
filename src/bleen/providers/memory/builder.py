"""A builder in memory: its stages do nothing but come one after the other. For tests and dry runs."""

import asyncio
from pathlib import Path

from msgspec import structs

from bleen.domain.base import BaseOrder, Stage
from bleen.domain.codec import digest_of
from bleen.domain.errors import ImageRejected, NotFound
from bleen.domain.image import Digest, Image
from bleen.domain.pipeline import Carried, Making, OfBase, OfMove, OfRenewal, Plan
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.images import MemoryImages

BASE_STAGES = ("fetch", "base", "hardening", "patches", "runtime")


class MemoryBuilder:
    """Keeps the port `Builder` over images and bases in memory.

    ``carried`` is what was carried out, in order; a stage takes ``seconds``.
    """

    def __init__(self, images: MemoryImages, bases: MemoryBases) -> None:
        self._images = images
        self._bases = bases
        self._plans: dict[Digest, tuple[Making, Image]] = {}
        self._done: set[tuple[Digest, str]] = set()
        self.carried: list[str] = []
        self.seconds = 0.0

    async def begin(self, making: Making) -> Plan:
        if isinstance(making, OfBase):
            return await self._begin_base(making.order)
        if isinstance(making, OfRenewal):
            return await self._begin_base(await self._bases.order_of(making.digest))
        if isinstance(making, OfMove):
            image = await self._images.prepare_rebase(making.digest, making.base)
        else:
            image = self._images.prepare(making.name, making.source, Path(making.folder), making.base)
        key = self._keep(making, image)
        try:
            await self._images.verify(image.digest)
        except (NotFound, ImageRejected):
            return Plan(key, image.name, ("application",))
        return Plan(key, image.name, image=image)

    async def _begin_base(self, order: BaseOrder) -> Plan:
        known = await self._bases.known(order)
        if known is not None:
            told = Stage("base", "as it was built before", cached=True)
            return Plan(digest_of(order), known.name, image=known, told=(told,))
        return Plan(self._keep(OfBase(order), self._bases.prepare(order)), order.recipe.image, BASE_STAGES)

    def _keep(self, making: Making, image: Image) -> Digest:
        key = digest_of([making, image.digest])
        self._plans[key] = (making, image)
        return key

    async def carry_out(self, key: Digest, stage: str) -> Carried:
        _, image = self._plan(key)
        await asyncio.sleep(self.seconds)
        cached = (image.digest, stage) in self._done
        self._done.add((image.digest, stage))
        self.carried += [] if cached else [stage]
        last = stage in ("application", BASE_STAGES[-1])
        return Carried(Stage(stage, f"of {image.name}", cached=cached), image.digest if last else None)

    async def find(self, digest: Digest) -> Image:
        return self._images.described(digest)

    async def publish(self, key: Digest, digest: Digest) -> Image:
        making, image = self._plan(key)
        if isinstance(making, OfBase):
            return self._bases.keep(making.order, image)
        return structs.replace(self._images.keep(image), name=image.name, version=image.version)

    def _plan(self, key: Digest) -> tuple[Making, Image]:
        if key not in self._plans:
            raise NotFound("what was to be built is not known any more", next="build it again")
        return self._plans[key]
