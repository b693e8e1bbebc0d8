"""`ImageScanner`: looks into the images that lie on this machine."""

import asyncio
from pathlib import Path
from typing import Protocol

from bleen.domain.image import Digest, Image
from bleen.domain.inventory import BillFormat


class Trees(Protocol):
    """Images that lie on this machine as folders: `LocalImages`."""

    async def find(self, digest: Digest) -> Image:
        """Return the image; NotFound."""

    def tree(self, digest: Digest) -> Path:
        """Return the folder of the image; NotFound."""


class ImageScanner:
    """Keeps the port `Scanner`."""

    def __init__(self, images: Trees) -> None:
        self._images = images

    async def bill(self, digest: Digest, form: BillFormat) -> str:
        image = await self._images.find(digest)
        return await asyncio.to_thread(_write_bill, form, image, self._trees(image))

    def _trees(self, image: Image) -> list[Path]:
        """Return the folders of the image: its own, and that of its base."""
        base = [self._images.tree(image.base)] if image.base.startswith("sha256:") else []
        return [self._images.tree(image.digest), *base]


def _write_bill(form: BillFormat, image: Image, trees: list[Path]) -> str:
    # Loaded when it is needed: it takes longer than the rest of the controller.
    from bleen.providers.scanning.bill import cyclonedx, spdx
    from bleen.providers.scanning.inventory import take_inventory

    return (cyclonedx if form is BillFormat.CYCLONEDX else spdx)(image, take_inventory(trees))
