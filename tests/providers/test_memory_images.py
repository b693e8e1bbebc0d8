"""The images in memory keep the contract, and fail where they are told to."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bleen.domain.errors import BuildFailed, StorageFull
from bleen.domain.image import Archive, Directory, Npm, Pypi, Source
from bleen.providers.memory.images import MemoryImages
from tests.contracts.images import ImagesContract


@dataclass
class MemoryBench:
    images: MemoryImages = field(default_factory=MemoryImages)
    folder: Path = Path("/nowhere")

    def source(self, number: int) -> Source:
        return Pypi(package="hello", version=f"{number}.0")

    def missing(self) -> Source:
        self.images.fail_build("9.9", "hello has no version 9.9")
        return Pypi(package="hello", version="9.9")

    def damage(self, digest: str) -> str:
        self.images.reject(digest)
        return "source.json"


class TestMemoryImages(ImagesContract):
    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()


async def test_a_full_memory_takes_no_other_image_until_there_is_room() -> None:
    """What is there stays, and is answered."""
    images, folder = MemoryImages(), Path("/nowhere")
    first = await images.build("hello", Pypi("hello", "1"), folder)
    images.fill()
    with pytest.raises(StorageFull):
        await images.build("hello", Pypi("hello", "2"), folder)
    assert await images.build("hello", Pypi("hello", "1"), folder) == first
    images.fill(False)
    await images.build("hello", Pypi("hello", "2"), folder)


async def test_a_folder_is_read_for_its_digest(tmp_path: Path) -> None:
    """Other bytes, another image; no folder, no image."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.txt").write_text("one")
    images = MemoryImages()
    first = await images.build("hello", Directory("app"), tmp_path)
    (tmp_path / "app" / "a.txt").write_text("two")
    assert (await images.build("hello", Directory("app"), tmp_path)).digest != first.digest
    for source in (Directory("other"), Archive("app.tar")):
        with pytest.raises(BuildFailed):
            await images.build("hello", source, tmp_path)


async def test_packages_of_two_registries_are_two_images() -> None:
    """An npm package is not the Python package of that name."""
    images, folder = MemoryImages(), Path("/nowhere")
    assert (await images.build("a", Npm("a", "1"), folder)).digest != (await images.build("a", Pypi("a", "1"), folder)).digest
