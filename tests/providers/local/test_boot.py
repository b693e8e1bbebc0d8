"""The boot gate: what an image is booted from, what is believed of a boot, and what is refused before one.

Here QEMU is a script; a real one boots real systems in test_system_soak.py.
"""

import asyncio
import io
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bleen.domain.base import Locked, Maker
from bleen.domain.errors import BuildFailed, InvalidInput
from bleen.domain.image import Digest, File
from bleen.domain.pipeline import OfBase, Plan
from bleen.providers.debian.package import find_file
from bleen.providers.local.images import LocalBases, LocalBuilder
from bleen.providers.local.images.candidates import Candidates
from bleen.providers.local.images.chroot import Chroot, chroot_of, search_of
from bleen.providers.local.images.full import BOOT, Full
from bleen.providers.local.images.store import Store
from bleen.providers.local.images.tools import Tools
from bleen.providers.local.images.tree import list_files
from bleen.providers.qemu.cpio import Archive
from bleen.providers.qemu.guest import ANSWER, Changed, init_of, pack
from bleen.providers.qemu.machine import KERNEL, PROGRAM, ROOT, boot, memory, refuse_without_qemu
from tests.fixtures.debian import Deb, LittleMirror, little_mirror
from tests.providers.local.base_bench import Bench
from tests.providers.local.image_bench import leftovers
from tests.providers.local.test_system import processes_of
from tests.providers.local.world import until

REAL_KERNEL = "linux-image-6.1.0-1-cloud-amd64"
MACHINE = (
    Deb("linux-image-cloud-amd64", "6.1", {"Depends": f"{REAL_KERNEL} (= 6.1)"}),
    Deb(REAL_KERNEL, "6.1", files={"boot/config-6.1": "y\n", "boot/vmlinuz-6.1": "the kernel\n"}),
    Deb("busybox-static", "1.35", files={"bin/busybox": "the first program\n"}),
)
"""What the mirror has to boot with."""


# ---- what is booted ----


@dataclass(frozen=True)
class Entry:
    """One entry of an archive, as its bytes say."""

    path: str
    mode: int
    data: bytes
    device: tuple[int, int]


def entries(data: bytes) -> Iterator[Entry]:
    """Read an archive as the kernel's documentation describes it."""
    at = 0
    while True:
        assert at % 4 == 0 and data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        _, mode, owner, group, _, time, size, _, _, major, minor, length, _ = numbers
        name = data[at + 110 : at + 110 + length]
        start = at + 110 + length + -(110 + length) % 4
        assert (owner, group, time) == (0, 0, 0) and name[-1:] == b"\0"
        if name == b"TRAILER!!!\0":
            return
        yield Entry(name[:-1].decode(), mode, data[start : start + size], (major, minor))
        at = start + size + -size % 4


def test_an_archive_has_what_was_put_into_it() -> None:
    """Folders before what is in them and once each; rights, links, devices, and files of any length."""
    file = io.BytesIO()
    archive = Archive(file)
    archive.add("usr/bin/tool", b"12345", executable=True)
    archive.add("usr/bin/other", b"")
    archive.link("bin", "usr/bin")
    archive.device("dev/console", 5, 1)
    archive.folder("usr")
    archive.close()
    found = list(entries(file.getvalue()))
    assert [(entry.path, oct(entry.mode)) for entry in found] == [
        ("usr", "0o40755"),
        ("usr/bin", "0o40755"),
        ("usr/bin/tool", "0o100755"),
        ("usr/bin/other", "0o100644"),
        ("bin", "0o120777"),
        ("dev", "0o40755"),
        ("dev/console", "0o20600"),
    ]
    assert [entry.data for entry in found if entry.data] == [b"12345", b"usr/bin"] and found[-1].device == (5, 1)


def a_tree(folder: Path) -> tuple[File, ...]:
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/bin/tool").write_text("a tool\n")
    (folder / "usr/bin/tool").chmod(0o755)
    (folder / "bin").symlink_to("usr/bin")
    return list_files(folder)


def test_an_image_is_booted_as_it_is(tmp_path: Path) -> None:
    """Its files, the folders that no image has, and what looks at it; the same bytes each time."""
    files = a_tree(tmp_path / "tree")
    sizes = [pack(tmp_path / "tree", files, "cpython-3.11", b"busy", tmp_path / f"{n}.cpio") for n in range(2)]
    first, second = [(tmp_path / f"{n}.cpio").read_bytes() for n in range(2)]
    assert first == second and sizes == [len(first)] * 2
    found = {entry.path: entry for entry in entries(first)}
    assert found["usr/bin/tool"].data == b"a tool\n" and found["usr/bin/tool"].mode & 0o111
    assert found["bin"].data == b"usr/bin" and {"proc", "sys", "dev/console", "tmp", "bleen/answer.py"} < set(found)
    assert found["bleen/init"].data.startswith(b"#!/bleen/busybox sh\n") and found["bleen/busybox"].data == b"busy"


