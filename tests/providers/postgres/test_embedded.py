"""The embedded server: private, small, and able to start again after anything."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from bleen.domain.errors import AlreadyRunning, BleenError, InvalidInput, NotFound
from bleen.providers.postgres import embedded
from bleen.providers.postgres.embedded import STOP_SIGNAL, Server, database_url, prepare, ready, running_pid
from tests.fixtures.postgres import RunningServer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_all(path: Path) -> bool:
    """Return whether every folder above ``path`` may be entered by anybody."""
    return all(mode(folder) & 0o001 for folder in path.parents)


def pss(server: Server) -> int:
    """Return the proportional set size of all processes of the server, in bytes."""
    main = running_pid(server)
    assert main is not None
    processes = [psutil.Process(main), *psutil.Process(main).children(recursive=True)]
    return sum(process.memory_full_info().pss for process in processes)


async def test_only_its_owner_gets_in(postgres_server: RunningServer) -> None:
    """Nothing listens on TCP, the folders of data, password and socket are closed to others, and the password is asked."""
    server = postgres_server.server
    assert await ready(server)
    assert psutil.Process(postgres_server.pid()).net_connections(kind="tcp") == []
    for folder in (Path(server.folder), server.data, server.socket_folder):
        assert mode(folder) == 0o700
    assert mode(server.password_file) == 0o600
    password = server.password_file.read_text().strip()
    assert len(password) >= 40
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres_server.url.replace(f":{password}@", "@"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
def test_root_runs_it_as_somebody_else(postgres_server: RunningServer) -> None:
    """Started by root, no process of the server is root's, and none has more than one capability."""
    main = psutil.Process(postgres_server.pid())
    for process in [main, *main.children(recursive=True)]:
        assert set(process.uids()) == {postgres_server.server.data.stat().st_uid}
        assert 0 not in process.uids()
        text = Path(f"/proc/{process.pid}/status").read_text()
        held = int(next(line for line in text.splitlines() if line.startswith("CapEff")).split()[1], 16)
        assert held.bit_count() == 1


def test_an_idle_server_is_small(postgres_server: RunningServer) -> None:
    """All processes of the server together stay under 40 MB."""
    assert pss(postgres_server.server) < 40_000_000


_CAPABILITIES = ("/bin/grep", "-E", "Uid|CapEff", "/proc/self/status")


