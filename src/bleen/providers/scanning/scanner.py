"""`ImageScanner`: looks into the images that lie on this machine."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bleen.domain.base import HOST
from bleen.domain.finding import Scan
from bleen.domain.image import Digest, Image
from bleen.domain.inventory import BillFormat
from bleen.domain.patching import Patching
from bleen.ports import Bases

if TYPE_CHECKING:
    from bleen.providers.scanning.files import Searched

_REMEMBERED = 256
"""Images whose files are not looked at again: more than a team has in use."""


class Trees(Protocol):
    """Images and candidates that lie on this machine as folders: `LocalBuilder`, and of images alone `LocalImages`."""

    async def find(self, digest: Digest) -> Image:
        """Return the image; NotFound."""

    def tree(self, digest: Digest) -> Path:
        """Return the folder of the image; NotFound."""

    def rules(self, digest: Digest) -> Path | None:
        """Return where what a benchmark said of it lies or should; None where none was asked."""


class ImageScanner:
    """Keeps the port `Scanner`."""

    def __init__(self, images: Trees, bases: Bases, *, osv_url: str = "") -> None:
        """``bases`` say which fixes are pending; ``osv_url`` is a server that speaks OSV's API, if there is one."""
        self._images = images
        self._bases = bases
        self._osv_url = osv_url
        self._look: Callable[[Path], Searched] | None = None

    async def bill(self, digest: Digest, form: BillFormat) -> str:
        image = await self._images.find(digest)
        return await asyncio.to_thread(_write_bill, form, image, self._trees(image))

    async def scan(self, digest: Digest) -> Scan:
        image = await self._images.find(digest)
        patching = Patching(base=HOST) if image.base == HOST else await self._bases.patching(digest)
        return await asyncio.to_thread(self._scan, image, self._trees(image), patching)

    async def comply(self, digest: Digest) -> Scan:
        image = await self._images.find(digest)
        return await asyncio.to_thread(_check_rules, image, self._trees(image), self._rules(image))

    def _rules(self, image: Image) -> Path | None:
        """Return what a benchmark said of the base of the image, or of the image where it is a base."""
        return self._images.rules(image.base if image.base.startswith("sha256:") else image.digest)

    def _scan(self, image: Image, trees: list[Path], patching: Patching) -> Scan:
        from bleen.providers.scanning.checks import Outside, scan_image
        from bleen.providers.scanning.files import search

        # What is in an image never changes, and every release looks at the same bases.
        self._look = self._look or lru_cache(_REMEMBERED)(search)
        return scan_image(image, trees, Outside(patching, self._osv_url), self._look)

    def _trees(self, image: Image) -> list[Path]:
        """Return the folders of the image: its own, and that of its base."""
        base = [self._images.tree(image.base)] if image.base.startswith("sha256:") else []
        return [self._images.tree(image.digest), *base]


def _check_rules(image: Image, trees: list[Path], rules: Path | None) -> Scan:
    from bleen.providers.scanning.checks import check_rules

    return check_rules(image, trees, rules)


def _write_bill(form: BillFormat, image: Image, trees: list[Path]) -> str:
    # Loaded when it is needed: it takes longer than the rest of the controller.
    from bleen.providers.scanning.bill import cyclonedx, spdx
    from bleen.providers.scanning.inventory import take_inventory

    return (cyclonedx if form is BillFormat.CYCLONEDX else spdx)(image, take_inventory(trees))
