"""A recipe as a Packer template: valid for the real Packer, and its scripts make what the embedded builder makes."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess, run

import hcl2
import pytest

from bleen.domain.base import Hardening, Lock, Maker, Recipe
from bleen.domain.codec import decode
from bleen.domain.errors import InvalidInput
from bleen.interfaces.repository.machine import render_machine, write_machine
from tests.fixtures.debian import USUAL, Deb, little_mirror, member
from tests.interfaces.conftest import Bleen
from tests.providers.local.base_bench import Bench

# The Azure part of Packer 1.6 is built in, and it refuses the block that 1.7 wants.
FOR_NEWER = "plugins.pkr.hcl"
BUILD = ("unpack", "finish", "harden")
"""The scripts that need neither a mirror nor root."""
MORE = (
    Deb("rmt", "1", links={"etc/rmt": "/usr/bin/mawk", "usr/lib/x/awk": "/bin/mawk", "usr/lib/x/y": "../libtool.so"}),
    Deb("ca-certificates", "1", files={f"usr/share/ca-certificates/mozilla/{n}.crt": f"-----{n}-----\n" for n in "ba"}),
    Deb(
        "base-passwd",
        "1",
        files={f"usr/share/base-passwd/{n}.master": "root:x:0:0::/root:/bin/sh\n" for n in ("passwd", "group")},
    ),
    Deb(
        "mawk",
        "1",
        files={"usr/bin/mawk": "awk\n", "usr/share/doc/mawk/copyright": "GPL\n", "usr/share/doc/mawk/README": "x\n"},
    ),
    Deb(
        "login",
        "1",
        files={"bin/su": "su\n", "etc/shadow": "root::\n", "etc/pam.d/su": "x\n"},
        raw=(member("./usr/bin/sudo", mode=0o4755),),
    ),
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with little_mirror(tmp_path / "recipes") as mirror:
        mirror.offer(*MORE)
        yield Bench(tmp_path, mirror)


def recipe_of(bench: Bench, **changes: object) -> dict[str, object]:
    return {"packages": ("tool", *(deb.name for deb in MORE)), **changes}


async def rendered(bench: Bench, to: Path, **changes: object) -> tuple[Path, str]:
    """Return the folder of the template of a base that was built, and the digest of that."""
    base = await bench.build(**recipe_of(bench, **changes))
    recipe: Recipe = bench.order(**recipe_of(bench, **changes)).recipe  # type: ignore[arg-type]
    lock: Lock = decode((bench.folder / "little.lock.json").read_bytes(), Lock)
    write_machine(to, render_machine(recipe, lock))
    return to, base.digest


def packages(folder: Path) -> Path:
    """What fetch.sh leaves behind."""
    folder.mkdir()
    for deb in (*USUAL, *MORE):
        (folder / f"{deb.name}.deb").write_bytes(deb.data)
    return folder


def packer(*words: str, folder: Path) -> CompletedProcess[str]:
    program = shutil.which("packer")
    if program is None:
        pytest.skip("packer is not here (Debian's package packer)")
    quiet = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", "HOME": str(folder)}
    command = [program, *words, str(folder)]
    return run(command, env={**os.environ, **quiet}, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


async def test_packer_takes_what_was_rendered(bench: Bench, tmp_path: Path) -> None:
    """It validates, is formatted as Packer would, and a slip is noticed; the part for newer Packers can be read."""
    folder, _ = await rendered(bench, tmp_path / "machine")
    assert "azure" in hcl2.loads((folder / FOR_NEWER).read_text("utf-8"))["packer"][0]["required_plugins"][0]
    (folder / FOR_NEWER).unlink()
    said = packer("validate", "-var-file=example.pkrvars.hcl", folder=folder)
    assert said.returncode == 0, said.stdout + said.stderr
    assert packer("fmt", "-check", folder=folder).returncode == 0
    (folder / "scripts/harden.sh").unlink()
    assert "harden.sh" in packer("validate", "-var-file=example.pkrvars.hcl", folder=folder).stdout


NULL = """\
source "null" "here" {{
  communicator = "none"
}}

