"""Local base images keep the contract, and are the same wherever and by whomever they are built."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from bleen.domain.base import BaseOrder, Hardening, Patches, Recipe
from bleen.domain.codec import encode
from bleen.domain.errors import BuildFailed, NotFound
from bleen.domain.image import Directory
from bleen.providers.debian.apt import Reach
from bleen.providers.local.images import LocalBases
from tests.contracts.bases import BasesContract, build
from tests.fixtures.debian import NOW, SUITE, Deb, little_mirror, member
from tests.providers.local.base_bench import FIXED, Bench, deaf
from tests.providers.local.image_bench import write_app


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with little_mirror(tmp_path / "recipes") as mirror:
        yield Bench(tmp_path, mirror)


class TestLocalBases(BasesContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Bench]:
        with little_mirror(tmp_path / "recipes") as mirror:
            closed = False

            def close() -> None:
                nonlocal closed
                closed = True
                mirror.close()

            found = Bench(tmp_path, mirror)
            found.take_mirror = close
            yield found
            if closed:
                mirror.close = lambda: None  # type: ignore[method-assign]


async def test_a_fix_of_the_security_suite_takes_the_place_of_the_released_package(bench: Bench) -> None:
    """It is in the tree and among the packages, and the other packages stay."""
    bench.mirror.offer(security=(FIXED,))
    base = await bench.build()
    found = {package.name: (package.version, package.suite) for package in await bench.bases.packages(base.digest)}
    assert found["libtool"] == ("1.1", f"{SUITE}-security")
    assert found["tool"] == ("1.0", SUITE)
    assert (bench.images.tree(base.digest) / "usr/lib/libtool.so").read_text() == "tool 1.1\n"


async def test_an_image_without_patches_has_none(bench: Bench) -> None:
    """`patches: none` is the release as it came out."""
    bench.mirror.offer(security=(FIXED,))
    assert await bench.text("usr/lib/libtool.so", patches=Patches.NONE) == "tool 1.0\n"


async def test_the_lock_keeps_what_it_pinned_until_it_is_asked_for_anew(bench: Bench) -> None:
    """A fix that came out since goes in with `--upgrade` alone."""
    first = await bench.build()
    bench.mirror.offer(security=(FIXED,))
    assert await bench.build() == first
    assert (await bench.build(upgrade=True)).digest != first.digest


async def test_the_same_lock_is_the_same_digest_in_another_home(bench: Bench, tmp_path: Path) -> None:
    """Another home, another clock, packages in another order, a second time: the same bytes."""
    first = await bench.build()
    bench.mirror.suites[SUITE] = tuple(reversed(bench.mirror.suites[SUITE]))
    (bench.folder / "little.lock.json").rename(tmp_path / "kept.json")
    later = LocalBases(tmp_path / "elsewhere")
    assert (
        await later.build(BaseOrder(structs.replace(bench.order().recipe), str(_with_lock(tmp_path, bench))), deaf)
    ).digest == first.digest


def _with_lock(tmp_path: Path, bench: Bench) -> Path:
    folder = tmp_path / "other recipes"
    folder.mkdir()
    shutil.copy(bench.mirror.keyring, folder)
    shutil.copy(tmp_path / "kept.json", folder / "little.lock.json")
    return folder


async def test_who_builds_never_shows(bench: Bench, tmp_path: Path) -> None:
    """Another mask, home, language and time zone: the same digest."""
    first = await bench.build()
    script = f"""
        import asyncio, os
        from pathlib import Path
        from bleen.domain.base import BaseOrder
        from bleen.domain.codec import decode
        from bleen.providers.local.images import LocalBases
        os.umask(0o077)
        order = decode({encode(bench.order()).decode()!r}, BaseOrder)
        print(asyncio.run(LocalBases(Path({str(tmp_path / "theirs")!r})).build(order, lambda stage: None)).digest)
    """
    theirs = {
        **os.environ,
        "HOME": "/nowhere",
        "LANG": "tr_TR.UTF-8",
        "TZ": "Asia/Tokyo",
        "USER": "nobody",
        "PYTHONHASHSEED": "7",
    }
    command = (sys.executable, "-c", textwrap.dedent(script))
    done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, env=theirs)
    said, _ = await done.communicate()
    assert said.decode().strip() == first.digest


async def test_old_places_lead_into_usr(bench: Bench) -> None:
    """`/bin/sh` is found where packages still write it there."""
    base = await bench.build()
    tree = bench.images.tree(base.digest)
    assert (tree / "bin").readlink() == Path("usr/bin")
    assert (tree / "bin/sh").read_text() == "#!shell\n"
    assert stat.S_IMODE((tree / "usr/bin/dash").stat().st_mode) == 0o555


async def test_what_no_program_reads_is_left_out_but_licences_stay(bench: Bench) -> None:
    """Manuals go, copyright files stay with what they cover."""
    base = await bench.build()
    paths = [file.path for file in await bench.images.files(base.digest)]
    assert "usr/share/doc/base-files/copyright" in paths
    assert not any(path.startswith("usr/share/man") for path in paths)


async def test_scanners_find_the_installed_packages(bench: Bench) -> None:
    """The list is where dpkg has it, with every version."""
    status = await bench.text("var/lib/dpkg/status")
    assert "Package: tool\nStatus: install ok installed\nVersion: 1.0\n" in status


async def test_the_certificates_of_the_image_are_one_file_too(bench: Bench) -> None:
    """As the script of their package would have made it."""
    files = {f"usr/share/ca-certificates/{name}.crt": f"certificate {name}\n" for name in "ba"}
    bench.mirror.offer(Deb("ca-certificates", files=files))
    text = await bench.text("etc/ssl/certs/ca-certificates.crt", packages=("ca-certificates",))
    assert text == "certificate a\ncertificate b\n"


async def test_nobody_can_log_in(bench: Bench) -> None:
    """Three accounts are left, none with a shell, and no file of passwords; told apart from a base that keeps them."""
    passwd = "root:x:0:0:root:/root:/bin/bash\ngames:x:5:60:games:/usr/games:/bin/sh\n"
    bench.mirror.offer(Deb("base-passwd", files={"usr/share/base-passwd/passwd.master": passwd, "etc/shadow": "root:secret\n"}))
    base = await bench.build(packages=("base-passwd",))
    tree = bench.images.tree(base.digest)
    assert [line.split(":")[0] for line in (tree / "etc/passwd").read_text().splitlines()] == ["root", "app", "nobody"]
    assert "bin/bash" not in (tree / "etc/passwd").read_text()
    assert not (tree / "etc/shadow").exists()
    assert await bench.text("etc/passwd", image="other", packages=("base-passwd",), hardening=Hardening(logins=True)) == passwd


async def test_hardening_takes_away_what_a_patch_brings_back(bench: Bench) -> None:
    """Its rules are carried out over the whole tree, after the patches."""
    bench.mirror.offer(security=(Deb("tool", "1.1", {"Depends": "libtool"}, {"usr/bin/tool": "new\n", "usr/bin/su": "new\n"}),))
    base, told = await build(bench, bench.order())
    assert not (bench.images.tree(base.digest) / "usr/bin/su").exists()
    assert "1 files removed" in next(stage.detail for stage in told if stage.name == "hardening")


async def test_no_program_keeps_a_setuid_bit(bench: Bench) -> None:
    """It is taken away, and counted."""
    bench.mirror.offer(Deb("tool", raw=(member("./usr/bin/become", mode=0o4755),)))
    base, told = await build(bench, bench.order())
    assert stat.S_IMODE((bench.images.tree(base.digest) / "usr/bin/become").stat().st_mode) == 0o555
    assert "1 programs lost their setuid" in next(stage.detail for stage in told if stage.name == "hardening")


async def test_a_package_that_is_taken_out_is_not_there_though_others_depend_on_it(bench: Bench) -> None:
    """And the list of packages does not name it."""
    base = await bench.build(hardening=Hardening(remove_packages=("libtool",)))
    assert not (bench.images.tree(base.digest) / "usr/lib/libtool.so").exists()
    assert "libtool" not in {package.name for package in await bench.bases.packages(base.digest)}


def machine(folder: Path, bench: Bench, *, one_line: bool) -> Path:
    """Return the folder of an apt configuration that names the mirror."""
    parts = folder / "apt/sources.list.d"
    parts.mkdir(parents=True)
    if one_line:
        lines = [
            f"deb [signed-by={bench.mirror.keyring}] {bench.mirror.address} {suite} main\n" for suite in bench.mirror.suites
        ]
        (folder / "apt/sources.list").write_text("# ours\n" + "".join(lines))
    else:
        suites = " ".join(bench.mirror.suites)
        text = (
            f"Types: deb\nURIs: {bench.mirror.address}\nSuites: {suites}\nComponents: main\nSigned-By: {bench.mirror.keyring}\n"
        )
        (parts / "debian.sources").write_text(text)
    return folder / "apt"


@pytest.mark.parametrize("one_line", [True, False])
async def test_the_mirror_is_the_one_of_the_machine_s_own_apt(bench: Bench, tmp_path: Path, one_line: bool) -> None:
    """In both forms that apt reads: no address is in a recipe, or in Bleen."""
    bases = LocalBases(bench.home, reach=Reach(machine(tmp_path, bench, one_line=one_line)), clock=lambda: NOW)
    assert await bases.build(bench.order(mirror=None), deaf) == await bench.build(image="little", upgrade=True)


async def test_a_machine_that_knows_no_such_suite_says_so(bench: Bench, tmp_path: Path) -> None:
    """And how a recipe names a mirror itself."""
    bases = LocalBases(bench.home, reach=Reach(machine(tmp_path, bench, one_line=True)), clock=lambda: NOW)
    recipe: Recipe = structs.replace(bench.order().recipe, suite="trixie", mirror=None)
    with pytest.raises(NotFound, match="no archive of trixie") as caught:
        await bases.build(BaseOrder(recipe, str(bench.folder)), deaf)
    assert "mirror:" in caught.value.next


async def test_a_program_for_python_cannot_stand_on_a_base_without_it(bench: Bench) -> None:
    """The build says what to name in the recipe."""
    base = await bench.build()
    write_app(bench.folder / "app")
    with pytest.raises(BuildFailed, match="cannot stand on little") as caught:
        await bench.images.build("hello", Directory("app"), bench.folder, base.digest)
    assert "packages of the recipe" in caught.value.next
