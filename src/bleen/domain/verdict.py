"""Verdicts: what the traffic says of a release, with the evidence for it."""

from datetime import datetime
from enum import StrEnum

from bleen.domain.codec import Tagged, Value
from bleen.domain.signals import Golden


class Cause(StrEnum):
    """Why there is no verdict yet."""

    BAKING = "baking"
    """It looks good, and has not run for its minimum time."""
    MORE_REQUESTS = "more-requests"
    """The evidence so far would fit a good release and a bad one."""
    NO_TRAFFIC = "no-traffic"
    """The release gets no requests, or the one it is compared with gets none."""
    METRICS_GONE = "metrics-gone"
    """Nobody counts: nothing is known, and no time passes."""
    SHARED_OUTAGE = "shared-outage"
    """Both releases fail: whatever it is, the new release is not to blame."""
    STABLE_SICK = "stable-sick"
    """The stable release fails and the new one does not: promoting it may be the cure."""


HOLDING = (Cause.METRICS_GONE, Cause.SHARED_OUTAGE, Cause.STABLE_SICK)
"""While one of these lasts, no evidence is counted and the clock of a measurement stands still."""


class Pass(Tagged, frozen=True):
    """The new release is not worse than is tolerated, and the evidence suffices to say so."""

    why: str


class Fail(Tagged, frozen=True):
    """The new release is worse than is tolerated."""

    metric: str
    why: str


class Inconclusive(Tagged, frozen=True):
    """Nothing can be said yet. Never a pass (law 9)."""

    cause: Cause
    why: str
    requests: int | None = None
    """About so many requests to the new release are still needed; None where none would help."""
    seconds: float | None = None
    """How long that takes at the traffic of late; None where there is none."""


Verdict = Pass | Fail | Inconclusive


class Reading(Value, frozen=True):
    """One metric of both releases, and what it is evidence of."""

    metric: str
    """``errors``, ``latency``, or the name of a custom one."""
    unit: str
    """``%`` for a share, ``ms``, or empty."""
    canary: float | None
    """The new release: share of failed requests in percent, 95th percentile in ms, or the number itself."""
    baseline: float | None
    """The release it is compared with."""
    tolerated: float
    """How many times as bad it may be."""
    worse: float
    """ln of the e-value against "at most ``tolerated`` times as bad": the larger, the surer that it is worse."""
    worse_at: float
    """It is rolled back once ``worse`` reaches this."""
    fine: float
    """ln of the e-value against "more than ``tolerated`` times as bad": the larger, the surer that it is not."""
    fine_at: float
    """This metric is content once ``fine`` reaches this."""


class Assessment(Value, frozen=True):
    """What the traffic has shown of a release up to one moment."""

    at: datetime
    verdict: Verdict
    step: int
    """Which step of the rollout it is about, counted from 0: evidence *for* a release is gathered anew at each step."""
    requests: int
    """To the new release, counted as evidence."""
    compared: int
    """To the release it is compared with, in the same time."""
    rate: float = 0.0
    """Requests a second to the new release, of late."""
    readings: tuple[Reading, ...] = ()
    signals: tuple[Golden, ...] = ()
    """The golden signals of the last seconds, of the new release first."""
    held: float = 0.0
    """Seconds of the present step in which nothing could be learned: metrics gone, a shared outage."""
