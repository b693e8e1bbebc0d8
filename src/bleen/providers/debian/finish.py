"""What maintainer scripts would have done, done by Bleen: none of them is run, so that a package cannot run anything here.

Certificates in one file, accounts, the usual alternatives, the list of installed packages, and compiled modules.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from bleen.domain.base import Locked
from bleen.providers.debian.package import Member, Package
from bleen.providers.debian.unpack import Tree

STATUS = "var/lib/dpkg/status"
"""The list of installed packages, where scanners look for it."""
LISTS = "var/lib/dpkg/info"
"""Which files each package has."""
_CERTIFICATES = "usr/share/ca-certificates/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_ALTERNATIVES = (
    ("usr/bin/awk", "usr/bin/mawk"),
    ("usr/bin/which", "usr/bin/which.debianutils"),
    ("usr/bin/pager", "usr/bin/more"),
)
_FROM_SHARE = (("etc/passwd", "usr/share/base-passwd/passwd.master"), ("etc/group", "usr/share/base-passwd/group.master"))
_STATUS_FIELDS = (
    "Package",
    "Source",
    "Version",
    "Architecture",
    "Maintainer",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Section",
    "Homepage",
    "Description",
)
_INTERPRETER = re.compile(r"usr/bin/python3\.(\d+)")


def finish(tree: Tree, packages: Sequence[Package]) -> None:
    """Add to ``tree`` what the packages' scripts would have made; again after more packages, and it is as if made once."""
    bundle = [member.data for path, member in sorted(tree.members.items()) if _is_certificate(path)]
    if bundle:
        tree.put(_BUNDLE, b"".join(data.rstrip() + b"\n" for data in bundle).decode())
    for path, master in _FROM_SHARE:
        if path not in tree.owners and (found := tree.members.get(master)):
            tree.members[path] = Member(path, found.data)
    for path, program in _ALTERNATIVES:
        if program in tree.members:
            tree.link(path, Path(program).name)
    # Mounted over by the sandbox, which can mount on what is there only.
    tree.put("etc/resolv.conf", "")
    tree.put("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")


def describe(tree: Tree, packages: Sequence[Package]) -> None:
    """Write which packages are installed, and which files each has, where dpkg has it. After hardening, so that it is true."""
    tree.put(STATUS, "\n".join(_status(package) for package in packages))
    owned: dict[str, list[str]] = {package.locked.name: [] for package in packages}
    for path, owner in tree.owners.items():
        if path in tree.members:
            owned[owner.locked.name].append(path)
    for name, paths in owned.items():
        tree.put(f"{LISTS}/{name}.list", "".join(f"/{path}\n" for path in sorted(paths)))


def _is_certificate(path: str) -> bool:
    return path.startswith(_CERTIFICATES) and path.endswith(".crt")


def _status(package: Package) -> str:
    lines = [(name, package.control[name]) for name in _STATUS_FIELDS if name in package.control]
    lines.insert(1, ("Status", "install ok installed"))
    return "".join(f"{name}: {value}\n" for name, value in lines)


def runtime_of(tree: Tree, packages: Sequence[Locked]) -> str:
    """Return the runtime of applications on this base: ``cpython-3.11``, or ``node-18``; empty where there is neither."""
    found = sorted(int(m[1]) for path in tree.members if (m := _INTERPRETER.fullmatch(path)))
    if found:
        return f"cpython-3.{found[-1]}"
    version = next((locked.version for locked in packages if locked.name == "nodejs"), "")
    return f"node-{version.split('.')[0]}" if version else ""