def unprivileged(*missing: str, command: Sequence[str] = _CAPABILITIES) -> subprocess.CompletedProcess[str]:
    """Run ``command`` as the server is run by a root that lacks capabilities; it prints its own unless told otherwise."""
    program = [sys.executable, "-I", "-S", str(Path(embedded.__file__).with_name("unprivileged.py")), "65534", "65534"]
    bounds = ["--bounding-set", ",".join(f"-{name}" for name in missing)] if missing else []
    return subprocess.run(["setpriv", *bounds, *program, *command], capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
@pytest.mark.parametrize(("missing", "left"), [((), 1 << 2), (("dac_read_search",), 1 << 1)])
def test_root_keeps_the_smallest_capability_that_does(missing: tuple[str, ...], left: int) -> None:
    """Searching folders is enough; where root lacks that one, as in Docker, it is the right to pass file modes."""
    done = unprivileged(*missing)
    assert done.returncode == 0, done.stderr
    assert f"CapEff:\t{left:016x}" in done.stdout
    assert "Uid:\t65534\t65534\t65534\t65534" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_its_programs_may_lie_in_a_folder_that_only_root_may_enter(tmp_path: Path) -> None:
    """initdb asks access(2) for the server beside it: below ``mktemp -d`` or ``/root`` the answer has to be yes."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy("/bin/true", closed / "postgres")
    assert unprivileged(command=["/usr/bin/test", "-x", str(closed / "postgres")]).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
@pytest.mark.parametrize("missing", [("setuid",), ("setgid",), ("dac_read_search", "dac_override")])
def test_a_root_that_cannot_change_says_so(missing: tuple[str, ...]) -> None:
    """Nothing is run, and the message says what the machine refuses."""
    done = unprivileged(*missing)
    assert done.returncode == 1
    assert "does not run as root" in done.stderr
    assert done.stdout == ""


async def test_a_killed_server_starts_again(own_server: RunningServer) -> None:
    """After kill -9 the stale pid file, even with the pid of another program, does not stop the next start."""
    own_server.kill()
    pid_file = own_server.server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert running_pid(own_server.server) is None
    own_server.start()
    assert await ready(own_server.server)


async def test_survivors_of_a_killed_server_do_not_stop_the_next(own_server: RunningServer) -> None:
    """A frozen child of a killed server is ended before a new server touches the data."""
    child = next(p for p in psutil.Process(own_server.pid()).children() if "checkpointer" in p.cmdline()[0])
    child.send_signal(signal.SIGSTOP)
    own_server.kill()
    assert child.is_running()
    own_server.start()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_two_servers_never_share_a_folder(own_server: RunningServer) -> None:
    """A second start on the same folder is refused by the pid of the first, which goes on."""
    with pytest.raises(AlreadyRunning, match=str(own_server.pid())):
        prepare(own_server.server)
    second = subprocess.run(own_server.server.command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert "runs on" in second.stderr
    assert "Traceback" not in second.stderr
    assert own_server.answers()


def test_a_crash_while_the_database_is_made_is_made_good(server_folder: Path) -> None:
    """kill -9 during the first start leaves nothing that the next start could take for a database."""
    running = next(made for n in range(10) if (made := killed_halfway(server_folder / str(n))) is not None)
    assert running.server.data.with_name("data.new").exists()
    running.start()
    assert not running.server.data.with_name("data.new").exists()
    running.stop()


def killed_halfway(folder: Path) -> RunningServer | None:
    """Return a server killed while its database is made; None where it was faster than this test."""
    folder.mkdir()
    running = RunningServer(folder)
    running.launch()
    assert running.process is not None
    main = psutil.Process(running.process.pid)
    while not running.server.data.with_name("data.new").joinpath("PG_VERSION").exists():
        assert running.process.poll() is None, running.log
        if running.server.data.exists():
            break
    main.suspend()  # What is there now stays: the new folder gets its final name from this process.
    halfway = not running.server.data.exists()
    makers = main.children(recursive=True)
    running.kill()
    for process in makers:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(makers, timeout=10)
    return running if halfway else None


def test_preparing_twice_changes_nothing(server_folder: Path) -> None:
    """Preparing is idempotent: same command, same password."""
    server = RunningServer(server_folder).server
    first, url = prepare(server), database_url(server)
    assert prepare(server) == first
    assert database_url(server) == url


def test_a_folder_of_another_major_version_is_refused(server_folder: Path) -> None:
    """The error names both versions, the folder and the way out; the data is not touched."""
    server = RunningServer(server_folder).server
    prepare(server)
    (server.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(InvalidInput, match=r"PostgreSQL 17, and this Bleen brings PostgreSQL 18(.|\n)*pg_dump") as caught:
        prepare(server)
    assert caught.value.where == str(server.data)
    assert (server.data / "PG_VERSION").read_text() == "17\n"


def test_a_folder_that_is_no_database_is_refused(server_folder: Path) -> None:
    """A strange folder in the place of the data is named, not overwritten."""
    server = RunningServer(server_folder).server
    server.data.mkdir(parents=True)
    with pytest.raises(InvalidInput, match="is no database"):
        prepare(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a folder of another user")
def test_a_folder_of_another_user_is_a_clear_error(server_folder: Path) -> None:
    """An ordinary user on a home that root made is told which folder belongs to somebody else."""
    server_folder.chmod(0o755)
    server = RunningServer(server_folder).server
    prepare(server)
    assert "belongs to somebody else" in prepared_by(NOBODY, server)[0]


def test_a_lost_password_is_a_clear_error(server_folder: Path) -> None:
    """The error names the file that is missing."""
    server = RunningServer(server_folder).server
    prepare(server)
    server.password_file.unlink()
    with pytest.raises(InvalidInput, match=str(server.password_file)):
        prepare(server)


def test_there_is_no_url_before_the_first_start(server_folder: Path) -> None:
    """Asking for the database of a platform that never ran says how to start one."""
    with pytest.raises(NotFound, match="bleen up"):
        database_url(RunningServer(server_folder).server)


def test_a_path_too_long_for_a_socket_is_refused(server_folder: Path) -> None:
    """The error gives the limit and the variable to change, before anything is made."""
    server = Server(str(server_folder / "home"), "/tmp/" + "x" * 100)
    with pytest.raises(InvalidInput, match=r"107(.|\n)*XDG_RUNTIME_DIR"):
        prepare(server)
    assert not Path(server.folder).exists()


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="not applicable: every other test of this file shows it")
@pytest.mark.skipif(not open_to_all(Path(embedded.__file__)), reason="not applicable: this checkout is closed to others")
def test_an_ordinary_user_can_run_it(server_folder: Path) -> None:
    """Without root, the server runs as the user who starts it, and needs no capability."""
    server_folder.chmod(0o755)
    work = server_folder / "work"
    work.mkdir()
    os.chown(work, NOBODY, NOBODY)
    server = Server(str(work / "home"), str(work / "run"))
    program = prepared_by(NOBODY, server)
    process = subprocess.Popen(program, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", stderr=subprocess.DEVNULL)
    try:
        wait_for(server)
        assert {entry.stat().st_uid for entry in work.rglob("*")} == {NOBODY}
        with psycopg.connect(database_url(server)) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        process.send_signal(STOP_SIGNAL)
        assert process.wait(timeout=30) == 0


def prepared_by(user: int, server: Server) -> list[str]:
    """Return what `prepare` returns to another user, in a process of that user's own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            os.write(writing, "\0".join(prepare(server)).encode())
        except BleenError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer.split("\0")


def wait_for(server: Server) -> None:
    deadline = time.monotonic() + 30
    while not asyncio.run(ready(server)):
        assert time.monotonic() < deadline
