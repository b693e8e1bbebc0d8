"""A scanner in memory: images in memory have no packages but those that a test gives them."""

from datetime import UTC, datetime

from bleen.domain.codec import encode, plain
from bleen.domain.finding import Check, Finding, Report, Scan, gather
from bleen.domain.image import Digest
from bleen.domain.inventory import BillFormat, Package
from bleen.providers.memory.images import MemoryImages


class MemoryScanner:
    """Keeps the port `Scanner` over images in memory. Packages are said with `hold`, findings with `find`."""

    def __init__(self, images: MemoryImages) -> None:
        self._images = images
        self._packages: dict[Digest, tuple[Package, ...]] = {}
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._broken: dict[str, tuple[Finding, ...]] = {}

    def hold(self, digest: Digest, *packages: Package) -> None:
        """Make the image consist of ``packages``."""
        self._packages[digest] = packages

    def find(self, version: str, *findings: Finding) -> None:
        """Make these the findings in every image of ``version``."""
        self._findings[version] = findings

    async def scan(self, digest: Digest) -> Scan:
        image = self._images.described(digest)
        report = Report((Check("memory", "what a test said"),), self._findings.get(image.version, ()))
        return gather(digest, datetime.now(UTC), [report])

    def break_rules(self, version: str, *findings: Finding) -> None:
        """Make these the rules that every image of ``version`` breaks."""
        self._broken[version] = findings

    async def comply(self, digest: Digest) -> Scan:
        image = self._images.described(digest)
        report = Report((Check("rules", "what a test said"),), self._broken.get(image.version, ()))
        return gather(digest, datetime.now(UTC), [report])

    async def bill(self, digest: Digest, form: BillFormat) -> str:
        image = await self._images.find(digest)
        packages = self._packages.get(digest, ())
        if form is BillFormat.SPDX:
            said = {"spdxVersion": "SPDX-2.3", "name": image.name, "packages": plain([{"name": p.name} for p in packages])}
        else:
            said = {"bomFormat": "CycloneDX", "components": [{"name": p.name, "purl": p.purl} for p in packages]}
        return encode(said).decode() + "\n"
