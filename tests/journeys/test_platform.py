"""The platform's own commands on a machine where things are in the way. Every test has a home of its own, or shares one."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bleen.app.host import survivors
from bleen.providers.local.process import marked
from bleen.providers.local.watchdog import agent_pid
from tests.journeys.box import Box, ended, until

pytestmark = pytest.mark.journey


def make_box(folder: Path, **env: str) -> Box:
    """Return a box in ``folder``."""
    return Box(folder / "home", folder / "repository", env)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A home that is not there yet."""
    box = make_box(tmp_path)
    yield box
    box.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A platform that runs, and that no test of this file ends."""
    box = make_box(tmp_path_factory.mktemp("platform"))
    assert box.bleen("up").code == 0
    yield box
    box.close()
    box.nothing_left()


# ---- up ----


def test_a_second_up_says_that_it_is_up_already(running: Box) -> None:
    """It changes nothing, and says where it is."""
    before = survivors(running.settings)
    said = running.bleen("up")
    assert said.code == 0 and "is up already: http://127.0.0.1:" in said.out
    assert running.bleen("up", "--json").json["was_up"] is True
    assert survivors(running.settings) == before


def test_of_two_ups_at_the_same_moment_one_starts_it(box: Box) -> None:
    """Both end well, one says that it was up already, and the ports that are remembered are those that answer."""
    processes = [box.start("up", "--json") for _ in range(3)]
    outs = [process.communicate(timeout=90) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outs
    assert sorted('"was_up": true' in out for out, _ in outs) == [False, True, True]
    assert box.bleen("status").code == 0
    assert len([1 for env in marked({"BLEEN_HOME": str(box.home)}).values() if env.get("BLEEN_PART") == "controller"]) == 1


@pytest.mark.parametrize("variable", ["BLEEN_GATEWAY_PORT", "BLEEN_API_PORT"])
def test_a_taken_port_is_told_with_who_has_it(box: Box, variable: str) -> None:
    """The program, its pid, and the variable to set; nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        box.env[variable] = str(taken.getsockname()[1])
        said = box.bleen("up")
    assert said.code == 3
    assert f":{box.env[variable]} is taken by" in said.err and f"(pid {os.getpid()})" in said.err
    assert f"set {variable} to another port" in said.err
    box.nothing_left()


@pytest.mark.parametrize("form", [None, "0"], ids=["none", "another"])
def test_an_old_home_is_refused_and_left_alone(box: Box, form: str | None) -> None:
    """Whoever made it can still use it."""
    box.home.mkdir()
    (box.home / "state.db").write_text("of somebody else")
    if form is not None:
        (box.home / "format").write_text(form)
    before = {path: path.stat().st_mtime_ns for path in [box.home, *box.home.rglob("*")]}
    for command in ("up", "down"):
        said = box.bleen(command)
        assert (said.code, "was made by another version" in said.err or "was not made by this Bleen" in said.err) == (2, True)
        assert "set BLEEN_HOME to another folder" in said.err
    assert {path: path.stat().st_mtime_ns for path in [box.home, *box.home.rglob("*")]} == before
    box.nothing_left()


@pytest.mark.parametrize("place", ["/proc/bleen", "/etc/hostname", "/etc/hostname/below", "/tmp/" + "x" * 300])
def test_a_home_that_cannot_be_is_told(box: Box, place: str) -> None:
    """With the variable that says where it is."""
    box.home = Path(place)
    said = box.bleen("up")
    assert (said.code, "set BLEEN_HOME" in said.err) == (2, True), said.err
    assert "Traceback" not in said.err and "bleen itself failed" not in said.err


def test_a_long_runtime_folder_is_told(box: Box, tmp_path: Path) -> None:
    """The path of a socket has a limit, and the variable that shortens it is named."""
    box.env["XDG_RUNTIME_DIR"] = str(tmp_path / ("deep" * 20))
    said = box.bleen("up")
    assert said.code == 2 and "XDG_RUNTIME_DIR" in said.err and "107 is the limit" in said.err


