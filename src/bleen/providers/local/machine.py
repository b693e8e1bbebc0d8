"""The machine that instances run on: its folders, what it allows, and how one instance is started on it."""

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bleen.domain.codec import Value, decode
from bleen.domain.errors import InvalidInput
from bleen.domain.fleet import FleetOrder, Isolation
from bleen.domain.image import Digest
from bleen.domain.release import SecretRef
from bleen.ports import Images, Secrets
from bleen.providers.local.backoff import Backoff
from bleen.providers.local.ground import Ground, ground_of
from bleen.providers.local.process import Census, Process, describe_exit, hold
from bleen.providers.local.sandbox import Level, wrap
from bleen.providers.local.store import Shelf, storage_error


class Trees(Images, Protocol):
    """Images that lie on this machine as folders."""

    def tree(self, digest: Digest) -> Path:
        """Return the folder of the image; NotFound."""


@dataclass(frozen=True)
class Machine:
    """What every instance of this platform shares."""

    home: Path
    images: Trees
    secrets: Secrets
    level: Level
    shelf: Shelf = field(default_factory=Shelf)
    backoff: Backoff = field(default_factory=Backoff)
    log_bytes: int = 10_000_000
    several_regions: bool = False
    """Whether names of instances must tell their region, to be unique on the machine."""
    address: str = ""
    """The one of all its instances, where the machine is theirs alone; empty: each has a loopback address of its own."""
    census: Census = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "census", Census({"BLEEN_HOME": str(self.home)}))

    @property
    def logs(self) -> Path:
        return self.home / "logs"


class Berth(Value, frozen=True):
    """Where one instance runs."""

    name: str
    address: str
    folder: Path
    """The folder of its fleet."""

    @property
    def files(self) -> Path:
        """The folder that the instance finds in $BLEEN_FILES."""
        return self.folder / "files"

    @property
    def status(self) -> Path:
        """Where bubblewrap writes the pid and the exit code of the sandbox, also while no agent runs."""
        return self.folder / f".{self.name}.status"


class Status(Value, frozen=True, forbid_unknown_fields=False, rename="kebab"):
    """One line that bubblewrap wrote."""

    exit_code: int | None = None


def markers(home: Path, name: str) -> dict[str, str]:
    """Return the environment variables by which every process of an instance can be found."""
    return {"BLEEN_HOME": str(home), "BLEEN_INSTANCE": name}


async def start(machine: Machine, order: FleetOrder, berth: Berth) -> Process:
    """Return the process of an instance, waiting at its gate.

    StartFailed says what the image or the machine lacks; NotFound which secret is missing.
    """
    image = await machine.images.find(order.image)
    base = machine.images.tree(image.base) if image.base.startswith("sha256:") else None
    ground = ground_of(image, machine.images.tree(order.image), base, berth.files, machine.level)
    env = await _environment(machine, order, berth, ground)
    command = _command(order, berth, ground.app)
    ground.check_command(command[0], env)
    machine.logs.mkdir(parents=True, exist_ok=True)
    log = machine.logs / f"{berth.name}.log"
    if machine.level.isolation is Isolation.PROCESS:
        return hold(command, env=env, cwd=ground.app, log=log)
    return _start_sandboxed(machine, command, berth, ground, env, log)


def _start_sandboxed(
    machine: Machine, command: tuple[str, ...], berth: Berth, ground: Ground, env: dict[str, str], log: Path
) -> Process:
    descriptor = _open_status(berth.status)
    try:
        argv = wrap(
            command,
            bwrap=machine.level.bwrap,
            hostname=berth.name,
            shown=ground.shown,
            base=ground.base,
            status_fd=descriptor,
            cwd=ground.app,
        )
        return hold(argv, env=env, cwd="/", log=log, keeper=True, pass_fds=(descriptor,))
    finally:
        os.close(descriptor)


def _open_status(path: Path) -> int:
    """Return a descriptor to write to. On a full disk the instance runs all the same: we are its parent, and know."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _command(order: FleetOrder, berth: Berth, app: str) -> tuple[str, ...]:
    places = {"{address}": berth.address, "{port}": str(order.runtime.port), "{app}": app}

    def fill(word: str) -> str:
        for place, value in places.items():
            word = word.replace(place, value)
        return word

    return tuple(fill(word) for word in order.runtime.command)


async def _environment(machine: Machine, order: FleetOrder, berth: Berth, ground: Ground) -> dict[str, str]:
    """Return the whole environment. Secrets are read here, at each start, and kept nowhere else."""
    own = {
        name: await machine.secrets.resolve(value.secret) if isinstance(value, SecretRef) else value
        for name, value in order.runtime.env.items()
    }
    return (
        {"HOME": "/tmp", "TMPDIR": "/tmp"}
        | dict(ground.env)
        | own
        | markers(machine.home, berth.name)
        | {
            "BLEEN_SERVICE": order.slot.service,
            "BLEEN_RELEASE": f"r{order.release}",
            "BLEEN_COLOUR": str(order.slot.colour),
            "BLEEN_ADDRESS": berth.address,
            "BLEEN_PORT": str(order.runtime.port),
            "BLEEN_FILES": ground.files,
        }
    )


def exit_of(berth: Berth, process: Process) -> str:
    """Return how ``process`` ended, in words; bubblewrap kept the code where we were not its parent."""
    if process.code is not None:
        return describe_exit(process.code)
    try:
        lines = berth.status.read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    found: list[Status] = [decode(line, Status) for line in lines]
    codes = [status.exit_code for status in found if status.exit_code is not None]
    return describe_exit(codes[-1]) if codes else "ended, its exit code went to an earlier agent"


def check_files(order: FleetOrder) -> None:
    """Refuse names that lead out of the files' folder."""
    for name in order.runtime.files:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise InvalidInput(f"{name!r} is no name for a file", why="it leads out of $BLEEN_FILES", next="write it relative")


async def write_files(folder: Path, order: FleetOrder) -> None:
    """Write the release's files below ``folder``."""

    def write() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in order.runtime.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    try:
        await asyncio.to_thread(write)
    except OSError as error:
        raise storage_error(error, folder) from error
