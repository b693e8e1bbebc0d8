"""Fixes that are pending, and images that other tools read."""

import asyncio
import gzip
import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bleen.domain.base import Exported, Hardening, Patches
from bleen.domain.errors import Conflict, ImageRejected
from bleen.domain.image import Image
from tests.fixtures.debian import NOW, Deb, little_mirror
from tests.providers.local.base_bench import FIXED, Bench, deaf
from tests.providers.local.image_bench import overwrite

CHANGES = """\
libtool (1.2) bookworm-security; urgency=high

  * Fix another thing.

 -- Ada <ada@example.org>  Sun, 01 Mar 2026 06:00:00 +0000

libtool (1.1) bookworm-security; urgency=high

  * Fix a thing.

 -- Ada <ada@example.org>  Sat, 28 Feb 2026 12:00:00 +0000

libtool (1.0) bookworm; urgency=low

  * First.

 -- Ada <ada@example.org>  Thu, 01 Jan 2026 12:00:00 +0000
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with little_mirror(tmp_path / "recipes") as mirror:
        yield Bench(tmp_path, mirror)


async def application(bench: Bench, **changes: object) -> Image:
    source, folder = bench.application()
    return await bench.images.build("app", source, Path(folder), (await bench.build(**changes)).digest)


# ---- what is pending ----


def fixed_twice() -> Deb:
    data = gzip.compress(CHANGES.encode(), mtime=0)
    return Deb(
        "libtool", "1.2", files={"usr/lib/libtool.so": "1.2\n"}, data_files={"usr/share/doc/libtool/changelog.Debian.gz": data}
    )


async def test_a_fix_counts_from_the_oldest_version_that_is_missing(bench: Bench) -> None:
    """Its changelog tells: 1.1 came a day before, though 1.2 is what there is now."""
    image = await application(bench)
    bench.mirror.offer(security=(fixed_twice(),))
    found = await bench.bases.patching(image.digest)
    assert [(fix.package, fix.installed, fix.fixed) for fix in found.fixes] == [("libtool", "1.0", "1.2")]
    assert found.fixes[0].since == NOW - timedelta(days=1)
    assert found.due == NOW + timedelta(days=1)
    assert found.checked == NOW


async def test_an_unpatched_image_shows_what_a_patched_one_has(bench: Bench) -> None:
    """The same packages, built with and without the security suite."""
    bench.mirror.offer(security=(fixed_twice(),))
    bare = await bench.bases.patching((await bench.build(patches=Patches.NONE)).digest)
    assert [fix.package for fix in bare.fixes] == ["libtool"]
    whole = await bench.bases.patching((await bench.build(image="other")).digest)
    assert whole.fixes == () and whole.checked == NOW


async def test_a_package_without_a_changelog_counts_from_the_day_of_the_suite(bench: Bench) -> None:
    """Rather late than never."""
    image = await application(bench)
    bench.mirror.offer(security=(FIXED,))
    assert (await bench.bases.patching(image.digest)).fixes[0].since == NOW


async def test_what_cannot_be_asked_is_not_well(bench: Bench) -> None:
    """A mirror that is away, or lies, is told instead of an answer."""
    image = await application(bench)
    bench.mirror.spoil = lambda path, data: data.replace(b"bookworm", b"bookworn")
    assert "not signed" in (await bench.bases.patching(image.digest)).trouble
    bench.mirror.spoil = lambda path, data: None
    found = await bench.bases.patching(image.digest)
    assert found.trouble and found.checked is None and found.patched == NOW


async def test_an_image_on_the_machine_has_no_patches_of_its_own(bench: Bench) -> None:
    """The machine's own updates count."""
    source, folder = bench.application()
    image = await bench.images.build("app", source, Path(folder))
    assert (await bench.bases.patching(image.digest)).patched is None


# ---- renewed ----


async def test_a_renewed_base_leaves_its_lock_for_the_next_build(bench: Bench) -> None:
    """Whoever deploys after it builds on the same."""
    base = await bench.build()
    bench.mirror.offer(security=(fixed_twice(),))
    renewed = await bench.bases.renew(base.digest, deaf)
    assert (bench.images.tree(renewed.digest) / "usr/lib/libtool.so").read_text() == "1.2\n"
    assert await bench.build() == renewed


