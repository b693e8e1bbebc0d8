"""A scanner in memory: images in memory have no packages but those that a test gives them."""

from bleen.domain.codec import encode, plain
from bleen.domain.image import Digest
from bleen.domain.inventory import BillFormat, Package
from bleen.providers.memory.images import MemoryImages


class MemoryScanner:
    """Keeps the port `Scanner` over images in memory. Packages are said with `hold`."""

    def __init__(self, images: MemoryImages) -> None:
        self._images = images
        self._packages: dict[Digest, tuple[Package, ...]] = {}

    def hold(self, digest: Digest, *packages: Package) -> None:
        """Make the image consist of ``packages``."""
        self._packages[digest] = packages

    async def bill(self, digest: Digest, form: BillFormat) -> str:
        image = await self._images.find(digest)
        packages = self._packages.get(digest, ())
        if form is BillFormat.SPDX:
            said = {"spdxVersion": "SPDX-2.3", "name": image.name, "packages": plain([{"name": p.name} for p in packages])}
        else:
            said = {"bomFormat": "CycloneDX", "components": [{"name": p.name, "purl": p.purl} for p in packages]}
        return encode(said).decode() + "\n"
