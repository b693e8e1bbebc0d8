"""The examples are good, and `hello` misbehaves exactly as it is told."""

import http.client
import runpy
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from bleen.domain.image import Directory
from bleen.domain.service import Canary
from bleen.interfaces.repository import load_service, runtime_of, services, validate_path
from tests.interfaces.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples"
HELLO = [sys.executable, str(EXAMPLES / "applications/hello/app/server.py")]


def hello(*, wait: bool = True, **env: str) -> Program:
    own = {"BLEEN_SERVICE": "hello", "BLEEN_RELEASE": "r3", "BLEEN_COLOUR": "green"}
    return Program(HELLO, own | env, health="/healthz", wait=wait)


def test_the_examples_have_no_problems() -> None:
    """Not even a warning; and each can be made into a release."""
    assert validate_path(EXAMPLES) == []
    assert [path.parent.name for path in services(EXAMPLES)] == ["datasette", "greeter", "hello"]
    for path in services(EXAMPLES):
        assert runtime_of(load_service(path)).command


def test_the_hardened_example_has_no_problems() -> None:
    """A repository of its own: a recipe for the full builder, and a policy that answers for what stays."""
    assert validate_path(EXAMPLES / "hardened") == []


def test_greeter_is_hello_as_a_canary() -> None:
    """The same files make both; only what is said of them differs."""
    greeter, hello = (load_service(EXAMPLES / "applications" / name) for name in ("greeter", "hello"))
    assert isinstance(greeter.service.strategy, Canary)
    assert isinstance(greeter.service.image, Directory)
    assert isinstance(hello.service.image, Directory)
    assert (greeter.folder / greeter.service.image.path).resolve() == (hello.folder / hello.service.image.path).resolve()
    assert greeter.service.command == hello.service.command


def test_no_lock_names_an_index() -> None:
    """Where packages are fetched from is the machine's business."""
    for path in EXAMPLES.rglob("requirements.txt"):
        assert "://" not in path.read_text()


def test_hello_says_who_answers() -> None:
    """The release, the colour and the instance are in every answer."""
    with hello() as program:
        assert program.get("/").json() == {
            "service": "hello", "release": "r3", "colour": "green", "instance": "test-1", "greeting": "Hello",
        }  # fmt: skip
        assert program.get("/slow?seconds=0").status_code == 200
        assert program.get("/slow?seconds=soon").status_code == 400


async def test_hello_streams_and_says_goodbye() -> None:
    """Events and WebSockets are served, and closed in an orderly way when it is told to stop."""
    with hello() as program:
        url = f"http://{program.address}:{program.port}"
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws") as socket:
            await socket.send_str("ping")
            while "echo" not in (message := await socket.receive_json(timeout=10)):
                pass
            assert message["echo"] == "ping"
            async with session.get(f"{url}/events?every=0.05") as events:
                assert (await events.content.readline()) == b"id: 0\n"
                program.process.send_signal(signal.SIGTERM)
                assert b"event: stopping" in await events.content.read()
            while (last := await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        assert program.process.wait(timeout=20) == 0


def test_hello_finishes_what_is_under_way() -> None:
    """A slow answer that began before SIGTERM arrives whole after it."""
    with hello() as program:
        connection = http.client.HTTPConnection(program.address, program.port, timeout=10)
        connection.request("GET", "/slow?seconds=1")
        while not _was_read(program, connection.sock.getsockname()[1]):
            time.sleep(0.02)
        program.process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read())) == (200, int(answer.headers["Content-Length"]))
        connection.close()
        assert program.process.wait(timeout=20) == 0


def _was_read(program: Program, port: int) -> bool:
    """Whether the server has read all that was sent to it from ``port``."""
    for row in Path("/proc/net/tcp").read_text().splitlines():
        fields = row.split()
        if fields[1].endswith(f":{program.port:04X}") and fields[2].endswith(f":{port:04X}"):
            return fields[3] == "01" and fields[4].endswith(":00000000")
    return False


def test_told_to_fail_it_fails() -> None:
    """The share of 500s, the latency and the health are as asked for."""
    with hello(HELLO_ERROR_SHARE="1", HELLO_LATENCY_MS="200") as program:
        begun = time.monotonic()
        assert program.get("/").status_code == 500
        assert time.monotonic() - begun >= 0.2
        assert program.get("/healthz").status_code == 200
    with hello(HELLO_NEVER_HEALTHY="1", wait=False) as program, pytest.raises(AssertionError, match="never ready"):
        program.until_ready(within=2)


def test_told_to_spread_its_latency_it_is_slow_by_chance() -> None:
    """Lognormal around `HELLO_LATENCY_MS`; without a spread, the same each time."""
    read = runpy.run_path(str(EXAMPLES / "applications" / "hello" / "app" / "faults.py"))["read_faults"]
    spread = read({"HELLO_LATENCY_MS": "100", "HELLO_LATENCY_SPREAD": "0.5"})
    delays = [spread.delay for _ in range(1001)]
    assert 0.08 < sorted(delays)[500] < 0.12 and min(delays) < 0.05 and max(delays) > 0.2
    assert {read({"HELLO_LATENCY_MS": "100"}).delay for _ in range(10)} == {0.1}


def test_told_to_crash_or_to_do_what_it_cannot_it_does_not_start() -> None:
    """The exit code is not 0, and the last words say why: also for a fault that does not exist."""
    for env, words in (
        ({"HELLO_CRASH_ON_START": "1"}, "told to crash"),
        ({"HELLO_CRASHONSTART": "1"}, "means nothing"),
        ({"HELLO_ERROR_SHARE": "2"}, "from 0 to 1"),
        ({"HELLO_LATENCY_SPREAD": "6"}, "from 0 to 5"),
    ):
        with hello(wait=False, **env) as program:
            assert program.process.wait(timeout=20) == 1
            assert words in program.output()


def test_told_to_ignore_sigterm_only_sigkill_ends_it() -> None:
    """It answers on after SIGTERM, as if nothing had been said."""
    with hello(HELLO_IGNORE_SIGTERM="1") as program:
        program.process.send_signal(signal.SIGTERM)
        assert program.get("/healthz").status_code == 200
        assert program.process.poll() is None
        assert program.end(signal.SIGKILL) == -signal.SIGKILL


def test_told_to_start_slowly_it_listens_late() -> None:
    """Until then, connections are refused."""
    begun = time.monotonic()
    with hello(HELLO_SLOW_START="1"):
        assert time.monotonic() - begun >= 1
