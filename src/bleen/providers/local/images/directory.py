"""Images of folders: what is there, but for what version control, editors and earlier runs leave."""

import os
import shutil
import stat
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import BuildFailed, InvalidInput
from bleen.domain.image import Digest, Directory
from bleen.providers.local.images import disk, tree
from bleen.providers.local.images.environment import RUNTIME
from bleen.providers.local.images.npm import node_runtime
from bleen.providers.local.images.process import Shell
from bleen.providers.local.images.python import finish_python, install_packages

IGNORE_FILE = ".bleenignore"
ALWAYS_IGNORED = (
    ".git",
    ".hg",
    ".svn",
    ".bleen",
    ".env",
    ".venv",
    "__pycache__",
    "*.pyc",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".DS_Store",
)
"""Never part of an image; `.env` because a secret in an image is a secret in every copy of it."""

PRIVATE = ("images", "keys", "secrets", "audit")
"""Folders of a home."""


class DirectoryRecipe(Value, frozen=True):
    """A folder as it is now, and the Python packages that it requires."""

    source: Directory
    folder: str
    home: str
    """Of the platform: its keys and secrets must not get into an image, where it lies in a small repository."""

    @property
    def request(self) -> Digest:
        return digest_of({"directory": self.source, "in": self.folder})

    async def gather(self, stage: Path, shell: Shell) -> Digest:
        top = Path(self.folder, self.source.path)
        if not await disk.in_thread(top.is_dir):
            raise BuildFailed(f"there is no folder {top}", next="correct image.path in the service file")
        await disk.in_thread(copy_folder, top, stage, Path(self.home))
        # Of the copy, not of the folder: that may change while it is read.
        files = await disk.in_thread(tree.list_files, stage)
        requirements = await disk.in_thread(self._lend_requirements, Path(shell.folder, "requirements.txt"))
        return digest_of({"directory": files, "requirements": requirements, "for": shell.target.runtime})

    async def assemble(self, stage: Path, shell: Shell) -> str:
        refuse_runtime(stage)
        if self.source.requirements:
            await install_packages(stage, shell, Path(shell.folder, "requirements.txt"))
        return await finish(stage, shell)

    def _lend_requirements(self, copy: Path) -> str:
        """Copy the requirements, which may change while they are installed, and return them."""
        if not self.source.requirements:
            return ""
        path = Path(self.folder, self.source.requirements)
        try:
            copy.write_bytes(path.read_bytes())
            return copy.read_text()
        except (FileNotFoundError, IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
            raise BuildFailed(
                f"the requirements {path} cannot be read", why=str(error), next="correct image.requirements in the service file"
            ) from error


async def finish(stage: Path, shell: Shell) -> str:
    """Add to an application's files what its language needs, and return its runtime; empty where there is none.

    Any `.py` file makes it one of Python, else a `package.json` at its top one of Node.
    """
    if await disk.in_thread(_has_python, stage):
        return await finish_python(stage, shell)
    return await node_runtime(shell) if await disk.in_thread((stage / "package.json").is_file) else ""


def _has_python(stage: Path) -> bool:
    return any(path.is_file() for path in stage.rglob("*.py"))


def refuse_runtime(stage: Path) -> None:
    """Refuse an application that has files where Bleen puts its own."""
    if os.path.lexists(stage / RUNTIME):
        raise BuildFailed(f"{RUNTIME} cannot be in an application", why="Bleen puts its own files there", next="rename it")


def copy_folder(top: Path, stage: Path, home: Path) -> None:
    """Copy what is not ignored of ``top`` to ``stage``; never the platform's home, nor what lies in it where it is ``top``."""
    ignored = (*ALWAYS_IGNORED, *_read_ignored(top))
    _copy_below(top, stage, ignored, {home, *(home / name for name in PRIVATE)})


def _copy_below(top: Path, stage: Path, ignored: Sequence[str], private: Collection[Path], below: str = "") -> None:
    with os.scandir(top / below) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if _is_ignored(path, ignored) or Path(entry.path) in private:
            continue
        if entry.is_dir(follow_symlinks=False):
            (stage / path).mkdir()
            _copy_below(top, stage, ignored, private, path)
        else:
            _copy_entry(entry, stage / path, path)


def _copy_entry(entry: os.DirEntry[str], target: Path, path: str) -> None:
    if entry.is_symlink():
        target.symlink_to(Path(entry.path).readlink())
    elif entry.is_file(follow_symlinks=False):
        try:
            shutil.copyfile(entry.path, target, follow_symlinks=False)
        except PermissionError as error:
            raise BuildFailed(
                f"{path} cannot be read", why=str(error), next=f"make it readable, or list it in {IGNORE_FILE}"
            ) from error
        target.chmod(0o755 if entry.stat(follow_symlinks=False).st_mode & stat.S_IXUSR else 0o644)
    else:
        raise BuildFailed(
            f"{path} cannot be in an image", why="it is no file, folder or link", next=f"remove it, or list it in {IGNORE_FILE}"
        )


def _is_ignored(path: str, ignored: Sequence[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in ignored)


def _read_ignored(top: Path) -> list[str]:
    """Return the patterns of the folder's ignore file: one per line, of a name or of a path, `#` for comments."""
    file = top / IGNORE_FILE
    if not file.is_file():
        return []
    patterns = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        pattern = line.strip().rstrip("/")
        if pattern.startswith("!"):
            raise InvalidInput(
                f"{pattern!r} is no pattern of {IGNORE_FILE}",
                why="nothing that is ignored comes back",
                next="list only what to leave out",
                where=f"{file}:{number}",
            )
        if pattern and not pattern.startswith("#"):
            patterns.append(pattern.removeprefix("/"))
    return patterns
