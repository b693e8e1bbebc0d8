"""A home with a command line of its own: real processes, and an eye on what they leave behind."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bleen.app.home import free_port
from bleen.app.host import survivors
from bleen.providers.local.process import marked
from bleen.settings import Settings, read_settings

BLEEN = Path(sys.executable).with_name("bleen")
APP = Path(__file__).parent / "app"
SERVICE = """\
service: {name}
image: {{type: directory, path: app}}
command: [python3, "{{app}}/server.py", "{{address}}", "{{port}}"]
health: {{path: /healthz, interval: 200ms, start_grace: 20s}}
stop: {{drain: 1s, kill_after: {kill_after}}}
env: {{WORDS: "{words}", FAIL: "{fail}"}}
strategy: {{type: blue-green, abort_delay: 0s, progress_deadline: 30s, auto_promote: {auto}}}
{more}
"""


@dataclass
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass
class Box:
    """One home and one repository. Its ports are any free ones."""

    home: Path
    repository: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which its commands are typed."""
        own = {"BLEEN_HOME": str(self.home), "BLEEN_GATEWAY_PORT": "0", "BLEEN_API_PORT": "0", "COLUMNS": "200"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BLEEN_")}
        return kept | own | {"BLEEN_SERVICE_PORTS": str(free_port())} | self.env

    @property
    def settings(self) -> Settings:
        return read_settings(self.environment)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command, as in a terminal: in a session of its own."""
        self.repository.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [str(BLEEN), *words],
            env=self.environment,
            cwd=self.repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def bleen(self, *words: str) -> Said:
        """Run a command to its end."""
        return ended(self.start(*words))

    def interrupted(self, *words: str, when: Callable[[], object]) -> Said:
        """Run a command, and type Ctrl-C once ``when`` is true."""
        process = self.start(*words)
        until(when, f"the moment for Ctrl-C in bleen {' '.join(words)}")
        process.send_signal(signal.SIGINT)
        return ended(process)

    def left(self) -> list[str]:
        """Return the parts and instances that run, and whoever watches them."""
        ours = marked({"BLEEN_HOME": str(self.home)}).items()
        return [*survivors(self.settings).values(), *(f"agent {pid}" for pid, env in ours if "BLEEN_WATCHDOG" in env)]

    def nothing_left(self) -> None:
        """Wait until no process and no folder of sockets is left."""
        until(lambda: not self.left() and not self.settings.runtime_path.exists(), f"the end of {self.home}", self.left)

    def write(self, name: str, *, words: str = "", auto: bool = True, fail: str = "", more: str = "") -> None:
        """Write a service into the repository. One that is to ``fail`` at SIGTERM takes its time to end."""
        folder = self.repository / "applications" / name
        shutil.copytree(APP, folder / "app", dirs_exist_ok=True)
        text = SERVICE.format(
            name=name, words=words, auto=str(auto).lower(), fail=fail, kill_after="8s" if fail else "1s", more=more
        )
        (folder / "service.yaml").write_text(text)

    def service(self, name: str) -> Any:
        """Return what `bleen status` says of a service."""
        return self.bleen("status", name, "--json").json["services"][0]

    def close(self) -> None:
        """End it, whatever state it is in."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            ended(self.start("down", "--force"))


def ended(process: "subprocess.Popen[str]", seconds: float = 90) -> Said:
    """Return what a command came to."""
    began = time.monotonic()
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Said(process.returncode, out, err, time.monotonic() - began)


def until(question: Callable[[], object], what: str, there: Callable[[], object] = lambda: "", seconds: float = 30) -> None:
    """Ask until the answer is true; what is not there yet is no answer."""
    deadline = time.monotonic() + seconds
    while not _answer(question):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:g} s; there is {there()}"
        time.sleep(0.1)


def _answer(question: Callable[[], object]) -> object:
    with contextlib.suppress(KeyError, IndexError, TypeError, ProcessLookupError, FileNotFoundError, httpx.TransportError):
        return question()
    return None
