"""Versions of a gallery keep the contract of `Images`: built here, baked by a pipeline, believed by what is signed."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bleen.domain.errors import BuildFailed, ImageRejected
from bleen.domain.image import Source
from bleen.domain.provenance import bare
from bleen.providers.azure.gallery import Gallery
from bleen.providers.azure.images import Baking, CommandBake, GalleryImages, nobody, version_of
from bleen.providers.azure.site import Container
from bleen.providers.local.images import LocalImages
from tests.azure.baking import Baker
from tests.azure.double.cloud import Cloud
from tests.azure.double.storage import Blob
from tests.azure.world import azure, keys_of
from tests.contracts.images import ImagesContract, build
from tests.providers.local.image_bench import LocalBench, local_bench


@dataclass
class GalleryBench:
    """What the kit of `Images` needs."""

    images: GalleryImages
    local: LocalBench
    cloud: Cloud
    baker: Baker

    @property
    def folder(self) -> Path:
        return self.local.folder

    def source(self, number: int) -> Source:
        return self.local.source(number)

    def missing(self) -> Source:
        return self.local.missing()

    def damage(self, digest: str) -> str:
        """Exchange the signed provenance, as somebody who can write to storage would."""
        name = f"{Container.IMAGES}/{bare(digest)}.json"
        self.cloud.storage.blobs[name] = Blob(self.cloud.storage.blobs[name].data.replace(b'"sig":"', b'"sig":"AAAA'))
        return ""


@pytest.fixture
async def bench(tmp_path: Path, cloud: Cloud) -> AsyncIterator[GalleryBench]:
    local, there, baker = local_bench(tmp_path), azure(cloud), Baker(cloud.url)
    for name in ("hello", "world"):
        cloud.gallery.define(name)
    gallery = Gallery(there, keys_of(local.home))
    yield GalleryBench(GalleryImages(there, gallery, local.images, baker), local, cloud, baker)
    await there.close()


class TestGalleryImages(ImagesContract):
    """The kit, with versions in the double's gallery."""


async def test_a_version_is_baked_once(bench: GalleryBench) -> None:
    """However often it is built; each definition has a version of its own, of the same number for the same image."""
    built = [await build(bench, 1, name) for name in ("hello", "hello", "world")]
    assert [each.image for each in bench.baker.baked] == ["hello", "world"]
    assert {each.version for each in bench.baker.baked} == {version_of(built[0].digest)}
    assert await Gallery(bench.images._azure, keys_of(bench.local.home)).start_from("world", built[2].digest)


async def test_another_machine_finds_verifies_and_lists_what_this_one_built(bench: GalleryBench, tmp_path: Path) -> None:
    """Nothing of it is on that machine but the keys that it trusts."""
    built = await build(bench, 1)
    there = azure(bench.cloud)
    other = GalleryImages(there, Gallery(there, keys_of(bench.local.home)), LocalImages(tmp_path / "other"), nobody)
    assert await other.find(built.digest) == built and list(await other.list()) == [built]
    assert (await other.verify(built.digest)).name == "hello"
    assert len(await other.files(built.digest)) == built.files
    await there.close()


async def test_however_many_services_there_are_an_image_is_looked_for_where_it_is(bench: GalleryBench) -> None:
    """Verifying asks for the versions of one definition; finding it again and again asks nothing."""
    for number in range(30):
        bench.cloud.gallery.define(f"service-{number}")
    built = await build(bench, 1)
    before = bench.cloud.arm_calls
    await bench.images.verify(built.digest)
    for _ in range(10):
        await bench.images.find(built.digest)
        await bench.images.files(built.digest)
    assert bench.cloud.arm_calls - before == 2


async def test_a_manifest_of_another_image_is_refused(bench: GalleryBench) -> None:
    """Its digest is the image's own."""
    one, other = await build(bench, 1), await build(bench, 2)
    blobs = bench.cloud.storage.blobs
    blobs[f"{Container.IMAGES}/{bare(one.digest)}.manifest"] = blobs[f"{Container.IMAGES}/{bare(other.digest)}.manifest"]
    with pytest.raises(ImageRejected, match="describes another image"):
        await bench.images.verify(one.digest)


async def test_without_a_bake_command_it_says_which_version_is_lacking(bench: GalleryBench) -> None:
    """Its number and its tags are what a person, or a pipeline, gives to Packer; then the same build passes."""
    waiting = GalleryImages(bench.images._azure, bench.images._gallery, bench.local.images, nobody)
    with pytest.raises(BuildFailed, match="no version of hello") as caught:
        await waiting.build("hello", bench.source(1), bench.folder)
    image = await bench.local.images.build("hello", bench.source(1), bench.folder)
    assert version_of(image.digest) in caught.value.why and image.digest in caught.value.why
    bench.cloud.gallery.add("hello", version_of(image.digest))
    assert await waiting.build("hello", bench.source(1), bench.folder) == image


BAKING = Baking("hello", "1.2.3", f"sha256:{7:064x}", f"sha256:{8:064x}", "host", "/nowhere")


async def test_a_command_bakes(cloud: Cloud) -> None:
    """It is told everything on its standard input."""
    cloud.gallery.define("hello")
    await CommandBake((sys.executable, "-m", "tests.azure.baking", cloud.url))(BAKING)
    assert cloud.gallery.versions["hello"]["1.2.3"]["tags"] == BAKING.tags


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("sh", "-c", "echo no quota for the build machine; exit 3"), "exit 3: no quota"),
        (("/no/such/command",), "No such file"),
        (("sleep", "30"), "not finished"),
    ],
)
async def test_a_command_that_fails_says_why(command: tuple[str, ...], why: str) -> None:
    """Nothing is published, and what it said is repeated."""
    with pytest.raises(BuildFailed, match=why):
        await CommandBake(command, patience=0.5)(BAKING)


async def test_a_command_that_takes_too_long_is_told_to_end_with_all_that_it_started(tmp_path: Path) -> None:
    """Not killed: a machine that it made in Azure is taken down by nobody else."""
    said = tmp_path / "said"
    script = f"sh -c 'trap \"echo down > {said}; exit\" TERM; sleep 30 & wait' & wait"
    with pytest.raises(BuildFailed, match="not finished"):
        await CommandBake(("sh", "-c", f"trap 'wait' TERM; {script}"), patience=0.5)(BAKING)
    assert said.read_text() == "down\n"


async def test_a_version_that_another_made_meanwhile_is_as_good(bench: GalleryBench) -> None:
    """The gallery takes a version once, so that the command of whoever came second fails."""

    async def second(baking: Baking) -> None:
        await bench.baker(baking)
        raise BuildFailed("the gallery has this version")

    images = GalleryImages(bench.images._azure, bench.images._gallery, bench.local.images, second)
    built = await images.build("hello", bench.source(1), bench.folder)
    assert (await images.verify(built.digest)).name == "hello"


async def test_a_command_that_bakes_something_else_is_found_out(bench: GalleryBench) -> None:
    """What counts is what is in the gallery afterwards."""
    lying = GalleryImages(bench.images._azure, bench.images._gallery, bench.local.images, CommandBake(("true",)))
    with pytest.raises(BuildFailed, match="no good version"):
        await lying.build("hello", bench.source(1), bench.folder)
