"""The builder of Azure keeps the contract: stages on this machine, publication in the double's gallery."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bleen.domain.errors import BuildFailed, NotFound
from bleen.domain.pipeline import OfBase
from bleen.providers.azure.builder import BUILT, GalleryBuilder
from bleen.providers.azure.gallery import Gallery
from bleen.providers.azure.images import GalleryImages, nobody, version_of
from bleen.providers.local.images import LocalBuilder, LocalImages
from tests.azure.baking import Baker
from tests.azure.double.cloud import Cloud
from tests.azure.world import azure, keys_of
from tests.contracts.builder import BuilderContract, application, carried, made
from tests.fixtures.debian import LittleMirror, little_mirror
from tests.providers.local.base_bench import Bench


class GalleryBench(Bench):
    """The bench of a local builder, whose images are versions of a gallery."""

    images: GalleryImages  # type: ignore[assignment]

    def __init__(self, folder: Path, mirror: LittleMirror, cloud: Cloud) -> None:
        super().__init__(folder, mirror)
        cloud.gallery.define("app")
        self.cloud, self.own, self.baker = cloud, LocalImages(self.home), Baker(cloud.url)
        self.azure = azure(cloud)
        self.gallery = Gallery(self.azure, keys_of(self.home))
        self.images = GalleryImages(self.azure, self.gallery, self.own, self.baker)
        self.builder = GalleryBuilder(LocalBuilder(self.own, self.bases), self.images)

    def without_baker(self) -> GalleryBuilder:
        """Return the builder of a controller that nobody gave a bake command."""
        images = GalleryImages(self.azure, self.gallery, self.own, nobody)
        return GalleryBuilder(LocalBuilder(self.own, self.bases), images)


@pytest.fixture
async def bench(tmp_path: Path, cloud: Cloud) -> AsyncIterator[GalleryBench]:
    with little_mirror(tmp_path / "recipes") as mirror:
        closed = False

        def close() -> None:
            nonlocal closed
            closed = True
            mirror.close()

        found = GalleryBench(tmp_path, mirror, cloud)
        found.take_mirror = close
        yield found
        await found.azure.close()
        if closed:
            mirror.close = lambda: None  # type: ignore[method-assign]


class TestGalleryBuilder(BuilderContract):
    """The kit."""


async def test_only_an_application_becomes_a_version(bench: GalleryBench) -> None:
    """Nothing starts from a base; whoever bakes is told what the machine has to be."""
    base = await made(bench, OfBase(bench.order()))
    assert bench.baker.baked == [] and await bench.images.find(base.digest) == base
    app = await made(bench, application(bench, base.digest))
    (baking,) = bench.baker.baked
    assert (baking.image, baking.digest, baking.base) == ("app", app.digest, base.digest)
    assert {image.digest for image in await bench.images.list()} == {base.digest, app.digest}


async def test_what_nobody_baked_goes_on_with_its_gates_once_a_pipeline_did(bench: GalleryBench) -> None:
    """It is not built again: the plan has one stage, which did nothing, and a candidate for the gates to look at."""
    builder = bench.without_baker()
    plan = await builder.begin(application(bench))
    digest, _ = await carried(bench, plan)
    with pytest.raises(BuildFailed, match="no version of app"):
        await builder.publish(plan.key, digest)
    bench.cloud.gallery.add("app", version_of(digest))
    again = await builder.begin(application(bench))
    assert (again.stages, again.image) == ((BUILT,), None)
    found, told = await carried(bench, again)
    assert found == digest and [stage.cached for stage in told] == [True]
    image = await builder.publish(again.key, found)
    assert (await builder.begin(application(bench))).image == image


async def test_a_release_is_not_made_of_what_only_this_machine_has(bench: GalleryBench) -> None:
    """Built here without a version in the gallery, it is no image."""
    source, folder = bench.application()
    image = await bench.own.build("app", source, Path(folder))
    for verb in (bench.images.find, bench.images.verify):
        with pytest.raises(NotFound):
            await verb(image.digest)
    assert await bench.builder.find(image.digest) == image
