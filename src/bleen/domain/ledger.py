"""The ledger's entries: what was made, asked, decided, seen and settled. Appended, never changed."""

from datetime import datetime

from bleen.domain.check import CheckResult
from bleen.domain.codec import Tagged, Value
from bleen.domain.command import Command
from bleen.domain.decision import Decision
from bleen.domain.release import Release
from bleen.domain.rollout import Observation, Outcome, Rollout


class ReleaseMade(Tagged, frozen=True):
    """A release was made from an image and a configuration."""

    release: Release


class RolloutStarted(Tagged, frozen=True):
    """A rollout began, with this plan."""

    rollout: Rollout


class Decided(Tagged, frozen=True):
    """A decision, with what was seen when it was taken. Entered before it is carried out (law 7)."""

    decision: Decision
    seen: Observation | None = None


class Commanded(Tagged, frozen=True):
    """A person told a rollout something."""

    command: Command


class Checked(Tagged, frozen=True):
    """Checks ended."""

    results: tuple[CheckResult, ...]


class Settled(Tagged, frozen=True):
    """A rollout came to its outcome, observed at every gateway. ``stable`` is the release that serves now."""

    outcome: Outcome
    stable: int | None


class Finished(Tagged, frozen=True):
    """A rollout has cleaned up behind itself."""


class Scaled(Tagged, frozen=True):
    """A fleet was given another size, outside any rollout."""

    release: int
    size: int


Event = ReleaseMade | RolloutStarted | Decided | Commanded | Checked | Settled | Finished | Scaled


class Draft(Value, frozen=True):
    """An entry to append. The same ``key`` twice is one entry."""

    key: str
    environment: str
    service: str
    event: Event
    by: str = ""
    rollout: str = ""
    """The id of its rollout; empty outside any."""


class Entry(Value, frozen=True):
    """An entry of the ledger. ``sequence`` only grows: it is the generation that fences splits."""

    sequence: int
    at: datetime
    key: str
    environment: str
    service: str
    event: Event
    by: str = ""
    rollout: str = ""


class Query(Value, frozen=True):
    """Which entries to read; None or empty means any. Oldest first."""

    service: str = ""
    environment: str = ""
    rollout: str = ""
    kinds: tuple[str, ...] = ()
    """Tags of events, such as ``settled``."""
    after: int = 0
    """Only entries with a larger sequence."""
    limit: int = 1000
    newest: bool = False
    """True: the newest ``limit`` entries, newest first."""
