"""Which findings keep an image from being released where, and who has taken responsibility for which of them."""

from datetime import date
from typing import Annotated

from msgspec import Meta, field

from bleen.domain.codec import Tagged, Text, Value
from bleen.domain.errors import ImageBlocked
from bleen.domain.finding import Finding, Severity
from bleen.domain.image import Digest

Day = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description="A day, as year-month-day, in UTC.",
        examples=["2027-01-31"],
    ),
]
Severities = Annotated[
    tuple[Severity, ...], Meta(description="Findings of these severities block a release; `not-checked` is one of them.")
]


class Waiver(Value, frozen=True):
    """A finding that somebody answers for, until a day."""

    finding: Annotated[
        str,
        Meta(min_length=1, description="The id of the finding, as `bleen image scan` prints it.", examples=["CVE-2024-1234"]),
    ]
    owner: Annotated[str, Meta(min_length=1, description="Who answers for it.", examples=["ann@example.org"])]
    reason: Annotated[Text, Meta(min_length=1, description="Why it may be released all the same.", examples=["not reachable"])]
    expires: Annotated[Day, Meta(description="The last day on which it counts.")]
    package: Annotated[str, Meta(description="Only findings of this package; default: any.")] = ""
    where: Annotated[str, Meta(description="Only findings in this file of the image; default: any.")] = ""


def _environments() -> dict[str, tuple[Severity, ...]]:
    return {"production": (Severity.CRITICAL, Severity.HIGH)}


class Policy(Value, frozen=True):
    """What blocks a release, by environment, and what is waived."""

    block: Annotated[Severities, Meta(description="In environments that are not named below.")] = (Severity.CRITICAL,)
    environments: Annotated[
        dict[str, Severities],
        Meta(description="What blocks in an environment instead.", examples=[{"production": ["critical"]}]),
    ] = field(default_factory=_environments)
    waivers: Annotated[tuple[Waiver, ...], Meta(description="Findings that somebody answers for.")] = ()

    def blocking(self, environment: str) -> tuple[Severity, ...]:
        """Return the severities that block there."""
        return self.environments.get(environment, self.block)


class Waived(Value, frozen=True):
    """A finding, and who answers for it."""

    finding: Finding
    waiver: Waiver


class Judgement(Value, frozen=True):
    """What a policy says of what was found."""

    environment: str
    blocks: tuple[Severity, ...]
    """The severities that block there."""
    blocking: tuple[Finding, ...] = ()
    waived: tuple[Waived, ...] = ()
    open: tuple[Finding, ...] = ()
    """What does not block there, and nobody answers for."""

    @property
    def allowed(self) -> bool:
        """Whether the image may be released."""
        return not self.blocking


class Gated(Tagged, frozen=True):
    """An image was judged before a release was made of it."""

    image: Digest
    allowed: bool
    blocks: tuple[Severity, ...]
    blocking: tuple[Finding, ...]
    waived: tuple[Waived, ...]
    not_checked: tuple[str, ...]
    """What nobody looked at, in words."""
    counts: dict[str, int]
    """How many findings of each severity there were."""


def judge(findings: tuple[Finding, ...], policy: Policy, environment: str, today: date) -> Judgement:
    """Return what ``policy`` says of ``findings`` in ``environment``. An expired waiver waives nothing, and is a finding."""
    valid = [waiver for waiver in policy.waivers if not expired(waiver, today)]
    everything = (*findings, *(_outlived(waiver) for waiver in policy.waivers if expired(waiver, today)))
    blocks = policy.blocking(environment)
    waived: list[Waived] = []
    blocking: list[Finding] = []
    rest: list[Finding] = []
    for finding in everything:
        waiver = next((waiver for waiver in valid if covers(waiver, finding)), None)
        if waiver is not None:
            waived.append(Waived(finding, waiver))
        else:
            (blocking if finding.severity in blocks else rest).append(finding)
    return Judgement(environment, blocks, tuple(blocking), tuple(waived), tuple(rest))


def covers(waiver: Waiver, finding: Finding) -> bool:
    """Return whether ``waiver`` is about ``finding``."""
    return waiver.finding == finding.id and waiver.package in ("", finding.package) and waiver.where in ("", finding.where)


def expired(waiver: Waiver, today: date) -> bool:
    """Return whether its last day is over. The form of the day makes the order of text that of time."""
    return waiver.expires < today.isoformat()


def _outlived(waiver: Waiver) -> Finding:
    return Finding(
        id="expired-waiver",
        severity=Severity.MEDIUM,
        what=f"the waiver of {waiver.finding} by {waiver.owner} expired on {waiver.expires}",
        package=waiver.package,
        where=waiver.where,
        fix="mend what it waives, or have its owner set another day",
    )


def entry_of(image: Digest, judgement: Judgement) -> Gated:
    """Return what the ledger keeps of a judgement: what decided it, and how many there were of the rest."""
    every = (*judgement.blocking, *(waived.finding for waived in judgement.waived), *judgement.open)
    unknown = tuple(finding.what for finding in every if finding.severity is Severity.NOT_CHECKED)
    counts = {str(severity): sum(f.severity is severity for f in every) for severity in Severity}
    return Gated(
        image=image,
        allowed=judgement.allowed,
        blocks=judgement.blocks,
        blocking=judgement.blocking,
        waived=judgement.waived,
        not_checked=unknown,
        counts={name: count for name, count in counts.items() if count},
    )


def policy_of(judged: Gated) -> Policy:
    """Return as much of the policy as decided a judgement: the file itself belongs to whoever deploys."""
    waivers = dict.fromkeys(waived.waiver for waived in judged.waived)
    return Policy(block=judged.blocks, environments={}, waivers=tuple(waivers))


def blocked(name: str, judgement: Judgement, image: Digest = "") -> ImageBlocked:
    """Return the error of an image that may not be released: the worst finding, its package, and its fix.

    ``image`` is named where its name does not find it: it is not published.
    """
    worst, more = judgement.blocking[0], len(judgement.blocking) - 1
    return ImageBlocked(
        f"{name} may not be released to {judgement.environment}: {finding_words(worst)}{f', and {more} more' if more else ''}",
        why=f"findings that are {' or '.join(judgement.blocks)} block there, and nobody answers for this one",
        next=f"{worst.fix}\nbleen image scan {image or name} --env {judgement.environment} shows all of it",
    )


def finding_words(finding: Finding) -> str:
    """Return a finding as a sentence: what it is, of which package, fixed in which version."""
    version = " ".join(filter(None, (finding.package, finding.installed)))
    parts = [finding.id, f"in {version}" if version else "", f"fixed in {finding.fixed}" if finding.fixed else ""]
    place = f" ({finding.where})" if finding.where else ""
    return f"{finding.severity} {' '.join(filter(None, parts))}: {finding.what}{place}"
