"""Builds that are killed, cancelled, out of time or out of room leave nothing half-published."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bleen.domain.errors import BuildFailed, StorageFull
from bleen.domain.image import Archive, Directory, Pypi
from bleen.providers.local.images import LocalImages
from bleen.providers.local.images.process import run
from bleen.providers.local.images.store import Store
from bleen.providers.local.images.tools import Tools
from tests.providers.local.image_bench import LocalBench, build_or_skip, leftovers, local_bench, stored, until, write_app

BUILD = """
    import asyncio, sys
    from pathlib import Path
    from bleen.domain.image import Directory
    from bleen.providers.local.images import LocalImages
    home, folder = map(Path, sys.argv[1:])
    asyncio.run(LocalImages(home).build("hello", Directory("app"), folder))
"""
RUN_TOOL = """
    import asyncio, os, sys
    from pathlib import Path
    from bleen.providers.local.images.process import run
    from bleen.providers.local.images.tools import Tools
    from bleen.providers.local.images.store import Store
    async def main():
        async with Store(Path(sys.argv[1])).workspace() as work:
            shell = Tools().shell(work)
            await run(shell, ("sh", "-c", f"echo $$ > {sys.argv[2]}; exec sleep 60"))
    asyncio.run(main())
"""


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    return local_bench(tmp_path)


def start(script: str, *arguments: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)], start_new_session=True)


def written(note: Path) -> bool:
    return note.exists() and note.read_text().endswith("\n")


def files_in(folder: Path) -> int:
    """Return how many files are below ``folder``, which changes meanwhile."""
    return sum(len(names) for _, _, names in os.walk(folder))


MOMENTS = {
    "its workspace is there": ("work", 1),
    "files are copied": ("work", 80),
    "the copy is almost whole": ("work", 560),
    "the first blobs are there": ("blobs", 1),
    "half of the blobs are there": ("blobs", 300),
    "almost all blobs are there": ("blobs", 590),
}


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda name: name.replace(" ", "-"))
async def test_a_build_killed_leaves_all_or_nothing(bench: LocalBench, moment: str) -> None:
    """SIGKILL at any moment: no image or a whole one; the next build sweeps what is left, and succeeds."""
    write_app(bench.folder / "app", files=600)
    place, count = MOMENTS[moment]
    builder = start(BUILD, bench.home, bench.folder)
    await until(lambda: files_in(bench.home / "images" / place) >= count or builder.poll() is not None)
    builder.kill()
    builder.wait()
    for image in await bench.images.list():
        await bench.images.verify(image.digest)
    image = await bench.images.build("hello", Directory("app"), bench.folder)
    await bench.images.verify(image.digest)
    assert leftovers(bench.home) == []
    assert len(stored(bench.home, "trees")) == len(stored(bench.home, "manifests")) == 1
    await bench.images.remove(image.digest)
    assert not stored(bench.home, "blobs")


async def test_a_tree_without_a_manifest_is_swept(bench: LocalBench) -> None:
    """A builder killed between the two leaves a tree that no verb shows; the next build removes it and its blobs."""
    image = await bench.images.build("hello", bench.source(1), bench.folder)
    (bench.home / "images" / "manifests" / f"{image.digest[7:]}.json").unlink()
    (bench.home / "images" / "work" / "dead").mkdir()
    (bench.home / "images" / "work" / "dead.lock").touch()
    assert list(await bench.images.list()) == []
    other = await bench.images.build("hello", bench.source(2), bench.folder)
    assert {path.name for path in stored(bench.home, "trees")} == {other.digest[7:]}
    await bench.images.verify(other.digest)
    assert leftovers(bench.home) == []


async def test_the_workspace_of_a_tool_that_outlives_its_builder_is_left_alone(bench: LocalBench) -> None:
    """Nothing is swept under the feet of a tool; when it is gone, its workspace goes too."""
    store, note = Store(bench.home), bench.folder / "pid"
    builder = start(RUN_TOOL, bench.home, note)
    await until(lambda: written(note))
    tool = int(note.read_text())
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    assert store.sweep() == 0
    os.kill(tool, signal.SIGKILL)
    await until(lambda: gone(tool))
    assert store.sweep() == 1
    assert list((bench.home / "work").iterdir()) == []


async def tool(folder: Path, seconds: float, note: Path) -> None:
    async with Store(folder).workspace() as work:
        shell = Tools(timeout=seconds).shell(work)
        await run(shell, ("sh", "-c", f"sleep 60 & echo $! > {note}; wait"))


async def test_a_tool_out_of_time_ends_with_all_its_children(tmp_path: Path) -> None:
    """The message says how long it had."""
    note = tmp_path / "pid"
    with pytest.raises(BuildFailed, match=r"longer than 0\.5 s"):
        await tool(tmp_path / "store", 0.5, note)
    await until(lambda: gone(int(note.read_text())))


async def test_a_cancelled_tool_ends_with_all_its_children(tmp_path: Path) -> None:
    """Cancelling a build ends what it started."""
    note = tmp_path / "pid"
    task = asyncio.create_task(tool(tmp_path / "store", 60, note))
    await until(lambda: written(note))
    task.cancel()
    await ends_at_once(task)
    await until(lambda: gone(int(note.read_text())))


async def ends_at_once(task: "asyncio.Task[None]") -> None:
    """The tool would run for a minute: whoever waits for its end was not cancelled."""
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_tool_that_is_only_starting_is_cancelled_as_well(tmp_path: Path) -> None:
    """Whichever turn of the event loop the cancellation comes at, nothing that was started lives on."""
    for turns in range(40):
        note = tmp_path / f"pid-{turns}"
        task = asyncio.create_task(tool(tmp_path / "store", 60, note))
        await until(lambda: bool(list((tmp_path / "store").glob("work/*/stage"))))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await ends_at_once(task)
        if written(note):
            await until(partial(gone, int(note.read_text())), seconds=5)
        assert list((tmp_path / "store" / "work").iterdir()) == []


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MB."""
    yield from mounted(tmp_path / "disk", "size=4m")


