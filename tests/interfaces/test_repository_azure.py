"""`bleen validate` says what the gateways of Azure cannot do, at the line that asks for it."""

from pathlib import Path

import pytest

from bleen.interfaces.repository import Problem, validate_path

SERVICE = """\
service: hello
image: {type: directory, path: app}
command: [python, x.py]
instances: 10
strategy:
  type: canary
  steps:
    - {type: weight, percent: 10}
    - {type: weight, percent: 100}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "applications/hello"
    (folder / "app").mkdir(parents=True)
    (folder / "app/x.py").write_text("")
    (folder / "service.yaml").write_text(SERVICE)
    (tmp_path / "infrastructure").mkdir()
    return tmp_path


def declare(root: Path, text: str) -> list[Problem]:
    (root / "infrastructure/azure.yaml").write_text(text)
    return validate_path(root)


def test_ten_percent_on_a_flip_is_an_error_with_file_and_line(root: Path) -> None:
    """The environment and its gateway are named, with why, and what to write instead."""
    (problem,) = declare(root, "gateways: {dev: appgw-flip, production: envoy}\n")
    assert (problem.file, problem.line) == (str(root / "applications/hello/service.yaml"), 8)
    assert "10 %" in problem.what and "dev" in problem.what and "appgw-flip" in problem.what
    assert "0 or 100 %" in problem.why and "blue-green" in problem.instead


def test_the_service_alone_is_told_the_same(root: Path) -> None:
    """By its file, as an editor asks."""
    declare(root, "gateways: {dev: appgw-flip}\n")
    assert len(validate_path(root / "applications/hello/service.yaml")) == 1


@pytest.mark.parametrize("text", ["gateways: {dev: envoy}\n", "gateways: {dev: appgw-mixed}\n", "{}\n"])
def test_what_a_gateway_can_do_passes(root: Path, text: str) -> None:
    """1 of 10 instances is 10 % in a mixed pool; without a word a gateway is an Envoy."""
    assert declare(root, text) == []


def test_a_gateway_that_nobody_knows_is_refused(root: Path) -> None:
    """In the file that names it, by repository and alone."""
    (problem,) = declare(root, "gateways:\n  dev: appgw-flap\n")
    assert problem.file.endswith("infrastructure/azure.yaml") and problem.line == 2
    assert len(validate_path(root / "infrastructure/azure.yaml")) == 1
