"""How the steps of a canary fit together: weights that rise to 100 %, and measurements of something."""

from collections.abc import Iterator

from bleen.domain.canary import (
    CanaryStep,
    CheckStep,
    CookieStep,
    HeaderStep,
    Hold,
    JudgeStep,
    Measure,
    MirrorStep,
    Resize,
    Weight,
)
from bleen.domain.service import Canary, Service
from bleen.domain.strategy import PRESETS, compares, hundredths
from bleen.domain.traffic import WHOLE, share
from bleen.interfaces.repository.places import Places, Sense, spelt
from bleen.interfaces.repository.problem import Problem
from bleen.interfaces.repository.shape import nearest

_ALL = "{type: weight, percent: 100}"
_STEPS = ("strategy", "steps")
_READING = ("GET", "HEAD", "OPTIONS", "TRACE")
_WRITING = ("POST", "PUT", "PATCH", "DELETE")
_RESERVED = "x-bleen-release"


def canary_of(service: Service) -> Canary | None:
    """Return its strategy where that is a canary."""
    return service.strategy if isinstance(service.strategy, Canary) else None


def steps_of(canary: Canary) -> tuple[CanaryStep, ...]:
    """Return the steps that count: the written ones, or the preset's."""
    return canary.steps or PRESETS[canary.preset]


def _written(service: Service) -> Iterator[tuple[tuple[str, ...], CanaryStep]]:
    canary = canary_of(service)
    for number, step in enumerate(canary.steps if canary else ()):
        yield (*_STEPS, str(number)), step


