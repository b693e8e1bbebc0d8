"""Service files against their types: what is said, and that nothing else decides."""

import re
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import ValidationError

from bleen.domain.codec import convert
from bleen.domain.service import Service
from bleen.interfaces.repository.document import parse_document, plain_value
from bleen.interfaces.repository.problem import Problem
from bleen.interfaces.repository.schema import schema
from bleen.interfaces.repository.shape import mismatches

HEAD = "service: hello\nimage: {type: directory, path: app}\ncommand: [python, x.py]\n"
SCHEMA = jsonschema.Draft202012Validator(schema())

CANARY = "strategy: {type: canary, "
EVENTS = "{type: events, name: errors, bad: x, total: y}"

# What follows the head, from line 4 on; the line; words of what; words of why; what to write.
WRONG = {
    "unknown key": ("instancs: 3", 4, "`instancs` is no key of a service", "its keys are service, image", "instances:"),
    "unknown key inside": ("health:\n  intervall: 5s", 5, "`health.intervall` is no key of", "path, interval", "interval:"),
    "unlike any key": ("zzz: 1", 4, "`zzz` is no key of a service", "instances", ""),
    "text for a number": ("instances: two", 4, 'whole number from 1 to 1000, and is the text "two"', "", "instances: 2"),
    "a quoted number": ('instances: "3"', 4, "whole number", "", "instances: 3"),
    "a fraction": ("instances: 2.5", 4, "whole number", "", "instances: 2"),
    "too few": ("instances: 0", 4, "`instances` is 0", "from 1 to 1000", "instances: 1"),
    "too many": ("instances: 1001", 4, "`instances` is 1001", "from 1 to 1000", "instances: 1000"),
    "a port of the system": ("port: 80", 4, "`port` is 80", "from 1024 to 65535", "port: 1024"),
    "a duration without unit": ("health: {interval: 5}", 4, "`health.interval` lacks its unit", "ms, s, m", "interval: 5s"),
    "a duration in words": ("stop:\n  drain: 10 minutes", 5, "`10 minutes`, which is no duration", "1h30m", "drain: 10m"),
    "a duration beyond reason": ("stop: {drain: 99999999d}", 4, "no duration", "up to ten years", "drain: 99999999d"),
    "a truth value as text": ("env:\n  DEBUG: true", 5, "`true` is a truth value to YAML", "quotes", 'DEBUG: "true"'),
    "a number as text": ("env:\n  DEBUG: 1.10", 5, "`1.10` is a number to YAML", "quotes", 'DEBUG: "1.10"'),
    "a name of Bleen's": ("env: {BLEEN_PORT: x}", 4, "`BLEEN_PORT` cannot be a name", "belongs to Bleen", "LOG_LEVEL:"),
    "a secret misspelt": ("env: {A: {secrt: X}}", 4, "`env.A.secrt` is no key", "secret", "secret:"),
    "yes": ("strategy: {type: blue-green, auto_promote: yes}", 4, "`true` or `false`", "", "auto_promote: true"),
    "no type": ("strategy: {warm: 5m}", 4, "`strategy` does not say its `type`", "blue-green (a", "type: blue-green"),
    "a type misspelt": ("strategy: {type: BlueGreen}", 4, "`BlueGreen` is no type of `strategy`", "", "type: blue-green"),
    "a check without type": (
        "strategy: {type: blue-green, checks: {before: [{run: [x]}]}}",
        4,
        "`strategy.checks.before[0]` does not say its `type`",
        "http (ask",
        "type: command",
    ),
    "one for a list": ("hosts: a.example", 4, "`hosts` must be a list", "", "hosts: [a.example]"),
    "a URL for a host": ("hosts: ['https://A.example:8080/x']", 4, "`hosts[0]` cannot be", "without scheme", "a.example"),
    "a preview host": ("hosts: [preview.a.example]", 4, "`preview.a.example`", "`preview.*` is for previews", "a.example"),
    "a path without slash": ("health: {path: healthz}", 4, "`healthz`", "From `/` on", "path: /healthz"),
    "nothing after a colon": ("stop:", 4, "`stop` has no value", "a map of keys", "the defaults count"),
    "a way out for a file": ("files: {../x: y}", 4, "`../x` cannot be a name", "below `$BLEEN_FILES`", "settings.toml:"),
    "an absolute path": ("files: {x: /etc/passwd}", 4, "`/etc/passwd`", "inside the repository", "app"),
    "a preset misspelt": ("strategy: {type: canary, preset: carful}", 4, "cannot be `carful`", "`normal`: 10 %", "careful"),
    "a preset of another kind": ("strategy: {type: canary, preset: 7}", 4, "cannot be `7`", "`quick`", "preset: normal"),
    "no preset": ("strategy: {type: canary, preset: }", 4, "`strategy.preset` has no value", "", "preset: normal"),
    "a share beyond all": (CANARY + "steps: [{type: weight, percent: 101}]}", 4, "is 101", "from 0 to 100", "percent: 100"),
    "a share in text": (CANARY + 'steps: [{type: weight, percent: "10 %"}]}', 4, "a number from 0 to 100", "", "percent: 10"),
    "a share that is none": (CANARY + "steps: [{type: weight, percent: .nan}]}", 4, "percent` is .nan", "from 0", "percent: 1"),
    "a step in short": (CANARY + "steps: [{weight: 10}]}", 4, "`strategy.steps[0]` does not say", "no key", "percent: 10}"),
    "a pause in short": (CANARY + "steps: [{pause: 5m}]}", 4, "does not say its `type`", "", "{type: pause, for: 5m}"),
    "a step misspelt": (CANARY + "steps: [{type: mesure}]}", 4, "`mesure` is no type of", "weight (the new", "type: measure"),
    "a step that is a word": (CANARY + "steps: [measure]}", 4, "must be a map with a `type`: weight", "", "type: weight"),
    "a pause without unit": (CANARY + "steps: [{type: pause, for: 5}]}", 4, "[0].for` lacks its unit", "", "for: 5s"),
    "the old name of for": (CANARY + "steps: [{type: pause, duration: 5s}]}", 4, "duration` is no key", "keys are for", ""),
    "surer than certain": (CANARY + "analysis: {false_alarms: 0}}", 4, "false_alarms` is 0", "over 0, up to 0.2", "0.05"),
    "a ratio below one": (CANARY + "analysis: {errors: {ratio: 0.5}}}", 4, "ratio` is 0.5", "from 1 to 100", "ratio: 1"),
    "affinity that is true": (CANARY + "affinity: true}", 4, "`strategy.affinity` must be a map of keys", "", ""),
    "a name that is taken": (CANARY + f"analysis: {{metrics: [{EVENTS}]}}}}", 4, "`errors`", "are taken", "checkout-failures"),
    "a method in small letters": (
        CANARY + "steps: [{type: mirror, percent: 5, methods: [get]}]}", 4, "cannot be `get`", "of HTTP", "GET"
    ),
    "a metric without its query": (
        CANARY + "analysis: {metrics: [{type: events, name: x, bad: '', total: y}]}}", 4, "bad` is empty", "", "jobs_failed"
    ),
    "infinity": (
        CANARY + "analysis: {metrics: [{type: number, name: x, max: .inf}]}}", 4, "max` is .inf", "must be a number", "max: 1"
    ),
    "a list for a map": ("files: [x]", 4, "a map of names and values, and is a list", "", "files: {settings.toml: "),
}  # fmt: skip


