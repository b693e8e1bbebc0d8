"""Debian's security updates that are there and not in the image, as findings: "fixed, but not applied"."""

from collections.abc import Iterator

from bleen.domain.finding import Check, Finding, Report, Severity, not_checked
from bleen.domain.inventory import Package
from bleen.domain.patching import Fix, Patching, Upload
from bleen.providers.scanning.inventory import STATUS

_URGENCY = {"emergency": Severity.CRITICAL, "critical": Severity.CRITICAL, "high": Severity.HIGH, "medium": Severity.MEDIUM}
_REBUILD = "build the base again with --upgrade, then deploy: security updates arrive by rebuilding"
_UNKNOWN = "they are of no base that Bleen has built"


def check_fixes(packages: tuple[Package, ...], patching: Patching) -> Report:
    """Return which published fixes the installed ``packages`` lack, by what ``patching`` says of their base."""
    if not packages:
        return Report()
    count = f"{len(packages)} Debian packages"
    if patching.checked is None:
        fix = "check that the mirror of the recipe answers, or build the image on a base of a recipe"
        what = f"security updates of {count}"
        return Report(findings=(not_checked(what, patching.trouble or _UNKNOWN, fix, "updates"),))
    signed = f"{patching.checked:%Y-%m-%d %H:%M} UTC"
    looked_at = f"{count}: security updates that are there and not applied, by the suite that was signed at {signed}"
    # The packages of one source share what was uploaded of it.
    sources = {fix.source: fix for fix in reversed(patching.fixes)}
    return Report((Check("updates", looked_at),), tuple(found for fix in sources.values() for found in _missing(fix)))


def _missing(fix: Fix) -> Iterator[Finding]:
    # The oldest upload that names a CVE is the one that fixed it.
    first = {cve: upload for upload in fix.uploads or (_unknown(fix),) for cve in upload.cves or (_nameless(fix, upload),)}
    for name, upload in first.items():
        yield Finding(
            id=name,
            severity=_URGENCY.get(upload.urgency, Severity.LOW),
            what=f"fixed on {upload.at:%Y-%m-%d} and not applied",
            package=fix.source,
            installed=fix.installed,
            fixed=upload.version,
            where=STATUS,
            fix=_REBUILD,
        )


def _unknown(fix: Fix) -> Upload:
    """Return what is known of a fix whose package has no changelog."""
    return Upload(fix.fixed, fix.since)


def _nameless(fix: Fix, upload: Upload) -> str:
    return f"update-{fix.source}-{upload.version}"
