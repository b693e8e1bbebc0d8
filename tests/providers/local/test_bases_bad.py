"""Mirrors that lie or vanish, packages that no good archive has, and builds that are cut off: nothing wrong is published."""

import asyncio
import os
import signal
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from bleen.domain.codec import encode
from bleen.domain.errors import BuildFailed, ImageRejected, InvalidInput, StorageFull, Unreachable
from bleen.providers.debian.apt import Reach
from bleen.providers.local.images import LocalBases, LocalImages
from tests.fixtures.debian import NOW, SUITE, Deb, little_mirror, member, new_key
from tests.providers.local.base_bench import FIXED, Bench, deaf
from tests.providers.local.image_bench import leftovers, overwrite, stored


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with little_mirror(tmp_path / "recipes") as mirror:
        yield Bench(tmp_path, mirror)


Spoil = Callable[[str, bytes], bytes | None]


def other_package(path: str, data: bytes) -> bytes:
    return data[:-4] + b"evil" if "libtool" in path else data


def other_index(path: str, data: bytes) -> bytes:
    return data[:-4] + b"evil" if path.endswith("Packages.xz") else data


def longer_package(path: str, data: bytes) -> bytes:
    return data * 2 if "libtool" in path else data


def other_text(path: str, data: bytes) -> bytes:
    return data.replace(b"Codename: bookworm", b"Codename: bookworn") if path.endswith("InRelease") else data


def no_signature(path: str, data: bytes) -> bytes:
    return data.split(b"-----BEGIN PGP SIGNATURE")[0] if path.endswith("InRelease") else data


def no_page(path: str, data: bytes) -> bytes:
    return b"<html>It works!</html>" if path.endswith("InRelease") else data


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (other_package, "lies about .*libtool"),
        (other_index, r"lies about .*Packages\.xz"),
        (longer_package, "lies about .*libtool"),
        (other_text, "not signed by anyone"),
        (no_signature, "not signed by anyone"),
        (no_page, "not signed by anyone"),
    ],
)
async def test_a_mirror_that_lies_is_not_believed(bench: Bench, spoil: Spoil, said: str) -> None:
    """Whatever it changed: the build fails, says what, and publishes nothing."""
    bench.mirror.spoil = spoil
    with pytest.raises(BuildFailed, match=said) as caught:
        await bench.build()
    assert caught.value.why and caught.value.next
    assert list(await bench.images.list()) == [] and leftovers(bench.home) == []
    bench.mirror.spoil = lambda _, data: data
    assert await bench.build()


async def test_a_stranger_s_signature_does_not_count(bench: Bench) -> None:
    """It is a good signature, of nobody that is trusted."""
    bench.mirror.key = new_key("Stranger")
    with pytest.raises(BuildFailed, match="not signed by anyone"):
        await bench.build()


async def test_an_index_that_has_expired_is_refused(bench: Bench) -> None:
    """A mirror that holds back fixes looks like one that is up to date, but for the date."""
    bench.mirror.date = NOW - bench.mirror.valid * 2
    with pytest.raises(BuildFailed, match="expired") as caught:
        await bench.build()
    assert "valid until" in caught.value.why


async def test_one_suite_is_not_taken_for_another(bench: Bench) -> None:
    """An old but signed index of another suite is no index of this one."""
    signed = bench.mirror._signed(SUITE)
    bench.mirror.spoil = lambda path, data: signed if path.endswith("-security/InRelease") else data
    with pytest.raises(BuildFailed, match="does not serve"):
        await bench.build()


async def test_a_mirror_that_vanishes_halfway_loses_nothing(bench: Bench) -> None:
    """The next build fetches what is missing, and nothing twice."""
    bench.mirror.spoil = lambda path, data: None if "libtool" in path else data
    with pytest.raises(BuildFailed, match=r"libtool 1\.0 is not at the mirror any more") as caught:
        await bench.build()
    assert "--upgrade" in caught.value.next
    kept = len(stored(bench.home, "packages"))
    bench.mirror.spoil, bench.mirror.asked = (lambda _, data: data), []
    await bench.build()
    assert "pool/libtool_1.0.deb" in bench.mirror.asked
    assert len(bench.mirror.asked) == 5 - kept