NO_JSON = ("infinity", "a share that is none")


def wrong(text: str) -> list[Problem]:
    document = parse_document(text.encode(), "service.yaml")
    return [*document.problems, *mismatches(document, Service)]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_key_is_named_with_its_line_its_reason_and_what_to_write(name: str) -> None:
    """One slip is one problem, that says where, what, why and what instead."""
    text, line, what, why, instead = WRONG[name]
    (problem,) = wrong(HEAD + text)
    assert problem.line == line
    assert what in problem.what
    assert why in problem.why
    assert instead in problem.instead


@pytest.mark.parametrize("name", [n for n, (text, *_) in WRONG.items() if re.fullmatch(r"[a-z]+: [^{}\n]*", text)])
def test_what_is_advised_mends_what_was_wrong(name: str) -> None:
    """Whoever writes what the message says to write is rid of the message."""
    text = WRONG[name][0]
    (problem,) = wrong(HEAD + text)
    advice = problem.instead + text.partition(":")[2] if problem.instead.endswith(":") else problem.instead
    if ":" in advice:
        assert not wrong(HEAD + advice)
    else:
        assert not wrong(HEAD + f"{text.partition(':')[0]}: [{advice}]") or not advice or name == "an absolute path"


def test_every_problem_of_a_file_is_told_at_once() -> None:
    """Nobody mends a file seven times."""
    text = "servce: x\nimage: {path: app}\nport: 1\nhealth: {interval: 1, path: x}\nhosts: x\nfiles: 3\ncommand: []\n"
    assert [p.line for p in wrong(text)] == [1, 2, 3, 4, 4, 5, 6, 7]


