"""A machine of QEMU's that is booted once: a kernel, what it unpacks as its root, two serial ports, and nothing else.

Emulated (TCG), also where there is KVM: it is the same machine everywhere, and needs no device of the host.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Protocol

from bleen.domain.codec import Value
from bleen.domain.errors import BuildFailed
from bleen.providers.debian.locking import architecture
from bleen.providers.qemu.guest import INIT

PROGRAM = "qemu-system-x86_64"
PATIENCE = 300.0
"""Seconds from the start of QEMU within which an image is up: four times what a busy machine of two cores took."""
KERNEL, ROOT = "kernel", "root.cpio"
"""What a machine is booted from, in a folder of its own."""
_CONSOLE, _OUTCOME = "console", "outcome"
_LINES = 15
"""Of the console, in an error."""
_ROOM = 256
"""MiB for the kernel and the programs."""
_COMMAND_LINE = f"console=ttyS0 loglevel=4 panic=-1 rootfstype=ramfs rdinit=/{INIT}"
_MACHINE = ("-nodefaults", "-no-user-config", "-machine", "q35,accel=tcg", "-cpu", "max", "-nic", "none", "-display", "none")
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


class Root(Protocol):
    """Runs programs as root; BuildFailed, with their last words, where they fail."""

    async def alone(self, *words: str) -> None:
        """Run a program of the machine, apart from it and without a network, that ends when whoever runs it does."""


class Up(Value, frozen=True):
    """An image came up."""

    seconds: float
    """By its own clock, from the kernel's start on."""
    what: str
    """What answered, in words."""


def refuse_without_qemu(search: str) -> None:
    """Raise BuildFailed where no image can be booted here; ``search`` is a PATH."""
    if architecture() != "amd64":
        raise _refused("the machine that images are booted on is an amd64")
    if shutil.which(PROGRAM, path=search) is None:
        raise _refused(f"there is no {PROGRAM}")


def _refused(why: str) -> BuildFailed:
    install = "apt install qemu-system-x86, or leave boot out of the recipe"
    return BuildFailed("no image can be booted here", why=why, next=install)


def memory(size: int) -> int:
    """Return how many MiB a machine needs whose root is an archive of ``size`` bytes: it holds both at once, and runs."""
    return max(512, _ROOM + 3 * -(-size // (1 << 20)))


async def boot(root: Root, name: str, folder: Path, patience: float = PATIENCE) -> Up:
    """Return what an image, called ``name`` in errors, did when it was booted from ``folder``.

    BuildFailed, with the end of its console, where it did not come up.
    """
    console = folder / _CONSOLE
    try:
        async with asyncio.timeout(patience):
            await root.alone(PROGRAM, *await asyncio.to_thread(_arguments, folder))
    except TimeoutError as error:
        raise _failed(name, f"it is not up after {patience:g} s", console) from error
    said = _read(folder / _OUTCOME).split(maxsplit=2)
    if len(said) == 3 and said[0] == "up":
        return Up(float(said[1]), said[2])
    raise _failed(name, " ".join(said[1:]) or "it went down before anything of it answered", console)


def _arguments(folder: Path) -> tuple[str, ...]:
    size = memory((folder / ROOT).stat().st_size)
    ports = [word for name in (_CONSOLE, _OUTCOME) for word in ("-serial", f"file:{folder / name}")]
    boots = ("-kernel", str(folder / KERNEL), "-initrd", str(folder / ROOT), "-append", _COMMAND_LINE, "-m", str(size))
    return (*_MACHINE, "-sandbox", _SANDBOX, *ports, *boots, "-no-reboot")


def _failed(name: str, what: str, console: Path) -> BuildFailed:
    lines = [line.rstrip() for line in _read(console).splitlines() if line.strip()]
    return BuildFailed(
        f"{name} does not boot: {what}",
        why="\n".join(["the last lines of its console:", *lines[-_LINES:]]) if lines else "its console is empty",
        next="correct the recipe (hardening.remove may have taken what it needs), or leave boot out of it",
    )


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip() if path.exists() else ""
