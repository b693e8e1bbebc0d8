"""Canaries whose every key is right, and that cannot work."""

import pytest

from bleen.interfaces.repository.problem import Problem, Severity
from tests.interfaces.test_repository_sense import HEAD, found

ALL = "{type: weight, percent: 100}"
TEN = "{type: weight, percent: 10}"
EVENTS = "{type: events, name: jobs, bad: failed_total, total: jobs_total, page: /metrics}"


def canary(*lines: str, instances: int = 4) -> str:
    """Return a file whose strategy has ``lines``, from line 7 on."""
    below = "".join(f"  {line}\n" for line in lines)
    return f"{HEAD}instances: {instances}\nstrategy:\n  type: canary\n{below}"


def walking(*steps: str, instances: int = 4) -> str:
    """Return a file with these steps, from line 8 on."""
    return canary("steps:", *(f"  - {step}" for step in steps), instances=instances)


def measuring(*metrics: str) -> str:
    """Return a file with these metrics, from line 9 on."""
    return canary("analysis:", "  metrics:", *(f"    - {metric}" for metric in metrics))


# The file, the line, words of what, words of why, words of what to write.
ERRORS = {
    "half the traffic at the end": (
        walking(TEN, "{type: measure}", "{type: weight, percent: 50}"),
        10,
        "end at 50 %",
        "goes back",
        ALL,
    ),
    "no traffic at all": (walking("{type: measure, max: 5m}", "{type: pause, for: 1m}"), 9, "no traffic", "goes back", ALL),
    "weights that fall": (
        walking("{type: weight, percent: 50}", TEN, ALL),
        9,
        "10 % after 50 %",
        "to roll it back",
        "percent: 50 or more",
    ),
    "a weight twice": (walking(TEN, TEN, ALL), 9, "10 % after 10 %", "nothing would change", "a larger share"),
    "a weight of nothing": (walking("{type: weight, percent: 0}", ALL), 8, "0 % after 0 %", "nothing", "leave the step out"),
    "all traffic twice": (walking(TEN, ALL, ALL), 10, "comes after 100 %", "only pause, check and judge", "before"),
    "a measurement after all traffic": (walking(ALL, "{type: measure}"), 9, "after 100 %", "nobody is left", "watched"),
    "a cohort after all traffic": (
        walking(ALL, "{type: header, name: x-team, value: a}"),
        9,
        "steps[1]` comes after",
        "none of the traffic",
        "before",
    ),
    "a mirror after all traffic": (walking(ALL, "{type: mirror, percent: 5}"), 9, "after 100 %", "", "before"),
    "a measurement of nothing": (
        walking("{type: measure}", TEN, ALL),
        8,
        "gets no requests yet",
        "a weight, a header, a cookie or a mirror",
        "10}",
    ),
    "a baseline fleet for a queue": (
        canary("side_by_side: true", "baseline: true", "analysis:", "  metrics:", f"    - {EVENTS}"),
        8,
        "never have a part",
        "take work from the queue",
        "one of the two",
    ),
    "a baseline fleet and nothing to compare": (
        canary("baseline: true", "steps:", f"  - {ALL}"),
        7,
        "never have a part",
        "while both have some",
        "before all of it",
    ),
    "a share that is too exact": (
        walking("{type: weight, percent: 0.125}", ALL),
        8,
        "is 0.125",
        "hundredths of a percent",
        "percent: 0.12",
    ),
    "a mirror of nothing": (walking(TEN, "{type: mirror, percent: 0}", ALL), 9, "mirrors nothing", "0 ends", "percent: 5"),
    "a fleet larger than the service": (
        walking("{type: scale, instances: 5}", TEN, ALL),
        8,
        "is 5, and the whole service has 4",
        "a part",
        "instances: 4",
    ),
    "a fleet smaller than its share": (
        walking("{type: weight, percent: 50}", "{type: scale, instances: 1}", ALL),
        9,
        "50 % of the traffic takes 2",
        "never",
        "instances: 2",
    ),
    "a fleet below the least": (
        canary("min_instances: 2", "steps:", "  - {type: scale, instances: 1}", f"  - {ALL}"),
        9,
        "`min_instances` takes 2",
        "never shrinks",
        "instances: 2",
    ),
    "a least beyond all": (canary("min_instances: 5"), 7, "is 5, and the whole service has 4", "a part", "min_instances: 4"),
    "a watch beyond the end": (canary("analysis: {starting_step: 4}"), 7, "there are 3 steps", "never roll it back", "step: 3"),
    "one cohort twice": (
        walking("{type: header, name: X-Team, value: a}", "{type: header, name: x-team, value: a}", ALL),
        9,
        "twice",
        "",
        "once",
    ),
    "the header of Bleen": (
        walking("{type: header, name: X-Bleen-Release, value: r2}", ALL),
        8,
        "belongs to Bleen",
        "names",
        "name: x-team",
    ),
    "the cookie of affinity": (
        canary("affinity: {cookie: user}", "steps:", "  - {type: cookie, name: user, value: me}", f"  - {ALL}"),
        9,
        "that of `strategy.affinity`",
        "by chance",
        "another name",
    ),
    "a bake that never ends": (
        walking(TEN, "{type: measure, max: 30s}", ALL),
        9,
        "`analysis.bake` (1m) leaves nothing of its 30s",
        "no verdict",
        "max: 2m",
    ),
    "a bake longer than the preset": (
        canary("preset: quick", "analysis: {bake: 10m}"),
        8,
        "leaves nothing of its 5m",
        "",
        "bake: 2m30s",
    ),
    "a warm-up that never ends": (canary("analysis:", "  warm_up: 1h"), 8, "`analysis.warm_up` (1h)", "", "warm_up: 15m"),
    "a measurement without time": (
        walking(TEN, "{type: measure, max: 0s}", ALL),
        9,
        "steps[1].max` lasts no time",
        "0s",
        "max: 30m",
    ),
    "a pause without time": (walking(TEN, "{type: pause, for: 0s}", ALL), 9, "[1].for` lasts no time", "", "for: 5m"),
    "an answer in no time": (walking(TEN, "{type: judge, within: 0s}", ALL), 9, "within` lasts no time", "", "within: 1h"),
    "a check of a step without time": (
        walking("{type: check, checks: [{type: http, path: /, timeout: 0s}]}", ALL),
        8,
        "checks[0].timeout` lasts no",
        "",
        "timeout: 5s",
    ),
    "no patience": (canary("patience: 0s"), 7, "`strategy.patience` lasts no time", "", "patience: 1d"),
    "a cookie for no time": (canary("affinity: {lifetime: 0s}"), 7, "lifetime` lasts no time", "", "lifetime: 7d"),
    "readings without end": (measuring(EVENTS.replace("}", ", every: 0s}")), 9, "every` lasts no time", "", "every: 5s"),
    "an answer awaited for too long": (
        walking(TEN, "{type: judge, within: 2d}", ALL),
        9,
        "(2d) is longer than `strategy.patience` (1d)",
        "rolled back",
        "within: 1d",
    ),
    "nothing measured": (
        canary("analysis: {errors: {weight: 0}, latency: {weight: 0}}"),
        7,
        "nothing would be measured",
        "leaves a metric out",
        "errors: {weight: 1}",
    ),
    "two metrics of one name": (measuring(EVENTS, EVENTS), 10, "two metrics are called `jobs`", "other", "name: jobs-2"),
    "a number from nowhere": (
        measuring("{type: number, name: n, max: 1}"),
        9,
        "neither `query` nor `run`",
        "PromQL or from a command",
        "run: [",
    ),
    "a number from two places": (
        measuring("{type: number, name: n, max: 1, run: [x], query: 'q{r=\"{release}\"}'}"),
        9,
        "both `query` and `run`",
        "",
        "one",
    ),
    "a number without bounds": (
        measuring("{type: number, name: n, run: [x]}"),
        9,
        "neither `min` nor `max`",
        "any",
        "max: 100",
    ),
    "bounds the wrong way round": (
        measuring("{type: number, name: n, run: [x], min: 2, max: 1}"),
        9,
        "`min` (2)",
        "no number",
        "min: 1 and max: 2",
    ),
    "a query for nobody": (
        measuring("{type: number, name: n, query: up, max: 1}"),
        9,
        "query` does not say `{release}`",
        "the same",
        "{release}",
    ),
    "a query for nobody's events": (
        measuring("{type: events, name: n, bad: up, total: 'x{r=\"{release}\"}'}"),
        9,
        "[0].bad` does not say",
        "the same",
        "",
    ),
    "a placeholder misspelt": (
        measuring("{type: number, name: n, max: 1, query: 'up{r=\"{relase}\"}'}"),
        9,
        "`{relase}`",
        "`r2`",
        "{release}",
    ),
    "a query for a page": (
        measuring("{type: events, name: n, bad: 'failed_total{a=\"b\"}', total: jobs_total, page: /metrics}"),
        9,
        "bad` is no name of a counter",
        "by name",
        "bad: failed_total",
    ),
}
WARNINGS = {
    "a preset beside steps": (canary("preset: quick", "steps:", f"  - {ALL}"), 7, "beside `strategy.steps`", "`inconclusive`"),
    "writes that are mirrored": (
        walking("{type: mirror, percent: 5, methods: [GET, POST]}", ALL),
        8,
        "`POST` requests are mirrored",
        "GET, HEAD",
    ),
    "a method that nobody uses": (walking("{type: mirror, percent: 5, methods: [GTE]}", ALL), 8, "`GTE` is no method", "GET"),
}
GOOD = {
    "three lines": HEAD + "strategy: {type: canary, preset: normal}\n",
    "every preset": canary("preset: careful"),
    "a share of a hundredth": walking("{type: weight, percent: 0.01}", "{type: measure}", ALL),
    "a share that binary fractions miss": walking("{type: weight, percent: 0.29}", "{type: measure}", ALL),
    "a baked end": walking(TEN, "{type: measure}", ALL, "{type: pause, for: 5m}", "{type: judge, question: Good?}"),
    "a dark launch": walking(
        "{type: scale, instances: 2}", "{type: mirror, percent: 5}", "{type: measure}", "{type: mirror, percent: 0}", ALL
    ),
    "a team first": walking("{type: header, name: x-team, value: a}", "{type: measure, requests: 100}", ALL),
    "people twice": walking("{type: cookie, name: a, value: a}", "{type: cookie, name: a, value: b}", "{type: pause}", ALL),
    "metrics of one's own": measuring(EVENTS, "{type: number, name: queue, run: [./queue.sh], max: 10}"),
    "only metrics of one's own": canary(
        "analysis:", "  errors: {weight: 0}", "  latency: {weight: 0}", "  metrics:", f"    - {EVENTS}"
    ),
    "PromQL": measuring("{type: number, name: cpu, query: 'avg(cpu{release=\"{release}\"})', max: 0.9}"),
    "one instance": canary("preset: quick", instances=1),
}


