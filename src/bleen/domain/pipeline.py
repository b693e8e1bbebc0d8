"""The pipeline of an image: what is asked for, what is pinned, and what became of each stage.

::

    base         lock -> fetch -> base -> hardening -> patches -> runtime (-> boot) ─┐
    application  application ────────────────────────────────────────────────────────┴─> scan -> compliance -> publish

What a stage made is a *candidate*: kept under the hash of its inputs, found by the next stage and by the gates, and by nobody
who starts instances. Only `publish` makes an image of it.
"""

from datetime import datetime

from bleen.domain.base import HOST, BaseOrder, Stage
from bleen.domain.codec import Tagged, Value
from bleen.domain.finding import Finding, Severity
from bleen.domain.image import Digest, Image, Source

SCAN, COMPLIANCE, PUBLISH = "scan", "compliance", "publish"
"""The stages that every image goes through; those before them are the builder's."""
MOST_FINDINGS = 1000
"""Findings of one gate that are handed on: a history holds no more than 2 MB."""


class OfBase(Tagged, frozen=True):
    """A base image."""

    order: BaseOrder


class OfRenewal(Tagged, frozen=True):
    """The base of an image, built anew by its own recipe with what the mirror has now; itself where nothing is newer."""

    digest: Digest


class OfApplication(Tagged, frozen=True):
    """An application."""

    name: str
    source: Source
    folder: str
    """Where the paths of ``source`` start, absolute."""
    base: str = HOST
    """The digest of what it stands on, or ``host``."""


class OfMove(Tagged, frozen=True):
    """An application as it is, to the byte, on another base."""

    digest: Digest
    base: Digest


Making = OfBase | OfRenewal | OfApplication | OfMove


class Plan(Value, frozen=True):
    """What is to be done for an image, every input of it pinned."""

    key: Digest
    """Names the plan at its builder."""
    name: str
    """Of the image, for people."""
    stages: tuple[str, ...] = ()
    """The builder's own stages, in order."""
    image: Image | None = None
    """It is there already, built from the same inputs."""
    told: tuple[Stage, ...] = ()
    """What pinning did."""


class Carried(Value, frozen=True):
    """A stage was carried out, now or by an earlier build with the same inputs."""

    told: Stage
    candidate: Digest | None = None
    """The digest that the image will have; known after the builder's last stage."""
    host: bool = False
    """No mirror answers, and the recipe allows the machine itself in the place of the base: nothing follows."""


class Building(Value, frozen=True):
    """The live view of a build."""

    name: str
    """The service, or the recipe, that it is for."""
    environment: str
    ended: tuple[Stage, ...] = ()
    running: str = ""
    """The stage under way; empty where none is."""
    since: datetime | None = None
    """When that one began."""
    deploys: bool = False
    """A release is made of it."""


def bounded(findings: tuple[Finding, ...], most: int = MOST_FINDINGS) -> tuple[Finding, ...]:
    """Return the findings; of more than ``most`` the worst, and one that says how many are left out."""
    if len(findings) <= most:
        return findings
    # What nobody checked comes before what is low: a policy may block it.
    order = sorted(findings, key=lambda finding: (finding.severity is Severity.LOW, finding.severity.rank))
    worst = order[most].severity
    left = f"{len(findings) - most:,} findings, {worst} and less, are not listed"
    return (*order[:most], Finding("more-findings", worst, left, fix="mend those that are listed first"))
