"""The local images keep the contract; their trees are read-only and sealed, whatever happens to them."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bleen.domain.errors import ImageRejected, InvalidInput
from bleen.domain.image import Directory
from bleen.providers.local.images import LocalImages
from tests.contracts.images import ImagesContract, build
from tests.providers.local.image_bench import LocalBench, leftovers, local_bench, overwrite, stored, until, write_app


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    return local_bench(tmp_path)


class TestLocalImages(ImagesContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> LocalBench:
        return local_bench(tmp_path)


async def test_a_tree_is_read_only(bench: LocalBench) -> None:
    """Files are 0444 or 0555, folders 0555."""
    (bench.folder / "app-1").mkdir()
    tool = bench.folder / "app-1" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    tree = bench.images.tree((await build(bench, 1)).digest)
    modes = {path.relative_to(tree).as_posix(): stat.S_IMODE(path.lstat().st_mode) for path in (tree, *tree.rglob("*"))}
    assert modes["tool"] == 0o555
    assert modes["hello.py"] == 0o444
    assert {modes[path.relative_to(tree).as_posix()] for path in (tree, *tree.rglob("*")) if path.is_dir()} == {0o555}


async def test_files_that_images_share_are_stored_once(bench: LocalBench) -> None:
    """Two versions differ by the blobs of what changed."""
    first, second = await build(bench, 1), await build(bench, 2)
    paths = [bench.images.tree(image.digest) / "shared-0.txt" for image in (first, second)]
    assert paths[0].stat().st_ino == paths[1].stat().st_ino


async def test_removing_every_image_leaves_no_blob(bench: LocalBench) -> None:
    """The disk is given back."""
    for number in (1, 2):
        await bench.images.remove((await build(bench, number)).digest)
    assert not stored(bench.home, "blobs") | stored(bench.home, "trees") | stored(bench.home, "manifests")
    assert leftovers(bench.home) == []


def add_file(tree: Path) -> str:
    tree.chmod(0o755)
    (tree / "extra.py").write_text("")
    return "extra.py"


def add_folder(tree: Path) -> str:
    tree.chmod(0o755)
    (tree / "empty").mkdir()
    return "empty"


def remove_file(tree: Path) -> str:
    tree.chmod(0o755)
    (tree / "shared-1.txt").unlink()
    return "shared-1.txt"


def change_byte(tree: Path) -> str:
    text = (tree / "shared-1.txt").read_text()
    overwrite(tree / "shared-1.txt", text.replace("same", "sane"))
    return "shared-1.txt"


def make_link(tree: Path) -> str:
    tree.chmod(0o755)
    (tree / "shared-1.txt").unlink()
    (tree / "shared-1.txt").symlink_to("shared-0.txt")
    return "shared-1.txt"


def make_executable(tree: Path) -> str:
    (tree / "shared-1.txt").chmod(0o555)
    return "shared-1.txt"


def make_setuid(tree: Path) -> str:
    (tree / "shared-1.txt").chmod(0o4444)
    return "shared-1.txt"


def make_pipe(tree: Path) -> str:
    tree.chmod(0o755)
    (tree / "shared-1.txt").unlink()
    os.mkfifo(tree / "shared-1.txt", 0o444)
    return "shared-1.txt"


def change_bytecode(tree: Path) -> str:
    path = next(tree.rglob("hello.*.pyc"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    path.chmod(0o444)
    return path.name


TAMPERINGS = (
    add_file,
    add_folder,
    remove_file,
    change_byte,
    make_link,
    make_executable,
    make_setuid,
    make_pipe,
    change_bytecode,
)


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
async def test_tampering_is_found_named_and_mended(bench: LocalBench, tamper: Callable[[Path], str]) -> None:
    """Whatever was done to the tree, the message names the file, and building again makes it whole."""
    image = await build(bench, 1)
    changed = tamper(bench.images.tree(image.digest))
    with pytest.raises(ImageRejected, match=changed.replace(".", r"\.")):
        await bench.images.verify(image.digest)
    assert await build(bench, 1) == image
    await bench.images.verify(image.digest)
    assert leftovers(bench.home) == []


async def test_a_damaged_blob_does_not_reach_the_next_image(bench: LocalBench) -> None:
    """A blob is a link to the files of trees: one that was changed there is replaced, not shared on."""
    first = await build(bench, 1)
    change_byte(bench.images.tree(first.digest))
    second = await build(bench, 2)
    await bench.images.verify(second.digest)


async def test_a_tree_that_is_gone_is_rejected_and_mended(bench: LocalBench) -> None:
    """Also by a tree that is not there any more the image is not what it was."""
    image = await build(bench, 1)
    tree = bench.images.tree(image.digest)
    tree.chmod(0o755)
    tree.rename(bench.folder / "elsewhere")
    with pytest.raises(ImageRejected, match="gone"):
        await bench.images.verify(image.digest)
    await build(bench, 1)
    await bench.images.verify(image.digest)


@pytest.mark.parametrize("text", ["", "{", '{"name": "x"}'])
async def test_a_changed_manifest_is_rejected_and_mended(bench: LocalBench, text: str) -> None:
    """What says what an image is, is checked too."""
    image = await build(bench, 1)
    (path,) = stored(bench.home, "manifests")
    path.write_text(text)
    with pytest.raises(ImageRejected, match="manifest"):
        await bench.images.verify(image.digest)
    assert (await build(bench, 1)).digest == image.digest
    await bench.images.verify(image.digest)


async def test_a_manifest_of_another_image_is_rejected(bench: LocalBench) -> None:
    """A record that is whole, and under the wrong name, passes for nothing."""
    first, second = await build(bench, 1), await build(bench, 2)
    manifests = bench.home / "images" / "manifests"
    other = (manifests / f"{second.digest[7:]}.json").read_bytes()
    (manifests / f"{first.digest[7:]}.json").write_bytes(other)
    with pytest.raises(ImageRejected, match="another image"):
        await bench.images.find(first.digest)


async def test_two_homes_and_two_folders_make_the_same_digest(tmp_path: Path) -> None:
    """A digest depends on what went in, not on where or when."""
    found = []
    for place in ("one", "two"):
        write_app(tmp_path / place / "deep" / "app")
        images = LocalImages(tmp_path / place / "home")
        found.append(await images.build("hello", Directory("app"), tmp_path / place / "deep"))
    assert found[0].digest == found[1].digest


async def test_two_processes_may_build_at_once(bench: LocalBench) -> None:
    """Providers that share nothing but the home agree on one image."""
    source = bench.source(1)
    others = [LocalImages(bench.home) for _ in range(3)]
    found = await asyncio.gather(*(images.build("hello", source, bench.folder) for images in others))
    assert len({image.digest for image in found}) == 1
    assert len(await bench.images.list()) == 1
    assert leftovers(bench.home) == []


async def test_building_and_removing_at_once_leaves_whole_images(bench: LocalBench) -> None:
    """A blob that one image gives up is not taken from another that is being published."""
    for number in range(4):
        bench.source(number)
    doomed = [await build(bench, number) for number in range(2)]
    built = await asyncio.gather(
        *(build(bench, number) for number in (2, 3)), *(bench.images.remove(image.digest) for image in doomed)
    )
    for image in built[:2]:
        assert image is not None
        await bench.images.verify(image.digest)


async def test_a_cancelled_build_leaves_nothing(bench: LocalBench) -> None:
    """Whoever stops waiting stops the build."""
    write_app(bench.folder / "app", files=500)
    task = asyncio.create_task(bench.images.build("hello", Directory("app"), bench.folder))
    await until(lambda: bool(leftovers(bench.home)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert leftovers(bench.home) == []
    assert list(await bench.images.list()) == []


def test_a_home_that_would_break_paths_is_refused(tmp_path: Path) -> None:
    """A colon ends a folder in PATH."""
    with pytest.raises(InvalidInput, match="colon"):
        LocalImages(tmp_path / "a:b")
