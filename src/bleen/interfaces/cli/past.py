"""What was: history, and why a rollout went as it did."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.interfaces.cli.options import Context, Environment, Json, ServiceName, _services, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.views import RemovalSummary, RolloutSummary
    from bleen.interfaces.views import ExplainedLine, Explanation


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen history hello"))(history)
    app.command(epilog=example("bleen explain hello", "bleen explain dev/hello/7 --plot rollout.svg"))(explain)


def history(
    ctx: Context,
    service: ServiceName,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many rollouts.")] = 20,
    env: Environment = None,
    json: Json = False,
) -> None:
    """List the rollouts of a service, newest first, and its removals."""
    session: Session = ctx.obj
    with session.client() as client:
        view = client.history(session.environment(env), service, limit)
    if session.json:
        session.say_json(view)
        return
    head = ("ROLLOUT", "FROM", "TO", "VERSION", "WHEN", "TOOK", "BY", "OUTCOME")
    dated = [*((r.started, _row(r)) for r in view.rollouts), *((r.at, _removal_row(r)) for r in view.removals)]
    session.table(head, [row for _, row in sorted(dated, reverse=True)][:limit])
    session.say(f"why one went as it did: bleen explain {view.rollouts[0].id}")


def explain(
    ctx: Context,
    rollout: Annotated[
        str,
        typer.Argument(metavar="ROLLOUT", help="Such as dev/hello/7; a service means its last one.", autocompletion=_services),
    ],
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Draw it into an .svg or a .png instead; needs bleen[plot].", dir_okay=False
        ),
    ] = None,
    env: Environment = None,
    json: Json = False,
) -> None:
    """Tell why a rollout went as it did.

    Every decision: when, what, why, and what was seen. Of long measurements, few lines; all of them with --json.
    """
    session: Session = ctx.obj
    if plot is not None:
        from bleen.interfaces.plot import check_plot

        check_plot(plot)
    environment = session.environment(env)
    parts = rollout.strip("/").split("/")
    with session.client() as client:
        if len(parts) == 1:
            found = client.explain_last(environment, rollout)
        else:
            found = client.explain(_id(rollout, parts, environment))
    if plot is not None:
        _draw(session, found, plot)
    elif session.json:
        session.say_json(found)
    else:
        _print(session, found)


def _draw(session: Session, found: "Explanation", plot: Path) -> None:
    from bleen.interfaces.plot import write_plot

    write_plot(found, plot)
    if session.json:
        session.say_json({"rollout": found.rollout.id, "plot": str(plot)})
    else:
        session.say(f"{found.rollout.id} is drawn in {plot}")


def _id(text: str, parts: list[str], environment: str) -> str:
    from bleen.domain.errors import InvalidInput

    whole = parts if len(parts) == 3 else [environment, *parts]
    if len(whole) != 3 or not whole[2].isdecimal():
        raise InvalidInput(f"{text!r} is no rollout", why="one is called dev/hello/7", next="bleen history SERVICE")
    return "/".join(whole)


def _row(rollout: "RolloutSummary") -> tuple[str, ...]:
    from bleen.interfaces.figures import lasting
    from bleen.interfaces.words import outcome_words

    return (
        rollout.id,
        rollout.origin.name if rollout.origin else "-",
        rollout.target.name,
        rollout.target.version or "-",
        f"{rollout.started.astimezone():%m-%d %H:%M}",
        lasting(rollout.seconds) if rollout.seconds is not None else "-",
        rollout.by,
        outcome_words(rollout.outcome) if rollout.outcome else "under way",
    )


def _removal_row(removal: "RemovalSummary") -> tuple[str, ...]:
    when, said = f"{removal.at.astimezone():%m-%d %H:%M}", f": {removal.reason}" if removal.reason else ""
    return (f"{removal.environment}/{removal.service}", "-", "-", "-", when, "-", removal.by, f"removed{said}")


def _print(session: Session, found: "Explanation") -> None:
    from bleen.interfaces.thinning import thinned
    from bleen.interfaces.words import outcome_words

    summary = found.rollout
    source = f"{summary.origin.name} -> " if summary.origin else ""
    outcome = outcome_words(summary.outcome) if summary.outcome else "under way"
    session.say(f"{summary.id}  {source}{summary.target.name} {summary.target.version}  by {summary.by}: {outcome}", "  ")
    for line in thinned(found.lines):
        _print_line(session, line)


def _print_line(session: Session, line: "ExplainedLine") -> None:
    from bleen.domain.ledger import Checked, Measured
    from bleen.interfaces.verdicts import assessment_words
    from bleen.interfaces.words import evidence_words

    by = f" (by {line.by})" if line.kind != "rollout-started" and line.by and _asked(line) else ""
    session.say(f"{line.after:>8.1f}s  {line.what}{by}", " " * 11)
    if isinstance(line.event, Measured):
        for words in assessment_words(line.event.assessment):
            session.say(f"{'':>10} {words}", " " * 13)
    elif line.why:
        session.say(f"{'why':>10} {line.why}", " " * 11)
    if line.evidence is not None:
        session.say(f"{'seen':>10} {evidence_words(line.evidence)}", " " * 11)
    if isinstance(line.event, Checked):
        for result in line.event.results:
            session.say(f"{'passed' if result.passed else 'FAILED':>10} {result.name}: {result.detail}", " " * 11)


def _asked(line: "ExplainedLine") -> bool:
    from bleen.domain.ledger import Commanded

    return isinstance(line.event, Commanded)
