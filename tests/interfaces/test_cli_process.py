"""The command line as a process: quick to start, plain without a terminal, alive with one."""

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest

from bleen.domain.access import Role
from bleen.interfaces.client import Client
from bleen.interfaces.views import TokenOrder
from tests.interfaces.conftest import Bleen, write_service
from tests.interfaces.estate import TOKEN, Estate

ENTRY = (sys.executable, "-m", "tests.interfaces.entry")
HEAVY = ("litestar", "uvicorn", "temporalio", "psycopg", "rich", "yaml", "aiohttp", "pygments")


@pytest.fixture
def environment(estate: Estate) -> dict[str, str]:
    """The environment of a process that speaks to the platform of the test."""
    root = str(Path(__file__).parents[2])
    return os.environ | {
        "BLEEN_SERVER": estate.address,
        "BLEEN_TOKEN": TOKEN,
        "PYTHONPATH": root,
        "TERM": "xterm",
        "COLUMNS": "80",
        "PYTHONASYNCIODEBUG": "0",
    }


def loaded(code: str) -> set[str]:
    """Return the heavy packages that are loaded after ``code``."""
    found = f"{code}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules), file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


def test_help_loads_nothing_heavy() -> None:
    """Typing `bleen --help` costs an interpreter and Typer."""
    code = "from bleen.interfaces.cli.app import run\nimport typing\nrun(type('P', (), {'settings': None})(), ['--help'])"
    assert loaded(code) == set()


def test_the_client_loads_no_server() -> None:
    """`bleen rollback` is typed in a hurry: what it needs until the answer is in stays small."""
    code = "import bleen.interfaces.client, bleen.interfaces.cli.steer, bleen.interfaces.views, bleen.domain.command"
    assert loaded(code) == set()


def test_the_platform_of_this_machine_costs_nothing_until_it_is_needed() -> None:
    """Every command makes one, and most only ask it where the server is."""
    code = "import sys, bleen.app.platform\nassert 'asyncio' not in sys.modules, 'asyncio'"
    assert loaded(code) == set()


def test_a_wrong_variable_is_told_as_every_other_error() -> None:
    """With --json, too; and where no setting is needed, none is read."""
    code = "from bleen.app import main; main()"
    wrong = os.environ | {"BLEEN_API_PORT": "many"}
    for words, exit_code, told in ((["status", "--json"], 2, '"what": "BLEEN_API_PORT=many is no port"'), (["--help"], 0, "")):
        ended = subprocess.run([sys.executable, "-c", code, *words], env=wrong, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, told in ended.stdout, ended.stderr) == (exit_code, True, "")


@pytest.mark.usefixtures("repository")
def test_a_pipe_gets_plain_lines(environment: dict[str, str]) -> None:
    """No escape sequence, a line for each change."""
    ended = subprocess.run([*ENTRY, "deploy", "hello"], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    assert "done: r1 (1.0.0) serves hello" in ended.stdout


def test_a_reader_that_leaves_early_is_no_error(environment: dict[str, str], bleen: Bleen, repository: Path) -> None:
    """`bleen explain hello | head -1` prints no traceback."""
    bleen("deploy", "hello")
    command = " ".join([*ENTRY, "explain", "hello", "|", "head", "-1"])
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 1


def test_ctrl_c_ends_watching_and_nothing_else(
    environment: dict[str, str], bleen: Bleen, client: Client, repository: Path
) -> None:
    """A terminal gets a live tree; Ctrl-C ends it, and the service still serves."""
    bleen("deploy", "hello")
    process, screen = in_terminal(["status", "hello", "--watch"], environment)
    try:
        seen = read_until(screen, "hello-blue-r1-2")
        assert "\x1b[" in seen
        assert "100 %" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in (0, 130)
    finally:
        process.kill()
        os.close(screen)
    assert client.service("dev", "hello").state == "serving"


def test_ctrl_c_leaves_a_deployment_running(
    environment: dict[str, str], bleen: Bleen, client: Client, repository: Path
) -> None:
    """It says how to watch it, and the rollout goes on."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0", more="  auto_promote: false\n")
    process, screen = in_terminal(["deploy", "hello"], environment)
    try:
        read_until(screen, "ask a person")
        process.send_signal(signal.SIGINT)
        assert "bleen status hello --watch" in read_until(screen, "--watch")
        assert process.wait(10) == 130
    finally:
        process.kill()
        os.close(screen)
    progress = client.service("dev", "hello").progress
    assert progress is not None and progress.rollout.outcome is None


def test_logs_are_followed_line_by_line(environment: dict[str, str], bleen: Bleen, repository: Path) -> None:
    """With --json, each line is an object."""
    bleen("deploy", "hello")
    ended = subprocess.run([*ENTRY, "logs", "hello", "--json"], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert all(json.loads(line)["instance"].startswith("hello-") for line in ended.stdout.splitlines())


def test_completion_knows_the_services_of_the_repository(environment: dict[str, str], repository: Path) -> None:
    """Without a server."""
    write_service(repository, name="helium")
    asked = environment | {"_BLEEN_COMPLETE": "complete_bash", "COMP_WORDS": "bleen deploy hel", "COMP_CWORD": "2"}
    ended = subprocess.run(ENTRY, env=asked, capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == ["helium", "hello"]


def in_terminal(words: list[str], environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command in a terminal of 80 columns; return it and the terminal's other end."""
    screen, terminal = pty.openpty()
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    process = subprocess.Popen(
        [*ENTRY, *words], env=environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    return process, screen


def read_until(screen: int, words: str) -> str:
    """Return what the terminal showed up to ``words``."""
    seen, deadline = "", time.monotonic() + 20
    while words not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(screen, 4096).decode(errors="replace")
    return seen


@pytest.mark.parametrize(("answer", "code", "told"), [(b"n\n", 130, "nothing was changed"), (b"y\n", 0, "done: hello is gone")])
def test_a_removal_is_asked_for_twice_at_a_terminal(
    environment: dict[str, str], repository: Path, bleen: Bleen, answer: bytes, code: int, told: str
) -> None:
    """It says what will end; only a yes removes it."""
    assert bleen("deploy", "hello").code == 0
    process, screen = in_terminal(["remove", "hello"], environment)
    asked = read_until(screen, "Remove hello from dev?")
    assert "2 instances" in asked or "1 instance" in asked
    os.write(screen, answer)
    read_until(screen, told)
    assert process.wait(20) == code
    os.close(screen)


def test_the_command_needs_an_address_and_a_token_and_nothing_else(estate: Estate, tmp_path: Path) -> None:
    """The installed command, from an empty folder, with no home, on a server elsewhere; it leaves nothing behind."""
    with Client(estate.server()) as client:
        made = client.make_token(TokenOrder("ada", {"dev": Role.VIEWER}, "tester"))
    environ = {"PATH": os.environ["PATH"], "BLEEN_SERVER": estate.address, "BLEEN_TOKEN": made.secret, "HOME": str(tmp_path)}
    bleen = str(Path(sys.executable).with_name("bleen"))

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([bleen, *words], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    listed = typed("audit", "--env", "dev", "--json")
    assert (listed.returncode, json.loads(listed.stdout)["entries"]) == (0, [])
    refused = typed("token", "list")
    assert (refused.returncode, "ada may not do that" in refused.stderr) == (3, True)
    assert list(tmp_path.iterdir()) == []
