"""The audit: who did what, and the proof that nobody changed it since."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import InvalidInput
from bleen.interfaces.cli.options import Context, Environment, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.audit import AuditReport
    from bleen.domain.note import Checkpoint
    from bleen.interfaces.client import Client
    from bleen.interfaces.views import AuditLine

_PAGE = 1000

app = typer.Typer(
    help="Say who did what, and prove that nobody changed it since.",
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Service = Annotated[str, typer.Option("--service", "-s", metavar="SERVICE", help="Only entries of this service.")]
By = Annotated[str, typer.Option("--by", metavar="WHO", help="Only what this person or token asked for.")]


@app.callback(epilog=example("bleen audit --service hello --by ada"))
def audit(
    ctx: Context,
    service: Service = "",
    by: By = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many entries.")] = 50,
    env: Environment = None,
    json: Json = False,
) -> None:
    """List the ledger's entries, newest first: what was asked, decided, done, and by whom."""
    if ctx.invoked_subcommand is not None:
        return
    session: Session = ctx.obj
    with session.client() as client:
        page = client.audit(service=service, environment=env or "", by=by, limit=limit)
    if session.json:
        session.say_json(page)
        return
    session.table(("ENTRY", "WHEN", "WHERE", "BY", "WHAT"), [_row(line) for line in page.entries])
    if page.next:
        session.say(f"there are more: bleen audit -n {min(limit * 2, _PAGE)}")