def test_a_missing_key_comes_with_an_example() -> None:
    """An almost empty file is told what it lacks, and what that looks like."""
    problems = wrong("instances: 2\n")
    assert [p.what for p in problems] == ["`service` is missing", "`image` is missing", "`command` is missing"]
    assert problems[2].instead == 'command: [python, "{app}/server.py"]'


def test_a_bare_placeholder_is_explained() -> None:
    """YAML makes a map of {port}; the message says quotes, not maps."""
    (problem,) = wrong("service: hello\nimage: {type: directory, path: app}\ncommand: [serve, {port}]\n")
    assert (problem.instead, problem.why) == ('"{port}"', "YAML reads bare braces as a map")


def test_a_file_that_is_no_map_gets_a_whole_example() -> None:
    """The advice for a text or a list is a service that would be accepted."""
    (problem,) = wrong("hello\n")
    assert not wrong(problem.instead)


GOOD: list[dict[str, Any]] = [
    {},
    {"image": {"type": "pypi", "package": "datasette", "version": "0.65.2", "with_packages": ["a==1"], "lock": "l"}},
    {"image": {"type": "npm", "package": "@scope/pkg", "version": "1.2.3-rc.1"}},
    {"image": {"type": "archive", "path": "x.tar", "digest": "sha256:" + "0" * 64}},
    {"instances": 1000, "port": 65535, "hosts": ["a.example", "x"], "env": {"A": ""}},
    {"env": {"B": {"secret": "X"}}, "files": {"a/b": "c"}},
    {"health": {"path": "/x?y", "interval": "500ms", "successes": 1}, "stop": {"drain": "0s"}},
    {"strategy": {"type": "blue-green", "preview_instances": None, "auto_promote_after": "1h30m"}},
    {"strategy": {"type": "blue-green", "checks": {"after": [{"type": "http", "path": "/"}]}}},
    {"strategy": {"type": "canary", "preset": "normal"}},
    {"strategy": {"type": "canary", "inconclusive": None, "affinity": None, "steps": []}},
    {"strategy": {"type": "canary", "inconclusive": "ask", "affinity": {"cookie": "user"}, "patience": "2h"}},
    {"strategy": {"type": "canary", "steps": [{"type": "weight", "percent": 100}, {"type": "pause", "for": "5m"}]}},
    {"strategy": {"type": "canary", "steps": [{"type": "weight", "percent": 0.25}, {"type": "pause"}, {"type": "judge"}]}},
    {"strategy": {"type": "canary", "analysis": {"outage": 5, "metrics": [{"type": "number", "name": "n", "min": -1}]}}},
]  # fmt: skip
BASE = {"service": "hello", "image": {"type": "directory", "path": "app"}, "command": ["x"]}


@pytest.mark.parametrize("extra", GOOD)
def test_good_files_are_good_to_the_loader_and_to_the_schema(extra: dict[str, Any]) -> None:
    """What an editor accepts by the schema, Bleen accepts."""
    SCHEMA.validate(BASE | extra)
    assert not wrong(yaml.safe_dump(BASE | extra))


@pytest.mark.parametrize("name", [n for n in WRONG if n not in ("a duration beyond reason", *NO_JSON)])
def test_bad_files_are_bad_to_the_schema_too(name: str) -> None:
    """What Bleen refuses, an editor underlines. (No pattern can say "ten years", and JSON has no infinity.)"""
    root = parse_document((HEAD + WRONG[name][0]).encode(), "f").root
    assert root is not None
    assert not SCHEMA.is_valid(plain_value(root))


_TEXTS = st.sampled_from(
    [
        "",
        "x",
        "/",
        "/x",
        "1s",
        "10m",
        "0s",
        "1h30m",
        "soon",
        "hello",
        "a_b",
        "A",
        "1.2.3",
        "http",
        "blue-green",
        "..",
        "a/b",
        "é",
    ]
)
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70_000) | st.sampled_from([0.5, 1e9 + 0.5]) | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)