def _presets_stand_alone(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    if canary and canary.steps and at.written("strategy", "preset"):
        why = f"the written steps count, and not those of `{canary.preset}`"
        instead = "one of the two; `inconclusive` says what is done where the traffic does not tell"
        yield at.warning(("strategy", "preset"), "`strategy.preset` stands beside `strategy.steps`", why, instead)


def _ends_with_all_traffic(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    weights = [step.percent for step in canary.steps if isinstance(step, Weight)] if canary else []
    if canary and canary.steps and WHOLE not in map(hundredths, weights):
        what = f"the steps end at {weights[-1]:g} % of the traffic" if weights else "the steps give the release no traffic"
        why = "a canary ends with all of it, or goes back"
        last = (*_STEPS, str(len(canary.steps) - 1))
        yield at.error(last, what, why, f"after the last step: {_ALL}")


def _weights_rise(at: Places, service: Service) -> Iterator[Problem]:
    before = 0.0
    for place, step in _written(service):
        if not isinstance(step, Weight) or hundredths(before) == WHOLE:
            continue
        what = f"`{spelt(place)}` gives it {step.percent:g} % after {before:g} %"
        if step.percent < before:
            why = "a canary grows, and to take traffic away from it is to roll it back"
            yield at.error((*place, "percent"), what, why, f"percent: {before:g} or more, or nothing: leave the step out")
        elif step.percent == before:
            yield at.error((*place, "percent"), what, "nothing would change", "a larger share, or leave the step out")
        before = max(before, step.percent)


def _nothing_comes_after_all_traffic(at: Places, service: Service) -> Iterator[Problem]:
    whole = False
    for place, step in _written(service):
        if whole and not isinstance(step, Hold | CheckStep | JudgeStep):
            what = f"`{spelt(place)}` comes after 100 % of the traffic"
            why = "then nobody is left to compare with, and none of the traffic to give: only pause, check and judge may follow"
            yield at.error(place, what, why, f"it before {_ALL}; the traffic is watched until the old fleet is retired anyway")
        whole = whole or (isinstance(step, Weight) and hundredths(step.percent) == WHOLE)


def _measures_something(at: Places, service: Service) -> Iterator[Problem]:
    reached = False
    for place, step in _written(service):
        match step:
            case Weight(percent) | MirrorStep(percent):
                reached = reached or percent > 0
            case HeaderStep() | CookieStep():
                reached = True
            case Measure() if not reached:
                what = f"`{spelt(place)}` measures a release that gets no requests yet"
                why = "a measurement needs a weight, a header, a cookie or a mirror before it"
                yield at.error(place, what, why, "{type: weight, percent: 10} before it")


def _shares_are_exact(at: Places, service: Service) -> Iterator[Problem]:
    for place, step in _written(service):
        if isinstance(step, Weight | MirrorStep) and abs(step.percent * 100 - hundredths(step.percent)) > 1e-6:
            what, why = f"`{spelt(place)}.percent` is {step.percent:.10g}", "shares are counted in hundredths of a percent"
            yield at.error((*place, "percent"), what, why, f"percent: {max(hundredths(step.percent), 1) / 100:g}")


def _mirrors_are_safe(at: Places, service: Service) -> Iterator[Problem]:
    mirrored = False
    for place, step in _written(service):
        if not isinstance(step, MirrorStep):
            continue
        if not step.percent and not mirrored:
            what = f"`{spelt(place)}` mirrors nothing"
            yield at.error((*place, "percent"), what, "0 ends what a mirror before it began", "percent: 5")
        mirrored = step.percent > 0
        for number, method in enumerate(step.methods):
            yield from _method(at, (*place, "methods", str(number)), method)


def _method(at: Places, place: tuple[str, ...], method: str) -> Iterator[Problem]:
    if method in _WRITING:
        why = "each such request would be carried out by both releases: paid twice, sent twice, deleted twice"
        yield at.warning(
            place, f"`{method}` requests are mirrored, and they write", why, "GET, HEAD; or be sure that it is safe"
        )
    elif method not in _READING:
        meant = nearest(method, [m.lower() for m in (*_READING, *_WRITING)]).upper() or "GET"
        yield at.warning(place, f"`{method}` is no method that a gateway usually meets", "it would match nothing", meant)


def _fleets_are_large_enough(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    if canary is None:
        return
    least, all_of_it = canary.min_instances, service.instances
    if least > all_of_it:
        what = f"`strategy.min_instances` is {least}, and the whole service has {all_of_it}"
        why = "a canary is a part of the service"
        yield at.error(("strategy", "min_instances"), what, why, f"min_instances: {all_of_it}")
        return
    taken, who = least, "`min_instances`"
    for place, step in _written(service):
        match step:
            case Weight(percent) | MirrorStep(percent):
                need = share(all_of_it, hundredths(percent))
                if need > taken:
                    taken, who = need, f"{percent:g} % of the traffic"
            case Resize(instances):
                yield from _resized(at, (*place, "instances"), instances, (taken, who, all_of_it))
                if instances > taken:
                    taken, who = instances, f"`{spelt(place)}`"


def _resized(at: Places, place: tuple[str, ...], wanted: int, among: tuple[int, str, int]) -> Iterator[Problem]:
    taken, who, all_of_it = among
    if wanted > all_of_it:
        what = f"`{spelt(place)}` is {wanted}, and the whole service has {all_of_it}"
        yield at.error(place, what, "a canary is a part of the service", f"instances: {all_of_it}")
    elif wanted < taken:
        what = f"`{spelt(place)}` is {wanted}, and {who} takes {taken} before it"
        yield at.error(place, what, "a canary never shrinks: its users would pay for it", f"instances: {taken}")


def _baseline_has_a_part(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    if canary is None or not canary.baseline:
        return
    what = "`strategy.baseline` starts a fleet that would never have a part of the traffic"
    if canary.side_by_side:
        why = "beside `side_by_side` nobody shares traffic out: it would take work from the queue like any other fleet"
        yield at.error(("strategy", "baseline"), what, why, "one of the two")
    elif not any(compares(step) for step in steps_of(canary)):
        why = "it gets as much as the new release, while both have some"
        yield at.error(("strategy", "baseline"), what, why, "{type: weight, percent: 10} and {type: measure} before all of it")


def _begins_at_a_step(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    if canary is not None and canary.analysis.starting_step > (count := len(steps_of(canary))):
        what = f"`strategy.analysis.starting_step` is {canary.analysis.starting_step}, and there are {count} steps"
        why = "the traffic could never roll it back between measurements"
        yield at.error(("strategy", "analysis", "starting_step"), what, why, f"starting_step: {count}")


def _cohorts_differ(at: Places, service: Service) -> Iterator[Problem]:
    known: set[tuple[str, str, str]] = set()
    canary = canary_of(service)
    sticky = canary.affinity.cookie if canary and canary.affinity else None
    for place, step in _written(service):
        if not isinstance(step, HeaderStep | CookieStep):
            continue
        kind, name = ("header", step.name.lower()) if isinstance(step, HeaderStep) else ("cookie", step.name)
        if (kind, name, step.value) in known:
            what = f"the {kind} {step.name} with `{step.value}` is in `strategy.steps` twice"
            yield at.error(place, what, "who reaches the release does so until the end", "it once")
        elif (kind, name) == ("header", _RESERVED):
            why = "it reaches the release that it names, of any service, at any time"
            yield at.error((*place, "name"), f"`{_RESERVED}` belongs to Bleen", why, "name: x-team")
        elif (kind, name) == ("cookie", sticky):
            why = "`strategy.affinity` tells users apart by it, and its values are made by chance"
            yield at.error((*place, "name"), f"the cookie `{name}` is that of `strategy.affinity`", why, "another name")
        known.add((kind, name, step.value))


WALK: tuple[Sense, ...] = (
    _presets_stand_alone,
    _ends_with_all_traffic,
    _weights_rise,
    _nothing_comes_after_all_traffic,
    _measures_something,
    _shares_are_exact,
    _mirrors_are_safe,
    _fleets_are_large_enough,
    _baseline_has_a_part,
    _begins_at_a_step,
    _cohorts_differ,
)
