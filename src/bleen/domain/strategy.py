"""Steps: what a strategy compiles to. The rollout walks them in order, and never back."""

from collections.abc import Iterator, Sequence

from bleen.domain.canary import (
    CanaryStep,
    CheckStep,
    CookieStep,
    HeaderStep,
    Hold,
    JudgeStep,
    Measure,
    MirrorStep,
    Preset,
    Resize,
    Unsure,
    Weight,
)
from bleen.domain.check import Check, CheckTime
from bleen.domain.codec import Tagged
from bleen.domain.duration import Duration, seconds
from bleen.domain.service import BlueGreen, Canary, Strategy
from bleen.domain.traffic import WHOLE, Cohort, CookieCohort, HeaderCohort, Mirror, share


class StartFleet(Tagged, frozen=True):
    """The new fleet runs and every gateway finds it healthy. ``size`` None means every instance."""

    size: int | None = None
    baseline: bool = False
    """Together with a fleet of the stable release that is as large."""


class OpenPreview(Tagged, frozen=True):
    """The idle colour answers on the preview host at every gateway."""


class RunChecks(Tagged, frozen=True):
    """Every check passed. Never empty: no check is no step."""

    when: CheckTime
    checks: tuple[Check, ...]
    place: int = 0
    """Tells apart the steps of one rollout that run at the same ``when``."""


class Judge(Tagged, frozen=True):
    """A person said yes, or the time to object is over."""

    auto_after: Duration | None = None
    question: str = ""
    """Empty asks whether to switch."""
    within: Duration | None = None
    """Without an answer after this time, it is rolled back."""


class Stay(Tagged, frozen=True):
    """The time is over, or a person went on before."""

    duration: Duration


class OpenCohort(Tagged, frozen=True):
    """Every gateway sends these requests to the new release, from here on."""

    cohort: Cohort


class SetMirror(Tagged, frozen=True):
    """Every gateway copies this share of the stable release's requests, from here on; a share of 0 ends it."""

    mirror: Mirror


class SetWeight(Tagged, frozen=True):
    """Every gateway reports this weight, in hundredths of a percent, on the new release."""

    weight: int


class Watch(Tagged, frozen=True):
    """From here on the traffic may roll the release back, at any step. Complete at once."""


class Learn(Tagged, frozen=True):
    """What is usual of the stable release was watched for so long, since the rollout began."""

    duration: Duration


class Analyse(Tagged, frozen=True):
    """The traffic has shown that the release is good; or a person said so where it could not."""

    max: Duration
    requests: int | None = None
    otherwise: Unsure = Unsure.ROLLBACK


class Commit(Tagged, frozen=True):
    """The new release is the stable one."""


class KeepWarm(Tagged, frozen=True):
    """The old fleet waits for a rollback, and is then retired."""

    duration: Duration


Step = (
    StartFleet
    | OpenPreview
    | RunChecks
    | Judge
    | Stay
    | OpenCohort
    | SetMirror
    | SetWeight
    | Watch
    | Learn
    | Analyse
    | Commit
    | KeepWarm
)

ALL = Weight(100.0)
PRESETS: dict[Preset, tuple[CanaryStep, ...]] = {
    Preset.QUICK: (Weight(20.0), Measure(seconds(300)), ALL),
    Preset.NORMAL: (Weight(10.0), Measure(seconds(1800)), ALL),
    Preset.CAREFUL: (
        Weight(1.0),
        Measure(seconds(3600)),
        Weight(10.0),
        Measure(seconds(3600)),
        Weight(50.0),
        Measure(seconds(3600)),
        ALL,
    ),
}
_UNSURE = {Preset.QUICK: Unsure.ROLLBACK, Preset.NORMAL: Unsure.ROLLBACK, Preset.CAREFUL: Unsure.ASK}


def compile_steps(strategy: Strategy, *, size: int, trusted: bool, first: bool = False) -> tuple[Step, ...]:
    """Return the steps of ``strategy`` for a fleet of ``size`` instances.

    ``trusted`` is for going back to a release that was promoted before: it skips checks, approval and measurement.
    ``first`` is for a service that nothing serves yet: there is nothing to compare its release with.
    """
    match strategy:
        case BlueGreen():
            return _blue_green(strategy, size, trusted)
        case Canary():
            return _canary(strategy, size, trusted, first)


