"""What is wrong with an image, and what nobody looked at: that is a finding, too, never silence."""

from datetime import datetime
from enum import StrEnum

from bleen.domain.codec import Value
from bleen.domain.image import Digest


class Severity(StrEnum):
    """How bad it is. ``not-checked``: nobody knows."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NOT_CHECKED = "not-checked"

    @property
    def rank(self) -> int:
        """Its place in a list, the worst first."""
        return list(Severity).index(self)


class Finding(Value, frozen=True):
    """One thing that a check found."""

    id: str
    """What waivers name: ``CVE-2024-1234``, ``private-key``, ``not-checked-advisories``."""
    severity: Severity
    what: str
    """One sentence."""
    package: str = ""
    installed: str = ""
    """The version that is in the image."""
    fixed: str = ""
    """The version that it is fixed in; empty where none is known."""
    where: str = ""
    """The file of the image."""
    fix: str = ""
    """What to do about it."""


class Check(Value, frozen=True):
    """What one check looked at, in words that claim no more than it did."""

    name: str
    looked_at: str


class Scan(Value, frozen=True):
    """What all checks found in an image and its base."""

    image: Digest
    at: datetime
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]


class Report(Value, frozen=True):
    """What one check has to say."""

    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()


def not_checked(what: str, why: str, fix: str, subject: str) -> Finding:
    """Return the finding that something was not looked at; ``subject`` becomes part of its id."""
    return Finding(f"not-checked-{subject}", Severity.NOT_CHECKED, f"{what}: {why}", fix=fix)


def together(scan: Scan, other: Scan) -> Scan:
    """Return two looks at one image as one."""
    reports = [Report(one.checks, one.findings) for one in (scan, other)]
    return gather(scan.image, other.at, reports)


def gather(image: Digest, at: datetime, reports: list[Report]) -> Scan:
    """Return what the reports say, the worst first and each finding once."""
    findings = dict.fromkeys(finding for report in reports for finding in report.findings)
    ordered = sorted(findings, key=lambda f: (f.severity.rank, f.package, f.id, f.where))
    return Scan(image, at, tuple(check for report in reports for check in report.checks), tuple(ordered))
