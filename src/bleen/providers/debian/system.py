"""A whole system of the distribution's own making: mmdebstrap as root, from packages that were fetched and checked before."""

import asyncio
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bleen.domain.base import Locked
from bleen.providers.debian.package import MERGED, Member, read_control
from bleen.providers.debian.resolve import relations
from bleen.providers.debian.unpack import Tree, any_of

SYSTEM = "system.tar"
"""The whole system between two stages, owners, modes and devices included."""
SEAL = "system.sha256"
"""Its digest."""
EPOCH = 1577836800
"""The date of every file of a system, in seconds since 1970."""
_NOT_KEPT = (
    "dev/*",
    "proc/*",
    "sys/*",
    "run/*",
    "tmp/*",
    "root/*",
    "home/*",
    "boot/*",
    "media/*",
    "mnt/*",
    "*/__pycache__/*",
    "etc/machine-id",
    "etc/hostname",
    "etc/mtab",
    "etc/*-",
    "etc/.pwd.lock",
    "etc/resolv.conf",
    "etc/hosts",
    "var/lib/apt/*",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/tmp/*",
    "var/run",
    "var/lock",
)
"""What a machine makes for itself, and what no instance can have."""


class Root(Protocol):
    """Runs programs as root; BuildFailed, with their last words, where they fail."""

    async def run(self, *words: str) -> None:
        """Run a program of the machine."""

    async def apart(self, *words: str) -> None:
        """Run a program of the machine with mounts and processes of its own, and without a network."""

    async def inside(self, system: Path, *words: str, env: Mapping[str, str] = {}) -> None:
        """Run a program of the system in it, with nothing of the machine in reach."""


async def bootstrap(root: Root, packages: Mapping[Locked, bytes], suite: str, work: Path) -> None:
    """Make `SYSTEM` in ``work`` of ``packages`` alone; their scripts are run. No mirror is asked for anything."""
    mirror = work / "mirror"
    await asyncio.to_thread(_write_mirror, mirror, packages, suite)
    names = ",".join(locked.name for locked in packages)
    how = ("--quiet", "--mode=root", "--variant=essential", "--format=tar", "--dpkgopt=force-unsafe-io", f"--include={names}")
    # The folder is this build's alone: no image may name it, and apt in an image has nothing to fetch.
    forget = '--customize-hook=rm -f "$1/etc/apt/sources.list"'
    # Each package has the digest that the signed index gave it: what is beside it in this folder is trusted.
    await root.apart("mmdebstrap", *how, forget, suite, str(work / SYSTEM), f"deb [trusted=yes] copy://{mirror} ./")
    await asyncio.to_thread(shutil.rmtree, mirror)
    await asyncio.to_thread(_seal, work)


def _write_mirror(mirror: Path, packages: Mapping[Locked, bytes], suite: str) -> None:
    mirror.mkdir()
    index = "".join(_entry(locked, data, mirror) for locked, data in packages.items()).encode()
    (mirror / "Packages").write_bytes(index)
    head = f"Suite: stable\nCodename: {suite}\nDate: Wed, 01 Jan 2020 00:00:00 UTC\n"
    (mirror / "Release").write_text(f"{head}SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n")


def _entry(locked: Locked, data: bytes, mirror: Path) -> str:
    digest = locked.digest.removeprefix("sha256:")
    (mirror / f"{digest}.deb").write_bytes(data)
    control = str(read_control(data, locked)).rstrip("\n")
    return f"{control}\nFilename: ./{digest}.deb\nSize: {locked.size}\nSHA256: {digest}\n\n"


async def unfold(root: Root, folder: Path, work: Path) -> Path:
    """Return the system of an earlier stage, below ``work``."""
    system = work / "system"
    system.mkdir()
    await root.run("tar", "-C", str(system), "--numeric-owner", "--xattrs", "-xpf", str(folder / SYSTEM))
    return system


async def fold(root: Root, system: Path, work: Path) -> None:
    """Make `SYSTEM` of the system, which is used up."""
    order = ("--sort=name", "--numeric-owner", f"--mtime=@{EPOCH}", "--xattrs")
    await root.run("tar", "-C", str(system), *order, "-cf", str(work / SYSTEM), ".")
    await asyncio.to_thread(shutil.rmtree, system)
    await asyncio.to_thread(_seal, work)


def _seal(work: Path) -> None:
    (work / SEAL).write_text(_digest(work))


def is_sound(folder: Path) -> bool:
    """Return whether the system of an earlier stage is what it was: a crash of the machine may have left half of it."""
    try:
        return (folder / SEAL).read_text() == _digest(folder)
    except FileNotFoundError:
        return False


def _digest(folder: Path) -> str:
    with (folder / SYSTEM).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def patch(root: Root, system: Path, packages: Mapping[Locked, bytes], gone: Sequence[str]) -> None:
    """Install ``packages`` over what they replace, and purge what is ``gone``; no service is started."""
    folder, start_nothing = system / "patches", system / "usr/sbin/policy-rc.d"
    await asyncio.to_thread(_lay_out, folder, start_nothing, packages)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    for names in await asyncio.to_thread(rounds, packages):
        debs = tuple(f"/patches/{name}.deb" for name in names)
        await root.inside(system, "dpkg", "--force-confold", "--force-unsafe-io", "--install", *debs, env=quiet)
    if gone:
        await root.inside(system, "dpkg", "--purge", *gone, env=quiet)
    await asyncio.to_thread(shutil.rmtree, folder)
    start_nothing.unlink()


def rounds(packages: Mapping[Locked, bytes]) -> list[list[str]]:
    """Return the names of the packages in the rounds that dpkg installs them in.

    What another one pre-depends on has to be configured before that is unpacked: dpkg refuses it within one round.
    """
    controls = {locked.name: read_control(data, locked) for locked, data in packages.items()}
    before = {name: _named(control.get("Pre-Depends", "")) & {*controls} for name, control in controls.items()}
    needs = {name: before[name] | _named(control.get("Depends", "")) & {*controls} for name, control in controls.items()}
    found: list[list[str]] = []
    left = {*controls}
    while left:
        first = _closure({name for one in left for name in before[one] & left}, needs) & left
        # Where everything needs everything there is no order, and dpkg has the last word.
        rest = left - first or left
        found.insert(0, sorted(rest))
        left -= rest
    return found


def _named(text: str) -> set[str]:
    return {relation.name for alternatives in relations(text) for relation in alternatives}


def _closure(names: set[str], needs: Mapping[str, set[str]]) -> set[str]:
    """Return ``names`` and all that they need."""
    found: set[str] = set()
    while names:
        found |= names
        names = {one for name in names for one in needs[name]} - found
    return found


def _lay_out(folder: Path, start_nothing: Path, packages: Mapping[Locked, bytes]) -> None:
    folder.mkdir()
    for locked, data in packages.items():
        (folder / f"{locked.name}.deb").write_bytes(data)
    start_nothing.write_text("#!/bin/sh\nexit 101\n")
    start_nothing.chmod(0o755)


def read_tree(system: Path, exclude: Sequence[str]) -> Tree:
    """Return the files of the system that images have: no devices, no state of a machine, links relative."""
    tree, left_out = Tree(), any_of((*exclude, *_NOT_KEPT))
    for path, entry in _walk(system):
        if left_out.fullmatch(path) and not path.endswith("/copyright"):
            continue
        if entry.is_symlink():
            if path not in MERGED:
                tree.members[path] = Member(path, target=_relative(path, str(Path(entry.path).readlink())))
        elif entry.is_file(follow_symlinks=False):
            mode = entry.stat(follow_symlinks=False).st_mode
            privileged = bool(mode & (stat.S_ISUID | stat.S_ISGID))
            tree.members[path] = Member(path, Path(entry.path).read_bytes(), bool(mode & stat.S_IXUSR), privileged=privileged)
    # Mounted over by the sandbox, which can mount on what is there only.
    tree.put("etc/resolv.conf", "")
    tree.put("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
    return tree


def _walk(top: Path, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(top / below) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        yield path, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(top, path)


def _relative(path: str, target: str) -> str:
    """Return where a link points from its own folder: an absolute one would leave the image."""
    if not target.startswith("/"):
        return target
    return os.path.relpath(target.lstrip("/"), Path(path).parent)
