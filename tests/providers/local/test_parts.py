"""Parts of the platform: started in order, restarted, adopted, stopped in reverse."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bleen.providers.local.parts import Part, PartRunner, PartSeen, PartState, file_ready, http_ready, tcp_ready
from bleen.providers.local.process import marked
from bleen.providers.local.store import Shelf
from tests.providers.local.world import BACKOFF, free_port, until

SERVER = "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"


class Home:
    """A home whose parts write their end into one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runners: list[PartRunner] = []

    async def run(self, *parts: Part) -> PartRunner:
        runner = PartRunner(parts, self.path, Shelf(), BACKOFF)
        self.runners.append(runner)
        await runner.begin()
        return runner

    def part(self, name: str, *, needs: tuple[str, ...] = (), slow: float = 0, decides: bool = False) -> Part:
        """Return a part that is ready once its file is there, and notes when it starts and ends."""
        notes, flag = self.path / "notes", self.path / f"{name}.ready"
        script = (
            f"trap 'echo -{name} >> {notes}; rm -f {flag}; exit 0' TERM; echo +{name} >> {notes}; "
            f"sleep {slow}; touch {flag}; while :; do sleep 0.02; done"
        )
        env = {"PATH": os.environ["PATH"]}
        return Part(name, ("/bin/sh", "-c", script), file_ready(flag), env=env, needs=needs, decides=decides)

    def notes(self) -> list[str]:
        return (self.path / "notes").read_text().split()


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    there = Home(tmp_path)
    yield there
    for runner in there.runners:
        await runner.stop()
    assert marked({"BLEEN_HOME": str(tmp_path)}) == {}


def seen(runner: PartRunner, name: str) -> PartSeen:
    return next(p for p in runner.observe() if p.name == name)


async def all_ready(runner: PartRunner) -> None:
    await until(lambda: all(p.state is PartState.READY for p in runner.observe()), "every part is ready")


async def test_parts_start_after_what_they_need_and_stop_before_it(home: Home) -> None:
    """In order up, in reverse down."""
    runner = await home.run(
        home.part("controller", needs=("engine", "postgres")),
        home.part("engine", slow=0.2),
        home.part("postgres", needs=("engine",)),
    )
    await all_ready(runner)
    assert home.notes() == ["+engine", "+postgres", "+controller"]
    await runner.stop()
    assert home.notes()[3:] == ["-controller", "-postgres", "-engine"]
    assert {p.state for p in runner.observe()} == {PartState.STOPPED}


async def test_a_patient_part_starts_beside_what_it_needs(home: Home) -> None:
    """And still ends before it."""
    patient = replace(home.part("controller", needs=("engine",)), patient=True)
    runner = await home.run(home.part("engine", slow=2), patient)
    await until(lambda: seen(runner, "controller").state is PartState.READY, "the patient one is ready")
    assert seen(runner, "engine").state is PartState.STARTING
    await all_ready(runner)
    await runner.stop()
    assert home.notes()[2:] == ["-controller", "-engine"]


async def test_what_decides_stops_first(home: Home) -> None:
    """Before the fleets, which the agent stops in between."""
    runner = await home.run(home.part("controller", decides=True), home.part("gateway"))
    await all_ready(runner)
    await runner.stop_deciding()
    assert home.notes()[2:] == ["-controller"]
    assert seen(runner, "gateway").state is PartState.READY


async def test_a_killed_part_is_started_again(home: Home) -> None:
    """Alone: what needs it goes on."""
    runner = await home.run(home.part("engine"), home.part("controller", needs=("engine",)))
    await all_ready(runner)
    engine, controller = seen(runner, "engine"), seen(runner, "controller")
    os.kill(engine.pid, signal.SIGKILL)
    await until(lambda: seen(runner, "engine").restarts == 1, "its end is noticed")
    await all_ready(runner)
    again = seen(runner, "engine")
    assert again.pid not in (0, engine.pid)
    assert again.last_exit == "signal 9"
    assert seen(runner, "controller") == controller


async def test_parts_are_adopted(home: Home) -> None:
    """The next agent starts nothing that runs, and notices its end."""
    part = home.part("engine")
    first = await home.run(part)
    await all_ready(first)
    pid = seen(first, "engine").pid
    await first.abandon()
    second = await home.run(part)
    await all_ready(second)
    assert seen(second, "engine").pid == pid
    assert home.notes() == ["+engine"]


async def test_a_port_that_is_taken_is_told(home: Home) -> None:
    """By whom; and the part starts once the port is free."""
    port = free_port()
    argv = (sys.executable, "-c", SERVER, str(port))
    part = Part("web", argv, http_ready(f"http://127.0.0.1:{port}/"), listens=(("127.0.0.1", port),), cwd=str(home.path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        runner = await home.run(part)
        await until(lambda: seen(runner, "web").state is PartState.CRASHED, "it cannot start")
        told = seen(runner, "web").last_exit
        assert told.startswith(f"part web could not start: 127.0.0.1:{port} is taken by ")
        assert told.endswith(f"(pid {os.getpid()})")
    await all_ready(runner)


async def test_a_part_that_cannot_be_executed_is_told(home: Home) -> None:
    """It is no reason to end the agent."""
    runner = await home.run(Part("web", ("/no/such/program",), tcp_ready("127.0.0.1", 1)))
    await until(lambda: seen(runner, "web").restarts >= 2, "it is tried again")
    assert (
        seen(runner, "web").last_exit
        == "part web could not start: cannot execute '/no/such/program': not found, or not executable"
    )


async def test_the_last_words_of_a_part_are_kept(home: Home) -> None:
    """They tell why it ended."""
    argv = ("/bin/sh", "-c", "echo no such database; exit 2")
    runner = await home.run(Part("web", argv, tcp_ready("127.0.0.1", 1)))
    await until(lambda: seen(runner, "web").restarts >= 1, "it ended")
    assert (seen(runner, "web").last_exit, seen(runner, "web").last_words) == ("exit 2", "no such database")


async def test_a_part_is_prepared_before_each_start(home: Home) -> None:
    """Such as a database that is made first."""

    async def prepare() -> None:
        with (home.path / "notes").open("a") as notes:
            notes.write("prepared\n")

    plain = home.part("engine")
    part = Part(plain.name, plain.argv, plain.ready, env=plain.env, prepare=prepare)
    runner = await home.run(part)
    await all_ready(runner)
    assert home.notes() == ["prepared", "+engine"]
