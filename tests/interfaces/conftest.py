"""Fixtures of the interfaces' tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bleen.interfaces.cli import run
from bleen.interfaces.client import Client
from tests.interfaces.estate import Estate

SERVICE = """\
service: {name}
image:
  type: directory
  path: app
  version: "{version}"
command: ["{{app}}/serve", "{{address}}", "{{port}}"]
health:
  start_grace: 3s
strategy:
  type: blue-green
  warm: {warm}
  progress_deadline: 6s
  abort_delay: 0s
{more}"""


class Typed(NamedTuple):
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as one JSON value."""
        return json.loads(self.out)


Bleen = Callable[..., Typed]


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Estate]:
    """A platform that does not run yet."""
    estate = Estate(tmp_path / "home")
    yield estate
    estate.down()


@pytest.fixture
def estate(idle: Estate) -> Estate:
    """A platform that runs."""
    idle.up()
    return idle


@pytest.fixture
def client(estate: Estate) -> Iterator[Client]:
    """A client of the running platform."""
    with Client(estate.server()) as client:
        yield client


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a service ``hello``; the working folder is in it."""
    root = tmp_path / "repository"
    write_service(root)
    monkeypatch.chdir(root)
    return root


def write_service(root: Path, *, name: str = "hello", version: str = "1.0.0", more: str = "", warm: str = "10m") -> Path:
    """Write a service whose application differs by ``version``."""
    folder = root / "applications" / name
    (folder / "app").mkdir(parents=True, exist_ok=True)
    (folder / "app" / "serve").write_text(f"#!/bin/sh\n# {version}\n")
    (folder / "app" / "serve").chmod(0o755)
    (folder / "service.yaml").write_text(SERVICE.format(name=name, version=version, more=more, warm=warm))
    return folder


@pytest.fixture
def bleen(idle: Estate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bleen:
    """Types a command on the platform of the test, with no terminal, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def type_in(*words: str) -> Typed:
        capsys.readouterr()
        code = run(idle, words)
        out, err = capsys.readouterr()
        return Typed(code, out, err)

    return type_in