def only(text: str) -> Problem:
    """Return the one problem of ``text``."""
    (problem,) = found(text)
    return problem


@pytest.mark.parametrize("name", ERRORS)
def test_a_canary_that_cannot_work_is_refused_where_it_is_written(name: str) -> None:
    """One slip is one error, with its line, its reason and what to write."""
    text, line, what, why, instead = ERRORS[name]
    problem = next(p for p in found(text) if what in p.what)
    assert (problem.line, problem.severity) == (line, Severity.ERROR)
    assert why in problem.why
    assert instead in problem.instead


@pytest.mark.parametrize("name", [n for n in ERRORS if n not in ("no traffic at all", "a query for nobody's events")])
def test_one_slip_is_told_once(name: str) -> None:
    """Whoever made one mistake reads one message."""
    only(ERRORS[name][0])


@pytest.mark.parametrize("name", WARNINGS)
def test_a_canary_that_was_hardly_meant_so_is_a_warning(name: str) -> None:
    """It is told, and does not stop a deployment."""
    text, line, what, instead = WARNINGS[name]
    problem = only(text)
    assert (problem.line, problem.severity) == (line, Severity.WARNING)
    assert what in problem.what
    assert instead in problem.instead


@pytest.mark.parametrize("name", GOOD)
def test_a_canary_that_can_work_is_left_alone(name: str) -> None:
    """Three lines are enough, and so is much more."""
    assert found(GOOD[name]) == ()
