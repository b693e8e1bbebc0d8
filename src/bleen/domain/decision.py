"""Decisions: the one next thing to do, with its reason. The dry run, `explain`, the ledger and the tests read it."""

from datetime import datetime

from bleen.domain.check import Check, CheckTime
from bleen.domain.codec import Tagged
from bleen.domain.rollout import Outcome
from bleen.domain.traffic import Colour, Route


class Launch(Tagged, frozen=True):
    """Make the fleet of ``release`` in ``colour`` have ``size`` instances in every region."""

    colour: Colour
    release: int
    size: int
    why: str
    baseline: bool = False
    """Whether it is the baseline fleet beside that colour."""


class Shift(Tagged, frozen=True):
    """Make every gateway have ``route``."""

    route: Route
    why: str


class Wait(Tagged, frozen=True):
    """Nothing to do until something changes, or until ``until``."""

    why: str
    until: datetime | None = None


class Measure(Tagged, frozen=True):
    """Run checks on the new release."""

    when: CheckTime
    checks: tuple[Check, ...]
    why: str


class AskHuman(Tagged, frozen=True):
    """Wait for a person, or until ``until``, when it goes on by itself."""

    question: str
    why: str
    until: datetime | None = None


class Promote(Tagged, frozen=True):
    """The new release is the stable one from now on."""

    release: int
    why: str


class Rollback(Tagged, frozen=True):
    """Go back; ``outcome`` is what it will be called when the split is back."""

    outcome: Outcome
    why: str


class Retire(Tagged, frozen=True):
    """End the fleet of ``release`` in ``colour``."""

    colour: Colour
    release: int
    why: str
    baseline: bool = False
    """Whether it is the baseline fleet beside that colour."""


class Done(Tagged, frozen=True):
    """The rollout is over."""

    outcome: Outcome
    why: str


Decision = Launch | Shift | Wait | Measure | AskHuman | Promote | Rollback | Retire | Done
