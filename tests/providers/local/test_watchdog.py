"""The watchdog and the lock: one agent per home, for as long as it ought to run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bleen.domain.errors import AlreadyRunning
from bleen.providers.local.process import all_pids, command_line, identify
from bleen.providers.local.watchdog import REFUSED, agent_pid, lock_home, start
from tests.providers.local.world import until


def starts(folder: Path) -> list[int]:
    path = folder / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def run(folder: Path, then: str) -> int:
    argv = ("/bin/sh", "-c", f"echo $$ >> {folder}/starts; {then}")
    return start(argv, env={"PATH": os.environ["PATH"]}, log=folder / "agent.log")


def ended(pid: int) -> bool:
    return identify(pid) is None


async def test_a_killed_agent_is_started_again(tmp_path: Path) -> None:
    """At once the first time, then after a back-off; the watchdog ends with an agent that was told to end."""
    pid = await run(tmp_path, f"[ $(wc -l < {tmp_path}/starts) -ge 3 ] && exit 0; exec sleep 1000")
    await until(lambda: len(starts(tmp_path)) == 1, "it is started")
    os.kill(starts(tmp_path)[0], signal.SIGKILL)
    await until(lambda: len(starts(tmp_path)) == 2, "it is started again")
    os.kill(starts(tmp_path)[1], signal.SIGKILL)
    await until(lambda: ended(pid), "the watchdog ends")
    assert len(starts(tmp_path)) == 3


async def test_an_agent_that_must_not_run_is_not_started_again(tmp_path: Path) -> None:
    """As when another one has the home."""
    pid = await run(tmp_path, f"exit {REFUSED}")
    await until(lambda: ended(pid), "the watchdog ends")
    assert len(starts(tmp_path)) == 1


async def test_a_killed_watchdog_is_replaced(tmp_path: Path) -> None:
    """By the agent that it kept; the new one waits for that agent's end, and then keeps the next one."""
    script = (
        "import asyncio, os, sys, pathlib; from bleen.providers.local import watchdog; "
        "home = pathlib.Path(sys.argv[1]); (home / 'starts').open('a').write(f'{os.getpid()}\\n'); "
        "asyncio.run(watchdog.Watched(home / 'agent.log', seconds=0.05).run())"
    )
    argv = (sys.executable, "-c", script, str(tmp_path))
    first = start(argv, env=os.environ, log=tmp_path / "agent.log")
    await until(lambda: len(starts(tmp_path)) == 1, "it is started")
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(watchdogs(tmp_path) - {first}) == 1, "there is another watchdog")
    os.kill(starts(tmp_path)[0], signal.SIGKILL)
    await until(lambda: len(starts(tmp_path)) == 2, "the agent is started again")
    for pid in watchdogs(tmp_path) | {starts(tmp_path)[1]}:
        os.kill(pid, signal.SIGKILL)


def watchdogs(folder: Path) -> set[int]:
    words = (b"bleen-watchdog", str(folder).encode())
    return {pid for pid in all_pids() if identify(pid) and set(words) <= set(command_line(pid).split(b"\0"))}


def test_a_home_has_one_agent(tmp_path: Path) -> None:
    """The second one is told who the first one is."""
    assert agent_pid(tmp_path) is None
    lock = lock_home(tmp_path)
    assert agent_pid(tmp_path) == os.getpid()
    with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"):
        lock_home(tmp_path)
    os.close(lock)
    assert agent_pid(tmp_path) is None
    os.close(lock_home(tmp_path))


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However that ends; and a process that the agent started does not hold it."""
    script = (
        "import os, sys, subprocess, pathlib; from bleen.providers.local.watchdog import lock_home; "
        "lock_home(pathlib.Path(sys.argv[1])); subprocess.Popen(['sleep', '1']); print('has it', flush=True); "
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, check=False)
    assert done.stdout == b"has it\n"
    assert agent_pid(tmp_path) is None
