"""Tokens of servers that somebody signed in to with `bleen login`: one file of the user's, which nobody else can read."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import InvalidInput


class Logins(Value, frozen=True):
    """The token of each server, by its address."""

    tokens: dict[str, str] = {}


def logins_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where they are kept: below ``XDG_CONFIG_HOME``, or ``~/.config``."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "bleen" / "logins.json"


def kept_token(address: str, path: Path | None = None) -> str:
    """Return the token of ``address``; empty where nobody signed in. InvalidInput where the file cannot be read."""
    return _read(path or logins_file()).tokens.get(_key(address), "")


def keep_token(address: str, token: str, path: Path | None = None) -> None:
    """Keep ``token`` for ``address``, or forget the one that is kept where it is empty."""
    where = path or logins_file()
    tokens = {**_read(where).tokens, _key(address): token}
    where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = where.with_name(f".{where.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode(Logins({name: kept for name, kept in tokens.items() if kept})))
        os.fsync(file.fileno())
    fresh.replace(where)


def _read(path: Path) -> Logins:
    try:
        found: Logins = decode(path.read_bytes(), Logins)
    except FileNotFoundError:
        return Logins()
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidInput(f"{path} cannot be read", why=str(error), next="remove it, then bleen login") from error
    return found


def _key(address: str) -> str:
    return address.rstrip("/").lower()
