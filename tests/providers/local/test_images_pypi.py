"""Images of real applications from the Python package index; skipped, saying so, where it cannot be reached."""

import asyncio
import os
from pathlib import Path

import pytest

from bleen.domain.errors import BuildFailed, InvalidInput
from bleen.domain.image import Image, Pypi
from bleen.providers.local.images import LocalImages
from bleen.providers.local.images.environment import base_python
from tests.providers.local.image_bench import LocalBench, build_or_skip, leftovers, local_bench, run, stored

DATASETTE = Pypi("datasette", "0.65.2")
SMALL = Pypi("iniconfig", "2.0.0")
NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    return local_bench(tmp_path)


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalBench, Image]:
    """A real application, built once for the tests that only look at it."""
    bench = local_bench(tmp_path_factory.mktemp("datasette"))
    return bench, asyncio.run(build_or_skip(bench.images, DATASETTE, bench.folder))


async def test_datasette_runs_from_its_tree(datasette: tuple[LocalBench, Image]) -> None:
    """Its console script and its module are found from any folder, and running it changes nothing."""
    bench, image = datasette
    assert run(bench, image, "datasette", "--version").stdout == "datasette, version 0.65.2\n"
    assert "0.65.2" in run(bench, image, "python", "-m", "datasette", "--version").stdout
    await bench.images.verify(image.digest)


async def test_another_home_builds_the_same_image(datasette: tuple[LocalBench, Image], tmp_path: Path) -> None:
    """No path, date or order of a build is in its bytes."""
    other = local_bench(tmp_path / "another" / "and" / "deeper")
    assert (await build_or_skip(other.images, DATASETTE, tmp_path)).digest == datasette[1].digest


async def test_no_path_of_the_build_is_in_the_image(datasette: tuple[LocalBench, Image]) -> None:
    """Nor of the interpreter that built it."""
    bench, image = datasette
    tree = bench.images.tree(image.digest)
    signs = [os.fsencode(path) for path in (bench.home, tree, base_python())]
    for file in await bench.images.files(image.digest):
        data = (tree / file.path).read_bytes()
        assert not any(sign in data for sign in signs), file.path


async def test_a_release_that_cannot_start_builds_and_fails_when_run(bench: LocalBench) -> None:
    """datasette 0.65.1 needs a package that is not in its image; what the machine has is not lent to it."""
    image = await build_or_skip(bench.images, Pypi("datasette", "0.65.1"), bench.folder)
    ended = run(bench, image, "datasette", "--version")
    assert ended.returncode != 0
    assert "pkg_resources" in ended.stderr


async def test_further_packages_are_in_the_image(bench: LocalBench) -> None:
    """`with_packages` mends what the package itself forgot."""
    source = Pypi("datasette", "0.65.1", with_packages=("setuptools==80.9.0",))
    image = await build_or_skip(bench.images, source, bench.folder)
    assert run(bench, image, "datasette", "--version").stdout == "datasette, version 0.65.1\n"


async def test_a_built_version_needs_no_network_any_more(bench: LocalBench) -> None:
    """The store remembers what the version was resolved to, and what that became."""
    image = await build_or_skip(bench.images, SMALL, bench.folder)
    offline = LocalImages(bench.home, environ={**os.environ, **NO_NETWORK, "UV_NO_CACHE": "1"})
    assert (await offline.build("app", SMALL, bench.folder)).digest == image.digest


async def test_a_named_lock_is_made_once_and_then_obeyed(bench: LocalBench) -> None:
    """It lies beside the service, to be committed; it names hashes, and no address of an index."""
    source = Pypi("iniconfig", "2.0.0", lock="locks/iniconfig.txt")
    first = await build_or_skip(bench.images, source, bench.folder)
    text = (bench.folder / "locks" / "iniconfig.txt").read_text()
    assert "iniconfig==2.0.0" in text and "--hash=sha256:" in text and "://" not in text
    again = await LocalImages(bench.folder / "other").build("app", source, bench.folder)
    assert again.digest == first.digest
    assert not stored(bench.home, "locks")


async def test_a_lock_of_another_version_is_refused_by_file(bench: LocalBench) -> None:
    """Neither the lock nor the service file is believed over the other."""
    (bench.folder / "lock.txt").write_text("iniconfig==1.1.1 --hash=sha256:00\n")
    with pytest.raises(InvalidInput, match=r"1\.1\.1") as caught:
        await bench.images.build("app", Pypi("iniconfig", "2.0.0", lock="lock.txt"), bench.folder)
    assert caught.value.where.endswith("lock.txt")


async def test_a_package_whose_bytes_are_not_those_of_the_lock_is_refused(bench: LocalBench) -> None:
    """A package that was replaced on the index is not installed."""
    await build_or_skip(bench.images, SMALL, bench.folder)
    (bench.folder / "lock.txt").write_text(f"iniconfig==2.0.0 --hash=sha256:{0:064x}\n")
    with pytest.raises(BuildFailed) as caught:
        await bench.images.build("app", Pypi("iniconfig", "2.0.0", lock="lock.txt"), bench.folder)
    assert "ash" in caught.value.why and "lock" in caught.value.next


async def test_a_version_that_does_not_exist_is_named_with_those_that_do(bench: LocalBench) -> None:
    """The message says which package, which version, and what is there."""
    await build_or_skip(bench.images, SMALL, bench.folder)
    with pytest.raises(BuildFailed) as caught:
        await bench.images.build("app", Pypi("iniconfig", "99.0"), bench.folder)
    assert "iniconfig 99.0" in caught.value.what
    assert "iniconfig has no version 99.0; the newest is " in caught.value.why
    assert leftovers(bench.home) == []


async def test_a_package_that_does_not_exist_is_named(bench: LocalBench) -> None:
    """Also when it is one of the further packages."""
    await build_or_skip(bench.images, SMALL, bench.folder)
    absent = "bleen-no-such-package"
    for source in (Pypi(absent, "1.0"), Pypi("iniconfig", "2.0.0", with_packages=(f"{absent}==1.0",))):
        with pytest.raises(BuildFailed, match=absent):
            await bench.images.build("app", source, bench.folder)


async def test_without_network_the_message_says_so(bench: LocalBench) -> None:
    """And nothing is left behind."""
    environ = {**os.environ, **NO_NETWORK, "UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0"}
    with pytest.raises(BuildFailed, match="does not answer") as caught:
        await LocalImages(bench.home, environ=environ).build("app", SMALL, bench.folder)
    assert "network" in caught.value.next
    assert leftovers(bench.home) == []


@pytest.mark.parametrize("version", [">=1", "1.*", "latest version", "1.0 --index-url x", "1.0\nother", "-1", ""])
async def test_a_version_that_is_not_exact_is_refused(bench: LocalBench, version: str) -> None:
    """The same file must be the same image tomorrow; and a version is no place for options."""
    with pytest.raises(InvalidInput, match="exact version"):
        await bench.images.build("app", Pypi("iniconfig", version), bench.folder)


@pytest.mark.parametrize("requirement", ["setuptools", "setuptools>=1", "a==1 --x", "-r other.txt", "a @ file:///x"])
async def test_a_further_package_that_is_not_exact_is_refused(bench: LocalBench, requirement: str) -> None:
    """For the same reasons."""
    with pytest.raises(InvalidInput, match="exact version"):
        await bench.images.build("app", Pypi("iniconfig", "2.0.0", with_packages=(requirement,)), bench.folder)
