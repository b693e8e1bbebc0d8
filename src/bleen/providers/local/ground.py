"""What an instance stands on and sees: the machine's own system, or the tree of a base image."""

import os
from collections.abc import Mapping
from pathlib import Path

from bleen.domain.base import HOST
from bleen.domain.codec import Value
from bleen.domain.errors import NotFound, StartFailed
from bleen.domain.fleet import Isolation
from bleen.domain.image import Image
from bleen.providers.local.images.environment import find_command, machine_folders, process_environment
from bleen.providers.local.sandbox import Level

APP, FILES = "/app", "/run/bleen/files"
"""Where an instance on a base finds its application and its files: the same on every machine."""


class Ground(Value, frozen=True):
    """Where one instance runs, from the inside and from the outside."""

    tree: Path
    """The application, from the outside."""
    base: Path | None
    """The base image, from the outside; None: the machine itself."""
    app: str
    """The application, from the inside."""
    files: str
    """Its configuration files, from the inside."""
    env: Mapping[str, str]
    """What the image brings along."""
    shown: Mapping[str, Path]
    """Every folder that a sandbox shows it, by where it sees it."""

    def check_command(self, name: str, env: Mapping[str, str]) -> None:
        """Refuse a command that is not there: StartFailed. From the outside, because inside nobody could say why."""
        try:
            if self.base is None:
                find_command(name, env, self.tree)
            else:
                self._find(name, env["PATH"])
        except NotFound as error:
            why = (
                "it is not executable" if "/" in name and (self.tree / name).is_file() else "not found in the image or on PATH"
            )
            raise StartFailed(f"cannot execute {name!r}", why=why) from error

    def _find(self, name: str, path: str) -> Path:
        places = (
            [name] if name.startswith("/") else [f"{APP}/{name}"] if "/" in name else [f"{f}/{name}" for f in path.split(":")]
        )
        for place in map(self._outside, places):
            if place.is_file() and os.access(place, os.X_OK):
                return place
        raise NotFound(f"there is no program {name}", why=f"sought in {', '.join(places)}")

    def _outside(self, place: str) -> Path:
        if place == APP or place.startswith(f"{APP}/"):
            return self.tree / place[len(APP) + 1 :]
        return Path(f"{self.base}{place}")


def ground_of(image: Image, tree: Path, base: Path | None, files: Path, level: Level) -> Ground:
    """Return what instances of ``image`` stand on; StartFailed where this machine lacks what that needs."""
    if image.base == HOST or base is None:
        shown = {str(folder): folder for folder in (tree, files, *machine_folders(image))}
        env = process_environment(image, str(tree))
        return Ground(tree=tree, base=None, app=str(tree), files=str(files), env=env, shown=shown)
    if level.isolation is not Isolation.SANDBOX:
        raise StartFailed(
            f"{image.name} {image.version} stands on a base image, and this machine refuses sandboxes",
            why=level.reason,
            next="allow user namespaces to this user, or say base: host in the service file",
        )
    env = process_environment(image, APP)
    return Ground(tree=tree, base=base, app=APP, files=FILES, env=env, shown={APP: tree, FILES: files})
