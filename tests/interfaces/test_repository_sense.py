"""Service files whose every key is right, and that cannot work together."""

import pytest

from bleen.domain.codec import convert
from bleen.domain.service import Service
from bleen.interfaces.repository.document import parse_document, plain_value
from bleen.interfaces.repository.problem import Problem, Severity
from bleen.interfaces.repository.sense import contradictions, secrets_of

HEAD = "service: hello\nimage: {type: directory, path: app}\ncommand: [python, x.py]\n"
PYPI = "service: hello\nimage: {type: pypi, package: datasette, version: 0.65.2}\n"

CONTRADICTIONS = {
    "a preview larger than the service": (
        HEAD + "strategy:\n  type: blue-green\n  preview_instances: 3\n",
        6,
        "`strategy.preview_instances` is 3, and the whole service has 2",
        "preview_instances: 2",
    ),
    "approval that nobody waits for": (
        HEAD + "strategy:\n  type: blue-green\n  auto_promote_after: 5m\n",
        6,
        "has no effect",
        "auto_promote: false",
    ),
    "no time between probes": (HEAD + "health: {interval: 0s}\n", 4, "`health.interval` lasts no time", "interval: 1s"),
    "a check without time": (
        HEAD + "strategy:\n  type: blue-green\n  checks:\n    after:\n      - {type: http, path: /, timeout: 0s}\n",
        8,
        "`strategy.checks.after[0].timeout` lasts no time",
        "timeout: 5s",
    ),
    "a deadline before the grace": (
        HEAD + "strategy:\n  type: blue-green\n  progress_deadline: 30s\n",
        6,
        "(30s) is not longer than `health.start_grace` (1m)",
        "progress_deadline: 2m",
    ),
    "a grace beyond the default deadline": (HEAD + "health:\n  start_grace: 20m\n", 5, "(10m) is not longer", "40m"),
    "a grace too short for its probes": (
        HEAD + "health:\n  successes: 10\n  interval: 5s\n  start_grace: 30s\n",
        7,
        "can never be ready within `health.start_grace` (30s)",
        "start_grace: 1m30s",
    ),
    "a placeholder misspelt": (PYPI + 'command: [x, "{adress}:{port}"]\n', 3, "`{adress}` in `command`", '"{address}"'),
    "one host twice": (HEAD + "hosts:\n  - a.example\n  - a.example\n", 6, "`a.example` is in `hosts` twice", "once"),
}
DOUBTS = {
    "a package that cannot know where to listen": (PYPI + "command: [datasette, serve]\n", 3, "`{address}` and `{port}`"),
    "a password in plain text": (HEAD + "env:\n  DB_PASSWORD: hunter2\n", 5, "looks like a secret in plain text"),
}


def found(text: str) -> tuple[Problem, ...]:
    document = parse_document(text.encode(), "service.yaml")
    assert document.root is not None
    return tuple(contradictions(document, convert(plain_value(document.root), Service)))


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused_where_it_is_written(name: str) -> None:
    """Two keys that cannot both be meant are an error, with the line of the one to change."""
    text, line, what, instead = CONTRADICTIONS[name]
    (problem,) = found(text)
    assert (problem.line, problem.severity) == (line, Severity.ERROR)
    assert what in problem.what
    assert instead in problem.instead


@pytest.mark.parametrize("name", DOUBTS)
def test_what_is_hardly_meant_is_a_warning(name: str) -> None:
    """It is told, and does not stop a deployment."""
    text, line, what = DOUBTS[name]
    (problem,) = found(text)
    assert (problem.line, problem.severity) == (line, Severity.WARNING)
    assert what in problem.what


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        PYPI + 'command: [datasette, --host, "{address}", --port, "{port}"]\n',
        PYPI + 'command: [sh, -c, "exec datasette --host $BLEEN_ADDRESS --port $BLEEN_PORT"]\n',
        HEAD + "env: {TOKEN: {secret: TOKEN}, TOKEN_URL: x, PASSWORD: ''}\nstop: {drain: 0s}\n",
        'service: hello\nimage: {type: directory, path: app}\ncommand: [x, \'{"json": {"a": 1}}\', "{name}"]\n',
    ],
)
def test_what_can_work_is_left_alone(text: str) -> None:
    """A warning that cries wolf is worse than none."""
    assert found(text) == ()


def test_secrets_are_listed_by_name() -> None:
    """What must be there before a deployment can be asked for."""
    text = HEAD + "env: {A: {secret: Z}, B: plain, C: {secret: Y}, D: {secret: Z}}\n"
    root = parse_document(text.encode(), "f").root
    assert root is not None
    assert secrets_of(convert(plain_value(root), Service)) == ("Y", "Z")
