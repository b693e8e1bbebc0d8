"""Patches: which fixes are missing, and the renewal of bases that brings them."""

from typing import TYPE_CHECKING, Annotated

import typer

from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from bleen.interfaces.views import RenewalView, ServicePatches
    from bleen.workflows.messages import RenewalState


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("status", epilog=example("bleen image status"))(show_status)
    app.command("patch", epilog=example("bleen image patch --now", "bleen image patch --now debian-python"))(patch)


def show_status(ctx: Context, json: Json = False) -> None:
    """Show how old the patches of every service are.

    And how many of the 48 hours are left in which a published fix must be running; what patching does, when it looks next, and
    what it did last. The security suite is asked now. Only published fixes count: what nobody has fixed yet is not known to it.
    """
    session: Session = ctx.obj
    with session.client() as client:
        found = client.image_status()
    if session.json:
        session.say_json(found)
        return
    rows = [_row(one, found.at) for one in found.services]
    session.table(("SERVICE", "ENV", "RELEASE", "BASE", "PATCHES", "FIXES"), rows)
    fixes = {(one.service, one.release): one.patching.fixes for one in found.services}
    for (service, release), pending in fixes.items():
        for fix in pending:
            session.say(f"{service} {release}: {fix.package} {fix.installed} -> {fix.fixed}, since {fix.since:%Y-%m-%d}")
    _say_renewal(session, found.renewal)


def patch(
    ctx: Context,
    recipe: Annotated[
        str, typer.Argument(metavar="[RECIPE]", help="One base; default: every one that something runs on.")
    ] = "",
    now: Annotated[bool, typer.Option("--now", help="Build bases anew now, with the newest packages of every suite.")] = False,
    json: Json = False,
) -> None:
    """Show what patching does; with --now, do it at once.

    A base that is built anew and is another one than before takes its services along: the release that serves, on the new base,
    by the service's own strategy, environment by environment. Nothing is deployed where nothing is newer.
    """
    from bleen.domain.errors import InvalidInput
    from bleen.interfaces.views import PatchOrder

    session: Session = ctx.obj
    if recipe and not now:
        raise InvalidInput(f"nothing was done with {recipe}", next=f"bleen image patch --now {recipe}", where="RECIPE")
    with session.client() as client:
        found = client.patch(PatchOrder(session.person, recipe)) if now else client.patching()
    if session.json:
        session.say_json(found)
        return
    _say_renewal(session, found)


def _row(one: "ServicePatches", now: "datetime") -> tuple[str, ...]:
    from bleen.domain.patching import age_words, patching_words

    base = one.patching.base.removeprefix("sha256:")[:12]
    return (one.service, one.environment, one.release, base, age_words(one.patching, now), patching_words(one.patching, now))


def _say_renewal(session: Session, view: "RenewalView") -> None:
    if view.state is None:
        session.say("patching: nobody does it here")
        return
    session.say(f"patching: {_doing(view.state)}")
    session.say(f"next: {_next(view.state)}")
    if view.state.agenda.trouble or view.state.error:
        session.say(f"trouble: {view.state.error or view.state.agenda.trouble}")
    if view.last is not None:
        where = f"{view.last.service} in {view.last.environment}: " if view.last.service else ""
        why = f" ({view.last.why})" if view.last.why else ""
        outcome = f": {view.outcome}" if view.outcome else ""
        session.say(f"last: {_minute(view.last.at)} {where}{view.last.what}{why}{outcome}", " " * 6)


def _doing(state: "RenewalState") -> str:
    """Return what the last look led to, in words."""
    from bleen.domain.renewal import Hold, Move, Renew, Stop

    if state.agenda.asked is not None:
        return f"{state.agenda.asked.base or 'every base'} is built anew, because {state.agenda.asked.by} asked"
    match state.step:
        case None:
            return "has not looked yet"
        case Renew(_, name, _, _, why):
            return f"{name} is built anew: {why}"
        case Move(served):
            return f"{served.service} in {served.environment} is moved onto the new {served.name}"
        case Stop(environment, service, _, _, why):
            return f"{service} in {environment} stays where it is: {why}"
        case Hold(why):
            return f"waits: {why}"
    return state.step.why


def _next(state: "RenewalState") -> str:
    agenda = state.agenda
    watch = f"the security suite is asked at {_minute(agenda.next_watch)}" if agenda.next_watch else ""
    month = f"every base is built anew at {_minute(agenda.next_month)}" if agenda.next_month else ""
    return ", ".join(filter(None, (watch, month))) or "when somebody asks: bleen image patch --now"


def _minute(at: "datetime") -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
