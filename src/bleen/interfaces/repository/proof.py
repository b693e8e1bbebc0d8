"""Whether what a canary asks of its traffic can be shown at all: in time, and by somebody who counts."""

import re
from collections.abc import Iterator

from bleen.domain.canary import CheckStep, Events, Hold, JudgeStep, Measure, Metric, Number
from bleen.domain.duration import Duration
from bleen.domain.service import Service
from bleen.interfaces.repository.places import Path, Places, Sense, spelt
from bleen.interfaces.repository.problem import Problem
from bleen.interfaces.repository.shape import nearest
from bleen.interfaces.repository.walk import canary_of, steps_of

_ANALYSIS = ("strategy", "analysis")
_RELEASE = "{release}"
_COUNTER = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def _passes_in_time(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    for number, step in enumerate(steps_of(canary) if canary else ()):
        if canary is None or not isinstance(step, Measure) or not step.max:
            continue
        for key, spent in (("bake", canary.analysis.bake), ("warm_up", canary.analysis.warm_up)):
            if spent < step.max:
                continue
            what = f"no measurement can pass: `analysis.{key}` ({spent}) leaves nothing of its {step.max}"
            why = "there is no verdict for a release before that time is over, and none after `max`"
            longer = Duration(seconds=spent.total_seconds() * 2)
            own = ("strategy", "steps", str(number), "max")
            if at.written(*own):
                yield at.error(own, what, why, f"max: {longer}")
            else:
                yield at.error((*_ANALYSIS, key), what, why, f"{key}: {Duration(seconds=step.max.total_seconds() / 2)}")
            break


def _time_passes(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    if canary is None:
        return
    times: list[tuple[Path, Duration | None, str]] = [(("strategy", "patience"), canary.patience, "1d")]
    times += [(("strategy", "affinity", "lifetime"), canary.affinity.lifetime, "7d")] if canary.affinity else []
    for number, metric in enumerate(canary.analysis.metrics):
        times.append(((*_ANALYSIS, "metrics", str(number), "every"), metric.every, "5s"))
    for number, step in enumerate(canary.steps):
        place = ("strategy", "steps", str(number))
        match step:
            case Measure(longest):
                times.append(((*place, "max"), longest, "30m"))
            case Hold(duration):
                times.append(((*place, "for"), duration, "5m"))
            case JudgeStep(within=within):
                times.append(((*place, "within"), within, "1h"))
            case CheckStep(checks):
                times += [((*place, "checks", str(i), "timeout"), c.timeout, "5s") for i, c in enumerate(checks)]
            case _:
                pass
    for path, time, instead in times:
        if time is not None and not time:
            yield at.error(path, f"`{spelt(path)}` lasts no time at all", "it must be longer than 0s", f"{path[-1]}: {instead}")


def _people_have_the_time_they_are_given(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    for number, step in enumerate(canary.steps if canary else ()):
        if canary and isinstance(step, JudgeStep) and step.within and step.within > canary.patience:
            path = ("strategy", "steps", str(number), "within")
            what = f"`{spelt(path)}` ({step.within}) is longer than `strategy.patience` ({canary.patience})"
            why = "a canary that waits for a person for longer than its patience is rolled back"
            yield at.error(path, what, why, f"within: {canary.patience}")


def _something_is_measured(at: Places, service: Service) -> Iterator[Problem]:
    canary = canary_of(service)
    if canary is None or not any(isinstance(step, Measure) for step in steps_of(canary)):
        return
    analysis = canary.analysis
    weights = [analysis.errors.weight, analysis.latency.weight, *(m.weight for m in analysis.metrics if isinstance(m, Events))]
    if not any(weights):
        why = "a weight of 0 leaves a metric out, and each one is left out"
        numbers = " but numbers, which show no harm to users" if any(isinstance(m, Number) for m in analysis.metrics) else ""
        yield at.error(_ANALYSIS, f"nothing would be measured{numbers}", why, "errors: {weight: 1}")


def _metrics_are_named_once(at: Places, service: Service) -> Iterator[Problem]:
    known: set[str] = set()
    for path, metric in _metrics(service):
        if metric.name in known:
            what = f"two metrics are called `{metric.name}`"
            yield at.error((*path, "name"), what, "its readings would be those of the other", f"name: {metric.name}-2")
        known.add(metric.name)


def _numbers_have_a_source_and_a_bound(at: Places, service: Service) -> Iterator[Problem]:
    for path, metric in _metrics(service):
        if not isinstance(metric, Number):
            continue
        here = f"`{spelt(path)}`"
        if bool(metric.query) == bool(metric.run):
            what = f"{here} has both `query` and `run`" if metric.run else f"{here} has neither `query` nor `run`"
            why = "its number comes from PromQL or from a command"
            yield at.error(path, what, why, "`run: [./number.sh]`, or `query`" if not metric.run else "one of the two")
        if metric.min is None and metric.max is None:
            yield at.error(path, f"{here} has neither `min` nor `max`", "any number would be good", "max: 100")
        elif metric.min is not None and metric.max is not None and metric.min > metric.max:
            what = f"`min` ({metric.min:g}) of {here} is above its `max` ({metric.max:g})"
            instead = f"min: {metric.max:g} and max: {metric.min:g}"
            yield at.error((*path, "min"), what, "no number would be good", instead)


def _queries_ask_for_a_release(at: Places, service: Service) -> Iterator[Problem]:
    for path, metric in _metrics(service):
        if isinstance(metric, Number):
            yield from _query(at, (*path, "query"), metric.query) if metric.query else ()
        elif metric.page:
            for key, text in (("bad", metric.bad), ("total", metric.total)):
                yield from _counter(at, (*path, key), text)
        else:
            for key, text in (("bad", metric.bad), ("total", metric.total)):
                yield from _query(at, (*path, key), text)


def _query(at: Places, path: Path, text: str) -> Iterator[Problem]:
    if _RELEASE in text:
        return
    what = f"`{spelt(path)}` does not say `{_RELEASE}`"
    misspelt = next((name for name in re.findall(r"\{(\w+)\}", text) if nearest(name, ["release"])), "")
    if misspelt:
        what = f"`{{{misspelt}}}` in `{spelt(path)}` stands for nothing"
    why = f"both releases would have the same numbers; Bleen fills in `{_RELEASE}` with `r2`, say"
    yield at.error(path, what, why, 'a label that tells them apart: release="{release}"')


def _counter(at: Places, path: Path, text: str) -> Iterator[Problem]:
    if not _COUNTER.fullmatch(text):
        what = f"`{spelt(path)}` is no name of a counter"
        name = _COUNTER.match(text)
        why = "with a `page`, each instance is asked for its own counters, by name; all their labels are summed"
        yield at.error(path, what, why, f"{path[-1]}: {name[0] if name else 'jobs_total'}")


def _metrics(service: Service) -> Iterator[tuple[Path, Metric]]:
    canary = canary_of(service)
    for number, metric in enumerate(canary.analysis.metrics if canary else ()):
        yield (*_ANALYSIS, "metrics", str(number)), metric


PROOF: tuple[Sense, ...] = (
    _passes_in_time,
    _time_passes,
    _people_have_the_time_they_are_given,
    _something_is_measured,
    _metrics_are_named_once,
    _numbers_have_a_source_and_a_bound,
    _queries_ask_for_a_release,
)
