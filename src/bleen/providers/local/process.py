"""One process: started behind a gate, known by pid and start time, watched through a pidfd.

A process waits at a gate (a pipe on its standard input) until its pid is on disk. If the agent is killed in
between, the pipe closes, and the process ends without having run: none ever runs unrecorded.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bleen.domain.codec import Value
from bleen.domain.errors import StartFailed

# `exec` for a process that we watch itself. A sandbox is kept by a shell that stays: bubblewrap's
# --die-with-parent binds the sandbox to its parent, which must therefore neither be the agent nor die with it.
_EXEC = 'read -r _ || exit 0; exec "$@" </dev/null'
_KEEP = 'read -r _ || exit 0; "$@" </dev/null; exit $?'


_KILL_ROUNDS = 100


class ProcessId(Value, frozen=True):
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: int
    """Clock ticks after boot, field 22 of /proc/PID/stat."""
    boot: str
    """The kernel's boot id."""


def boot_id() -> str:
    """Return what names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third on; None where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def identify(pid: int) -> ProcessId | None:
    """Return the identity of the process that has ``pid`` now; None where none runs (a zombie has ended)."""
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return ProcessId(pid=pid, started=int(fields[19]), boot=boot_id())


def runs(process: ProcessId) -> bool:
    """Return whether exactly that process still runs."""
    return identify(process.pid) == process


def frozen(pid: int) -> bool:
    """Return whether the process is stopped (SIGSTOP) or traced: no signal but SIGKILL would be noticed."""
    fields = _stat(pid)
    return fields is not None and fields[0] in "Tt"


def command_line(pid: int) -> bytes:
    """Return the words of /proc/PID/cmdline, each ended by a zero; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def children(pid: int) -> list[int]:
    """Return the children of ``pid``, looking first where they most likely are: right behind it."""
    near = [p for p in range(pid + 1, pid + 33) if _parent(p) == pid]
    return near or [p for p in all_pids() if _parent(p) == pid]


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def all_pids() -> Iterator[int]:
    """Yield every pid of the machine."""
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def send(process: ProcessId, number: signal.Signals) -> None:
    """Send a signal to exactly that process; nothing happens where it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if runs(process):
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def describe_exit(code: int) -> str:
    """Return ``exit 1`` or ``signal 9``; codes over 128 are signals, as shells and bubblewrap report them."""
    if code < 0:
        return f"signal {-code}"
    return f"signal {code - 128}" if 128 < code <= 128 + 64 else f"exit {code}"


class Process:
    """A process that runs, ours or adopted. Create it inside an event loop."""

    def __init__(self, identity: ProcessId, child: "subprocess.Popen[bytes] | None" = None, gate: int = -1) -> None:
        self.identity = identity
        self.gone = asyncio.Event()
        self.code: int | None = None
        """The exit code as `subprocess` has it; None while it runs, and where we were not its parent."""
        self._child = child
        self._gate = gate
        self._watch()

    @property
    def pid(self) -> int:
        return self.identity.pid

    def _watch(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._ended()
            return
        # The pid may have gone to another process before the pidfd was open.
        if not runs(self.identity):
            os.close(descriptor)
            self._ended()
            return
        self._descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._readable)

    def _readable(self) -> None:
        self.forget()
        self._ended()

    def forget(self) -> None:
        """Stop watching; the process goes on."""
        if (descriptor := self.__dict__.pop("_descriptor", None)) is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def _ended(self) -> None:
        if self._child is not None:
            self.code = self._child.wait()
        self.close_gate()
        self.gone.set()

    def open_gate(self) -> None:
        """Let the process run. Call it when its identity is on disk."""
        if self._gate >= 0:
            with suppress(BrokenPipeError):  # it was killed at the gate, which `gone` will tell
                os.write(self._gate, b"\n")
            self.close_gate()

    def close_gate(self) -> None:
        """A process that still waits at the gate ends without having run."""
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    def kill_group(self) -> None:
        """SIGKILL to the process and its process group, which it leads."""
        if runs(self.identity):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    async def wait(self, seconds: float) -> bool:
        """Return whether it ended within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self.gone.wait()
        except TimeoutError:
            return self.gone.is_set()
        return True


def hold(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    log: Path,
    keeper: bool = False,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start ``argv`` in a session of its own, waiting at its gate; its output is appended to ``log``.

    With ``keeper`` a shell stays as its parent. StartFailed where the machine has no room for a process.
    """
    reader, gate = os.pipe2(os.O_CLOEXEC)
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _KEEP if keeper else _EXEC, "sh", *argv],
                stdin=reader,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                pass_fds=tuple(pass_fds),
            )
    except OSError as error:
        os.close(gate)
        raise StartFailed(f"{argv[0]} could not be started", why=str(error), next="bleen doctor") from error
    finally:
        os.close(reader)
    identity = identify(child.pid)
    if identity is None:
        os.close(gate)
        raise StartFailed(f"{argv[0]} ended before it ran", why=describe_exit(child.wait()), next="bleen doctor")
    return Process(identity, child, gate)


def adopt(identity: ProcessId) -> Process | None:
    """Return the process if exactly it still runs."""
    return Process(identity) if runs(identity) else None


def marked(markers: Mapping[str, str]) -> dict[int, dict[str, str]]:
    """Return the environment of every process whose environment has all ``markers``, by pid."""
    wanted = {f"{name}={value}".encode() for name, value in markers.items()}
    found = {}
    for pid in all_pids():
        try:
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or not ours
        if wanted <= set(words) and identify(pid) is not None:
            pairs = (word.decode(errors="replace").partition("=") for word in words if b"=" in word)
            found[pid] = {name: value for name, _, value in pairs}
    return found


def topmost(pids: set[int]) -> set[int]:
    """Return those of ``pids`` whose parent is not among them."""
    return {pid for pid in pids if _parent(pid) not in pids}


class Census:
    """Looks for marked processes; those who ask at the same time share one look over the machine's processes."""

    def __init__(self, markers: Mapping[str, str]) -> None:
        self._markers = dict(markers)
        self._running: asyncio.Task[dict[int, dict[str, str]]] | None = None
        self._next: asyncio.Task[dict[int, dict[str, str]]] | None = None

    async def take(self) -> dict[int, dict[str, str]]:
        """Return what `marked` finds in a look that began after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        return await asyncio.shield(self._next)

    async def _look(self) -> dict[int, dict[str, str]]:
        if self._running is not None:
            await asyncio.wait([self._running])
        self._running, self._next = self._next, None
        return await asyncio.to_thread(marked, self._markers)

    async def kill(self, name: str, value: str) -> None:
        """SIGKILL every process of the census whose variable ``name`` is ``value``, until none is left."""
        for _ in range(_KILL_ROUNDS):
            left = [pid for pid, env in (await self.take()).items() if env.get(name) == value]
            if not left:
                return
            for pid in left:
                if identity := identify(pid):
                    send(identity, signal.SIGKILL)
            await asyncio.sleep(0.01)


async def kill_marked(markers: Mapping[str, str]) -> int:
    """SIGKILL every process with ``markers`` until none is left; return how many there were."""
    killed: set[int] = set()
    for _ in range(_KILL_ROUNDS):
        found = await asyncio.to_thread(marked, markers)
        if not found:
            break
        for pid in found:
            if identity := identify(pid):
                send(identity, signal.SIGKILL)
        killed |= set(found)
        await asyncio.sleep(0.01)
    return len(killed)
