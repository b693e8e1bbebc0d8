"""Secrets as files of the home: ``<home>/secrets/NAME``, readable by their owner alone."""

import re
from pathlib import Path

from bleen.domain.errors import InvalidInput, NotFound

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class FolderSecrets:
    """The port `Secrets` on a folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "secrets"

    async def resolve(self, name: str) -> str:
        """Return the content of the secret's file, without a final newline."""
        path = self._path(name)
        try:
            mode = path.stat().st_mode
            value = path.read_text()
        except FileNotFoundError:
            raise NotFound(
                f"there is no secret {name}", why=f"{path} is not there", next=f"put it there, then: chmod 600 {path}"
            ) from None
        if mode & 0o077:
            raise InvalidInput(f"the secret {name} is readable by others", next=f"chmod 600 {path}", where=str(path))
        return value.removesuffix("\n")

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is no name for a secret", why="letters, digits, '_', '.' and '-'")
        return self._folder / name