async def test_an_answer_that_breaks_off_is_a_mirror_that_does_not_answer(bench: Bench) -> None:
    """Half a file is no file, whatever it says: it is asked for again by the next build."""
    bench.mirror.cut = "libtool"
    with pytest.raises(Unreachable, match="does not answer") as caught:
        await bench.build()
    assert "what was fetched is kept" in caught.value.next
    bench.mirror.cut = ""
    assert await bench.build()


async def test_a_mirror_that_is_too_slow_does_not_answer(bench: Bench) -> None:
    """A build never waits for ever."""
    released = Event()

    def slow(path: str, data: bytes) -> bytes:
        if "libtool" in path:
            released.wait()
        return data

    bench.mirror.spoil = slow
    try:
        with pytest.raises(Unreachable, match="does not answer"):
            await LocalBases(bench.home, clock=lambda: NOW, reach=Reach(patience=1.0)).build(bench.order(), deaf)
    finally:
        released.set()


async def test_a_lock_that_no_longer_resolves_says_how_to_make_it_again(bench: Bench, tmp_path: Path) -> None:
    """The archive keeps the newest version alone; `--upgrade` makes a lock of that."""
    await bench.build()
    bench.mirror.offer(FIXED)
    fresh = LocalBases(tmp_path / "fresh", clock=lambda: NOW)
    with pytest.raises(BuildFailed, match=r"libtool 1\.0 is not at the mirror any more"):
        await fresh.build(bench.order(), deaf)
    assert (await fresh.build(bench.order(upgrade=True), deaf)).files


async def test_a_lock_of_another_recipe_is_refused(bench: Bench) -> None:
    """What it pinned is not what is asked for now."""
    await bench.build()
    with pytest.raises(InvalidInput, match="another recipe") as caught:
        await bench.build(packages=("libtool",))
    assert "--upgrade" in caught.value.next


async def test_a_lock_that_was_damaged_is_refused(bench: Bench) -> None:
    """It says where, and how to have it made again."""
    (bench.folder / "little.lock.json").write_text('{"packages": 1}')
    with pytest.raises(InvalidInput, match="is no lock") as caught:
        await bench.build()
    assert caught.value.where.endswith("little.lock.json")


# ---- packages that no good archive has ----


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (member("/etc/passwd"), "absolute"),
        (member("./../../etc/passwd"), "leaves the image"),
        (member("./usr/x/../../../y"), "leaves the image"),
        (member("./dev/disk", tarfile.BLKTYPE), "device"),
        (member("./dev/null", tarfile.CHRTYPE), "device"),
        (member("./run/pipe", tarfile.FIFOTYPE), "device"),
        (member("./usr/out", tarfile.SYMTYPE, target="../../etc"), "out of the image"),
        (member("./usr/out", tarfile.LNKTYPE, target="../../etc/passwd"), "leaves the image"),
        (member("./usr/out", tarfile.LNKTYPE, target="./etc/nothing"), "second name"),
    ],
)
async def test_a_package_cannot_reach_out_of_the_image(bench: Bench, raw: tarfile.TarInfo, said: str) -> None:
    """Absolute paths, parents, devices and links out: the package and the path are named."""
    bench.mirror.offer(Deb("tool", raw=(raw,)))
    with pytest.raises(BuildFailed, match="of tool cannot be in an image") as caught:
        await bench.build()
    assert said in caught.value.why
    assert list(await bench.images.list()) == []


async def test_nothing_is_written_through_a_link(bench: Bench, tmp_path: Path) -> None:
    """One package makes a folder a link, another one writes into it."""
    bench.mirror.offer(
        Deb("tool", fields={"Depends": "libtool"}, links={"srv/data": "../etc"}),
        Deb("libtool", files={"srv/data/passwd": "root::0:0\n"}),
    )
    with pytest.raises(BuildFailed, match="srv/data"):
        await bench.build()