def test_a_file_that_was_changed_is_not_booted(tmp_path: Path) -> None:
    """What comes up must be what is published."""
    files = a_tree(tmp_path / "tree")
    (tmp_path / "tree/usr/bin/tool").write_text("evil\n")
    with pytest.raises(Changed, match="usr/bin/tool"):
        pack(tmp_path / "tree", files, "", b"busy", tmp_path / "root.cpio")


@pytest.mark.parametrize(("runtime", "asks"), [("", "its shell answered"), ("node-18", "its shell answered")])
def test_every_image_is_asked_for_its_shell(runtime: str, asks: str) -> None:
    """It starts by the loader of its own libraries; the text is a script that a shell can read."""
    text = init_of(runtime)
    assert "/bin/sh -c" in text and asks in text and "python" not in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_an_image_with_python_is_asked_for_an_answer() -> None:
    """By the very version that is its runtime."""
    text = init_of("cpython-3.11")
    assert "/usr/bin/python3.11 -I /bleen/answer.py\n" in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize(("before", "code"), [("", 0), ("import sys; sys.modules['http'] = None\n", 3), ("raise OSError\n", 1)])
def test_a_python_that_works_answers_itself(before: str, code: int) -> None:
    """One without a web server only starts; one that fails says so by how it ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = before + ANSWER.replace("8080", str(port))
    assert subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, timeout=60).returncode == code


def test_a_machine_has_room_for_what_it_unpacks() -> None:
    """The archive and its files at once, and something to work with."""
    assert [memory(size << 20) for size in (1, 150, 400)] == [512, 706, 1456]


def test_a_kernel_is_found_in_its_package() -> None:
    """By the beginning of its path, wherever the package puts it; another package has none."""
    locked = Locked(REAL_KERNEL, "6.1", "amd64", "linux", "bookworm", "", 0, "sha256:" + 64 * "0")
    assert find_file(MACHINE[1].data, locked, "boot/vmlinuz-") == b"the kernel\n"
    assert find_file(MACHINE[2].data, locked, "usr/bin/busybox") == b"the first program\n"
    with pytest.raises(BuildFailed, match="has no boot/vmlinuz-"):
        find_file(MACHINE[2].data, locked, "boot/vmlinuz-")
    with pytest.raises(BuildFailed, match="cannot be unpacked"):
        find_file(b"no package", locked, "boot/vmlinuz-")


# ---- what is believed of a boot ----

UP = 'echo starting >"$1"; echo "up 14.20 its shell answered" >"$2"'
DOWN = 'printf "one\\r\\n/bin/sh: not found\\r\\n" >"$1"; echo "no its shell does not start" >"$2"'
SILENT = 'echo "Kernel panic - not syncing" >"$1"'
HANGS = 'echo "waiting for nobody" >"$1"; sleep 600'


def emulator(folder: Path, script: str) -> Tools:
    """Return tools among which QEMU is a script, given the files of the two serial ports."""
    folder.mkdir(exist_ok=True)
    program = folder / PROGRAM
    ports = 'for word; do case $word in file:*) set -- "$@" "${word#file:}" ;; esac; shift; done\n'
    program.write_text(f"#!/bin/sh\n{ports}{script}\n")
    program.chmod(0o755)
    return Tools(environ={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="whole systems are made, and booted, by root")


@asynccontextmanager
async def machine(home: Path, script: str) -> AsyncIterator[tuple[Chroot, Path]]:
    """Lend what is run, and a folder to boot from."""
    async with Store(home).workspace() as work:
        for name in (KERNEL, ROOT):
            (work.path / name).write_text("x")
        yield chroot_of(emulator(home.parent / "bin", script), work), work.path


@needs_root
async def test_an_image_that_says_so_is_up(tmp_path: Path) -> None:
    """In its own words and by its own clock."""
    async with machine(tmp_path / "home", UP) as (root, folder):
        up = await boot(root, "little", folder)
    assert (up.seconds, up.what) == (14.2, "its shell answered")


@needs_root
@pytest.mark.parametrize(
    ("script", "what", "why"),
    [
        (DOWN, "little does not boot: its shell does not start", "the last lines of its console:\none\n/bin/sh: not found"),
        (SILENT, "went down before anything of it answered", "Kernel panic"),
        (":", "went down before anything of it answered", "its console is empty"),
        (HANGS, "it is not up after 1.5 s", "waiting for nobody"),
        ("echo no kernel >&2; exit 1", "failed: setpriv", "no kernel"),
    ],
)
async def test_an_image_that_does_not_come_up_says_why(tmp_path: Path, script: str, what: str, why: str) -> None:
    """With the end of its console; one that hangs is ended with all that runs for it."""
    async with machine(tmp_path / "home", script) as (root, folder):
        with pytest.raises(BuildFailed) as caught:
            await boot(root, "little", folder, patience=1.5)
    assert what in caught.value.what and why in caught.value.why and caught.value.next
    await until(lambda: processes_of(tmp_path) == [], "nothing of the boot runs")


@needs_root
async def test_a_boot_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    """As when the controller stops."""
    async with machine(tmp_path / "home", HANGS) as (root, folder):
        booting = asyncio.ensure_future(boot(root, "little", folder))
        await until(lambda: (folder / "console").exists(), "it is being booted")
        booting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await booting
        assert processes_of(tmp_path) == []


KILLED = """\
import asyncio, sys
from pathlib import Path
from bleen.providers.qemu.machine import boot
from tests.providers.local.test_boot import HANGS, machine