@pytest.mark.parametrize("gone", [False, True])
async def test_a_recipe_that_was_changed_since_keeps_its_own_lock(bench: Bench, gone: bool) -> None:
    """What runs is patched by the recipe it was built by; the file belongs to whoever changed it, or to nobody any more."""
    base = await bench.build()
    bench.mirror.offer(Deb("other"))
    await bench.build(packages=("tool", "other"), upgrade=True)
    lock = bench.folder / "little.lock.json"
    changed = lock.read_bytes()
    if gone:
        lock.unlink()
    bench.mirror.offer(security=(fixed_twice(),))
    renewed = await bench.bases.renew(base.digest, deaf)
    assert "other" not in {package.name for package in await bench.bases.packages(renewed.digest)}
    assert not lock.exists() if gone else lock.read_bytes() == changed


async def test_a_base_is_renewed_by_the_recipe_that_built_it_last(bench: Bench) -> None:
    """Two recipes of one name may come to the same files: with and without updates, before there was one."""
    bare = await bench.build(patches=Patches.NONE)
    bench.mirror.offer(security=(fixed_twice(),))
    assert await bench.bases.renew(bare.digest, deaf) == bare
    bench.mirror.suites["bookworm-security"] = ()
    assert await bench.build(upgrade=True) == bare
    bench.mirror.offer(security=(fixed_twice(),))
    assert (await bench.bases.renew(bare.digest, deaf)).digest != bare.digest


async def test_what_nobody_vouches_for_is_put_on_no_other_base(bench: Bench) -> None:
    """It would be signed anew."""
    image = await application(bench)
    bench.mirror.offer(security=(FIXED,))
    renewed = await bench.bases.renew(image.digest, deaf)
    overwrite(bench.images.tree(image.digest) / "shared-0.txt", "evil\n")
    with pytest.raises(ImageRejected):
        await bench.images.rebase(image.digest, renewed.digest)
    assert [one.base for one in await bench.images.list() if one.name == "app"] == [image.base]


# ---- OCI ----


async def export(bench: Bench, folder: Path, **changes: object) -> Exported:
    return await bench.images.export((await application(bench, **changes)).digest, folder)


async def test_base_patches_and_application_are_layers(bench: Bench, tmp_path: Path) -> None:
    """A rebuild that only patches leaves the base's layer, byte for byte."""
    bench.mirror.offer(security=(FIXED,))
    first = await export(bench, tmp_path / "one")
    bench.mirror.offer(security=(fixed_twice(),))
    second = await export(bench, tmp_path / "two", upgrade=True)
    assert first.layers == second.layers == ("base", "patches", "application")
    one, two = layers(tmp_path / "one"), layers(tmp_path / "two")
    assert (one[0], one[2]) == (two[0], two[2]) and one[1] != two[1]


def layers(folder: Path) -> list[str]:
    index = json.loads((folder / "index.json").read_bytes())
    digest = index["manifests"][0]["digest"].removeprefix("sha256:")
    return [layer["digest"] for layer in json.loads((folder / "blobs/sha256" / digest).read_bytes())["layers"]]


async def test_the_same_image_is_exported_to_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    """Also from another home."""
    first = await export(bench, tmp_path / "one")
    second = await export(Bench(tmp_path / "elsewhere", bench.mirror), tmp_path / "two")
    assert first == second
    names = [sorted(path.name for path in (tmp_path / one).rglob("*")) for one in ("one", "two")]
    assert names[0] == names[1]


async def test_nothing_is_exported_over_something_else(bench: Bench, tmp_path: Path) -> None:
    """A folder that is not empty is left alone."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine").write_text("mine\n")
    with pytest.raises(Conflict, match="is there already"):
        await export(bench, tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["mine"]


async def test_a_changed_image_is_not_exported(bench: Bench, tmp_path: Path) -> None:
    """It would carry the change on, under a good name."""
    image = await application(bench)
    overwrite(bench.images.tree(image.base) / "usr/bin/tool", "#!/bin/sh\nevil!!\n")
    with pytest.raises(ImageRejected):
        await bench.images.export(image.digest, tmp_path / "out")


async def test_an_independent_reader_unpacks_what_was_exported(bench: Bench, tmp_path: Path) -> None:
    """umoci checks every digest on its way, and finds the files where instances see them."""
    umoci = shutil.which("umoci")
    if umoci is None:
        pytest.skip("umoci is not installed (Debian: umoci)")
    bench.mirror.offer(security=(FIXED,))
    done = await export(bench, tmp_path / "out", hardening=Hardening(remove=()))
    command = (umoci, "unpack", "--rootless", "--image", f"{tmp_path / 'out'}:{done.reference}", str(tmp_path / "bundle"))
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await child.communicate()
    assert child.returncode == 0, said.decode()
    root = tmp_path / "bundle/rootfs"
    assert (root / "usr/lib/libtool.so").read_text() == "tool 1.1\n"
    assert (root / "bin/sh").read_text() == "#!shell\n"
    assert (root / "app/shared-0.txt").is_file() and (root / "tmp").is_dir()
