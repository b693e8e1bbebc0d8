"""`bleen init`: a small GitOps repository that works, to start from; with what Azure needs, where it is asked for."""

import os
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from bleen.domain.errors import InvalidInput, StorageFull
from bleen.interfaces.repository.examples import infrastructure_folder

# A dot file in a package would be hidden from people and, some of them, from packaging tools.
_NAMES = {"gitignore": ".gitignore"}
# What is made by running things in a checkout, and is nobody's to start from.
_LEFTOVERS = ("__pycache__", ".terraform", ".terraform.lock.hcl")


def init(folder: Path, azure: bool = False) -> list[Path]:
    """Write the example repository into ``folder``, and return the files, sorted; with ``azure``, its infrastructure too.

    InvalidInput, with the list, where one of them is there already: nothing is written then, and nothing is overwritten ever.
    """
    wanted = {folder / name: text for name, text in _template(files("bleen.interfaces.repository") / "template")}
    if azure:
        wanted |= {folder / _place(name): text for name, text in _template(infrastructure_folder(), "infrastructure/")}
    _refuse_existing(folder, list(wanted))
    written: list[Path] = []
    try:
        for path, data in sorted(wanted.items()):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_new(path, data)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise StorageFull(
            f"{folder} cannot be written", why=error.strerror or str(error), next="bleen init DIR writes elsewhere"
        ) from error
    return written


def _place(name: str) -> str:
    """Return where a file of the infrastructure goes: GitLab reads its pipeline at the root."""
    return ".gitlab-ci.yml" if name == "infrastructure/pipelines/gitlab-ci.yml" else name


def _template(folder: Traversable, below: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = f"{below}{_NAMES.get(entry.name, entry.name)}"
        if entry.name in _LEFTOVERS or ".tfstate" in entry.name:
            continue
        if entry.is_dir():
            yield from _template(entry, f"{name}/")
        elif entry.is_file():
            yield name, entry.read_bytes()


def _refuse_existing(folder: Path, wanted: list[Path]) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file", next="bleen init DIR writes into another folder", where=str(folder))
    taken = [str(path.relative_to(folder)) for path in sorted(wanted) if path.exists() or path.is_symlink()]
    if taken:
        raise InvalidInput(
            f"{len(taken)} of the {len(wanted)} files are there already",
            why=", ".join(taken),
            next="bleen init DIR writes into another folder; nothing was written here",
            where=str(folder),
        )


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist: whoever made it since is not overwritten either."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