def test_a_home_may_be_anywhere(tmp_path: Path) -> None:
    """Spaces, quotes, letters of other languages, and a path that is too long for a socket."""
    box = make_box(tmp_path / "a home, with 'spaces' & $ü% \"quotes\"" / ("long" * 40))
    try:
        said = box.bleen("up")
        assert said.code == 0, said.err
        box.write("hello")
        assert box.bleen("deploy", "hello").code == 0
    finally:
        box.close()
    box.nothing_left()


def test_what_a_reboot_left_behind_is_no_hindrance(box: Box) -> None:
    """Records of processes, sockets, locks: everything is there, and nothing runs."""
    box.bleen("up")
    box.write("hello")
    box.bleen("deploy", "hello")
    for watcher in (b"bleen-watchdog", b"bleen.app\0agent"):
        kill(box, watcher)
    while left := survivors(box.settings):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert (box.settings.runtime_path / "agent.sock").exists()
    said = box.bleen("status")
    assert (said.code, "bleen up" in said.err) == (3, True), said.err
    assert box.bleen("up").code == 0
    until(lambda: box.service("hello")["state"] == "serving", "a service that serves again")
    for watcher in (b"bleen-watchdog", b"bleen.app\0agent"):
        kill(box, watcher)
    said = box.bleen("down")  # nobody watches what runs: it is found all the same, and ended
    assert said.out == "the platform has ended; bleen up starts it again\n"
    box.nothing_left()


# ---- Ctrl-C ----


def test_ctrl_c_in_up_leaves_nothing_half_started(box: Box) -> None:
    """Whether the agent has just begun, or the database starts; and the next one works."""
    moments = (lambda: (box.home / "logs" / "agent.log").exists(), lambda: "postgres" in box.left())
    for moment in moments:
        said = box.interrupted("up", when=moment)
        assert (said.code, "next: bleen up" in said.err) == (130, True), said
        box.nothing_left()
    assert box.bleen("up").code == 0


def test_ctrl_c_in_down_lets_it_end(box: Box) -> None:
    """What has begun to end ends; another down waits for it."""
    box.bleen("up")
    said = box.interrupted("down", when=lambda: "controller" not in box.left())
    assert (said.code, "goes on ending" in said.err) == (130, True), said
    assert box.bleen("down").code == 0
    box.nothing_left()
    said = box.bleen("status")
    assert (said.code, "no platform runs" in said.err, "bleen up" in said.err) == (3, True, True)
    assert (box.bleen("down").out, box.bleen("down").code) == ("nothing ran\n", 0)


# ---- down ----


def test_down_in_mid_rollout_is_refused_unless_forced(box: Box) -> None:
    """It names the rollout and what to type; forced, the rollout goes on where it was after the next up."""
    box.bleen("up")
    box.write("hello")
    assert box.bleen("deploy", "hello").code == 0
    box.write("hello", words="two", auto=False)
    box.bleen("deploy", "hello", "--detach")
    until(lambda: '"type": "ask-human"' in box.bleen("status", "--json").out, "the question")
    said = box.bleen("down")
    assert (said.code, "dev/hello/2" in said.err, "bleen down --force" in said.err) == (3, True, True)
    assert box.service("hello")["progress"]["rollout"]["id"] == "dev/hello/2"
    said = box.bleen("down", "--force")
    assert (said.code, "dev/hello/2 goes on where it is" in said.out) == (0, True)
    box.nothing_left()
    box.bleen("up")
    until(lambda: box.bleen("promote", "hello").code == 0, "a rollout that can be promoted")
    until(lambda: box.service("hello")["stable"]["number"] == 2, "the promotion")
    said = box.bleen("down")  # r1 is warm: that is no hindrance
    assert (said.code, "warm" in said.out) == (0, True), said
    box.bleen("up")
    until(lambda: [f["release"] for f in box.service("hello")["fleets"] if len(f["instances"]) == 2] == [1, 2], "both fleets")


def test_up_takes_over_what_nobody_watches(running: Box) -> None:
    """No part is started again, and its ports are not taken by a stranger."""
    before = survivors(running.settings)
    kill(running, b"bleen-watchdog")
    kill(running, b"bleen.app\0agent")
    said = running.bleen("up")
    assert said.code == 0, said.err
    assert survivors(running.settings) == before


