"""The kit of the port `Bases`: subclass `BasesContract` and give it a fixture ``bench``, new and empty."""

from pathlib import Path
from typing import Protocol

import pytest

from bleen.domain.base import SCRATCH, BaseOrder, Stage
from bleen.domain.errors import BuildFailed, Conflict, NotFound, Unreachable
from bleen.domain.image import Directory, Image
from bleen.ports import Bases, Images
from tests.contracts.images import NOWHERE


class BasesBench(Protocol):
    """A provider, the images that stand on its bases, and what the kit needs around it."""

    @property
    def bases(self) -> Bases: ...

    @property
    def images(self) -> Images: ...

    def order(self, *, upgrade: bool = False, image: str = "little") -> BaseOrder:
        """Return an order for the package ``tool`` and what it needs."""

    def application(self) -> tuple[Directory, str]:
        """Return an application and the folder that its path is relative to."""

    def take_mirror(self) -> None:
        """Let no mirror answer any more."""

    def lose(self, package: str) -> None:
        """Let the archive have no such package."""

    def fix(self) -> None:
        """Let the archive have a fix for the package ``tool``."""


async def build(bench: BasesBench, order: BaseOrder) -> tuple[Image, list[Stage]]:
    stages: list[Stage] = []
    return await bench.bases.build(order, stages.append), stages


async def build_on(bench: BasesBench, base: Image) -> Image:
    source, folder = bench.application()
    return await bench.images.build("app", source, Path(folder), base.digest)