async def main():
    async with machine(Path(sys.argv[1]), HANGS) as (root, folder):
        await boot(root, "little", folder)

asyncio.run(main())
"""


@needs_root
async def test_a_boot_whose_controller_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """Nobody is left to end it: the kernel does."""
    there = Path(__file__).parents[3]
    controller = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path / "home"), cwd=there)
    try:
        await until(lambda: list(tmp_path.glob("home/work/*/console")) != [], "it is being booted", 60)
        assert any(PROGRAM in words for words in processes_of(tmp_path))
    finally:
        controller.kill()
        await controller.wait()
    await until(lambda: processes_of(tmp_path) == [], "nothing of the boot runs")


# ---- the stage of a build ----


class BootBench(Bench):
    """A little mirror with something to boot with, and a QEMU that is a script; the system itself nobody makes here."""

    def __init__(self, folder: Path, mirror: LittleMirror, tools: Tools) -> None:
        super().__init__(folder, mirror)
        mirror.offer(*MACHINE)
        self.use(tools)

    def use(self, tools: Tools) -> None:
        self.tools = tools
        self.bases = LocalBases(self.home, clock=lambda: self.now, tools=tools)
        self.builder = LocalBuilder(self.images, self.bases)

    async def plan(self, **changes: object) -> Plan:
        changes = {"builder": Maker.FULL, "boot": True, **changes}
        return await self.builder.begin(OfBase(self.order(**changes)))  # type: ignore[arg-type]

    async def made(self, plan: Plan) -> Digest:
        """Put a tree where the stages before the boot would have put one."""
        store = Store(self.home / "images")
        candidates = Candidates(store)
        planned = candidates.plan(plan.key)
        full = Full(store, candidates, planned, planned.label.source, self.bases.reach, self.tools)  # type: ignore[arg-type]
        async with store.workspace() as work:
            a_tree(work.stage)
            return candidates.keep_image(work.path, full.key(full.whole), planned.label, "")


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[LittleMirror]:
    with little_mirror(tmp_path / "recipes") as mirror:
        yield mirror


def tools_with(folder: Path, *programs: str) -> Tools:
    """Return tools among which these are, and fail."""
    folder.mkdir(exist_ok=True)
    for program in programs:
        (folder / program).write_text("#!/bin/sh\nexit 1\n")
        (folder / program).chmod(0o755)
    return Tools(environ={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})


@pytest.fixture
def bench(tmp_path: Path, mirror: LittleMirror) -> BootBench:
    emulator(tmp_path / "bin", UP)
    return BootBench(tmp_path, mirror, tools_with(tmp_path / "bin", "mmdebstrap"))


@needs_root
async def test_an_image_is_booted_once_and_then_published(bench: BootBench) -> None:
    """A stage of its own after the runtime; of the same inputs it is cached, and the candidate is that of the runtime."""
    plan = await bench.plan()
    assert plan.stages == ("fetch", "base", "hardening", "patches", "runtime", "boot")
    digest = await bench.made(plan)
    first, again = [await bench.builder.carry_out(plan.key, BOOT) for _ in range(2)]
    assert first.told.detail == "up in 14.2 s under QEMU: its shell answered" and not first.told.cached
    assert again.told.cached and first.candidate == again.candidate == digest
    assert (await bench.builder.publish(plan.key, digest)).digest == digest
    (booted,) = (bench.home / "images/candidates").iterdir()
    assert [path.name for path in booted.rglob("*") if path.is_file()] == ["booted"]


@needs_root
async def test_what_does_not_boot_is_not_published(bench: BootBench, tmp_path: Path) -> None:
    """Nothing is left but the candidate that was looked at; once it boots, the build goes on from there."""
    plan = await bench.plan()
    digest = await bench.made(plan)
    emulator(tmp_path / "bin", DOWN)
    with pytest.raises(BuildFailed, match="little does not boot: its shell does not start"):
        await bench.builder.carry_out(plan.key, BOOT)
    assert leftovers(bench.home) == [] and list(await bench.images.list()) == []
    emulator(tmp_path / "bin", UP)
    assert (await bench.builder.carry_out(plan.key, BOOT)).candidate == digest


@needs_root
async def test_another_candidate_is_booted_again(bench: BootBench) -> None:
    """One whose files were changed on the disk is none: it is made again before it is booted."""
    plan = await bench.plan()
    digest = await bench.made(plan)
    (bench.builder.tree(digest) / "usr/bin/tool").write_text("evil\n")
    with pytest.raises(BuildFailed, match="mmdebstrap"):
        await bench.builder.carry_out(plan.key, BOOT)
    assert list((bench.home / "images/candidates").iterdir()) == []
    await bench.made(plan)
    assert not (await bench.builder.carry_out(plan.key, BOOT)).told.cached


@needs_root
async def test_what_was_published_without_a_boot_counts_for_none(bench: BootBench) -> None:
    """The same files, asked for with a boot, go through it; asked for without one, they are what they were."""
    plain = await bench.plan(boot=False)
    assert BOOT not in plain.stages
    digest = await bench.made(plain)
    image = await bench.builder.publish(plain.key, digest)
    (bench.folder / "little.lock.json").unlink()
    plan = await bench.plan()
    assert plan.image is None and plan.stages[-1] == BOOT
    await bench.made(plan)
    await bench.builder.carry_out(plan.key, BOOT)
    assert await bench.builder.publish(plan.key, digest) == image
    assert (await bench.plan()).image == image and list(await bench.images.list()) == [image]


# ---- the lock ----


@needs_root
async def test_what_boots_is_pinned_and_no_part_of_the_image(bench: BootBench) -> None:
    """A kernel and busybox, fetched with the rest; a lock that was made without them is none of this recipe."""
    await bench.plan(boot=False)
    with pytest.raises(InvalidInput, match="made for another recipe"):
        await bench.plan()
    (bench.folder / "little.lock.json").unlink()
    await bench.builder.carry_out((await bench.plan()).key, "fetch")
    assert {f"pool/{REAL_KERNEL}_6.1.deb", "pool/busybox-static_1.35.deb"} < set(bench.mirror.asked)
    lock = await bench.bases.lock(bench.order(builder=Maker.FULL, boot=True), lambda _: None)
    assert [one.name for one in lock.boot] == [REAL_KERNEL, "busybox-static"]
    assert not {REAL_KERNEL, "busybox-static"} & {one.name for one in (*lock.packages, *lock.released)}


async def test_a_kernel_that_no_suite_has_is_named(mirror: LittleMirror, tmp_path: Path) -> None:
    """Before any stage."""
    bench = BootBench(tmp_path, mirror, Tools())
    bench.lose(REAL_KERNEL)
    with pytest.raises(BuildFailed, match=f"no package {REAL_KERNEL}") as caught:
        await bench.plan()
    assert "leave boot out" in caught.value.next


# ---- what is refused ----


@needs_root
async def test_without_qemu_nothing_is_begun(mirror: LittleMirror, tmp_path: Path) -> None:
    """The package to install is named; a recipe that asks for no boot does not miss it."""
    names = ("mmdebstrap", "unshare", "setpriv", "chroot", "tar")
    folder = tmp_path / "bin"
    tools_with(folder, *names)
    bench = BootBench(tmp_path, mirror, Tools(environ={"PATH": str(folder)}))
    if _has_qemu():
        pytest.skip("QEMU lies in a folder of the system's own")
    with pytest.raises(BuildFailed, match="no image can be booted here") as caught:
        await bench.plan()
    assert caught.value.why == f"there is no {PROGRAM}" and "apt install qemu-system-x86" in caught.value.next
    assert not any(path.startswith("pool/") for path in mirror.asked)
    (bench.folder / "little.lock.json").unlink()
    assert (await bench.plan(boot=False)).stages[-1] == "runtime"


def _has_qemu() -> bool:
    try:
        refuse_without_qemu(search_of(Tools(environ={"PATH": ""})))
    except BuildFailed:
        return False
    return True


async def test_a_boot_of_what_is_no_system_is_not_begun(mirror: LittleMirror, tmp_path: Path) -> None:
    """What was asked for and not done would be silence."""
    with pytest.raises(InvalidInput, match="`boot: true` needs a whole system") as caught:
        await BootBench(tmp_path, mirror, Tools()).plan(builder=Maker.EMBEDDED)
    assert "builder: full" in caught.value.next and mirror.asked == []
