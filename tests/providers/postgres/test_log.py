"""The log on a real PostgreSQL: the contract, who may do what, and every way to tamper with it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from bleen.domain.audit import AuditReport, Trace, leaf_content
from bleen.domain.errors import Conflict, InvalidInput
from bleen.domain.ledger import Query, ReleaseMade
from bleen.domain.note import Checkpoint, sign_note
from bleen.ports import Ledger
from bleen.providers.memory.log import MemorySeal
from bleen.providers.postgres.ledger import PostgresLedger
from bleen.providers.postgres.log import PostgresLog
from bleen.providers.postgres.migrate import shipped
from bleen.providers.signing import FileSeal
from bleen.workflows.notary import Notary
from tests.contracts.ledger import a_draft, a_release
from tests.contracts.log import LogContract
from tests.providers.postgres.test_migrate import run

APP = "bleen_test_app"
COUNT = 12


@pytest.fixture
def app_url(database_url: str) -> str:
    """The URL of a role that may append, and nothing else."""
    credentials = database_url.split("//")[1].split("@")[0]
    return database_url.replace(credentials, f"{APP}:secret")


@pytest.fixture
async def ledger(database_url: str, app_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(app_url, owner_url=database_url)
    yield ledger
    await ledger.close()


@pytest.fixture
def log(ledger: PostgresLedger) -> PostgresLog:
    return PostgresLog(ledger.database)


class TestPostgresLog(LogContract):
    """The kit, as the role that can only append."""


async def test_racing_appends_have_one_order(ledger: PostgresLedger, log: PostgresLog) -> None:
    """Of many services at once, each entry has one leaf, in the order of sequences."""
    await asyncio.gather(*(ledger.append(a_draft(f"k{n}", service=f"s{n % 7}")) for n in range(60)))
    report = await Notary(ledger, log, MemorySeal()).verify()
    assert (report.findings, report.size) == ((), 60)


# ---- rights ----

FORBIDDEN = [
    *(
        change.format(f"bleen.{table}")
        for table in ("entries", "releases", "leaves", "checkpoints", "migrations")
        for change in (
            "delete from {}",
            "truncate {}",
            "alter table {} disable trigger all",
            "drop table {}",
            "insert into {} default values",
        )
    ),
    "update bleen.entries set body = ''",
    "update bleen.leaves set hashes = ''",
    "update bleen.checkpoints set note = ''",
    "select bleen.append_leaf(e) from bleen.entries e",
    "set session_replication_role = replica",
    "drop schema bleen cascade",
    "create or replace function bleen.refuse_change() returns trigger language plpgsql as 'begin return null; end'",
    "set role bleen",
    "alter role bleen_test_app superuser",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_application_can_change_nothing(ledger: PostgresLedger, app_url: str, statement: str) -> None:
    """Its own role is refused by the database: it may read and append."""
    entry = await ledger.append(a_draft("k"))
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())
    assert list(await ledger.read(Query())) == [entry]


async def test_a_lost_password_of_the_application_is_made_anew(ledger: PostgresLedger, database_url: str, app_url: str) -> None:
    """The owner of an embedded server gives its role the password of the new file."""
    entry = await ledger.append(a_draft("k"))
    again = PostgresLedger(app_url.replace(":secret@", ":another@"), owner_url=database_url)
    assert list(await again.read(Query())) == [entry]
    await again.close()


# ---- old databases ----


@pytest.mark.parametrize("count", [0, 1, 7, 8, 33])
async def test_entries_of_before_become_leaves_in_order(database_url: str, count: int) -> None:
    """A database of the first version is brought up to date, and its log is as if it had always been there."""
    await run(database_url, shipped()[:1])
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        for n in range(count):
            await connection.execute(
                "select bleen.append(%s, 'dev', %s, '', 'finished', 'ada', %s)", (f"k{n}", f"s{n % 3}", '{"type":"finished"}')
            )
    ledger = PostgresLedger(database_url)
    notary = Notary(ledger, PostgresLog(ledger.database), MemorySeal())
    report = await notary.verify()
    assert (report.findings, report.size) == ((), count)
    entry = await ledger.append(a_draft("new"))
    report = await notary.verify()
    assert (report.findings, report.size) == ((), count + 1)
    assert await PostgresLog(ledger.database).content(entry.sequence) == (count, leaf_content(entry))
    await ledger.close()


# ---- tampering: by a superuser, who can do anything to the database ----


class Scene:
    """A log of twelve entries, signed after six and after twelve, and somebody with all rights over its database."""

    def __init__(self, ledger: PostgresLedger, url: str, home: Path) -> None:
        self.ledger, self.url = ledger, url
        self.seal = FileSeal(home / "audit", "dev")
        self.log = PostgresLog(ledger.database)
        self.notary = Notary(ledger, self.log, self.seal)

    async def tamper(self, *statements: str) -> AuditReport:
        """Do it past every trigger, and return what an audit finds."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute("set session_replication_role = replica")
            for statement in statements:
                await connection.execute(statement.encode())
        return await self.notary.verify()


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    ledger = PostgresLedger(database_url)
    scene = Scene(ledger, database_url, tmp_path)
    for n in range(1, COUNT + 1):
        await ledger.append(a_draft(f"k{n}"))
        if n in (6, COUNT):
            await scene.notary.seal()
    yield scene
    await ledger.close()


