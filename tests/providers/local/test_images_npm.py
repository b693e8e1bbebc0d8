"""Images of real packages from the npm registry; skipped, saying so, where it or npm is not there."""

import os
from pathlib import Path

import pytest

from bleen.domain.errors import BuildFailed, InvalidInput
from bleen.domain.image import Npm
from bleen.providers.local.images import LocalImages
from tests.providers.local.image_bench import LocalBench, build_or_skip, leftovers, local_bench, run

MIME = Npm("mime", "3.0.0")


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    return local_bench(tmp_path)


async def test_a_package_runs_from_its_tree(bench: LocalBench) -> None:
    """Its program is found by name, its module by `require`, from any folder."""
    image = await build_or_skip(bench.images, MIME, bench.folder)
    assert image.runtime.startswith("node-")
    for command in (("mime", "a.png"), ("node", "-p", "require('mime').getType('a.png')")):
        ended = run(bench, image, *command)
        assert ended.stdout == "image/png\n", ended.stderr
    await bench.images.verify(image.digest)


async def test_two_homes_build_the_same_image(tmp_path: Path) -> None:
    """No path of a build, and no address of a registry, is in its bytes."""
    benches = [local_bench(tmp_path / place) for place in ("one", "two")]
    images = [await build_or_skip(bench.images, MIME, tmp_path) for bench in benches]
    assert images[0].digest == images[1].digest
    tree = benches[0].images.tree(images[0].digest)
    assert "resolved" not in (tree / "package-lock.json").read_text()
    assert not (tree / "node_modules" / ".package-lock.json").exists()


async def test_a_built_version_needs_no_network_any_more(bench: LocalBench) -> None:
    """The store remembers what the version was resolved to, and what that became."""
    image = await build_or_skip(bench.images, MIME, bench.folder)
    assert (await offline(bench).build("app", MIME, bench.folder)).digest == image.digest


def offline(bench: LocalBench) -> LocalImages:
    proxy = dict.fromkeys(("npm_config_proxy", "npm_config_https_proxy"), "http://127.0.0.1:9")
    cache = {"npm_config_cache": str(bench.folder / "cache"), "npm_config_fetch_retries": "0"}
    return LocalImages(bench.home, environ={**os.environ, **proxy, **cache})


async def test_without_network_the_message_says_so(bench: LocalBench) -> None:
    """And nothing is left behind."""
    await build_or_skip(LocalImages(bench.folder / "other"), MIME, bench.folder)
    with pytest.raises(BuildFailed, match="does not answer"):
        await offline(bench).build("app", MIME, bench.folder)
    assert leftovers(bench.home) == []


async def test_what_does_not_exist_is_named_with_what_does(bench: LocalBench) -> None:
    """A version with the newest ones, a package by its name."""
    await build_or_skip(bench.images, MIME, bench.folder)
    with pytest.raises(BuildFailed, match=r"mime 99\.0\.0") as caught:
        await bench.images.build("app", Npm("mime", "99.0.0"), bench.folder)
    assert "the newest are" in caught.value.why
    with pytest.raises(BuildFailed, match="no such package"):
        await bench.images.build("app", Npm("@bleen/no-such-package", "1.0.0"), bench.folder)
    assert leftovers(bench.home) == []


async def test_without_node_the_message_says_what_to_install(bench: LocalBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python images need none of it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BuildFailed, match="on PATH") as caught:
        await bench.images.build("app", MIME, bench.folder)
    assert "install" in caught.value.next


@pytest.mark.parametrize("version", ["latest", "^1.0.0", "1", "1.x", "1.0.0 || 2.0.0", "file:../x", ""])
async def test_a_version_that_is_not_exact_is_refused(bench: LocalBench, version: str) -> None:
    """The same file must be the same image tomorrow."""
    with pytest.raises(InvalidInput, match="exact version"):
        await bench.images.build("app", Npm("mime", version), bench.folder)
