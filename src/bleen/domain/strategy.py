"""Steps: what a strategy compiles to. The rollout walks them in order, and never back."""

from bleen.domain.check import Check, CheckTime
from bleen.domain.codec import Tagged
from bleen.domain.duration import Duration
from bleen.domain.service import BlueGreen
from bleen.domain.traffic import WHOLE


class StartFleet(Tagged, frozen=True):
    """The new fleet runs and every gateway finds it healthy. ``size`` None means every instance."""

    size: int | None = None


class OpenPreview(Tagged, frozen=True):
    """The idle colour answers on the preview host at every gateway."""


class RunChecks(Tagged, frozen=True):
    """Every check passed. Never empty: no check is no step."""

    when: CheckTime
    checks: tuple[Check, ...]


class Judge(Tagged, frozen=True):
    """A person said yes, or the time to object is over."""

    auto_after: Duration | None = None


class SetWeight(Tagged, frozen=True):
    """Every gateway reports this weight, in hundredths of a percent, on the new release."""

    weight: int


class Commit(Tagged, frozen=True):
    """The new release is the stable one."""


class KeepWarm(Tagged, frozen=True):
    """The old fleet waits for a rollback, and is then retired."""

    duration: Duration


Step = StartFleet | OpenPreview | RunChecks | Judge | SetWeight | Commit | KeepWarm


def compile_steps(strategy: BlueGreen, *, size: int, trusted: bool) -> tuple[Step, ...]:
    """Return the steps of ``strategy`` for a fleet of ``size`` instances.

    ``trusted`` is for going back to a release that was promoted before: it skips checks and approval.
    """
    preview = min(strategy.preview_instances or size, size)
    steps: list[Step] = [StartFleet(None if preview == size or trusted else preview), OpenPreview()]
    if not trusted:
        if strategy.checks.before:
            steps.append(RunChecks(CheckTime.BEFORE, strategy.checks.before))
        if not strategy.auto_promote:
            steps.append(Judge(strategy.auto_promote_after))
        if preview < size:
            steps.append(StartFleet())
    steps.append(SetWeight(WHOLE))
    if strategy.checks.after and not trusted:
        steps.append(RunChecks(CheckTime.AFTER, strategy.checks.after))
    return (*steps, Commit(), KeepWarm(strategy.warm))