@app.command(epilog=example("bleen audit verify", "bleen audit verify --seen /media/auditor/bleen.checkpoint"))
def verify(
    ctx: Context,
    seen: Annotated[
        Path | None,
        typer.Option(
            "--seen", metavar="FILE", dir_okay=False, help="The checkpoint of your last audit; the new one replaces it."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Prove that nothing was changed, removed or reordered, and say where if it was.

    Reads every entry again. With --seen, also that the log of now begins with the one that you saw last, whatever became
    of the server meanwhile. Exit code 1 where something is wrong.
    """
    session: Session = ctx.obj
    with session.client() as client:
        report = client.verify()
        grown = _check_growth(client, seen, report) if seen is not None and report.clean else None
    if seen is not None and report.clean:
        seen.write_text(f"{report.key}\n{report.checkpoint}", "utf-8")
    if session.json:
        session.say_json(report)
    else:
        _tell(session, report, grown)
    raise typer.Exit(0 if report.clean else 1)


@app.command(epilog=example("bleen audit prove 42 --out entry-42.proof"))
def prove(
    ctx: Context,
    sequence: Annotated[int, typer.Argument(metavar="ENTRY", min=1, help="The number of an entry, as bleen audit lists them.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", dir_okay=False, help="Write the proof there, as c2sp.org/tlog-proof has it."),
    ] = None,
    json: Json = False,
) -> None:
    """Prove that one entry is in the log.

    The proof is checked here, against the signed checkpoint that it leads to.
    """
    from bleen.domain.audit import proves
    from bleen.domain.note import write_proof

    session: Session = ctx.obj
    with session.client() as client:
        found = client.prove(sequence)
    checkpoint = _open(found.checkpoint, found.key)
    if not proves(found, checkpoint):
        raise InvalidInput(f"the proof of entry {sequence} proves nothing", next="bleen audit verify")
    if out is not None:
        out.write_text(write_proof(found.leaf, found.proof, found.checkpoint), "utf-8")
    if session.json:
        session.say_json(found)
        return
    session.say(f"entry {sequence} is leaf {found.leaf} of the {checkpoint.size} that {checkpoint.origin} has signed")
    session.say(f"root {checkpoint.root.hex()}", "  ")
    if out is not None:
        session.say(f"the proof is in {out}")


@app.command(epilog=example("bleen audit export --format cdevents > events.jsonl"))
def export(
    ctx: Context,
    kind: Annotated[str, typer.Option("--format", metavar="FORMAT", help="cdevents, or entries: one JSON object a line.")],
    service: Service = "",
    env: Environment = None,
    json: Json = False,
) -> None:
    """Write all of it to standard output, oldest first: as CDEvents 0.4.1, or the entries as they are."""
    from bleen.domain.codec import encode
    from bleen.interfaces.cdevents import Exporter

    if kind not in ("cdevents", "entries"):
        raise InvalidInput(f"there is no format {kind!r}", next="write cdevents or entries")
    session: Session = ctx.obj
    with session.client() as client:
        exporter = Exporter(client.server.address)
        for line in _all(client, service, env or ""):
            values = exporter.events(line) if kind == "cdevents" else (line,)
            session.out.writelines(encode(value).decode() + "\n" for value in values)


@app.command(epilog=example("bleen audit key"))
def key(ctx: Context, json: Json = False) -> None:
    """Print the public key of the log, and the checkpoint of now: what an auditor keeps."""
    session: Session = ctx.obj
    with session.client() as client:
        grown = client.grown(0)
    _open(grown.checkpoint, grown.key)
    if session.json:
        session.say_json({"key": grown.key, "checkpoint": grown.checkpoint})
    else:
        session.out.write(f"{grown.key}\n{grown.checkpoint}")


def _row(line: "AuditLine") -> tuple[str, ...]:
    where = "/".join(part for part in (line.environment, line.service) if part)
    what = f"{line.what}: {line.why}" if line.why else line.what
    return (str(line.sequence), f"{line.at.astimezone():%Y-%m-%d %H:%M:%S}", line.rollout or where, line.by or "-", what)


def _tell(session: Session, report: "AuditReport", grown: int | None) -> None:
    from bleen.interfaces.figures import counted

    if report.clean:
        session.say(f"{report.size:,} entries: none was changed, removed or reordered ({report.seconds:.1f} s)")
        session.say(f"held against {counted(report.checkpoints, 'signed checkpoint')}, and signed: root {report.root}", "  ")
        if grown is not None:
            session.say(f"it begins with the {grown} that you saw last", "  ")
        return
    found = counted(len(report.findings), "trace")
    session.say(f"{found} of tampering in {report.size:,} entries ({report.seconds:.1f} s)")
    for finding in report.findings:
        session.say(f"{finding.trace:<10}{finding.what}", " " * 10)
    if report.sealed:
        session.say(f"the hashes of the first {report.sealed:,} entries are those that were signed", "  ")
    session.say("next: keep the database and the folder audit of the home as they are; SECURITY.md says how to go on")


def _check_growth(client: "Client", seen: Path, report: "AuditReport") -> int | None:
    """Return how many entries of ``seen`` the log begins with; None where nothing was seen yet. InvalidInput."""
    from bleen.domain.merkle import is_consistent

    if not seen.exists():
        return None
    key, _, note = seen.read_text("utf-8").partition("\n")
    if key != report.key:
        raise InvalidInput(
            "the log is signed by another key than the one you saw", why=f"{report.key} now, {key} then", where=str(seen)
        )
    old = _open(note, key)
    grown = client.grown(old.size)
    new = _open(grown.checkpoint, key)
    proof = [bytes.fromhex(text) for text in grown.proof]
    if not is_consistent(old.size, old.root, new.size, new.root, proof):
        raise InvalidInput(
            "this is not the log that you saw",
            why=f"its first {old.size} entries have another root than the checkpoint in {seen}",
            next="keep that file: it proves that the log was rewritten",
        )
    return old.size


def _open(note: str, key: str) -> "Checkpoint":
    from bleen.domain.note import open_note, read_checkpoint, read_verifier
    from bleen.providers.signing import verify

    return read_checkpoint(open_note(note, read_verifier(key), verify))


def _all(client: "Client", service: str, environment: str) -> "list[AuditLine]":
    lines: list[AuditLine] = []
    before = 0
    while True:
        page = client.audit(service=service, environment=environment, before=before, limit=_PAGE)
        lines += page.entries
        before = page.next
        if not before:
            return lines[::-1]
