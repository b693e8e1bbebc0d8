"""Debian's security updates that are there and not in the image: "fixed, but not applied".

The CVE ids are those that the changelog of the newer package names. Nothing is said of what Debian has not fixed yet, and a
changelog has no CVSS: what an upload was called urgent is what there is.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
from debian.changelog import Changelog
from debian.debfile import DebError, DebFile
from debian.debian_support import Version

from bleen.domain.codec import Value, decode, digest_of, encode
from bleen.domain.errors import BleenError
from bleen.domain.finding import Check, Finding, Report, Severity, not_checked
from bleen.domain.inventory import Package
from bleen.providers.local.images.disk import holding, write_whole
from bleen.providers.scanning.apt import MACHINE, Candidate, Suite

_CVE = re.compile(r"CVE-\d{4}-\d{4,}")
_URGENCY = {"emergency": Severity.CRITICAL, "critical": Severity.CRITICAL, "high": Severity.HIGH, "medium": Severity.MEDIUM}
_REBUILD = "build the base again without its old lock, then deploy: security updates arrive by rebuilding"


class Fixed(Value, frozen=True):
    """What one upload of a source package fixed."""

    version: str
    day: str
    urgency: str
    cves: tuple[str, ...]


def check_updates(packages: tuple[Package, ...], codename: str, folder: Path, machine: Path = MACHINE) -> Report:
    """Return which security fixes of the distribution ``codename`` the installed ``packages`` lack.

    ``folder`` keeps what was read; ``machine`` is where apt is told of its archives.
    """
    suite = Suite(f"{codename}-security", folder, machine)
    try:
        with holding(folder / "lock"):
            suite.refresh()
            pending = list(_pending(packages, suite))
            findings = [finding for found in _by_source(pending) for finding in _missing(*found, suite, folder)]
    except BleenError as error:
        why = f"{error.what}{error.why and f': {error.why}'}"
        fix = "name the archive in the machine's apt sources, and check that its mirror answers"
        return Report(findings=(not_checked(f"security updates of {len(packages)} Debian packages", why, fix, "updates"),))
    looked_at = (
        f"{len(packages)} Debian packages: security updates that are there and not applied, by {suite.name} of {suite.date()}"
    )
    return Report((Check("updates", looked_at),), tuple(findings))


def _pending(packages: tuple[Package, ...], suite: Suite) -> Iterator[tuple[Package, Candidate]]:
    known = suite.candidates()
    for package in packages:
        newest = max(known.get(package.name, []), key=lambda candidate: Version(candidate.version), default=None)
        if newest is not None and Version(package.version) < Version(newest.version):
            yield package, newest


def _by_source(pending: list[tuple[Package, Candidate]]) -> list[tuple[Package, Candidate]]:
    """Return one binary package of each source: they share their changelog."""
    return list({package.source: (package, candidate) for package, candidate in reversed(pending)}.values())


def _missing(package: Package, candidate: Candidate, suite: Suite, folder: Path) -> Iterator[Finding]:
    newer = [u for u in _uploads(package, candidate, suite, folder) if Version(u.version) > Version(package.source_version)]
    # The oldest upload that names a CVE is the one that fixed it.
    first = {cve: upload for upload in newer for cve in upload.cves or (f"update-{package.source}-{upload.version}",)}
    for cve, upload in first.items():
        yield Finding(
            id=cve,
            severity=_URGENCY.get(upload.urgency, Severity.LOW),
            what=f"fixed on {upload.day} and not applied",
            package=package.source,
            installed=package.source_version,
            fixed=upload.version,
            where=package.where,
            fix=_REBUILD,
        )


def _uploads(package: Package, candidate: Candidate, suite: Suite, folder: Path) -> tuple[Fixed, ...]:
    """Return what the uploads of the package say, from the newest on. A changelog never changes: it is read once."""
    note = folder / "changelogs" / f"{digest_of([package.source, candidate.version])[7:]}.json"
    with suppress(FileNotFoundError, msgspec.DecodeError):
        kept: tuple[Fixed, ...] = decode(note.read_bytes(), tuple[Fixed, ...])
        return kept
    path = suite.download(candidate)
    try:
        uploads = tuple(_read(DebFile(str(path)).changelog()))
    except (DebError, OSError, ValueError) as error:
        raise BleenError(f"the changelog of {candidate.name} cannot be read", why=str(error)) from error
    finally:
        path.unlink(missing_ok=True)
    write_whole(note, encode(uploads))
    return uploads


def _read(changelog: Changelog | None) -> Iterator[Fixed]:
    for block in changelog or ():
        cves = sorted(set(_CVE.findall("\n".join(block.changes()))))
        day = parsedate_to_datetime(str(block.date)).date().isoformat()
        yield Fixed(str(block.version), day, str(block.urgency or "").lower(), tuple(cves))
