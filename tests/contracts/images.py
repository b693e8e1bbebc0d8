"""The kit of the port `Images`: subclass `ImagesContract` and give it a fixture ``bench``, new and empty."""

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from bleen.domain.errors import BuildFailed, ImageRejected, NotFound
from bleen.domain.image import Image, Source
from bleen.ports import Images

NOWHERE = f"sha256:{0:064x}"


class ImagesBench(Protocol):
    """A provider, and what the kit needs around it."""

    @property
    def images(self) -> Images: ...

    @property
    def folder(self) -> Path: ...

    def source(self, number: int) -> Source:
        """Return a source that can be built; each number has content of its own."""

    def missing(self) -> Source:
        """Return a source that is not there."""

    def damage(self, digest: str) -> str:
        """Change one file of the image, and return its path; empty where the provider chooses it."""


async def build(bench: ImagesBench, number: int, name: str = "hello") -> Image:
    return await bench.images.build(name, bench.source(number), bench.folder)


class ImagesContract:
    """What every provider of images does."""

    async def test_the_same_source_is_one_image(self, bench: ImagesBench) -> None:
        """Building twice is building once."""
        assert await build(bench, 1) == await build(bench, 1)
        assert len(await bench.images.list()) == 1

    async def test_two_builds_at_once_are_one_image(self, bench: ImagesBench) -> None:
        """Whoever comes second waits, and gets what the first one built."""
        found = await asyncio.gather(*(build(bench, 1) for _ in range(4)))
        assert found == [found[0]] * 4
        assert len(await bench.images.list()) == 1
        await bench.images.verify(found[0].digest)

    async def test_other_content_has_another_digest(self, bench: ImagesBench) -> None:
        """A digest names content."""
        digests = {(await build(bench, number)).digest for number in range(3)}
        assert len(digests) == 3

    async def test_equal_content_is_one_image_under_any_name(self, bench: ImagesBench) -> None:
        """Names are for people: they are answered as asked, and not in the digest."""
        first, second = await build(bench, 1, "hello"), await build(bench, 1, "world")
        assert (first.name, second.name) == ("hello", "world")
        assert first.digest == second.digest

    async def test_an_image_is_found_as_it_was_built(self, bench: ImagesBench) -> None:
        """`find` and `list` return what `build` returned."""
        built = await build(bench, 1)
        assert await bench.images.find(built.digest) == built
        assert list(await bench.images.list()) == [built]

    async def test_the_files_are_listed_by_path(self, bench: ImagesBench) -> None:
        """They are as many, and as large, as the image says."""
        built = await build(bench, 1)
        files = await bench.images.files(built.digest)
        assert [file.path for file in files] == sorted(file.path for file in files)
        assert (len(files), sum(file.size for file in files)) == (built.files, built.size)
        assert built.files > 0

    async def test_the_newest_image_is_listed_first(self, bench: ImagesBench) -> None:
        """The order is that of the first builds."""
        built = [(await build(bench, number)).digest for number in (2, 1, 3)]
        await build(bench, 2)
        assert [image.digest for image in await bench.images.list()] == built[::-1]

    async def test_what_was_just_built_is_verified(self, bench: ImagesBench) -> None:
        """A good image passes, any number of times."""
        built = await build(bench, 1)
        said = await bench.images.verify(built.digest)
        assert await bench.images.verify(built.digest) == said
        assert (said.digest, said.name, said.version, said.base) == (built.digest, built.name, built.version, built.base)

    async def test_a_changed_file_is_rejected_by_name(self, bench: ImagesBench) -> None:
        """Law 6: an image that is not its digest any more is refused, and the message says which file and what to do."""
        built = await build(bench, 1)
        changed = bench.damage(built.digest)
        with pytest.raises(ImageRejected, match=changed) as caught:
            await bench.images.verify(built.digest)
        assert caught.value.why and caught.value.next

    async def test_building_again_mends_a_changed_image(self, bench: ImagesBench) -> None:
        """The advice in the message works."""
        built = await build(bench, 1)
        bench.damage(built.digest)
        assert (await build(bench, 1)).digest == built.digest
        await bench.images.verify(built.digest)

    async def test_what_was_never_built_is_not_found(self, bench: ImagesBench) -> None:
        """Every reading verb says so in the same way."""
        for verb in (bench.images.find, bench.images.files, bench.images.verify):
            with pytest.raises(NotFound):
                await verb(NOWHERE)

    async def test_a_removed_image_is_gone_and_the_others_are_whole(self, bench: ImagesBench) -> None:
        """Blobs that another image shares stay."""
        first, second = await build(bench, 1), await build(bench, 2)
        await bench.images.remove(first.digest)
        assert [image.digest for image in await bench.images.list()] == [second.digest]
        with pytest.raises(NotFound):
            await bench.images.verify(first.digest)
        await bench.images.verify(second.digest)

    async def test_removing_twice_is_removing_once(self, bench: ImagesBench) -> None:
        """Nothing happens where there is no such image."""
        built = await build(bench, 1)
        await bench.images.remove(built.digest)
        await bench.images.remove(built.digest)
        await bench.images.remove(NOWHERE)
        assert list(await bench.images.list()) == []

    async def test_a_removed_image_can_be_built_again(self, bench: ImagesBench) -> None:
        """It has the digest that it had."""
        built = await build(bench, 1)
        await bench.images.remove(built.digest)
        assert (await build(bench, 1)).digest == built.digest
        await bench.images.verify(built.digest)

    async def test_a_source_that_is_not_there_fails_with_advice(self, bench: ImagesBench) -> None:
        """Nothing is published by a build that failed."""
        with pytest.raises(BuildFailed) as caught:
            await bench.images.build("hello", bench.missing(), bench.folder)
        assert caught.value.what
        assert list(await bench.images.list()) == []
