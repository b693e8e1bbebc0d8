"""The base images in memory keep the contract."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bleen.domain.base import BaseOrder, Recipe
from bleen.domain.image import Directory
from bleen.domain.patching import Fix
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.images import MemoryImages
from tests.contracts.bases import BasesContract


class MemoryBench:
    def __init__(self, folder: Path) -> None:
        self.images = MemoryImages()
        self.bases = MemoryBases(self.images)
        self.folder = folder
        (folder / "app").mkdir()
        (folder / "app/run").write_text("run\n")
        self.take_mirror = self.bases.take_mirror
        self.lose = self.bases.lose

    def order(self, *, upgrade: bool = False, image: str = "little") -> BaseOrder:
        return BaseOrder(Recipe(image=image, suite="bookworm", packages=("tool",)), str(self.folder), upgrade)

    def fix(self) -> None:
        self.bases.publish(Fix("tool", "tool", "1.0", "1.1", datetime(2026, 1, 1, tzinfo=UTC)))

    def application(self) -> tuple[Directory, str]:
        return Directory("app"), str(self.folder)


class TestMemoryBases(BasesContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> MemoryBench:
        return MemoryBench(tmp_path)
