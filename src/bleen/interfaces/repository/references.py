"""The files that a service file names: there, inside the repository, and what they must be."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from bleen.domain.image import Archive, Directory, Pypi
from bleen.domain.service import Service
from bleen.interfaces.repository.document import Document, locate
from bleen.interfaces.repository.problem import Problem

LARGEST_CONFIG = 256 * 1024
"""Bytes of all configuration files of one service: they are part of its release, and travel with it."""


def broken_references(document: Document, service: Service, folder: Path, root: Path) -> list[Problem]:
    """Return what is wrong with the files that ``service`` names, relative to ``folder``, inside ``root``."""
    found: list[Problem] = []
    for steps, path, wanted in _references(service, folder):
        problem = _misplaced(folder / path, root, wanted)
        if problem:
            what, why, instead = problem
            found.append(_at(document, steps, f"`{path}` {what}", why, instead))
        elif wanted == "locked":
            found += _unlocked(folder / path)
    return [*found, *_config_problems(document, service, folder, root)]


def read_config(service: Service, folder: Path) -> dict[str, str]:
    """Return the text of each configuration file by the name that the instance finds it under.

    Only after `broken_references` found nothing; UnicodeDecodeError and OSError where a file changed since.
    """
    return {name: (folder / path).read_bytes().decode("utf-8") for name, path in service.files.items()}


def _references(service: Service, folder: Path) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield where each path is written, the path, and what must be there."""
    match service.image:
        case Directory(path=path, requirements=requirements):
            yield ("image", "path"), path, "folder"
            if requirements:
                yield ("image", "requirements"), requirements, "locked"
        case Archive(path=path):
            yield ("image", "path"), path, "file"
        case Pypi(lock=lock) if lock and (folder / lock).exists():
            # Where it is absent, the first build makes it.
            yield ("image", "lock"), lock, "locked"
    for name, path in service.files.items():
        yield ("files", name), path, "file"


def _misplaced(path: Path, root: Path, wanted: str) -> tuple[str, str, str] | None:
    """Return what is wrong with where ``path`` leads, why, and what to write; symbolic links are followed."""
    if not path.resolve().is_relative_to(root.resolve()):
        why = f"all that a release is made of must be in {root}, or others could not make it again"
        return "leads out of the repository", why, "a path inside it"
    if not path.exists():
        near = _similar(path)
        return "is not there", f"no such file or folder: {path}", near
    if wanted == "folder" and not path.is_dir():
        return "is a file", "a `directory` image is a folder; one file can be an `archive`", ""
    if wanted != "folder" and not path.is_file():
        return "is no file", "", ""
    return None


def _similar(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = {p.name.lower(): p.name for p in path.parent.iterdir()}
    return names[near[0]] if (near := get_close_matches(path.name.lower(), names, n=1)) else ""


def _unlocked(path: Path) -> Iterator[Problem]:
    """Yield each requirement without a hash: two builds of it need not be the same."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        yield Problem(str(path), 0, 0, "the requirements cannot be read", str(error))
        return
    begun = ""
    for number, line in enumerate(lines, 1):
        begun += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        requirement = begun.split("#")[0].strip()
        begun = ""
        if requirement and not requirement.startswith("-") and "--hash=sha256:" not in requirement:
            what = f"`{requirement.split()[0]}` has no hash"
            why = "without hashes, the same release could be made of other bytes tomorrow"
            yield Problem(str(path), number, 1, what, why, "what `uv pip compile --generate-hashes` prints")


def _config_problems(document: Document, service: Service, folder: Path, root: Path) -> Iterator[Problem]:
    total = 0
    for name, path in service.files.items():
        file, steps = folder / path, ("files", name)
        if _misplaced(file, root, "file"):
            continue
        total += file.stat().st_size
        if total > LARGEST_CONFIG:
            what = f"with `{path}` the configuration files are larger than {LARGEST_CONFIG // 1024} KiB"
            why = "they are part of every release; data belongs in the image"
            yield _at(document, steps, what, why, "smaller files, or put them into the image")
            return
        if not _is_text(file):
            what = f"`{path}` is not UTF-8 text"
            yield _at(document, steps, what, "configuration is text; anything else belongs in the image", "")
    yield from _shadowed(document, service)


def _shadowed(document: Document, service: Service) -> Iterator[Problem]:
    """One name cannot be a file and a folder."""
    for name in service.files:
        other = next((o for o in service.files if o.startswith(f"{name}/")), None)
        if other:
            what = f"`{name}` is a file here and a folder in `{other}`"
            yield _at(document, ("files", name), what, "both would be at one place", "another name for one of them")


def _is_text(path: Path) -> bool:
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return not re.search(r"\x00", text)


def _at(document: Document, steps: tuple[str, ...], what: str, why: str, instead: str) -> Problem:
    place = locate(document.root, *steps) if document.root else None
    return document.problem(place, what, why=why, instead=instead)
