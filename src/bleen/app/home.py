"""The home of one platform: the folder of all its state, and what is chosen once and remembered there."""

import os
import secrets
import socket
from pathlib import Path

import msgspec
from msgspec import structs

from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import InvalidInput, Unreachable
from bleen.providers.local.store import write_atomically
from bleen.settings import Ports, Settings

FORMAT = "1"
"""The version of the home's layout; a home of another one is left alone."""


class Address(Value, frozen=True, forbid_unknown_fields=False):
    """Where the platform of a home answers."""

    server: str


def make_home(settings: Settings) -> Settings:
    """Return ``settings`` with every port chosen, the home made or found to be one of ours.

    InvalidInput where the folder is of another version, or is something else.
    """
    home = settings.path
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.runtime_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidInput(
            f"{error.filename} cannot be made", why=error.strerror or "", next="set BLEEN_HOME to a folder that you can write"
        ) from error
    _check_format(home)
    _check_private(settings.runtime_path)
    (home / "secrets").mkdir(exist_ok=True, mode=0o700)
    chosen = structs.replace(settings, ports=_choose_ports(settings))
    _write_once(home / "token", secrets.token_urlsafe(32))
    write_atomically(home / "platform.json", encode(Address(f"http://127.0.0.1:{chosen.ports.api}")))
    return chosen


def read_address(settings: Settings) -> str:
    """Return where the platform of the home answers; Unreachable where none was ever started."""
    try:
        return decode((settings.path / "platform.json").read_bytes(), Address).server
    except (FileNotFoundError, msgspec.MsgspecError) as error:
        raise no_platform(settings) from error


def read_token(settings: Settings) -> str:
    """Return the token of the home; Unreachable where there is none yet."""
    try:
        return (settings.path / "token").read_text().strip()
    except FileNotFoundError as error:
        raise no_platform(settings) from error


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
    }


def _check_format(home: Path) -> None:
    path = home / "format"
    if not path.exists() and any(p.name not in ("secrets",) for p in home.iterdir()):
        raise InvalidInput(
            f"{home} was not made by this Bleen",
            why="it has no file 'format'",
            next=f"move it away, or set BLEEN_HOME to another folder, then bleen up (nothing in {home} was changed)",
        )
    _write_once(path, FORMAT)
    found = path.read_text().strip()
    if found != FORMAT:
        raise InvalidInput(
            f"{home} was made by another version of Bleen",
            why=f"its layout is {found[:20]!r}, and this version writes {FORMAT!r}",
            next="use the version that made it, or set BLEEN_HOME to another folder",
        )


def _check_private(runtime: Path) -> None:
    found = runtime.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InvalidInput(
            f"{runtime} is open to others",
            why="it holds the sockets of the platform",
            next=f"chmod 700 {runtime}, or remove it",
        )


def read_ports(settings: Settings) -> Ports:
    """Return the ports that were chosen for the home; 0 where none was yet."""
    try:
        ports: Ports = decode((settings.path / "ports.json").read_bytes(), Ports)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Ports(gateway=0, api=0)
    return ports


def _choose_ports(settings: Settings) -> Ports:
    """Return the ports that were asked for; for 0 what was chosen before, or a free one."""
    path, asked, before = settings.path / "ports.json", settings.ports, read_ports(settings)
    names = ("gateway", "api", "engine", "engine_http")
    chosen = {name: getattr(asked, name) or getattr(before, name) or free_port() for name in names}
    ports = structs.replace(asked, **chosen)
    write_atomically(path, encode(ports))
    return ports


def free_port() -> int:
    """Return a port of the loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        write_atomically(path, text.encode())