REBUILD = (
    "delete from bleen.leaves",
    "insert into bleen.leaves select row_number() over (order by sequence) - 1, sequence, "
    "sha256('\\x00'::bytea || bleen.leaf_content(e)) from bleen.entries e",
    shipped()[1].sql[shipped()[1].sql.index("do $$") :].split("end $$;")[0] + "end $$;",
)
"""Computes the whole log anew, as a migration does."""


def traces(report: AuditReport) -> list[tuple[Trace, int, int]]:
    return [(f.trace, f.first, f.last) for f in report.findings]


async def test_a_log_that_nobody_touched_is_clean(scene: Scene) -> None:
    """All of it is vouched for, by a signature that anybody can check."""
    report = await scene.notary.verify()
    assert (report.findings, report.size, report.sealed) == ((), COUNT, COUNT)
    assert report.checkpoints == 3


async def test_a_changed_entry_is_named(scene: Scene) -> None:
    """One word of one body, or who asked for it."""
    assert traces(await scene.tamper("update bleen.entries set by = 'eve' where sequence = 5")) == [(Trace.CHANGED, 5, 5)]


@pytest.mark.parametrize(
    "change",
    [
        "body = replace(body, 'k', 'x')",
        "at = at + interval '1 microsecond'",
        "kind = 'finished'",
        "environment = 'production'",
        "service = 'other'",
        "rollout = 'dev/hello/9'",
        "key = 'other'",
        # What two fields say together is the same as before: the border between them has moved.
        "environment = 'devh', service = 'ello'",
    ],
)
async def test_no_field_can_be_changed(scene: Scene, change: str) -> None:
    """Each is part of the leaf, and cannot be exchanged with its neighbour."""
    assert traces(await scene.tamper(f"update bleen.entries set {change} where sequence = 5")) == [(Trace.CHANGED, 5, 5)]


async def test_a_changed_entry_with_its_leaf_is_named(scene: Scene) -> None:
    """The leaf fits it again, and no longer the nodes above."""
    report = await scene.tamper(
        "update bleen.entries set by = 'eve' where sequence = 5",
        "update bleen.leaves set hashes = sha256('\\x00'::bytea || bleen.leaf_content(e)) from bleen.entries e "
        "where e.sequence = 5 and leaves.sequence = 5",
    )
    assert (Trace.NODES, 6, 6) in traces(report)


async def test_a_log_computed_anew_is_bounded_by_what_was_signed(scene: Scene) -> None:
    """All of it fits together; the signature says between which entries it was rewritten."""
    report = await scene.tamper("update bleen.entries set by = 'eve' where sequence = 9", *REBUILD)
    assert traces(report) == [(Trace.REWRITTEN, 7, 12)]
    assert report.sealed == 6


async def test_a_removed_entry_is_named(scene: Scene) -> None:
    """Its leaf is left."""
    assert traces(await scene.tamper("delete from bleen.entries where sequence = 5")) == [(Trace.REMOVED, 5, 5)]


async def test_a_removed_entry_with_its_leaf_leaves_a_gap(scene: Scene) -> None:
    """The leaves are numbered without one."""
    report = await scene.tamper("delete from bleen.entries where sequence = 5", "delete from bleen.leaves where sequence = 5")
    assert traces(report) == [(Trace.REMOVED, 5, 5)]


async def test_a_removed_entry_in_a_log_computed_anew_is_found(scene: Scene) -> None:
    """The roots are not those that were signed, and it is shorter."""
    report = await scene.tamper("delete from bleen.entries where sequence = 5", *REBUILD)
    assert traces(report) == [(Trace.REWRITTEN, 1, 7), (Trace.TRUNCATED, 12, 12)]


async def test_an_added_entry_is_named(scene: Scene) -> None:
    """In the midst or at the end: it has no leaf."""
    columns = "sequence, key, environment, service, rollout, kind, by, body"
    report = await scene.tamper(
        f"insert into bleen.entries ({columns}) overriding system value "
        "values (99, 'x', 'dev', 'hello', '', 'finished', 'eve', '{\"type\":\"finished\"}')"
    )
    assert traces(report) == [(Trace.ADDED, 99, 99)]


