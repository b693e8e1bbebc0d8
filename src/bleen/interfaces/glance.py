"""Services at a glance, and one of them in words: what a person looks at during a release."""

from datetime import datetime

from bleen.domain.fleet import Slot
from bleen.domain.signals import Golden
from bleen.domain.traffic import Colour
from bleen.interfaces.views import ServiceView, View


class ColourRow(View, frozen=True):
    """One slot of a service."""

    colour: Colour
    release: int
    version: str
    """Empty where it is not known any more."""
    ready: int
    size: int
    weight: float
    """Percent of the traffic at the gateway that gives it least."""


class Motion(View, frozen=True):
    """A rollout under way, in words."""

    rollout: str
    course: str
    """``r1 -> r2 2.0``"""
    colour: Colour
    """Of the new release."""
    step: int
    """Counted from 1."""
    steps: int
    at: str
    """The step: ``let the traffic decide, up to 30m``."""
    doing: str
    why: str
    since: datetime
    """When the step began."""
    started: datetime
    by: str
    until: datetime | None = None
    """When it goes on by itself; None where it does not."""
    asks: bool = False
    """Whether it waits for a person."""
    paused_by: str = ""
    back: bool = False
    """Whether it goes back."""
    outcome: str = ""
    """What it came to, or will; empty before."""
    error: str = ""
    """Why the last decision could not be carried out yet."""


class ServiceRow(View, frozen=True):
    """A service at a glance."""

    service: str
    state: str
    colours: tuple[ColourRow, ...]
    """Slots that are not empty."""
    motion: Motion | None
    silent: tuple[str, ...]
    url: str


class Overview(View, frozen=True):
    """Every service of an environment at a glance."""

    environment: str
    services: tuple[ServiceRow, ...]
    at: datetime
    trouble: str = ""


class StepRow(View, frozen=True):
    """A step of a rollout."""

    words: str
    state: str
    """``done``, ``now``, ``to come``; ``skipped`` where it goes back."""


class ReadingRow(View, frozen=True):
    """One metric beside its thresholds."""

    metric: str
    unit: str
    new: float | None
    beside: float | None
    worse: float
    """Evidence against the release."""
    worse_at: float
    fine: float
    """Evidence for it."""
    fine_at: float
    words: str


class EvidenceView(View, frozen=True):
    """What the traffic has shown so far, in words and figures."""

    at: datetime
    verdict: str
    sentence: str
    words: tuple[str, ...]
    requests: int
    compared: int
    readings: tuple[ReadingRow, ...]


class Act(View, frozen=True):
    """Something that whoever asks may tell a service now."""

    verb: str
    """``promote``, ``pause``, ``resume``, ``abort`` or ``rollback``."""
    means: str
    """What will happen."""


class FleetSize(View, frozen=True):
    """How large a fleet was ordered."""

    slot: Slot
    release: int
    size: int


class Standing(View, frozen=True):
    """Where a service stands, as far as somebody decides by it."""

    environment: str
    service: str
    stable: int | None
    """The release that serves."""
    rollout: str
    """The id of the rollout under way; empty where there is none."""
    target: int | None
    step: int
    """From 0."""
    asks: bool
    """It waits for a person to say yes."""
    paused: bool
    back: bool
    """It goes back, or has come to its outcome."""
    fleets: tuple[FleetSize, ...]


class LiveView(View, frozen=True):
    """One service in words, with its rollout."""

    service: ServiceView
    row: ServiceRow
    steps: tuple[StepRow, ...]
    evidence: EvidenceView | None
    """None where nothing is measured."""
    acts: tuple[Act, ...]
    outcomes: tuple[str, ...]
    """Of ``service.history``, in words."""
    etag: str = ""
    """What belongs into If-Match of a write that counts only while all of this is so."""


class SignalPoint(View, frozen=True):
    """What both colours met in the seconds before ``at``."""

    at: datetime
    blue: Golden | None = None
    """None where the slot is empty, or nothing is known yet."""
    green: Golden | None = None
    weights: dict[str, float] = {}
    """Percent by colour."""
    silent: bool = False
    """Whether nobody counted."""


class SignalSeries(View, frozen=True):
    """Points, oldest first."""

    points: tuple[SignalPoint, ...]
    at: datetime
    """The server's clock."""
