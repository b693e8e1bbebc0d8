"""Checks: probes and commands that can refuse a release before traffic, or reverse it after."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from bleen.domain.codec import Tagged, Text, Value, lasting
from bleen.domain.duration import Duration


class HttpCheck(Tagged, frozen=True, tag="http"):
    """Ask the release for a path, through the gateway, as its users will."""

    path: Annotated[
        str, Meta(pattern=r"^/\S*$", description="What to ask for, from `/` on, with its query.", examples=["/healthz"])
    ]
    status: Annotated[int, Meta(ge=100, le=599, description="The status that it must answer.")] = 200
    contains: Annotated[str, Meta(description="Text that the answer must contain.")] = ""
    requests: Annotated[int, Meta(ge=1, le=10_000, description="How often to ask; every answer must be right.")] = 1
    timeout: Annotated[Duration, Meta(description="How long one answer may take.")] = lasting("5s")
    attempts: Annotated[int, Meta(ge=1, le=100, description="How often the whole check may be tried, a second apart.")] = 1


class CommandCheck(Tagged, frozen=True, tag="command"):
    """Run a command beside the controller; exit code 0 passes.

    It finds the address of the release in ``BLEEN_URL`` and the header to send in ``BLEEN_RELEASE``; in Azure, also the
    Host header to send, in ``BLEEN_HOST``.
    """

    run: Annotated[
        tuple[Text, ...], Meta(min_length=1, description="The command and its arguments.", examples=[["./smoke.sh"]])
    ]
    timeout: Annotated[Duration, Meta(description="Killed after this time, and failed.")] = lasting("60s")
    attempts: Annotated[int, Meta(ge=1, le=100, description="How often it may be run, a second apart, until it passes.")] = 1


Check = HttpCheck | CommandCheck


def title(check: Check) -> str:
    """Return the check in a few words: ``GET /healthz is 200``, ``./smoke.sh``."""
    match check:
        case HttpCheck():
            times = f" x {check.requests}" if check.requests > 1 else ""
            return f"GET {check.path} is {check.status}{times}"
        case CommandCheck():
            return " ".join(check.run)


class CheckTime(StrEnum):
    """When checks run."""

    BEFORE = "before"
    """On the preview, before any traffic."""
    AMID = "amid"
    """With a share of the traffic, as a step of a canary."""
    AFTER = "after"
    """With all traffic on the new release, before it is promoted."""


class CheckResult(Value, frozen=True):
    """What one check saw."""

    name: str
    when: CheckTime
    passed: bool
    detail: str
    at: datetime
    place: int = 0
    """Of which step, where several have the same ``when``."""