class BasesContract:
    """What every provider of base images does."""

    async def test_the_same_recipe_is_one_image(self, bench: BasesBench) -> None:
        """The second build is recalled, and says so."""
        (first, told), (second, retold) = await build(bench, bench.order()), await build(bench, bench.order())
        assert first == second
        assert not any(stage.cached for stage in told)
        assert [stage.cached for stage in retold] == [True]

    async def test_a_base_is_an_image_among_the_others(self, bench: BasesBench) -> None:
        """It stands on nothing, and is found, listed and verified as any other."""
        base, _ = await build(bench, bench.order())
        assert base.base == SCRATCH
        assert await bench.images.find(base.digest) == base
        assert list(await bench.images.list()) == [base]
        await bench.images.verify(base.digest)

    async def test_its_packages_are_known_by_name_and_version(self, bench: BasesBench) -> None:
        """They are in order, and what was asked for is among them."""
        base, _ = await build(bench, bench.order())
        packages = await bench.bases.packages(base.digest)
        names = [package.name for package in packages]
        assert names == sorted(names)
        assert "tool" in names
        assert all(package.version for package in packages)

    async def test_an_application_stands_on_it_and_has_its_packages(self, bench: BasesBench) -> None:
        """The digest of the base is in the image of the application."""
        base, _ = await build(bench, bench.order())
        image = await build_on(bench, base)
        assert image.base == base.digest
        assert await bench.bases.packages(image.digest) == await bench.bases.packages(base.digest)

    async def test_the_same_application_elsewhere_is_another_image(self, bench: BasesBench) -> None:
        """What runs is the application and its base together."""
        base, _ = await build(bench, bench.order())
        source, folder = bench.application()
        assert (await build_on(bench, base)).digest != (await bench.images.build("app", source, Path(folder))).digest

    async def test_a_base_stays_while_an_image_stands_on_it(self, bench: BasesBench) -> None:
        """It can be removed after that image."""
        base, _ = await build(bench, bench.order())
        image = await build_on(bench, base)
        with pytest.raises(Conflict):
            await bench.images.remove(base.digest)
        await bench.images.verify(image.digest)
        await bench.images.remove(image.digest)
        await bench.images.remove(base.digest)
        assert list(await bench.images.list()) == []

    async def test_nothing_stands_on_a_base_that_is_not_there(self, bench: BasesBench) -> None:
        """It is not found, and nothing is built."""
        source, folder = bench.application()
        with pytest.raises(NotFound):
            await bench.images.build("app", source, Path(folder), NOWHERE)
        assert list(await bench.images.list()) == []

    async def test_without_a_mirror_a_new_base_cannot_be_built(self, bench: BasesBench) -> None:
        """It is a matter of trying again."""
        bench.take_mirror()
        with pytest.raises(Unreachable) as caught:
            await build(bench, bench.order())
        assert caught.value.next

    async def test_without_a_mirror_a_base_that_is_there_still_is(self, bench: BasesBench) -> None:
        """What was built needs nobody; only an upgrade does."""
        base, _ = await build(bench, bench.order())
        bench.take_mirror()
        assert (await build(bench, bench.order()))[0] == base
        with pytest.raises(Unreachable):
            await build(bench, bench.order(upgrade=True))

    async def test_a_package_that_does_not_exist_is_named(self, bench: BasesBench) -> None:
        """Nothing is published."""
        bench.lose("tool")
        with pytest.raises(BuildFailed, match="tool"):
            await build(bench, bench.order())
        assert list(await bench.images.list()) == []

    async def test_packages_of_what_was_never_built_are_not_found(self, bench: BasesBench) -> None:
        """As with every reading verb."""
        with pytest.raises(NotFound):
            await bench.bases.packages(NOWHERE)

    async def test_a_base_is_renewed_by_its_own_recipe(self, bench: BasesBench) -> None:
        """With what the archive has now: nothing is pending after that. Asked for the base, or for what stands on it."""
        base, _ = await build(bench, bench.order())
        image = await build_on(bench, base)
        bench.fix()
        assert [fix.package for fix in (await bench.bases.patching(image.digest)).fixes] == ["tool"]
        renewed = await bench.bases.renew(image.digest, lambda _: None)
        assert (renewed.name, renewed.base) == (base.name, SCRATCH) and renewed.digest != base.digest
        assert await bench.bases.renew(base.digest, lambda _: None) == renewed
        assert (await bench.bases.patching(renewed.digest)).fixes == ()

    async def test_where_nothing_is_newer_a_base_is_renewed_to_itself(self, bench: BasesBench) -> None:
        """Nothing is built."""
        base, _ = await build(bench, bench.order())
        assert await bench.bases.renew(base.digest, lambda _: None) == base
        assert list(await bench.images.list()) == [base]

    async def test_an_application_is_put_on_the_renewed_base_as_it_is(self, bench: BasesBench) -> None:
        """Its files stay the same to the byte, whatever became of its source; twice is once."""
        base, _ = await build(bench, bench.order())
        image = await build_on(bench, base)
        bench.fix()
        renewed = await bench.bases.renew(base.digest, lambda _: None)
        moved = await bench.images.rebase(image.digest, renewed.digest)
        assert (moved.name, moved.version, moved.base) == (image.name, image.version, renewed.digest)
        assert await bench.images.files(moved.digest) == await bench.images.files(image.digest)
        assert await bench.images.rebase(image.digest, renewed.digest) == moved
        await bench.images.verify(moved.digest)
        await bench.images.verify(image.digest)

    async def test_what_stands_on_no_base_is_put_on_none(self, bench: BasesBench) -> None:
        """It was made for the machine's own libraries, or is a base itself."""
        base, _ = await build(bench, bench.order())
        source, folder = bench.application()
        image = await bench.images.build("app", source, Path(folder))
        for digest in (image.digest, base.digest):
            with pytest.raises(BuildFailed, match="stands on none"):
                await bench.images.rebase(digest, base.digest)
        for digest, onto in ((NOWHERE, base.digest), ((await build_on(bench, base)).digest, NOWHERE)):
            with pytest.raises(NotFound):
                await bench.images.rebase(digest, onto)
        with pytest.raises(NotFound):
            await bench.bases.renew(image.digest, lambda _: None)
