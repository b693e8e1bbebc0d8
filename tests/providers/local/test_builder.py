"""The local builder keeps the contract; its candidates are keyed by what goes in, and believed only while they are it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from bleen.domain.base import Hardening
from bleen.domain.errors import ImageRejected, NotFound
from bleen.domain.pipeline import OfBase, Plan
from bleen.providers.local.images import LocalBuilder
from bleen.providers.local.images import candidates as kept
from tests.contracts.builder import BuilderContract, application, carried, made
from tests.fixtures.debian import Deb, LittleMirror, little_mirror
from tests.providers.local.base_bench import FIXED, Bench
from tests.providers.local.image_bench import leftovers, stored


class BuildingBench(Bench):
    def __init__(self, folder: Path, mirror: LittleMirror) -> None:
        super().__init__(folder, mirror)
        self.builder = LocalBuilder(self.images, self.bases)

    async def plan(self, **changes: object) -> Plan:
        return await self.builder.begin(OfBase(self.order(**changes)))  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BuildingBench]:
    with little_mirror(tmp_path / "recipes") as mirror:
        yield BuildingBench(tmp_path, mirror)


class TestLocalBuilder(BuilderContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[BuildingBench]:
        with little_mirror(tmp_path / "recipes") as mirror:
            closed = False

            def close() -> None:
                nonlocal closed
                closed = True
                mirror.close()

            found = BuildingBench(tmp_path, mirror)
            found.take_mirror = close
            yield found
            if closed:
                mirror.close = lambda: None  # type: ignore[method-assign]


async def cached(bench: BuildingBench, plan: Plan) -> list[bool]:
    return [stage.cached for stage in (await carried(bench, plan))[1]]


FIX = Deb("tool", "1.1", {"Depends": "libtool"}, {"usr/bin/tool": "#!/bin/sh\necho fixed\n", "usr/bin/su": "su\n"})


async def test_stages_before_what_was_changed_are_cached(bench: BuildingBench) -> None:
    """fetch, base, hardening, patches, runtime: another rule keeps the first two, a patch all up to the patches."""
    assert await cached(bench, await bench.plan()) == [False] * 5
    changed = await bench.plan(hardening=Hardening(remove=("usr/share/man/*",)), image="other")
    assert await cached(bench, changed) == [True, True, False, False, False]
    bench.mirror.offer(security=(Deb("extra", "1.0", files={"usr/bin/extra": "x\n"}),))
    more = await bench.plan(packages=("tool", "extra"), image="more")
    assert await cached(bench, more) == [False, True, True, False, False]


async def test_patches_bring_nothing_back_that_hardening_took(bench: BuildingBench) -> None:
    """Hardening comes before them, and again over them; the bytes are those of a base that is built at once."""
    bench.mirror.offer(security=(FIX, FIXED))
    image = await made(bench, OfBase(bench.order()))
    tree = bench.images.tree(image.digest)
    assert (tree / "usr/bin/tool").read_text().endswith("fixed\n") and not (tree / "usr/bin/su").exists()
    assert (tree / "usr/lib/libtool.so").read_text() == "tool 1.1\n"
    assert (await bench.bases.build(bench.order(), lambda _: None)).digest == image.digest


async def test_logins_that_stay_are_those_of_the_newest_package(bench: BuildingBench) -> None:
    """Where the recipe keeps accounts, a patch of the package that has them is not lost."""
    master = "usr/share/base-passwd/passwd.master"
    bench.mirror.offer(Deb("tool", "1.0", files={master: "root:*:0:0:old::\n"}))
    bench.mirror.offer(security=(Deb("tool", "1.1", files={master: "root:*:0:0:new::\n"}),))
    order = structs.replace(bench.order(), recipe=bench.mirror.recipe(hardening=Hardening(logins=True)))
    image = await made(bench, OfBase(order))
    assert "new" in (bench.images.tree(image.digest) / "etc/passwd").read_text()


async def test_a_candidate_that_was_changed_after_the_scan_is_not_published(bench: BuildingBench) -> None:
    """What is published is what was looked at, or nothing; built again, it is right again."""
    plan = await bench.builder.begin(application(bench))
    digest, _ = await carried(bench, plan)
    (path,) = bench.builder.tree(digest).glob("shared-0.txt")
    path.write_text("slipped in\n")
    with pytest.raises(ImageRejected, match="not what was scanned"):
        await bench.builder.publish(plan.key, digest)
    assert list(await bench.images.list()) == [] and leftovers(bench.home) == []
    again, told = await carried(bench, plan)
    assert again == digest and not told[0].cached
    assert (await bench.builder.publish(plan.key, digest)).digest == digest


async def test_a_stage_that_the_disk_lost_is_made_again_by_the_next(bench: BuildingBench) -> None:
    """A candidate with a byte of another content is no candidate, and neither is one that is gone."""
    plan = await bench.plan()
    for stage in ("fetch", "base"):
        await bench.builder.carry_out(plan.key, stage)
    for file in stored(bench.home, "candidates"):
        if file.parent.name == "files":
            file.write_bytes(b"zeros")
    told = (await bench.builder.carry_out(plan.key, "hardening")).told
    assert not told.cached
    for folder in (bench.home / "images/candidates").iterdir():
        kept.disk.remove_tree(folder)
    image = await bench.builder.publish(plan.key, (await carried(bench, plan))[0])
    await bench.images.verify(image.digest)
    assert (await bench.bases.build(bench.order(), lambda _: None)).digest == image.digest


async def test_what_was_gathered_is_what_is_built(bench: BuildingBench) -> None:
    """A folder that changes between two stages changes the next image, not this one."""
    plan = await bench.builder.begin(application(bench))
    (bench.folder / "app/shared-0.txt").write_text("of another commit\n")
    image = await bench.builder.publish(plan.key, (await carried(bench, plan))[0])
    assert (bench.images.tree(image.digest) / "shared-0.txt").read_text() == "the same in all 0\n"


async def test_candidates_do_not_pile_up(bench: BuildingBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go when nobody used them for an hour; a plan without its candidates starts over, or says so."""
    monkeypatch.setattr(kept, "KEPT", 2)
    plans = [await bench.plan(hardening=Hardening(remove=(f"usr/{n}/*",)), image=f"base-{n}") for n in range(4)]
    for plan in plans:
        await carried(bench, plan)
    folder = bench.home / "images/candidates"
    for path in folder.iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    assert len(list(folder.iterdir())) > 4
    await bench.plan()
    assert len(list(folder.iterdir())) == 2
    image = await bench.builder.publish(plans[0].key, (await carried(bench, plans[0]))[0])
    await bench.images.verify(image.digest)
    app = await bench.builder.begin(application(bench))
    for path in folder.iterdir():
        kept.disk.remove_tree(path)
    with pytest.raises(NotFound, match="gathered"):
        await bench.builder.carry_out(app.key, "application")


async def test_what_was_said_of_an_image_goes_with_it(bench: BuildingBench) -> None:
    """The words of a benchmark stay while their image does, and for the hour in which it may be about to be published."""
    image = await made(bench, OfBase(bench.order()))
    folder = bench.home / "images/rules"
    folder.mkdir()
    kept, young, gone = [folder / f"{name}.json" for name in (image.digest.removeprefix("sha256:"), "1" * 64, "2" * 64)]
    for path in (kept, young, gone):
        path.write_text("{}")
    for path in (kept, gone):
        os.utime(path, (time.time() - 7200,) * 2)
    await bench.plan()
    assert sorted(folder.iterdir()) == sorted((kept, young))
