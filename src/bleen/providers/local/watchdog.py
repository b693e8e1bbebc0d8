"""Keeps the host agent alive: a shell loop, which needs half a megabyte and nothing to go wrong.

An agent that ends with 0 was told to; one that ends with `REFUSED` must not be started again (another one runs, or its
home cannot be read). Every other end is a crash, and it is started again after a back-off that grows to 10 seconds.
"""

import asyncio
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bleen.domain.errors import AlreadyRunning
from bleen.providers.local.process import identify
from bleen.providers.local.store import storage_error

_MANY_FILES = 16_384
REFUSED = 78
"""The exit code (EX_CONFIG) of an agent that must not be started again."""

# Once an agent has run for a minute, its next crash is the first again.
_LOOP = f"""
export BLEEN_WATCHDOG=$$
[ "$1" = --after ] && {{ while kill -0 "$2" 2>/dev/null; do sleep 1; done; shift 2; }}
pause=0
while :; do
  began=$(date +%s)
  "$@"
  code=$?
  [ $code = 0 ] && exit 0
  [ $code = {REFUSED} ] && exit {REFUSED}
  [ $(($(date +%s) - began)) -ge 60 ] && pause=0
  echo "the host agent ended ($code); it is started again in $pause s"
  sleep $pause
  pause=$((pause * 2 + 1))
  [ $pause -gt 10 ] && pause=10
done
"""


def start(argv: Sequence[str], *, env: Mapping[str, str], log: Path, after: int = 0) -> int:
    """Start a watchdog that keeps ``argv`` running, in a session of its own; return its pid.

    With ``after`` it begins when the process of that pid has ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    wait = ("--after", str(after)) if after else ()
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                ["/bin/sh", "-c", _LOOP, "bleen-watchdog", *wait, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd="/",
                start_new_session=True,
            ).pid
    except OSError as error:
        raise storage_error(error, log) from error


class Watched:
    """The agent's own eye on its watchdog: where that was killed, another one takes its place."""

    def __init__(self, log: Path, seconds: float = 5.0) -> None:
        self._log = log
        self._seconds = seconds
        self._pid = int(os.environ.get("BLEEN_WATCHDOG", "0"))
        self._is_parent = True

    async def run(self) -> None:
        """Look every few seconds, for ever; return at once where no watchdog started this process."""
        while self._pid:
            await asyncio.sleep(self._seconds)
            lost = os.getppid() != self._pid if self._is_parent else identify(self._pid) is None
            if lost:
                self._pid = start(sys.orig_argv, env=os.environ, log=self._log, after=os.getpid())
                self._is_parent = False

    def close(self) -> None:
        """End the watchdog that this agent started: it must not start another one."""
        if not self._is_parent and identify(self._pid) is not None:
            os.kill(self._pid, signal.SIGKILL)


def lock_home(home: Path) -> int:
    """Return the descriptor of the lock that makes this process the only agent of ``home``; keep it open.

    AlreadyRunning names the process that has it. The lock ends with its process, however that ends.
    """
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _lock(descriptor):
        pid = os.read(descriptor, 32).decode().strip() or "unknown"
        os.close(descriptor)
        raise AlreadyRunning(
            f"a platform runs on {home}", why=f"its host agent is pid {pid}", next="bleen status shows it; bleen down ends it"
        )
    os.ftruncate(descriptor, 0)
    try:
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError:
        return descriptor  # on a full disk the lock holds all the same; only the pid is not told
    return descriptor


def allow_many_files() -> None:
    """Let this process, and what it starts, open many files: each instance costs a descriptor, and a probe another one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(_MANY_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _lock(descriptor: int) -> bool:
    """Return whether the lock is ours. Who asks for `agent_pid` holds it for a moment, and is no agent."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False


def agent_pid(home: Path) -> int | None:
    """Return the pid of the agent that runs on ``home``; None where none does."""
    try:
        descriptor = os.open(home / "agent.lock", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode().strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(descriptor)
