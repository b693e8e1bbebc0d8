"""What is in an image: the packages that it is made of."""

from enum import StrEnum
from urllib.parse import quote

from bleen.domain.codec import Value


class Kind(StrEnum):
    """Whose package it is."""

    DEB = "deb"
    PYPI = "pypi"
    NPM = "npm"


class BillFormat(StrEnum):
    """Who reads a bill of materials."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"


class Package(Value, frozen=True):
    """One package of one version."""

    kind: Kind
    name: str
    version: str
    where: str
    """The file of the image that says so."""
    license: str = ""
    """In the words of the package; empty where it has none."""
    source: str = ""
    """The name of the source package, where it has another one (deb)."""
    source_version: str = ""
    architecture: str = ""
    distribution: str = ""
    """Such as ``debian-12``, where it is one of a distribution (deb)."""

    @property
    def purl(self) -> str:
        """The package URL: how scanners and vulnerability databases call it (https://github.com/package-url/purl-spec)."""
        name, version = quote(self.name, safe="/"), quote(self.version, safe="")
        match self.kind:
            case Kind.DEB:
                vendor, _, _ = self.distribution.partition("-")
                more = (
                    f"?arch={self.architecture}&distro={self.distribution}"
                    if self.distribution
                    else f"?arch={self.architecture}"
                )
                return f"pkg:deb/{vendor or 'debian'}/{name}@{version}{more}"
            case Kind.NPM:
                return f"pkg:npm/{name.replace('@', '%40', 1)}@{version}"
            case Kind.PYPI:
                return f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"


class Inventory(Value, frozen=True):
    """The packages of an image and of the base that it stands on, each once, in order."""

    packages: tuple[Package, ...]
    unreadable: tuple[str, ...] = ()
    """Files that ought to describe a package, and cannot be read: what they describe is not among the packages."""

    def of(self, kind: Kind) -> tuple[Package, ...]:
        """Return the packages of one kind."""
        return tuple(package for package in self.packages if package.kind is kind)


def gathered(packages: list[Package], unreadable: list[str]) -> Inventory:
    """Return the inventory of what was found, in the same order whoever looked where first."""
    once = {(p.kind, p.name, p.version): p for p in sorted(packages, key=lambda p: p.where, reverse=True)}
    ordered = sorted(once.values(), key=lambda p: (p.kind, p.name, p.version))
    return Inventory(tuple(ordered), tuple(sorted(set(unreadable))))
