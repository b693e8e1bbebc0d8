"""The full builder keeps the contract of the port, in a Debian small enough to be made for every test; and its bytes are the
same twice. Each takes minutes: `make soak` runs them."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from bleen.domain.base import BaseOrder, Hardening, Locked, Maker, Patches, Recipe
from bleen.domain.errors import BuildFailed, NotFound, Unreachable
from bleen.domain.pipeline import OfBase
from bleen.providers.debian.apt import Reach, archive_of
from bleen.providers.debian.locking import architecture, make_lock
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.package import read_control
from bleen.providers.local.images.bases import utc_now
from bleen.providers.local.images.candidates import RULES
from bleen.providers.local.images.chroot import search_of
from bleen.providers.local.images.disk import remove_tree
from bleen.providers.local.images.tools import Tools
from bleen.providers.qemu.machine import refuse_without_qemu
from tests.contracts.builder import BuilderBench, BuilderContract, application, carried, made
from tests.fixtures.debian import SUITE, Deb, LittleMirror, little_mirror
from tests.providers.local.image_bench import leftovers
from tests.providers.local.test_builder import BuildingBench
from tests.providers.local.test_system import build, mounts_of, processes_of, skip_without_tools
from tests.providers.local.world import until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
TOOLS = (Deb("tool", "1.0", {"Depends": "libtool"}, {"usr/bin/tool": "#!/bin/sh\necho tool\n"}), Deb("libtool", "1.0"))


@dataclass(frozen=True)
class RealDeb(Deb):
    """A package of Debian's own."""

    content: bytes = b""

    @cached_property
    def control(self) -> str:  # type: ignore[override]
        locked = Locked(self.name, self.version, "", "", SUITE, self.path, len(self.content), "")
        return str(read_control(self.content, locked))

    @property
    def data(self) -> bytes:  # type: ignore[override]
        return self.content


async def _fetched(folder: Path, recipe: Recipe) -> tuple[Deb, ...]:
    lock = await make_lock(recipe, folder, Reach(), utc_now())
    address = archive_of(SUITE, None, folder, Reach().apt).address
    async with MirrorClient(Reach().patience) as client:
        return tuple(
            [
                RealDeb(one.name, one.version, content=await client.get_checked(f"{address}/{one.path}", one.digest, one.size))
                for one in (*lock.packages, *lock.boot)
            ]
        )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Deb, ...]:
    """The packages that Debian calls essential: less is no Debian that dpkg can work in."""
    skip_without_tools()
    try:
        recipe = Recipe(image="small", suite=SUITE, packages=("tar",), patches=Patches.NONE, builder=Maker.FULL)
        return asyncio.run(_fetched(tmp_path_factory.mktemp("small"), recipe))
    except (Unreachable, NotFound) as error:
        pytest.skip(f"this machine has no Debian mirror that answers: {error.what}")


class FullBench(BuildingBench):
    def order(self, *, upgrade: bool = False, image: str = "little", **changes: object) -> BaseOrder:
        return super().order(upgrade=upgrade, image=image, **{"builder": Maker.FULL, **changes})


class TestFullBuilder(BuilderContract):
    @pytest.fixture
    def bench(self, small: tuple[Deb, ...], tmp_path: Path) -> Iterator[FullBench]:
        with little_mirror(tmp_path / "recipes") as mirror:
            mirror.suites[SUITE] = (*small, *TOOLS)
            found, closed = FullBench(tmp_path, mirror), []

            def close() -> None:
                closed.append(True)
                LittleMirror.close(mirror)

            found.take_mirror = close
            yield found
            if closed:
                mirror.close = lambda: None  # type: ignore[method-assign]

    async def test_it_makes_what_the_ports_of_images_make(self, bench: BuilderBench) -> None:
        """An application is; a whole system is made in stages only, and the port that makes bases at once says so."""
        base = await made(bench, OfBase(bench.order()))
        with pytest.raises(BuildFailed, match="stage by stage"):
            await bench.bases.build(bench.order(), lambda _: None)
        source, folder = bench.application()
        app = await made(bench, application(bench, base.digest))
        assert (await bench.images.build("app", source, Path(folder), base.digest)).digest == app.digest

    async def test_a_patch_is_installed_and_what_it_leaves_behind_is_purged(self, bench: FullBench) -> None:
        """dpkg says so itself, in the image: the newer version, and no package that nothing needs any more."""
        bench.mirror.offer(security=(Deb("tool", "1.1", {}, {"usr/bin/tool": "#!/bin/sh\necho fixed\n"}),))
        image = await made(bench, OfBase(bench.order()))
        tree = bench.images.tree(image.digest)
        status = (tree / "var/lib/dpkg/status").read_text()
        assert "Package: tool\nStatus: install ok installed\n" in status and "Version: 1.1\n" in status
        assert "Package: libtool" not in status
        assert (tree / "usr/bin/tool").read_text().endswith("fixed\n") and not (tree / "usr/sbin/policy-rc.d").exists()

    async def test_a_system_that_the_disk_lost_is_made_again(self, bench: FullBench) -> None:
        """Half of one, as a crash of the machine leaves it, and one that is gone: the image is what it would have been."""
        plan = await bench.plan()
        for stage in ("fetch", "base"):
            await bench.builder.carry_out(plan.key, stage)
        (system,) = (bench.home / "images/candidates").glob("*/system.tar")
        system.write_bytes(system.read_bytes()[:10_000])
        assert not (await bench.builder.carry_out(plan.key, "hardening")).told.cached
        first, _ = await carried(bench, plan)
        for folder in (bench.home / "images/candidates").iterdir():
            remove_tree(folder)
        assert (await carried(bench, plan))[0] == first


