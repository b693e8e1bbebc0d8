"""The kit of the port `Builder`: subclass `BuilderContract` and give it a fixture ``bench``, new and empty."""

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from bleen.domain.base import HOST, BaseOrder, Stage
from bleen.domain.errors import BuildFailed, NotFound, Unreachable
from bleen.domain.image import Directory, Image
from bleen.domain.pipeline import Making, OfApplication, OfBase, OfMove, OfRenewal, Plan
from bleen.ports import Bases, Builder, Images
from tests.contracts.images import NOWHERE


class BuilderBench(Protocol):
    """A provider, what it publishes to, and what the kit needs around it."""

    @property
    def builder(self) -> Builder: ...

    @property
    def images(self) -> Images: ...

    @property
    def bases(self) -> Bases: ...

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


def application(bench: BuilderBench, base: str = HOST) -> OfApplication:
    source, folder = bench.application()
    return OfApplication("app", source, folder, base)


async def carried(bench: BuilderBench, plan: Plan) -> tuple[str, list[Stage]]:
    """Carry out every stage; return the digest of the candidate, and what was told."""
    digest, told = "", []
    for stage in plan.stages:
        done = await bench.builder.carry_out(plan.key, stage)
        digest = done.candidate or digest
        told.append(done.told)
    return digest, told


async def made(bench: BuilderBench, making: Making) -> Image:
    """Return the image, from its plan to its publication."""
    plan = await bench.builder.begin(making)
    return plan.image or await bench.builder.publish(plan.key, (await carried(bench, plan))[0])


class BuilderContract:
    """What every builder does."""

    @pytest.mark.parametrize("kind", ["base", "application"])
    async def test_nothing_is_an_image_before_it_is_published(self, bench: BuilderBench, kind: str) -> None:
        """A candidate is found by the builder alone; published, it is the image that it was said to be."""
        making: Making = OfBase(bench.order()) if kind == "base" else application(bench)
        plan = await bench.builder.begin(making)
        digest, told = await carried(bench, plan)
        assert [stage.name for stage in told] == list(plan.stages) and not any(stage.cached for stage in told)
        assert (await bench.builder.find(digest)).digest == digest
        assert list(await bench.images.list()) == []
        for verb in (bench.images.find, bench.images.verify):
            with pytest.raises(NotFound):
                await verb(digest)
        image = await bench.builder.publish(plan.key, digest)
        assert image.digest == digest and list(await bench.images.list()) == [image]
        await bench.images.verify(digest)

    async def test_a_stage_is_carried_out_once(self, bench: BuilderBench) -> None:
        """Asked for again, by this plan or one of the same inputs, it is what it was."""
        plan = await bench.builder.begin(OfBase(bench.order()))
        first, _ = await carried(bench, plan)
        again = await bench.builder.begin(OfBase(bench.order()))
        second, told = await carried(bench, again)
        assert first == second and all(stage.cached for stage in told)

    async def test_two_at_once_carry_a_stage_out_once(self, bench: BuilderBench) -> None:
        """One does, and the others wait for it."""
        plan = await bench.builder.begin(OfBase(bench.order()))
        for stage in plan.stages:
            done = await asyncio.gather(*(bench.builder.carry_out(plan.key, stage) for _ in range(3)))
            assert sorted(one.told.cached for one in done) == [False, True, True], stage

    async def test_publishing_twice_is_publishing_once(self, bench: BuilderBench) -> None:
        """As after a controller that died in between."""
        plan = await bench.builder.begin(application(bench))
        digest, _ = await carried(bench, plan)
        first, second = [await bench.builder.publish(plan.key, digest) for _ in range(2)]
        assert first == second and list(await bench.images.list()) == [first]

    async def test_what_is_there_needs_no_stage(self, bench: BuilderBench) -> None:
        """A plan of the same inputs has the image in it, also where no mirror answers."""
        base = await made(bench, OfBase(bench.order()))
        app = await made(bench, application(bench, base.digest))
        bench.take_mirror()
        plans = [await bench.builder.begin(making) for making in (OfBase(bench.order()), application(bench, base.digest))]
        assert [(plan.image, plan.stages) for plan in plans] == [(base, ()), (app, ())]

    async def test_it_makes_what_the_ports_of_images_make(self, bench: BuilderBench) -> None:
        """Stage by stage or at once: the same bytes."""
        base = await made(bench, OfBase(bench.order()))
        assert (await bench.bases.build(bench.order(), lambda _: None)).digest == base.digest
        source, folder = bench.application()
        app = await made(bench, application(bench, base.digest))
        assert app.base == base.digest
        assert (await bench.images.build("app", source, Path(folder), base.digest)).digest == app.digest

    async def test_a_base_is_renewed_and_an_application_moved_onto_it(self, bench: BuilderBench) -> None:
        """Asked for what stands on it; the files of the application stay what they were."""
        base = await made(bench, OfBase(bench.order()))
        app = await made(bench, application(bench, base.digest))
        assert await made(bench, OfRenewal(app.digest)) == base
        bench.fix()
        renewed = await made(bench, OfRenewal(app.digest))
        assert renewed.digest != base.digest and (await bench.bases.patching(renewed.digest)).fixes == ()
        plan = await bench.builder.begin(OfMove(app.digest, renewed.digest))
        moved = await made(bench, OfMove(app.digest, renewed.digest))
        assert (moved.name, moved.version, moved.base) == (app.name, app.version, renewed.digest)
        assert await bench.images.files(moved.digest) == await bench.images.files(app.digest)
        assert plan.stages == ("application",)
        assert await made(bench, OfMove(app.digest, renewed.digest)) == moved

    async def test_what_stands_on_no_base_is_moved_onto_none(self, bench: BuilderBench) -> None:
        """It was made for the machine's own libraries."""
        base, app = await made(bench, OfBase(bench.order())), await made(bench, application(bench))
        with pytest.raises(BuildFailed, match="stands on none"):
            await bench.builder.begin(OfMove(app.digest, base.digest))
        with pytest.raises(NotFound):
            await bench.builder.begin(OfRenewal(app.digest))

    async def test_without_a_mirror_nothing_is_begun(self, bench: BuilderBench) -> None:
        """It is a matter of trying again."""
        bench.take_mirror()
        with pytest.raises(Unreachable) as caught:
            await bench.builder.begin(OfBase(bench.order()))
        assert caught.value.next

    async def test_a_package_that_does_not_exist_is_named(self, bench: BuilderBench) -> None:
        """Before any stage."""
        bench.lose("tool")
        with pytest.raises(BuildFailed, match="tool"):
            await bench.builder.begin(OfBase(bench.order()))

    async def test_what_nobody_planned_is_not_found(self, bench: BuilderBench) -> None:
        """Every verb says so."""
        with pytest.raises(NotFound):
            await bench.builder.carry_out(NOWHERE, "base")
        with pytest.raises(NotFound):
            await bench.builder.publish(NOWHERE, NOWHERE)
        with pytest.raises(NotFound):
            await bench.builder.find(NOWHERE)
        with pytest.raises(NotFound):
            await bench.builder.begin(application(bench, NOWHERE))
