"""Freezes: an environment that takes no rollouts, until when, and the calendars that say so beforehand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import InvalidInput
from bleen.interfaces.cli.options import Context, Environment, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.interfaces.views import FreezeView

Place = Annotated[str, typer.Argument(metavar="ENV", help="The environment.")]
calendars = typer.Typer(
    help="Calendars: when rollouts may begin, by environment.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("bleen calendar show --env production"),
)


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example('bleen freeze production --reason "the database moves" --until 2h'))(freeze)
    app.command(epilog=example('bleen thaw production --reason "it has moved"'))(thaw)
    app.add_typer(calendars, name="calendar")


def freeze(
    ctx: Context,
    environment: Place,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: whoever is held by it reads that.")],
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="2h, or 2026-12-01T09:00+01:00; default: until bleen thaw.")
    ] = "",
    json: Json = False,
) -> None:
    """Let no rollout begin in an environment.

    Those under way finish their step and hold; they go on by themselves when it ends. Abort and rollback work as ever.
    """
    from bleen.interfaces.views import FreezeOrder

    session: Session = ctx.obj
    order = FreezeOrder(session.person, _reason(reason), _moment(until) if until else None)
    with session.client() as client:
        _tell(session, client.freeze(environment, order))


def thaw(
    ctx: Context,
    environment: Place,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it may end.")],
    json: Json = False,
) -> None:
    """End a freeze that somebody began.

    What it held goes on by itself. A freeze of the calendar is ended there: bleen calendar apply.
    """
    from bleen.interfaces.views import ThawOrder

    session: Session = ctx.obj
    with session.client() as client:
        _tell(session, client.thaw(environment, ThawOrder(session.person, _reason(reason))))


@calendars.command(epilog=example("bleen calendar show", "bleen calendar show --env production"))
def show(ctx: Context, env: Environment = None, json: Json = False) -> None:
    """Show whether an environment takes rollouts now, and the calendar that it goes by."""
    session: Session = ctx.obj
    with session.client() as client:
        found = client.freeze_of(session.environment(env))
    _tell(session, found)
    if not session.json:
        from bleen.interfaces.words import calendar_words

        session.say(f"its calendar: {calendar_words(found.calendar, found.holidays)}", " " * 14)
        coming = [one for one in found.holidays if one.day >= f"{found.at:%Y-%m-%d}"][:5]
        for one in coming:
            session.say(f"  {one.day} {one.name}", " " * 13)


@calendars.command(epilog=example("bleen calendar apply", "bleen calendar apply infrastructure/calendars.yaml"))
def apply(
    ctx: Context,
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A file or a folder; default: the repository here.")] = Path(),
    json: Json = False,
) -> None:
    """Let environments go by the calendars of infrastructure/calendars.yaml from now on.

    It takes the role admin there. Those that the file does not name keep theirs. Public holidays are looked up now, for five
    years: apply it again each year.
    """
    from bleen.interfaces.repository.calendars import load_calendars
    from bleen.interfaces.views import CalendarOrder

    session: Session = ctx.obj
    wanted = load_calendars(path)
    with session.client() as client:
        found = [client.set_calendar(place, CalendarOrder(session.person, one)) for place, one in sorted(wanted.items())]
    if session.json:
        session.say_json({"environments": found})
        return
    from bleen.interfaces.words import calendar_words

    for view in found:
        session.say(f"{view.environment} goes by {calendar_words(view.calendar, view.holidays)}", "  ")


def closed_words(environment: str, view: "FreezeView") -> str:
    """Return ``production takes no new rollouts: frozen by ada: a fair; it opens at 2026-12-01 09:00 CET``."""
    from bleen.domain.calendar import zone_of

    if view.closed is None:
        return f"{environment} takes rollouts"
    when = (
        f"it opens at {view.opens.astimezone(zone_of(view.calendar)):%Y-%m-%d %H:%M %Z}" if view.opens else "until bleen thaw"
    )
    return f"{environment} takes no new rollouts: {view.closed.why}; {when}"


def _tell(session: Session, view: "FreezeView") -> None:
    if session.json:
        session.say_json(view)
    else:
        session.say(closed_words(view.environment, view), "  ")


def _reason(text: str) -> str:
    if not 0 < len(text.strip()) <= 500 or any(c < " " or c == "\x7f" for c in text):
        raise InvalidInput(
            "a reason is one line of at most 500 characters", next='write for example --reason "the database moves"'
        )
    return text.strip()


def _moment(text: str) -> datetime:
    """Return when ``2h`` from now is, or a moment with its offset; InvalidInput."""
    from bleen.domain.duration import Duration

    try:
        return datetime.now(UTC) + timedelta(seconds=Duration.parse(text).total_seconds())
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        next = "write a time to pass, such as 2h, or a moment, such as 2026-12-01T09:00+01:00"
        raise InvalidInput(f"{text!r} is no time", next=next, where="--until") from error
    if moment.tzinfo is None:
        raise InvalidInput(
            f"{text} is another moment in every time zone",
            next=f"write your own with its offset: {moment.astimezone().isoformat(timespec='minutes')}",
            where="--until",
        )
    return moment
