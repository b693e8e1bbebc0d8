"""Brings the tables of a database up to date: the numbered SQL files beside this one, each once, in order."""

from collections.abc import Sequence
from importlib.resources import files

from psycopg import sql

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import InvalidInput
from bleen.providers.postgres.connections import Connection

RIGHTS = (
    "grant usage on schema bleen to {}",
    "grant select on all tables in schema bleen to {}",
    "grant execute on function bleen.append(text, text, text, text, text, text, text) to {}",
    "grant execute on function bleen.make_release(text, text, text) to {}",
    "grant execute on function bleen.seal(bigint, text) to {}",
)
"""What the role of a running Bleen may do."""


class Migration(Value, frozen=True):
    """One file of SQL. Never edited once it was released: its digest is remembered."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return digest_of(self.sql.encode())


def shipped() -> tuple[Migration, ...]:
    """Return the migrations of this version, in order."""
    paths = [path for path in files("bleen.providers.postgres").joinpath("migrations").iterdir() if path.name.endswith(".sql")]
    found = [Migration(int(path.name[:4]), path.name, path.read_text("utf-8")) for path in paths]
    return tuple(sorted(found, key=lambda migration: migration.number))


async def migrate(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Apply what is missing, all or nothing; any number of processes may try at once.

    InvalidInput where a newer or another Bleen made the tables.
    """
    if await _missing(connection, migrations) == []:
        return
    async with connection.transaction():
        # A large ledger takes its time; and whoever migrates it at the same moment waits for that.
        await connection.execute("set local statement_timeout = 0; set local lock_timeout = 0")
        await connection.execute("select pg_advisory_xact_lock(hashtext('bleen.migrations'), 0)")
        await connection.execute("create schema if not exists bleen")
        await connection.execute(
            "create table if not exists bleen.migrations (number integer primary key, name text not null, "
            "digest text not null, at timestamptz not null default clock_timestamp())"
        )
        for migration in await _missing(connection, migrations):
            await connection.execute(migration.sql.encode())
            await connection.execute(
                "insert into bleen.migrations (number, name, digest) values (%s, %s, %s)",
                (migration.number, migration.name, migration.digest),
            )


async def admit(connection: Connection, user: str, password: str) -> None:
    """Let ``user`` read all, append, and nothing else; made where there is no such role. ``connection`` is the owner's."""
    role = sql.Identifier(user)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('bleen.migrations'), 0)")
        known = await (await connection.execute("select from pg_roles where rolname = %s", (user,))).fetchone()
        if known is None:
            make = sql.SQL("create role {} login nosuperuser nocreatedb nocreaterole password {}")
            await connection.execute(make.format(role, sql.Literal(password)))
        elif await _is_superuser(connection):  # the embedded server's: a password file that was lost is made anew
            change = sql.SQL("alter role {} password {}")
            await connection.execute(change.format(role, sql.Literal(password)))
        for right in RIGHTS:
            await connection.execute(sql.SQL(right).format(role))


async def _is_superuser(connection: Connection) -> bool:
    row = await (await connection.execute("select rolsuper from pg_roles where rolname = current_user")).fetchone()
    return row == (True,)


async def _missing(connection: Connection, migrations: Sequence[Migration]) -> list[Migration]:
    """Return the migrations still to apply. Reads only, so that an up-to-date database needs no right to create."""
    present = await (await connection.execute("select to_regclass('bleen.migrations') is not null")).fetchone()
    if present != (True,):
        return list(migrations)
    rows = await (await connection.execute("select number, name, digest from bleen.migrations order by number")).fetchall()
    known = {migration.number: migration for migration in migrations}
    for number, name, digest in rows:
        if not isinstance(number, int) or number not in known:
            raise _foreign(f"it has the migration {name}, which this version does not know", "run a newer Bleen on it")
        if known[number].digest != digest:
            raise _foreign(f"its migration {name} differs from this version's", "point BLEEN_DATABASE_URL at another database")
    applied = {row[0] for row in rows}
    return [migration for migration in migrations if migration.number not in applied]


def _foreign(why: str, step: str) -> InvalidInput:
    return InvalidInput("the tables of the database are not this version's", why=why, next=step)