async def test_two_packages_with_one_file_are_refused_unless_one_replaces_the_other(bench: Bench) -> None:
    """Which bytes win never depends on chance."""
    mine = Deb("tool", fields={"Depends": "libtool"}, files={"usr/lib/libtool.so": "mine\n"})
    bench.mirror.offer(mine)
    with pytest.raises(BuildFailed, match="is in two packages"):
        await bench.build()
    bench.mirror.offer(structs_replace(mine, {"Depends": "libtool", "Replaces": "libtool (<< 2)"}))
    assert await bench.text("usr/lib/libtool.so", upgrade=True) == "mine\n"


def structs_replace(deb: Deb, fields: dict[str, str]) -> Deb:
    return Deb(deb.name, deb.version, fields, deb.files)


async def test_bytes_that_are_no_package_are_refused(bench: Bench) -> None:
    """Though their digest was signed."""
    bench.mirror.offer(Deb("tool", compression="zst"))
    with pytest.raises(BuildFailed, match=r"tool 1\.0 cannot be unpacked"):
        await bench.build()


# ---- what a build lives through ----


async def test_two_builds_of_one_base_at_once_are_one(bench: Bench) -> None:
    """The second one waits; each package is fetched once."""
    found = await asyncio.gather(*(bench.build() for _ in range(3)))
    assert found == [found[0]] * 3
    assert len(bench.mirror.asked) == len(set(bench.mirror.asked))


async def test_a_full_disk_leaves_nothing_half_published(small_disk: Path, bench: Bench) -> None:
    """And once there is room, it is built."""
    big = Deb("tool", files={f"usr/share/big/{n}": os.urandom(400_000).hex() for n in range(4)}, fields={"Depends": "libtool"})
    bench.mirror.offer(big)
    bases, images = LocalBases(small_disk, clock=lambda: NOW), LocalImages(small_disk)
    with pytest.raises(StorageFull):
        await bases.build(bench.order(), deaf)
    assert list(await images.list()) == [] and leftovers(small_disk) == [] and not stored(small_disk, "trees")
    bench.mirror.offer(Deb("tool", "2.0"))
    assert await bases.build(bench.order(upgrade=True), deaf)


async def _end_of(command: list[str]) -> int:
    return await (await asyncio.create_subprocess_exec(*command)).wait()


KILLED = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from bleen.domain.base import BaseOrder
    from bleen.domain.codec import decode
    from bleen.providers.local.images import LocalBases
    def tell(stage):
        if stage.name == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)
    from datetime import UTC, datetime
    clock = lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)
    asyncio.run(LocalBases(Path(sys.argv[1]), clock=clock).build(decode(sys.argv[2], BaseOrder), tell))
"""


@pytest.mark.parametrize("stage", ["lock", "fetch", "base", "hardening", "publish"])
async def test_a_build_that_is_killed_at_any_stage_is_taken_up_again(bench: Bench, stage: str) -> None:
    """Nothing is half-published, and what was fetched is not fetched again."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(bench.home), encode(bench.order()).decode(), stage]
    assert await _end_of(command) == -signal.SIGKILL
    published = list(await bench.images.list())
    assert len(published) == (1 if stage == "publish" else 0)
    bench.mirror.asked = []
    base = await bench.build()
    await bench.images.verify(base.digest)
    assert leftovers(bench.home) == []
    assert not bench.mirror.asked if stage != "lock" else all(path.startswith("pool/") for path in bench.mirror.asked)


async def test_a_base_that_was_changed_is_refused_for_all_that_stands_on_it(bench: Bench) -> None:
    """Law 6 reaches down to the base, also after it was found good once; building it again mends it."""
    base = await bench.build()
    source, folder = bench.application()
    image = await bench.images.build("app", source, Path(folder), base.digest)
    await bench.images.verify(image.digest)
    overwrite(bench.images.tree(base.digest) / "usr/bin/tool", "#!/bin/sh\nevil!!\n")
    with pytest.raises(ImageRejected, match="usr/bin/tool"):
        await bench.images.verify(image.digest)
    assert (await bench.build()).digest == base.digest
    await bench.images.verify(image.digest)


async def test_packages_that_no_base_has_are_given_back(bench: Bench) -> None:
    """The cache of packages lasts as long as a base that has them."""
    base = await bench.build()
    assert len(stored(bench.home, "packages")) == 5
    await bench.images.remove(base.digest)
    assert not stored(bench.home, "packages")
