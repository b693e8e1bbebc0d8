"""All checks of an image, and what none of them looks at."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bleen.domain.codec import Value
from bleen.domain.finding import Finding, Report, Scan, gather, not_checked
from bleen.domain.image import Image
from bleen.domain.inventory import Inventory, Kind, Package
from bleen.providers.scanning.advisories import check_advisories
from bleen.providers.scanning.configuration import check_configuration
from bleen.providers.scanning.files import Searched, check_files, search
from bleen.providers.scanning.inventory import codename_of, take_inventory
from bleen.providers.scanning.programs import check_programs
from bleen.providers.scanning.updates import check_updates


class Sources(Value, frozen=True):
    """Where the checks look things up."""

    folder: str
    """Where they keep what they have read."""
    osv_url: str = ""
    """A server that speaks OSV's API; empty: none."""


def scan_image(image: Image, trees: list[Path], sources: Sources, look: Callable[[Path], Searched] = search) -> Scan:
    """Return what every check finds in ``trees``: that of the image, and that of the base that it stands on.

    ``look`` is `search`, or one that remembers.
    """
    inventory = take_inventory(trees)
    reports = [
        check_programs(trees),
        _updates(inventory.of(Kind.DEB), trees, sources),
        check_advisories((*inventory.of(Kind.PYPI), *inventory.of(Kind.NPM)), sources.osv_url),
        check_files([look(tree) for tree in trees]),
        *(check_configuration(tree) for tree in trees),
        Report(findings=tuple(_unseen(image, inventory))),
    ]
    return gather(image.digest, datetime.now(UTC), reports)


def _updates(packages: tuple[Package, ...], trees: list[Path], sources: Sources) -> Report:
    if not packages:
        return Report()
    codename = next(filter(None, map(codename_of, trees)), "")
    if not codename:
        fix = "give the base an etc/os-release with VERSION_CODENAME"
        subject = f"security updates of {len(packages)} Debian packages"
        return Report(findings=(not_checked(subject, "the base does not say which release it is", fix, "updates"),))
    return check_updates(packages, codename, Path(sources.folder))


def _unseen(image: Image, inventory: Inventory) -> list[Finding]:
    """Return what is part of what runs, and was not looked at."""
    found = []
    if image.base == "host":
        fix = "keep the machines patched, or build the image on a base"
        why = "the image stands on the machine's own, which is no part of it"
        found.append(not_checked("the operating system and the interpreter", why, fix, "host"))
    for path in inventory.unreadable:
        fix = "install the package again"
        found.append(not_checked(f"the package of {path}", "it does not say what it is", fix, "package"))
    return found
