"""Programs run as root for a system that lies in a folder: beside it, or in it with nothing of the machine in reach."""

import os
import shutil
import signal
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from bleen.domain.errors import BuildFailed
from bleen.providers.local.images.process import Shell, last_lines, run
from bleen.providers.local.images.store import Workspace
from bleen.providers.local.images.tools import EPOCH, Tools

_INSIDE = "/usr/sbin:/usr/bin:/sbin:/bin"
_APART = ("--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child")
"""Namespaces of its own. What is mounted there ends with it, and so do its processes, however it ends."""
_NEEDED = ("mmdebstrap", "unshare", "setpriv", "chroot", "tar")


@dataclass(frozen=True)
class Chroot:
    """What is run for one stage. Nothing of the machine's environment gets in; who is cancelled ends what it runs."""

    shell: Shell
    search: str
    """Where programs of the machine are, as a PATH."""

    @property
    def work(self) -> Path:
        """The folder of the stage."""
        return Path(self.shell.folder)

    async def run(self, *words: str, good: Container[int] = (0,), env: Mapping[str, str] = {}, crashes: int = 0) -> None:
        """Run a program of the machine; BuildFailed, with its last words, where it ends otherwise than ``good``.

        One that is known to crash now and then, and only reads, may crash so often, and is run again.
        """
        ended = await run(self.shell, (self.find(words[0]), *words[1:]), env=env)
        if ended.code == -signal.SIGSEGV and crashes:
            await self.run(*words, good=good, env=env, crashes=crashes - 1)
        elif ended.code not in good:
            # Errors last: what it said while all was well is no reason.
            said = last_lines(f"{ended.out}\n{ended.err}\nit ended with {ended.code}")
            raise BuildFailed(f"{words[0]} failed: {' '.join(words)[:160]}", why=said, next="try again")

    async def apart(self, *words: str, good: Container[int] = (0,), env: Mapping[str, str] = {}) -> None:
        """Run a program of the machine with mounts, processes and names of its own, and without a network."""
        await self.run("unshare", *_APART, "--mount-proc", self.find(words[0]), *words[1:], good=good, env=env)

    async def alone(self, *words: str) -> None:
        """Run a program as `apart`, ended also where whoever runs it is killed: it has nothing to finish."""
        apart = (self.find("unshare"), *_APART, "--mount-proc", self.find(words[0]), *words[1:])
        await self.run("setpriv", "--pdeathsig", "KILL", *apart)

    async def inside(self, system: Path, *words: str, good: Container[int] = (0,), env: Mapping[str, str] = {}) -> None:
        """Run a program of the system in it, as `apart`, and without /proc: it could change the machine's kernel there."""
        there = {"TMPDIR": "/tmp", **env}
        await self.run("unshare", *_APART, self.find("chroot"), str(system), *words, good=good, env=there)

    def find(self, program: str) -> str:
        """Return the path of a program of the machine; BuildFailed where there is none."""
        found = shutil.which(program, path=self.search)
        if found is None:
            raise missing([program])
        return found


def chroot_of(tools: Tools, work: Workspace) -> Chroot:
    """Return how a stage in ``work`` runs programs."""
    shell = tools.shell(work)
    clean = {"PATH": _INSIDE, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": EPOCH, "HOME": "/root", "TMPDIR": work.folder}
    return Chroot(structs.replace(shell, environ=clean), search_of(tools))


def search_of(tools: Tools) -> str:
    """Return where programs are sought: root's own may lack the folders of the system's."""
    return f"{tools.environ.get('PATH', '')}:/usr/sbin:/sbin"


def refuse_without_tools(tools: Tools) -> None:
    """Raise BuildFailed where no whole system can be made here."""
    absent = [program for program in _NEEDED if shutil.which(program, path=search_of(tools)) is None]
    if absent:
        raise missing(absent)
    if os.geteuid() != 0:
        raise _refused("the controller does not run as root, and scripts of packages need root")


def missing(programs: list[str]) -> BuildFailed:
    """Return the error of a machine without these programs."""
    return _refused(f"there is no {', no '.join(programs)}")


def _refused(why: str) -> BuildFailed:
    install = "apt install mmdebstrap util-linux coreutils tar, and run the controller as root; or builder: embedded"
    return BuildFailed("the full builder cannot be used here", why=why, next=install)