def _blue_green(strategy: BlueGreen, size: int, trusted: bool) -> tuple[Step, ...]:
    preview = min(strategy.preview_instances or size, size)
    steps: list[Step] = [StartFleet(None if preview == size or trusted else preview), OpenPreview()]
    if not trusted:
        steps += _checks(CheckTime.BEFORE, strategy.checks.before)
        if not strategy.auto_promote:
            steps.append(Judge(strategy.auto_promote_after))
        if preview < size:
            steps.append(StartFleet())
    return (*steps, SetWeight(WHOLE), *_ending(strategy, trusted))


def _canary(strategy: Canary, size: int, trusted: bool, first: bool) -> tuple[Step, ...]:
    if trusted or first:
        before = () if trusted else _checks(CheckTime.BEFORE, strategy.checks.before)
        return (StartFleet(), OpenPreview(), *before, SetWeight(WHOLE), *_ending(strategy, trusted))
    return tuple(_walk(strategy, size))


def _walk(strategy: Canary, size: int) -> Iterator[Step]:
    """Yield the steps of a canary; its fleet grows before a weight that needs more instances, and never shrinks."""
    written = strategy.steps or PRESETS[strategy.preset]
    have = _at_first(written, strategy.min_instances, size)
    fair = strategy.baseline and any(compares(step) for step in written)
    yield StartFleet(have if have < size else None, fair)
    yield OpenPreview()
    yield from _checks(CheckTime.BEFORE, strategy.checks.before)
    if strategy.analysis.learn:
        yield Learn(strategy.analysis.learn)
    begin = strategy.analysis.starting_step
    for number, step in enumerate(written, 1):
        if number == begin:
            yield Watch()
        need = _needed(step, strategy.min_instances, size)
        if need > have:
            have = need
            yield StartFleet(have if have < size else None, fair and step != ALL)
        yield from _compiled(step, strategy, number)
    yield from _ending(strategy, trusted=False)


def sizes(strategy: Canary, size: int) -> Sequence[int]:
    """Return how many instances the new fleet has at each written step of a canary."""
    written = strategy.steps or PRESETS[strategy.preset]
    least = strategy.min_instances
    have, found = _at_first(written, least, size), []
    for step in written:
        have = max(have, _needed(step, least, size))
        found.append(have)
    return found


def compares(step: CanaryStep) -> bool:
    """Return whether both releases have requests at the same time from ``step`` on."""
    match step:
        case Weight(percent):
            return 0 < hundredths(percent) < WHOLE
        case MirrorStep(percent):
            return hundredths(percent) > 0
        case _:
            return False


def _compiled(step: CanaryStep, strategy: Canary, number: int) -> Iterator[Step]:
    match step:
        case Weight(percent):
            # Whoever takes work from a queue has a share of it by being there.
            if not strategy.side_by_side or hundredths(percent) == WHOLE:
                yield SetWeight(hundredths(percent))
        case Resize():
            pass  # the fleet is large enough by now
        case Measure(longest, requests):
            yield Analyse(longest, requests, strategy.inconclusive or _UNSURE[strategy.preset])
        case Hold(duration):
            yield Stay(duration) if duration is not None else Judge(question="Go on?")
        case HeaderStep(name, value):
            yield OpenCohort(HeaderCohort(name.lower(), value))
        case CookieStep(name, value):
            yield OpenCohort(CookieCohort(name, value))
        case MirrorStep(percent, methods):
            yield SetMirror(Mirror(hundredths(percent), methods))
        case CheckStep(checks):
            yield RunChecks(CheckTime.AMID, checks, number)
        case JudgeStep(question, within):
            yield Judge(question=question, within=within)


def _ending(strategy: Strategy, trusted: bool) -> tuple[Step, ...]:
    after = () if trusted else _checks(CheckTime.AFTER, strategy.checks.after)
    return (*after, Commit(), KeepWarm(strategy.warm))


def _checks(when: CheckTime, checks: tuple[Check, ...]) -> tuple[Step, ...]:
    return (RunChecks(when, checks),) if checks else ()


def _needed(step: CanaryStep, least: int, size: int) -> int:
    """Return how many instances ``step`` takes; 0 where it does not say."""
    match step:
        case Weight(percent):
            return min(size, max(least, share(size, hundredths(percent))))
        case MirrorStep(percent):
            return min(size, max(least, share(size, hundredths(percent))))
        case Resize(instances):
            return min(size, instances)
        case _:
            return 0


def _at_first(steps: tuple[CanaryStep, ...], least: int, size: int) -> int:
    """Return the size of the fleet before anything else: what the first step that says so takes."""
    first = next((need for step in steps if (need := _needed(step, least, size))), size)
    return max(1, min(size, max(least, first)))


def hundredths(percent: float) -> int:
    """Return a percentage in hundredths of a percent."""
    return round(percent * 100)