def test_an_agent_whose_sockets_were_cleaned_away_is_revived(running: Box) -> None:
    """A cleaner of temporary folders took its socket: the next up has it listen again, and restarts nothing else."""
    before = survivors(running.settings)
    (running.settings.runtime_path / "agent.sock").unlink()
    said = running.bleen("up")
    assert said.code == 0, said.err
    assert survivors(running.settings) == before


# ---- one service, several people ----


def test_a_deployment_that_waits_may_lose_its_turn(running: Box) -> None:
    """The third release waits for the end of the second; a fourth one comes, and whoever waits is told."""
    running.write("turns")
    assert running.bleen("deploy", "turns").code == 0
    running.write("turns", words="two", auto=False, fail="term")
    running.bleen("deploy", "turns", "--detach")
    until(lambda: running.service("turns")["progress"]["decision"]["type"] == "ask-human", "the question")
    running.write("turns", words="three")
    third = running.start("deploy", "turns")
    until(lambda: running.service("turns")["progress"]["rollout"]["successor"] == 3, "the third release")
    running.write("turns", words="four")
    fourth = running.bleen("deploy", "turns")
    said = ended(third)
    assert (said.code, "r3 of turns gave its place to r4" in said.err) == (3, True), said
    assert (fourth.code, "r4" in fourth.out and "comes next" in fourth.out) == (0, True), fourth


# ---- two services, one name ----


def test_a_host_name_of_another_service_is_refused_before_anything_starts(running: Box) -> None:
    """validate finds it in the files, deploy in what the gateways have, and names the other service."""
    running.write("first")
    assert running.bleen("deploy", "first").code == 0
    running.write("second", more="hosts: [first.localhost]")
    said = running.bleen("validate")
    assert said.code == 2 and "service.yaml:" in said.out and "belongs to two services" in said.out
    said = running.bleen("deploy", "second")
    assert said.code == 2 and "first.localhost" in said.err and "dev/first" in said.err
    assert not [env for env in marked({"BLEEN_HOME": str(running.home)}).values() if env.get("BLEEN_SERVICE") == "second"]


# ---- no room ----


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(disk)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("a small disk needs root: mount is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill the disk but for ``leave`` bytes; return what to remove to make room."""
    filler, room = disk / "filler", os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leave)
    return filler


@pytest.mark.parametrize("leave", [0, 20_000_000])
def test_up_on_a_full_disk_is_told(small: Path, leave: int) -> None:
    """No room for anything, or not for the database: nothing is left running, and room mends it."""
    box = make_box(small)
    box.repository.mkdir()
    filler = fill(small, leave)
    try:
        said = box.bleen("up")
        assert said.code == 3 and ("room" in said.err and "df -h" in said.err), said.err
        box.nothing_left()
        filler.unlink()
        assert leave == 0 or box.bleen("up").code == 0
    finally:
        filler.unlink(missing_ok=True)
        box.close()


def test_a_disk_that_fills_in_mid_deployment_harms_nothing_that_serves(small: Path) -> None:
    """The rollout waits and says why; with room again it goes through, and the next one, too."""
    box = make_box(small)
    try:
        box.bleen("up")
        box.write("hello")
        assert box.bleen("deploy", "hello").code == 0
        url = box.service("hello")["urls"]["own"]
        box.write("hello", words="two", auto=False)
        box.bleen("deploy", "hello", "--detach")
        until(lambda: '"type": "ask-human"' in box.bleen("status", "--json").out, "the question")
        filler = fill(small)
        box.bleen("promote", "hello")
        until(lambda: "no room on the disk" in box.bleen("status", "hello").out, "the reason")
        assert httpx.get(url).headers["x-bleen-release"] == "r1"
        filler.unlink()
        until(lambda: httpx.get(url).headers["x-bleen-release"] == "r2", "the release that waited")
        box.write("hello", words="three")
        assert box.bleen("deploy", "hello").code == 0
        assert httpx.get(url).headers["x-bleen-release"] == "r3"
    finally:
        (small / "filler").unlink(missing_ok=True)
        box.close()


def kill(box: Box, words: bytes) -> None:
    """SIGKILL the watchdog or the agent of a box."""
    for pid in marked({"BLEEN_HOME": str(box.home)}):
        if words in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    until(lambda: agent_pid(box.home) is None or words != b"bleen.app\0agent", "the death of the agent")
