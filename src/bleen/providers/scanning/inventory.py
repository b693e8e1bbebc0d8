"""Finds the packages in trees: Debian's by dpkg's status, Python's by their dist-info, npm's by their package.json."""

import json
import os
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from debian.deb822 import Deb822

from bleen.domain.inventory import Inventory, Kind, Package, gathered

STATUS = "var/lib/dpkg/status"
_RELEASE = ("etc/os-release", "usr/lib/os-release")
_CLASSIFIED = "License :: "


def take_inventory(trees: Sequence[Path]) -> Inventory:
    """Return the packages in ``trees``: that of the image, and that of the base that it stands on."""
    packages: list[Package] = []
    unreadable: list[str] = []
    for tree in trees:
        for found in _in_tree(tree):
            if isinstance(found, Package):
                packages.append(found)
            else:
                unreadable.append(found)
    return gathered(packages, unreadable)


def _in_tree(tree: Path) -> Iterator[Package | str]:
    """Yield each package; of one that cannot be read, the file that ought to say what it is."""
    if (tree / STATUS).is_file():
        yield from _debian(tree)
    for folder, names, files in os.walk(tree):
        names.sort()
        here = Path(folder)
        if here.name.endswith((".dist-info", ".egg-info")):
            yield from _read(tree, here / ("METADATA" if here.suffix == ".dist-info" else "PKG-INFO"), _python)
        elif "package.json" in files and _is_npm_package(here):
            yield from _read(tree, here / "package.json", _npm)


def _is_npm_package(folder: Path) -> bool:
    """Whether npm installed it: directly in ``node_modules``, or in a scope there. Others are files of a package."""
    parent = folder.parent
    return parent.name == "node_modules" or (parent.name.startswith("@") and parent.parent.name == "node_modules")


def _read(tree: Path, path: Path, parse: Any) -> Iterator[Package | str]:
    where = path.relative_to(tree).as_posix()
    try:
        found = parse(path.read_text("utf-8", "replace"), where)
    except (OSError, ValueError, KeyError, AttributeError):
        found = where
    if found is not None:
        yield found


def _python(text: str, where: str) -> Package:
    head = HeaderParser().parsestr(text)
    classified = [line for line in head.get_all("Classifier", []) if line.startswith(_CLASSIFIED)]
    licence = head["License-Expression"] or (classified[0].rpartition(" :: ")[2] if classified else "")
    name, version = head["Name"], head["Version"]
    if not name or not version:
        raise ValueError("neither name nor version")
    return Package(Kind.PYPI, str(name), str(version), where, str(licence))


def _npm(text: str, where: str) -> Package | None:
    said = json.loads(text)
    if "version" not in said:
        return None  # what a package brings for its own tests, or to say which kind of modules it has
    licence = said.get("license", "")
    return Package(Kind.NPM, str(said["name"]), str(said["version"]), where, licence if isinstance(licence, str) else "")


def _debian(tree: Path) -> Iterator[Package]:
    distribution = distribution_of(tree)
    with (tree / STATUS).open(encoding="utf-8", errors="replace") as file:
        for paragraph in Deb822.iter_paragraphs(file, use_apt_pkg=False):
            if paragraph.get("Status", "").endswith(" installed"):
                yield _debian_package(paragraph, distribution)


def _debian_package(paragraph: Deb822, distribution: str) -> Package:
    # `Source: glibc (2.36-9)` has the version where it differs from that of the package.
    source, _, version = paragraph.get("Source", paragraph["Package"]).partition(" ")
    return Package(
        kind=Kind.DEB,
        name=paragraph["Package"],
        version=paragraph["Version"],
        where=STATUS,
        source=source,
        source_version=version.strip("() ") or paragraph["Version"],
        architecture=paragraph.get("Architecture", ""),
        distribution=distribution,
    )


def distribution_of(tree: Path) -> str:
    """Return what a tree says that it is: ``debian-12``; empty where it says nothing."""
    said = _os_release(tree)
    return "-".join(filter(None, (said.get("ID", ""), said.get("VERSION_ID", ""))))


def _os_release(tree: Path) -> dict[str, str]:
    release = next((tree / name for name in _RELEASE if (tree / name).is_file()), None)
    lines = release.read_text("utf-8", "replace").splitlines() if release is not None else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines) if value}