async def test_the_hardened_system_is_the_same_twice(tmp_path: Path) -> None:
    """In two homes, by one lock: all of it, hardened, patched and compiled; and it is judged the same."""
    skip_without_tools()
    made_first = await build(tmp_path / "one", tmp_path)
    shutil.copytree(tmp_path / "one/images/packages", tmp_path / "two/images/packages")
    again = await build(tmp_path / "two", tmp_path)
    assert again.image.digest == made_first.image.digest
    rules = [one.builder.rules(one.image.digest) for one in (made_first, again)]
    assert rules[0] is not None and rules[1] is not None and rules[0].name != RULES
    assert rules[0].read_bytes() == rules[1].read_bytes()


# ---- real boots ----


@pytest.fixture(scope="module")
def booting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullBench]:
    """What Debian calls essential, a Python, and the kernel that it is booted with."""
    skip_without_tools()
    folder = tmp_path_factory.mktemp("booting")
    try:
        refuse_without_qemu(search_of(Tools()))
        recipe = Recipe(image="booted", suite=SUITE, packages=("python3",), patches=Patches.NONE, builder=Maker.FULL, boot=True)
        debs = asyncio.run(_fetched(folder, recipe))
    except BuildFailed as error:
        pytest.skip(f"{error.what}: {error.why}")
    except (Unreachable, NotFound) as error:
        pytest.skip(f"this machine has no Debian mirror that answers: {error.what}")
    (kernel,) = [deb for deb in debs if deb.name.startswith("linux-image-")]
    newest = Deb(f"linux-image-cloud-{architecture()}", kernel.version, {"Depends": kernel.name})
    with little_mirror(folder / "recipes") as mirror:
        mirror.suites[SUITE] = (*debs, newest)
        yield FullBench(folder, mirror)


async def test_a_system_is_booted_and_its_python_answers(booting: FullBench) -> None:
    """Cut off in the middle it leaves no process, no mount and no half of a stage; carried out again, it is up."""
    plan = await booting.plan(packages=("python3",), boot=True)
    for stage in plan.stages[:-1]:
        await booting.builder.carry_out(plan.key, stage)
    boot = asyncio.ensure_future(booting.builder.carry_out(plan.key, "boot"))
    work = booting.home / "images/work"
    await until(lambda: any(path.stat().st_size for path in work.glob("*/machine/root.cpio")), "it is put together", 60)
    await until(lambda: any("qemu" in words for words in processes_of(booting.home)), "it is being booted", 60)
    boot.cancel()
    with pytest.raises(asyncio.CancelledError):
        await boot
    assert (processes_of(booting.home), mounts_of(booting.home), leftovers(booting.home)) == ([], [], [])
    done = await booting.builder.carry_out(plan.key, "boot")
    assert "under QEMU: its Python answered" in done.told.detail and done.candidate
    assert (await booting.builder.publish(plan.key, done.candidate)).runtime == "cpython-3.11"


async def test_a_system_whose_shell_is_broken_is_not_published(booting: FullBench) -> None:
    """The console's own words are the reason, and nothing is left."""
    broken = await booting.plan(packages=("python3",), boot=True, image="broken", hardening=Hardening(remove=("usr/bin/dash",)))
    before = list(await booting.images.list())
    with pytest.raises(BuildFailed, match="broken does not boot: its shell does not start") as caught:
        await carried(booting, broken)
    assert "/bin/sh: not found" in caught.value.why
    assert (processes_of(booting.home), mounts_of(booting.home), leftovers(booting.home)) == ([], [], [])
    assert list(await booting.images.list()) == before