async def test_reordered_entries_are_named(scene: Scene) -> None:
    """Two entries that changed places, each whole."""
    report = await scene.tamper(
        "alter table bleen.entries alter sequence set generated by default",
        "update bleen.entries set sequence = 1005 where sequence = 5",
        "update bleen.entries set sequence = 5 where sequence = 8",
        "update bleen.entries set sequence = 8 where sequence = 1005",
    )
    assert traces(report) == [(Trace.MOVED, 5, 5), (Trace.MOVED, 8, 8)]
    assert "what entry 8 said" in report.findings[0].what


async def test_reordered_leaves_are_named(scene: Scene) -> None:
    """With their entries untouched."""
    report = await scene.tamper(
        "update bleen.leaves set sequence = -5 where leaf = 4",
        "update bleen.leaves set sequence = 5 where leaf = 7",
        "update bleen.leaves set sequence = 8 where leaf = 4",
    )
    assert Trace.REORDERED in {f.trace for f in report.findings}


@pytest.mark.parametrize("with_checkpoints", [False, True])
async def test_a_tail_that_was_cut_off_is_missed(scene: Scene, with_checkpoints: bool) -> None:
    """By the checkpoints; and where those were cut off too, by the one outside of the database."""
    report = await scene.tamper(
        "delete from bleen.entries where sequence > 10",
        "delete from bleen.leaves where sequence > 10",
        *(["delete from bleen.checkpoints where size > 10"] if with_checkpoints else []),
    )
    assert traces(report) == [(Trace.TRUNCATED, 10, 10)]
    assert "the last 2 are gone" in report.findings[0].what
    assert ("home" in report.findings[0].what) or not with_checkpoints


async def test_a_checkpoint_of_another_key_is_refused(scene: Scene) -> None:
    """Whoever rewrites the log cannot sign it."""
    forger = MemorySeal(scene.seal.verifier.name)
    forged = sign_note(Checkpoint(forger.verifier.name, 6, bytes(32)).text, forger.verifier, forger.sign)
    report = await scene.tamper(f"update bleen.checkpoints set note = $${forged}$$ where size = 6")
    assert traces(report) == [(Trace.FORGED, 0, 0)]


async def test_a_release_that_was_exchanged_is_named(scene: Scene) -> None:
    """The entry that made it tells of another one."""
    release = await scene.ledger.make_release(a_release())
    await scene.ledger.append(a_draft("hello/r1", event=ReleaseMade(release)))
    assert (await scene.notary.verify()).clean
    report = await scene.tamper("update bleen.releases set body = replace(body, 'ada', 'eve')")
    assert traces(report) == [(Trace.RELEASE, 13, 13)]
    report = await scene.tamper("update bleen.releases set body = 'nonsense'")
    assert [f.trace for f in report.findings] == [Trace.RELEASE]


async def test_nothing_is_signed_that_was_rewritten(scene: Scene) -> None:
    """Tampering cannot be laundered by waiting: the notary knows what it signed last."""
    await scene.tamper("update bleen.entries set by = 'eve' where sequence = 9", *REBUILD)
    await scene.ledger.append(a_draft("after"))
    with pytest.raises(Conflict, match="bleen audit verify"):
        await scene.notary.seal()
    assert len(await scene.log.notes()) == 2


async def test_a_proof_leads_to_what_was_signed_last_or_is_none(scene: Scene) -> None:
    """An entry that was signed over is proved by that signature, with nothing signed anew; one that was rewritten is not."""
    await scene.ledger.append(a_draft("after"))
    proof = await scene.notary.prove(9)
    assert proof.checkpoint == scene.seal.last() and len(await scene.log.notes()) == 2
    assert f"\n{COUNT + 1}\n" in (await scene.notary.prove(COUNT + 1)).checkpoint
    await scene.tamper("update bleen.entries set by = 'eve' where sequence = 9")
    with pytest.raises(Conflict, match="entry 9 cannot be proved"):
        await scene.notary.prove(9)


async def test_a_checkpoint_of_the_home_that_was_changed_is_found(scene: Scene) -> None:
    """It is signed as well."""
    note = scene.seal.last()
    scene.seal.keep(note.replace(f"\n{COUNT}\n", "\n11\n"))
    report = await scene.notary.verify()
    assert traces(report) == [(Trace.FORGED, 0, 0)]
    with pytest.raises(InvalidInput):
        await scene.notary.seal()


def test_the_key_is_the_owners_alone(tmp_path: Path) -> None:
    """Mode 0600, made once, with its public half beside it."""
    seal = FileSeal(tmp_path / "audit", "dev")
    assert (tmp_path / "audit" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "audit" / "key.pub").read_text() == f"{seal.verifier}\n"
    assert FileSeal(tmp_path / "audit", "dev").verifier == seal.verifier


async def test_the_port_is_kept(ledger: PostgresLedger) -> None:
    """The role that can only append keeps the ledger's port: it makes releases too."""
    port: Ledger = ledger
    assert (await port.make_release(a_release())).number == 1
