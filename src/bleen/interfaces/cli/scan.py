"""What is wrong with an image, in words."""

from itertools import groupby
from typing import TYPE_CHECKING

from bleen.domain.finding import Finding, Severity
from bleen.interfaces.cli.session import Session
from bleen.interfaces.figures import counted

if TYPE_CHECKING:
    from bleen.domain.policy import Judgement
    from bleen.interfaces.views import ScanView

_SHOWN = 5
"""Findings of one package that are shown one by one; ``--json`` has all."""


def tell_scan(session: Session, view: "ScanView") -> None:
    """Print what was checked, what was found, what was not checked, and what the policy says."""
    image, judgement = view.image, view.judgement
    session.say(f"{image.name} {image.version}  {image.digest.removeprefix('sha256:')[:12]}  in {judgement.environment}")
    for check in view.scan.checks:
        session.say(f"  checked      {check.name}: {check.looked_at}", " " * 15)
    found = [*judgement.blocking, *judgement.open]
    for finding in (f for f in found if f.severity is Severity.NOT_CHECKED):
        session.say(f"  not checked  {finding.what}", " " * 15)
        session.say(f"               fix: {finding.fix}", " " * 20)
    known = sorted((f for f in found if f.severity is not Severity.NOT_CHECKED), key=lambda f: (f.severity.rank, f.package))
    for _, some in groupby(known, key=lambda f: (f.severity, f.package, f.fix)):
        _tell_group(session, list(some))
    for waived in judgement.waived:
        waiver = waived.waiver
        session.say(f"  waived       {waived.finding.id}: {waiver.reason} ({waiver.owner}, until {waiver.expires})", " " * 15)
    session.say(verdict(image.name, judgement))


def _tell_group(session: Session, findings: list[Finding]) -> None:
    """Print findings of one package and severity, and the one thing to do about them."""
    for finding in findings[:_SHOWN]:
        version = " ".join(filter(None, (finding.package, finding.installed)))
        place = finding.where if not finding.package else ""
        fixed = f", fixed in {finding.fixed}" if finding.fixed else ""
        words = ": ".join(filter(None, (finding.id, version + fixed, place, finding.what)))
        session.say(f"  {finding.severity:<12} {words}", " " * 15)
    if len(findings) > _SHOWN:
        session.say(f"               and {len(findings) - _SHOWN} more of {findings[0].package or findings[0].id}")
    session.say(f"               fix: {findings[0].fix}", " " * 20)


def verdict(name: str, judgement: "Judgement") -> str:
    """Return the verdict in a sentence."""
    blocks = ", ".join(judgement.blocks) or "nothing"
    if judgement.allowed:
        return f"{name} may be released to {judgement.environment}, where {blocks} blocks"
    many = counted(len(judgement.blocking), "finding")
    return f"BLOCKED: {name} may not be released to {judgement.environment}: {many} of {blocks}"
