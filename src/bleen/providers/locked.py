"""Run a program under a lock that lives and dies with it: ``python -m bleen.providers.locked FILE PROGRAM ARGUMENT...``.

The lock is taken first and the program replaces this process, keeping the open file: no second one can start on the
same data however the first one ends, and there is no stale lock to clear. Standard library only: it starts often.
"""

import fcntl
import os
import sys
from collections.abc import Sequence

TAKEN = 75
"""The exit code (EX_TEMPFAIL) that says: another program holds the lock."""


def under_lock(lock: str, command: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs ``command`` under the lock file ``lock``."""
    return (sys.executable, "-m", __name__, lock, *command)


def main(arguments: Sequence[str]) -> int:  # noqa: RET503  # becoming a program does not return
    """Take the lock and become the program; return only where it is taken already."""
    lock, program, *rest = arguments
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"{lock} is locked: {program} runs on this data already\n")
        return TAKEN
    os.set_inheritable(handle, True)
    os.execv(program, (program, *rest))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
