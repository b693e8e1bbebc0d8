"""A tree on its way to an image, put down between two stages: its files by content, and which package each came from."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from debian.deb822 import Deb822

from bleen.domain.base import Locked
from bleen.domain.codec import Value, decode, encode
from bleen.providers.debian.package import Member, Package
from bleen.providers.debian.unpack import Tree

_LIST = "tree.json"
_FILES = "files"


class _Put(Value, frozen=True, omit_defaults=True):
    path: str
    data: str = ""
    """The digest of its bytes; empty for a link."""
    executable: bool = False
    target: str = ""
    privileged: bool = False


class _Owner(Value, frozen=True):
    locked: Locked
    control: str


class _Listed(Value, frozen=True):
    members: tuple[_Put, ...]
    owners: dict[str, str]
    packages: tuple[_Owner, ...]


def put_down(tree: Tree, packages: Iterable[Package], folder: Path, before: Path | None = None) -> None:
    """Write ``tree``, made of ``packages``, into ``folder``; files that ``before`` has already are shared with it."""
    (folder / _FILES).mkdir(parents=True, exist_ok=True)
    members = []
    for member in tree.members.values():
        data = "" if member.target else _keep(member.data, folder / _FILES, before / _FILES if before else None)
        members.append(_Put(member.path, data, member.executable, member.target, member.privileged))
    owners = {path: owner.locked.name for path, owner in tree.owners.items()}
    listed = _Listed(tuple(members), owners, tuple(_Owner(one.locked, str(one.control)) for one in packages))
    (folder / _LIST).write_bytes(encode(listed))


def take_up(folder: Path) -> tuple[Tree, list[Package]] | None:
    """Return the tree and its packages as they were put down; None where a byte of it is another."""
    try:
        listed: _Listed = decode((folder / _LIST).read_bytes(), _Listed)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    packages = {one.locked.name: Package(one.locked, Deb822(one.control), ()) for one in listed.packages}
    tree = Tree(owners={path: packages[name] for path, name in listed.owners.items()})
    for put in listed.members:
        data = b"" if put.target else _read(folder / _FILES, put.data)
        if data is None:
            return None
        tree.members[put.path] = Member(put.path, data, put.executable, put.target, put.privileged)
    return tree, list(packages.values())


def _keep(data: bytes, folder: Path, before: Path | None) -> str:
    digits = hashlib.sha256(data).hexdigest()
    path = folder / digits
    if path.exists():
        return digits
    if before is not None and (before / digits).exists():
        path.hardlink_to(before / digits)
    else:
        path.write_bytes(data)
    return digits


def _read(folder: Path, digits: str) -> bytes | None:
    try:
        data = (folder / digits).read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == digits else None