build {{
  sources = ["source.null.here"]

  provisioner "shell-local" {{
    environment_vars = ["INPUTS={folder}/inputs", "PACKAGES={packages}", "ROOT={root}"]
    scripts          = [{scripts}]
  }}
}}
"""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hardening": Hardening(remove=("usr/share/base-passwd/*", "lib*"), logins=True)},
        {"exclude": ("usr/share/[md]*", "usr/bin/t??l")},
    ],
    ids=["usual", "hardening-of-its-own", "exclude-of-its-own"],
)
async def test_the_scripts_make_the_tree_that_the_embedded_builder_makes(
    bench: Bench, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Run by the real Packer, with its null builder: every file to the byte but the notes of which packages there are."""
    folder, digest = await rendered(bench, tmp_path / "machine", **changes)
    root, here = tmp_path / "root", tmp_path / "null"
    here.mkdir()
    scripts = ", ".join(f'"{folder}/scripts/{name}.sh"' for name in BUILD)
    text = NULL.format(folder=folder, packages=packages(tmp_path / "packages"), root=root, scripts=scripts)
    (here / "null.pkr.hcl").write_text(text)
    said = packer("build", folder=here)
    assert said.returncode == 0, said.stdout + said.stderr
    made = {
        path: content for path, content in contents(bench.images.tree(digest)).items() if not path.startswith("var/lib/dpkg/")
    }
    assert contents(root) == made and len(made) > 5


def contents(top: Path) -> dict[str, tuple[str, bool]]:
    """Return every file and link of a tree: what is in it, and whether it can be executed, setuid bits shown."""
    found = {}
    for folder, _, names in os.walk(top):
        links = [entry.name for entry in os.scandir(folder) if entry.is_symlink() and entry.name not in names]
        for path in (Path(folder, name) for name in (*names, *links)):
            mode = path.lstat().st_mode
            text = f"-> {path.readlink()}" if path.is_symlink() else f"{path.read_text()}{'!' if mode & 0o6000 else ''}"
            found[str(path.relative_to(top))] = (text, bool(mode & stat.S_IXUSR))
    return found


def unpack(folder: Path, kept: Path, root: Path) -> CompletedProcess[str]:
    """Run the script that unpacks."""
    environment = {**os.environ, "INPUTS": f"{folder}/inputs", "PACKAGES": str(kept), "ROOT": str(root)}
    return run(["sh", str(folder / "scripts/unpack.sh")], env=environment, capture_output=True, text=True, check=False)


async def test_a_package_that_is_another_than_was_locked_is_not_unpacked(bench: Bench, tmp_path: Path) -> None:
    """The script ends there."""
    folder, _ = await rendered(bench, tmp_path / "machine")
    kept = packages(tmp_path / "packages")
    (kept / "tool.deb").write_bytes(Deb("tool", "1.0", files={"usr/bin/tool": "evil\n"}).data)
    said = unpack(folder, kept, tmp_path / "root")
    assert said.returncode != 0 and "tool.deb" in said.stdout + said.stderr
    assert not (tmp_path / "root/usr/bin/tool").exists()


async def test_what_somebody_wrote_is_not_written_over(bench: Bench, tmp_path: Path) -> None:
    """Rendering the same again is nothing; over other files only where that is said."""
    folder, _ = await rendered(bench, tmp_path / "machine")
    await rendered(bench, folder)
    (folder / "inputs/remove.txt").write_text("mine\n")
    with pytest.raises(InvalidInput, match="--replace") as caught:
        await rendered(bench, folder)
    assert "inputs/remove.txt" in caught.value.why
    assert (folder / "inputs/remove.txt").read_text() == "mine\n"


async def test_a_release_that_azure_has_no_machine_of_is_refused(bench: Bench) -> None:
    """By name, with those that there are."""
    await bench.build()
    lock: Lock = decode((bench.folder / "little.lock.json").read_bytes(), Lock)
    with pytest.raises(InvalidInput, match="sid"):
        render_machine(bench.mirror.recipe(suite="sid"), lock)


async def test_a_whole_system_is_not_rendered(bench: Bench) -> None:
    """The template would make another image than the recipe asks for."""
    await bench.build()
    lock: Lock = decode((bench.folder / "little.lock.json").read_bytes(), Lock)
    with pytest.raises(InvalidInput, match="cannot be rendered for Packer") as caught:
        render_machine(bench.mirror.recipe(builder=Maker.FULL), lock)
    assert "builder: embedded" in caught.value.next


def test_scripts_stop_at_the_first_failure() -> None:
    """Each is a script that sh can read."""
    from bleen.interfaces.repository import machine

    scripts = sorted(Path(machine.__file__).with_name("machine_template").glob("scripts/*.sh"))
    assert len(scripts) == 7
    for script in scripts:
        assert "set -eu" in script.read_text("utf-8").splitlines()
        assert run(["sh", "-n", str(script)], capture_output=True, check=False).returncode == 0


def test_a_recipe_without_a_lock_is_not_rendered(bleen: Bleen, repository: Path, tmp_path: Path) -> None:
    """What is not pinned is no input; the message says what makes the lock."""
    folder = repository / "infrastructure/images"
    folder.mkdir(parents=True)
    (folder / "little.yaml").write_text("image: little\nsuite: bookworm\npackages: [tool]\n")
    typed = bleen("image", "packer", "little", str(tmp_path / "out"))
    assert typed.code == 2 and "bleen image build little" in typed.err and not (tmp_path / "out").exists()