def _maybe(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return good | good | good | _JUNK


_DURATIONS = st.sampled_from(["1s", "500ms", "1h30m", "10"])
_CHECKS = _maybe(
    st.lists(
        _maybe(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["http", "command", "x"])},
                optional={
                    "path": _maybe(st.just("/")),
                    "run": _maybe(st.just(["x"])),
                    "timeout": _maybe(_DURATIONS),
                    "x": _JUNK,
                },
            )
        ),
        max_size=2,
    )
)
_NUMBERS = st.sampled_from([-1, 0, 0.05, 1, 1.5, 10, 100, 101])
_STEPS = st.fixed_dictionaries(
    {"type": st.sampled_from(["weight", "scale", "measure", "pause", "header", "mirror", "judge", "x"])},
    optional={
        "percent": _maybe(_NUMBERS),
        "instances": _maybe(_NUMBERS),
        "max": _maybe(_DURATIONS),
        "for": _maybe(_DURATIONS),
        "name": _maybe(st.just("x-team")),
        "value": _maybe(st.just("beta")),
    },
)
_METRICS = st.fixed_dictionaries(
    {"type": st.sampled_from(["events", "number"]), "name": _maybe(st.sampled_from(["x", "errors"]))},
    optional={"bad": _TEXTS, "total": _TEXTS, "min": _maybe(_NUMBERS), "max": _maybe(st.none()), "every": _maybe(_DURATIONS)},
)
_CANARIES = st.fixed_dictionaries(
    {"type": st.just("canary")},
    optional={
        "preset": _maybe(st.sampled_from(["careful", "normal", "quick"])),
        "inconclusive": _maybe(st.sampled_from(["ask", "rollback", None])),
        "min_instances": _maybe(_NUMBERS),
        "affinity": _maybe(st.just({"cookie": "user"})),
        "steps": _maybe(st.lists(_maybe(_STEPS), max_size=2)),
        "analysis": _maybe(
            st.fixed_dictionaries(
                {},
                optional={
                    "errors": _maybe(st.fixed_dictionaries({}, optional={"ratio": _maybe(_NUMBERS)})),
                    "misses": _maybe(_NUMBERS),
                    "metrics": _maybe(st.lists(_METRICS, max_size=1)),
                },
            )
        ),
    },
)
_FILES = st.fixed_dictionaries(
    {
        "service": _maybe(st.just("hello")),
        "image": _maybe(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["pypi", "npm", "directory", "archive", "docker"])},
                optional={
                    "path": _maybe(st.just("app")),
                    "package": _maybe(st.just("x")),
                    "version": _maybe(st.just("1.2.3")),
                    "lock": _maybe(st.none()),
                    "digest": _maybe(st.just("sha256:" + "a" * 64)),
                },
            )
        ),
        "command": _maybe(st.just(["x"])),
    },
    optional={
        "instances": _maybe(st.integers(0, 1001)),
        "health": _maybe(st.dictionaries(st.sampled_from(["path", "interval", "successes", "x"]), _maybe(_DURATIONS))),
        "env": _maybe(st.dictionaries(st.sampled_from(["A", "BLEEN_X", "1"]), _maybe(st.just({"secret": "X"})))),
        "files": _maybe(st.dictionaries(_TEXTS, _maybe(st.just("a")))),
        "hosts": _maybe(st.lists(_maybe(st.just("a.example")), max_size=2)),
        "strategy": _CANARIES
        | _maybe(
            st.fixed_dictionaries(
                {},
                optional={
                    "type": _maybe(st.just("blue-green")),
                    "warm": _maybe(_DURATIONS),
                    "preview_instances": _JUNK,
                    "checks": st.fixed_dictionaries({}, optional={"before": _CHECKS, "after": _CHECKS}),
                },
            )
        ),
    },
)


@settings(max_examples=200)
@given(_FILES)
def test_the_loader_the_schema_and_the_types_agree(value: dict[str, Any]) -> None:
    """No file is good to one of the three and bad to another."""
    problems = wrong(yaml.safe_dump(value, allow_unicode=True))
    assert SCHEMA.is_valid(value) == (not problems), problems
    try:
        convert(value, Service)
    except ValidationError:
        assert problems
    for problem in problems:
        assert problem.line >= 1
        assert problem.what
