"""The home of one platform: the folder of all its state, and what is chosen once and remembered there."""

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import structs

from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import BleenError, InvalidInput, StorageFull, Unreachable
from bleen.settings import Ports, Settings

FORMAT = "1"
"""The version of the home's layout; a home of another one is left alone."""
_STARTING = "starting.lock"
_MAY_COME_FIRST = frozenset({"secrets", _STARTING})
"""What may lie in a home before its first `bleen up`."""
_SOCKET_LIMIT = 107
"""Bytes of a unix socket's path on Linux, without the final NUL: see unix(7)."""
_LONGEST_SOCKET = "/postgres/.s.PGSQL.5432.lock"
"""The longest path of a socket below the runtime folder, but for the names of regions."""


class Address(Value, frozen=True, forbid_unknown_fields=False):
    """Where the platform of a home answers."""

    server: str


def check_home(settings: Settings) -> None:
    """Refuse a home that is of another version, or is something else: InvalidInput. Nothing is changed."""
    with _translated(settings.path):
        home = settings.path
        if not home.exists():
            return
        if not home.is_dir():
            raise InvalidInput(f"{home} is no folder", next="set BLEEN_HOME to a folder, or to a path where none is yet")
        _check_format(home)


def make_home(settings: Settings) -> Settings:
    """Return ``settings`` with every port chosen, the home made or found to be one of ours.

    InvalidInput where the folder is of another version, is something else or cannot be written; StorageFull.
    """
    home = settings.path
    _check_socket_paths(settings)
    with _translated(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _translated(settings.runtime_path):
        settings.runtime_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_private(settings.runtime_path)
    with _translated(home):
        _check_format(home)
        _write(home / "format", FORMAT)
        chosen = structs.replace(settings, ports=_choose_ports(settings))
        _write(home / "ports.json", encode(chosen.ports).decode())
        if not (home / "token").exists():
            _write(home / "token", _new_token())
        _write(home / "platform.json", encode(Address(f"http://127.0.0.1:{chosen.ports.api}")).decode())
    return chosen


@contextmanager
def starting(settings: Settings) -> Iterator[None]:
    """Be the only one who starts the platform of a home; wait for whoever does."""
    home = settings.path
    with _translated(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(home / _STARTING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_address(settings: Settings) -> str:
    """Return where the platform of the home answers; Unreachable where none was ever started."""
    try:
        return decode((settings.path / "platform.json").read_bytes(), Address).server
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError) as error:
        raise no_platform(settings) from error
    except OSError as error:
        raise _translate(error, settings.path) from error


def read_token(settings: Settings) -> str:
    """Return the token of the home; Unreachable where there is none yet."""
    try:
        return (settings.path / "token").read_text().strip()
    except FileNotFoundError as error:
        raise no_platform(settings) from error
    except OSError as error:
        raise _translate(error, settings.path) from error


def no_platform(settings: Settings) -> Unreachable:
    """Return the error of a home where nothing runs."""
    return Unreachable("no platform runs", why=f"nothing answers for {settings.home}", next="bleen up")


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment in which the parts of the platform run: what the user set, with every port chosen."""
    ports = settings.ports
    return {
        **os.environ,
        "BLEEN_HOME": settings.home,
        "BLEEN_ENVIRONMENT": settings.environment,
        "BLEEN_REGIONS": ",".join(settings.regions),
        "BLEEN_GATEWAY_PORT": str(ports.gateway),
        "BLEEN_API_PORT": str(ports.api),
        "BLEEN_ENGINE_PORT": str(ports.engine),
        "BLEEN_ENGINE_HTTP_PORT": str(ports.engine_http),
        "BLEEN_SERVICE_PORTS": str(ports.services),
        "BLEEN_PROVIDER": settings.provider,
        "BLEEN_AZURE_SITE": settings.azure_site,
        "BLEEN_AZURE_LOOK": str(settings.azure_look),
    }


def read_ports(settings: Settings) -> Ports:
    """Return the ports that were chosen for the home; 0 where none was yet."""
    try:
        ports: Ports = decode((settings.path / "ports.json").read_bytes(), Ports)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Ports(gateway=0, api=0)
    return ports


def part_runs(home: Path, name: str) -> bool:
    """Return whether a part called ``name``, or ``name-...``, runs already: it has its port, and keeps it."""
    from bleen.providers.local.process import ProcessId, runs
    from bleen.providers.local.store import load

    records = [path for path in (home / "parts").glob(f"{name}*.json") if path.stem.partition("-")[0] == name]
    return any(runs(load(path, ProcessId)) for path in records)


def free_port() -> int:
    """Return a port of the loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _check_format(home: Path) -> None:
    found = _format_of(home)
    if found not in ("", FORMAT):
        raise InvalidInput(
            f"{home} was made by another version of Bleen",
            why=f"its layout is {found[:20]!r}, and this version writes {FORMAT!r}",
            next="use the version that made it, or set BLEEN_HOME to another folder (nothing was changed)",
        )
    # Asked again after a look at the rest: it may be another `bleen up` that makes this home at this moment.
    if not found and _has_strangers(home) and not _format_of(home):
        raise InvalidInput(
            f"{home} was not made by this Bleen",
            why="it has no file 'format'",
            next=f"move it away, or set BLEEN_HOME to another folder, then bleen up (nothing in {home} was changed)",
        )


def _format_of(home: Path) -> str:
    """Return the version of the home's layout; nothing where none is written."""
    try:
        return (home / "format").read_text().strip()
    except FileNotFoundError:
        return ""


def _has_strangers(home: Path) -> bool:
    """Return whether there is more than what may come before the format, and the beginnings of that file itself."""
    return not all(p.name in _MAY_COME_FIRST or (p.name.startswith(".format.") and p.suffix == ".tmp") for p in home.iterdir())


def _check_private(runtime: Path) -> None:
    found = runtime.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InvalidInput(
            f"{runtime} is open to others",
            why="it holds the sockets of the platform",
            next=f"chmod 700 {runtime}, or remove it",
        )


def _check_socket_paths(settings: Settings) -> None:
    """Sockets are not in the home, whose path may be long; but the runtime folder can be somewhere deep as well."""
    regions = (f"/gateway-{region}.sock" for region in settings.regions)
    longest = settings.runtime + max((_LONGEST_SOCKET, *regions), key=len)
    if len(os.fsencode(longest)) > _SOCKET_LIMIT:
        raise InvalidInput(
            f"the path of a socket would have {len(os.fsencode(longest))} bytes, and {_SOCKET_LIMIT} is the limit",
            why=longest,
            next="set XDG_RUNTIME_DIR to a shorter path",
            where="environment",
        )


def _choose_ports(settings: Settings) -> Ports:
    """Return the ports that were asked for; for 0 what was chosen before, while it is free or ours, or a free one."""
    asked, before = settings.ports, read_ports(settings)
    holders = {"gateway": "gateway", "api": "controller", "engine": "engine", "engine_http": "engine"}

    def choose(name: str) -> int:
        port: int = getattr(before, name)
        return getattr(asked, name) or (port if port and _usable(settings.path, holders[name], port) else free_port())

    return structs.replace(asked, **{name: choose(name) for name in holders})


def _usable(home: Path, part: str, port: int) -> bool:
    from bleen.providers.local.addresses import check_free

    try:
        check_free("127.0.0.1", port)
    except BleenError:
        return part_runs(home, part)
    return True


def _new_token() -> str:
    import secrets

    return secrets.token_urlsafe(32)


def _write(path: Path, text: str) -> None:
    """Write it where it is not so already: an agent that is started again needs no room on a full disk."""
    from bleen.providers.local.store import write_atomically

    if not path.exists() or path.read_text() != text:
        write_atomically(path, text.encode())


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Say in our words what the machine says of ``path``."""
    try:
        yield
    except OSError as error:
        raise _translate(error, path) from error


def _translate(error: OSError, path: Path) -> BleenError:
    why = f"{error.filename}: {error.strerror}" if error.filename and str(error.filename) != str(path) else error.strerror
    kind: Callable[..., BleenError] = InvalidInput
    what, next = f"{path} cannot be used", "set BLEEN_HOME to a folder that you can write"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        kind, what, next = StorageFull, f"no room on the disk of {path}", f"make room (df -h {path.parent}), or set BLEEN_HOME"
    return kind(what, why=why or "", next=next)
