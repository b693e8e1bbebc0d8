"""From packages to files: who wins where two have the same path, what is left out, and what hardening takes away."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path

from bleen.domain.base import Hardening, Recipe
from bleen.domain.errors import BuildFailed
from bleen.providers.debian.package import MERGED, Member, Package
from bleen.providers.debian.resolve import relations

_LICENCE = re.compile(r"usr/share/doc/[^/]+/copyright")


@dataclass
class Tree:
    """The files of a base image on their way to the disk, by path. ``owners`` says which package each came from."""

    members: dict[str, Member] = field(default_factory=dict)
    owners: dict[str, Package] = field(default_factory=dict)

    def add(self, package: Package, exclude: re.Pattern[str]) -> None:
        """Add the files of ``package``; BuildFailed where another one has a different file there, and neither replaces it."""
        for member in package.members:
            if exclude.fullmatch(member.path) and not _LICENCE.fullmatch(member.path):
                continue
            # What hardening took away has an owner, and is in nobody's way.
            other = self.owners.get(member.path) if member.path in self.members else None
            if other is not None and not _same(member, self.members[member.path]) and not _replaces(package, other):
                if _replaces(other, package):
                    continue
                raise BuildFailed(
                    f"{member.path} is in two packages",
                    why=f"{package.locked.name} and {other.locked.name} have different ones, and neither replaces the other's",
                    next="leave one of them out of the recipe",
                )
            self.members[member.path] = member
            self.owners[member.path] = package

    def put(self, path: str, text: str) -> None:
        """Write a file that no package has, or that takes the place of a package's."""
        self.members[path] = Member(path, text.encode())

    def link(self, path: str, target: str) -> None:
        """Make a link where there is nothing yet."""
        self.members.setdefault(path, Member(path, target=target))

    def remove(self, patterns: Iterable[str]) -> list[str]:
        """Take away what matches, and return what that was."""
        matching = any_of(patterns)
        gone = sorted(path for path in self.members if matching.fullmatch(path))
        for path in gone:
            del self.members[path]
        return gone

    def write(self, stage: Path) -> None:
        """Write every file below ``stage``. Links are made last, so that none is there to be written through."""
        for member in self._real():
            path = stage / member.path
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(member.data)
            except (FileExistsError, NotADirectoryError) as error:
                raise BuildFailed(f"{member.path} cannot be unpacked", why="it is a file and a folder at once") from error
            path.chmod(0o755 if member.executable else 0o644)
        for member in sorted((m for m in self.members.values() if m.target), key=lambda m: m.path):
            _make_link(stage, member.path, member.target)
        for name in MERGED:
            if (stage / "usr" / name).is_dir():
                _make_link(stage, name, f"usr/{name}")

    def _real(self) -> list[Member]:
        return sorted((m for m in self.members.values() if not m.target), key=lambda m: m.path)


def unpack(packages: Sequence[Package], recipe: Recipe) -> Tree:
    """Return the files of ``packages``, which are in order of their names."""
    tree, exclude = Tree(), any_of(recipe.exclude)
    for package in packages:
        tree.add(package, exclude)
    return tree


def harden(tree: Tree, rules: Hardening) -> str:
    """Carry out the rules, and return what they did, in words. After patches: none brings back what was taken away."""
    removed = tree.remove(rules.remove)
    bare = [path for path, member in tree.members.items() if member.privileged]
    for path in bare:
        member = tree.members[path]
        tree.members[path] = Member(path, member.data, member.executable)
    said = [f"{len(removed)} files removed", f"{len(bare)} programs lost their setuid or setgid bit"]
    if not rules.logins:
        said.append(_close_logins(tree))
    return ", ".join(said)


def _close_logins(tree: Tree) -> str:
    """Leave three accounts, none of which anyone can log in to; there is no file of passwords at all."""
    before = tree.members.get("etc/passwd")
    tree.put("etc/passwd", "".join(f"{name}:x:{uid}:{uid}:{name}:{home}:/usr/sbin/nologin\n" for name, uid, home in ACCOUNTS))
    tree.put("etc/group", "".join(f"{name}:x:{uid}:\n" for name, uid, _ in ACCOUNTS))
    tree.put("etc/shells", "# nobody logs in\n")
    tree.remove(("etc/shadow*", "etc/gshadow*", "etc/passwd-", "etc/group-", "etc/subuid*", "etc/subgid*"))
    had = len(before.data.splitlines()) if before else 0
    return f"{len(ACCOUNTS)} accounts without a login" + (f" in place of {had}" if had else "")


ACCOUNTS: tuple[tuple[str, int, str], ...] = (("root", 0, "/root"), ("app", 1000, "/tmp"), ("nobody", 65534, "/nonexistent"))
"""Name, number and home: the machine's root, who runs the service, and nobody."""


def any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return what matches a path that one of the patterns matches."""
    return re.compile("|".join(translate(pattern) for pattern in patterns) or r"(?!)")


def _make_link(stage: Path, path: str, target: str) -> None:
    link = stage / path
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        if (link.parent.resolve() / link.name) != stage.resolve() / path:
            raise BuildFailed(f"{path} cannot be unpacked", why="a folder above it is a link")
        link.symlink_to(target)
    except (FileExistsError, NotADirectoryError) as error:
        raise BuildFailed(f"{path} cannot be unpacked", why="it is a link and a file or folder at once") from error


def _same(one: Member, other: Member) -> bool:
    return (one.data, one.target, one.executable) == (other.data, other.target, other.executable)


def _replaces(package: Package, other: Package) -> bool:
    names = {relation.name for group in relations(package.control.get("Replaces", "")) for relation in group}
    return other.locked.name in names


def by_suite(packages: Sequence[Package], suites: Mapping[str, str]) -> dict[str, list[Package]]:
    """Return the packages by the layer that their suite belongs to."""
    found: dict[str, list[Package]] = {}
    for package in packages:
        found.setdefault(suites[package.locked.suite], []).append(package)
    return found
