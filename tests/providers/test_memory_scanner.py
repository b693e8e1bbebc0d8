"""The scanner in memory keeps the contract."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from bleen.domain.image import Npm
from bleen.domain.inventory import Kind, Package
from bleen.providers.memory.images import MemoryImages
from bleen.providers.memory.scanner import MemoryScanner
from tests.contracts.scanner import ScannerContract


@dataclass
class MemoryBench:
    scanner: MemoryScanner
    digest: str


class TestMemoryScanner(ScannerContract):
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> MemoryBench:
        images = MemoryImages()
        image = await images.build("app", Npm("left", "1.2.3"), tmp_path)
        scanner = MemoryScanner(images)
        scanner.hold(image.digest, Package(Kind.NPM, "left", "1.2.3", "node_modules/left/package.json"))
        return MemoryBench(scanner, image.digest)
