"""All checks of an image, and what none of them looks at."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import MsgspecError

from bleen.domain.codec import Value
from bleen.domain.finding import Finding, Report, Scan, gather, not_checked
from bleen.domain.image import Image
from bleen.domain.inventory import Inventory, Kind
from bleen.domain.patching import Patching
from bleen.providers.openscap import findings, read_compliance
from bleen.providers.scanning.advisories import check_advisories
from bleen.providers.scanning.configuration import check_configuration
from bleen.providers.scanning.files import Searched, check_files, search
from bleen.providers.scanning.fixes import check_fixes
from bleen.providers.scanning.inventory import take_inventory
from bleen.providers.scanning.programs import check_programs


class Outside(Value, frozen=True):
    """What is known of an image from elsewhere."""

    patching: Patching
    """Which published fixes its base has not."""
    osv_url: str = ""
    """A server that speaks OSV's API; empty: none."""


def scan_image(image: Image, trees: list[Path], outside: Outside, look: Callable[[Path], Searched] = search) -> Scan:
    """Return what every check but those of rules finds in ``trees``: that of the image, and that of the base below it.

    ``look`` is `search`, or one that remembers.
    """
    inventory = take_inventory(trees)
    reports = [
        check_programs(trees),
        check_fixes(inventory.of(Kind.DEB), outside.patching),
        check_advisories((*inventory.of(Kind.PYPI), *inventory.of(Kind.NPM)), outside.osv_url),
        check_files([look(tree) for tree in trees]),
        Report(findings=tuple(_unseen(image, inventory))),
    ]
    return gather(image.digest, datetime.now(UTC), reports)


def check_rules(image: Image, trees: list[Path], benchmark: Path | None = None) -> Scan:
    """Return which rules of configuration are broken in ``trees``, and by what a ``benchmark`` said of the whole system."""
    reports = [check_configuration(tree) for tree in trees]
    if benchmark is not None:
        reports.append(_judged(benchmark))
    return gather(image.digest, datetime.now(UTC), reports)


def _judged(benchmark: Path) -> Report:
    try:
        return findings(read_compliance(benchmark))
    except (FileNotFoundError, MsgspecError):
        fix = "bleen image remove it, and bleen image build makes and judges it again"
        why = "what it said when the system was made is not beside the image any more"
        return Report(findings=(not_checked("the benchmark that the recipe asks for", why, fix, "benchmark"),))


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