@pytest.fixture
def disk_of_few_files(tmp_path: Path) -> Iterator[Path]:
    """A real file system that holds 150 files."""
    yield from mounted(tmp_path / "disk", "size=64m,nr_inodes=150")


def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small disk cannot be mounted here: that takes root, and a kernel that allows it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_leaves_nothing_and_room_helps(small_disk: Path, tmp_path: Path) -> None:
    """StorageFull, with advice; what was there is whole, and the same build succeeds when there is room."""
    images, home = LocalImages(small_disk / "home"), small_disk / "home"
    write_app(tmp_path / "app")
    first = await images.build("hello", Directory("app"), tmp_path)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_500_000))
    (tmp_path / "app" / "model.bin").write_bytes(random.Random(1).randbytes(2_000_000))
    with pytest.raises(StorageFull) as caught:
        await images.build("hello", Directory("app"), tmp_path)
    assert "no room on the disk" in caught.value.what and caught.value.next
    assert leftovers(home) == []
    assert list(await images.list()) == [first]
    await images.verify(first.digest)
    ballast.unlink()
    await images.verify((await images.build("hello", Directory("app"), tmp_path)).digest)


async def test_a_disk_that_is_full_to_the_last_byte_is_storage_full(small_disk: Path, tmp_path: Path) -> None:
    """Also where not even a lock can be written; reading and removing still work."""
    images = LocalImages(small_disk / "home")
    write_app(tmp_path / "app")
    first = await images.build("hello", Directory("app"), tmp_path)
    fill(small_disk / "ballast")
    (tmp_path / "app" / "new.txt").write_text("new")
    with pytest.raises(StorageFull):
        await images.build("hello", Directory("app"), tmp_path)
    assert leftovers(small_disk / "home") == []
    await images.verify(first.digest)
    await images.remove(first.digest)
    assert list(await images.list()) == []


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@pytest.mark.parametrize("files", [50, 60, 70, 80, 90, 100, 110, 120, 130, 140])
async def test_a_disk_without_room_for_names_publishes_all_or_nothing(
    disk_of_few_files: Path, tmp_path: Path, files: int
) -> None:
    """Wherever it runs out, copying, compiling or publishing, there is a whole image or none."""
    images, home = LocalImages(disk_of_few_files / "home"), disk_of_few_files / "home"
    write_app(tmp_path / "app", files=files)
    try:
        image = await images.build("hello", Directory("app"), tmp_path)
    except StorageFull:
        assert list(await images.list()) == []
        assert not stored(home, "blobs") | stored(home, "trees")
    else:
        await images.verify(image.digest)
    assert leftovers(home) == []


async def test_packages_that_do_not_fit_are_storage_full(small_disk: Path, tmp_path: Path) -> None:
    """What a tool says of a full disk is understood."""
    images = LocalImages(small_disk / "home")
    with pytest.raises(StorageFull):
        await build_or_skip(images, Pypi("datasette", "0.65.2"), tmp_path)
    assert leftovers(small_disk / "home") == []
    assert list(await images.list()) == []


async def test_an_archive_that_does_not_fit_is_storage_full(small_disk: Path, tmp_path: Path) -> None:
    """An archive of zeros is small, and what is in it is not."""
    (tmp_path / "zeros").write_bytes(bytes(20_000_000))
    with tarfile.open(tmp_path / "app.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "zeros", "zeros")
    with pytest.raises(StorageFull):
        await LocalImages(small_disk / "home").build("hello", Archive("app.tar.gz"), tmp_path)
    assert leftovers(small_disk / "home") == []
