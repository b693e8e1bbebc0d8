"""The builder in memory keeps the contract."""

from pathlib import Path

import pytest

from bleen.providers.memory.builder import MemoryBuilder
from tests.contracts.builder import BuilderContract
from tests.providers.test_memory_bases import MemoryBench


class BuildingBench(MemoryBench):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.builder = MemoryBuilder(self.images, self.bases)


class TestMemoryBuilder(BuilderContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> BuildingBench:
        return BuildingBench(tmp_path)
