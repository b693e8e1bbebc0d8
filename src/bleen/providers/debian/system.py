"""A whole system of the distribution's own making: mmdebstrap as root, from packages that were fetched and checked before."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bleen.domain.base import Locked
from bleen.domain.errors import BuildFailed
from bleen.providers.debian.package import MERGED, Member, open_package
from bleen.providers.debian.unpack import Tree, any_of
from bleen.providers.openscap import inside, run

SYSTEM = "system.tar"
"""The whole system between two stages, owners, modes and devices included."""
EPOCH = "1577836800"
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": EPOCH, "LC_ALL": "C.UTF-8"}
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


def refuse_without_tools() -> None:
    """Raise BuildFailed where no whole system can be made here."""
    missing = [program for program in ("mmdebstrap", "unshare", "chroot", "tar") if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        why = f"there is no {', no '.join(missing)}" if missing else "the controller does not run as root"
        raise BuildFailed(
            "the full builder cannot be used here", why=why, next="apt install mmdebstrap and run as root, or builder: embedded"
        )


def bootstrap(packages: Mapping[Locked, bytes], suite: str, work: Path) -> None:
    """Make `SYSTEM` in ``work`` of ``packages`` alone; their scripts are run. Nobody is asked for anything."""
    mirror = work / "mirror"
    mirror.mkdir()
    index = "".join(_entry(locked, data, mirror) for locked, data in packages.items())
    (mirror / "Packages").write_text(index)
    digest = hashlib.sha256(index.encode()).hexdigest()
    head = f"Suite: stable\nCodename: {suite}\nDate: Wed, 01 Jan 2020 00:00:00 UTC\n"
    (mirror / "Release").write_text(f"{head}SHA256:\n {digest} {len(index.encode())} Packages\n")
    names = ",".join(locked.name for locked in packages)
    # Its mounts are in a namespace of their own, and end with it: nothing of the machine lies in a folder that is removed.
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    how = ("--quiet", "--mode=root", "--variant=essential", "--format=tar", "--dpkgopt=force-unsafe-io")
    words = (*apart, "mmdebstrap", *how, f"--include={names}")
    # Each package has the digest that the signed index gave it: what is beside it in this folder is trusted.
    run((*words, suite, str(work / SYSTEM), f"deb [trusted=yes] copy://{mirror} ./"), {**_PATH, "TMPDIR": str(work)})
    shutil.rmtree(mirror)


def _entry(locked: Locked, data: bytes, mirror: Path) -> str:
    name = f"{locked.digest.removeprefix('sha256:')}.deb"
    (mirror / name).write_bytes(data)
    control = str(open_package(data, locked).control).rstrip("\n")
    return f"{control}\nFilename: ./{name}\nSize: {locked.size}\nSHA256: {locked.digest.removeprefix('sha256:')}\n\n"


def unfold(folder: Path, work: Path) -> Path:
    """Return the system of an earlier stage, below ``work``."""
    system = work / "system"
    system.mkdir()
    run(("tar", "-C", str(system), "--numeric-owner", "--xattrs", "-xpf", str(folder / SYSTEM)), _PATH)
    return system


def fold(system: Path, work: Path) -> None:
    """Make `SYSTEM` of the system, which is used up."""
    order = ("--sort=name", "--numeric-owner", f"--mtime=@{EPOCH}", "--xattrs")
    run(("tar", "-C", str(system), *order, "-cf", str(work / SYSTEM), "."), _PATH)
    shutil.rmtree(system)


def patch(system: Path, packages: Mapping[Locked, bytes], gone: Sequence[str]) -> None:
    """Install ``packages`` over what they replace, and purge what is ``gone``; no service is started."""
    folder = system / "patches"
    folder.mkdir()
    start_nothing = system / "usr/sbin/policy-rc.d"
    start_nothing.write_text("#!/bin/sh\nexit 101\n")
    start_nothing.chmod(0o755)
    for locked, data in packages.items():
        (folder / f"{locked.name}.deb").write_bytes(data)
    debs = tuple(f"/patches/{locked.name}.deb" for locked in packages)
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "DPKG_MAINTSCRIPT_DEBUG": "0"}
    try:
        if debs:
            inside(system, ("dpkg", "--force-confold", "--force-unsafe-io", "--install", *debs), **quiet)
        if gone:
            inside(system, ("dpkg", "--purge", *gone), **quiet)
    finally:
        shutil.rmtree(folder)
        start_nothing.unlink()


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
