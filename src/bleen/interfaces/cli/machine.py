"""The platform on this machine: demo, up, down, doctor."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import BleenError
from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import DETACHED, Session
from bleen.interfaces.platform import Interrupted

if TYPE_CHECKING:
    from datetime import datetime


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen demo"))(demo)
    app.command(epilog=example("bleen up"))(up)
    app.command(epilog=example("bleen console"))(console)
    app.command(epilog=example("bleen down"))(down)
    app.command(epilog=example("bleen doctor"))(doctor)


def demo(ctx: Context, json: Json = False) -> None:
    """Show the whole story in a minute, on real traffic.

    A platform of its own, deployments good and bad, a rollback, and a report at the end.
    """
    from bleen.interfaces.cli.demo import tell_story

    raise typer.Exit(tell_story(ctx.obj))


def up(
    ctx: Context,
    foreground: Annotated[bool, typer.Option("--foreground", "-f", help="Stay until Ctrl-C, then end all of it.")] = False,
    json: Json = False,
) -> None:
    """Start the platform; return when it is ready.

    What runs already is left alone.
    """
    session: Session = ctx.obj
    with _interruptible():
        server = session.platform.up(foreground=foreground)
    if session.json:
        plain = {"server": server.address, "home": session.settings.home, "foreground": foreground, "was_up": server.was_up}
        session.say_json(plain)
    elif foreground:
        session.say("the platform has ended")
    else:
        already = " already" if server.was_up else ""
        session.say(f"the platform is up{already}: {server.address} (state in {session.settings.home})")
        _say_link(session)
        session.say("next: bleen deploy SERVICE, bleen status, bleen down")


def console(ctx: Context, json: Json = False) -> None:
    """Print a link that opens the console signed in.

    It is good once, for five minutes; the browser stays signed in for twelve hours, or until the token ends.
    """
    session: Session = ctx.obj
    url, expires = _link(session)
    if session.json:
        session.say_json({"url": url, "expires": expires})
    else:
        session.out.write(f"{url}\n")
        session.say("it signs one browser in, within five minutes")


def _link(session: Session) -> tuple[str, "datetime"]:
    with session.client() as client:
        link = client.link(session.person)
        return f"{client.server.address.rstrip('/')}/console/#code={link.code}", link.expires


def _say_link(session: Session) -> None:
    """The platform is up: a link that cannot be made just now is no reason to say otherwise."""
    try:
        session.out.write(f"console: {_link(session)[0]}\n")
    except BleenError as error:
        session.say(f"console: no link yet, {error.what}; bleen console prints one")


def down(
    ctx: Context,
    force: Annotated[bool, typer.Option("--force", help="Also in mid-rollout; bleen up goes on with it.")] = False,
    json: Json = False,
) -> None:
    """End the platform and every instance.

    Releases, images and history stay in its folder, and bleen up starts again what served. Exit code 3 while a rollout
    is not settled.
    """
    from bleen.interfaces.cli.ending import refuse_unsettled, under_way

    session: Session = ctx.obj
    rollouts = under_way(session)
    if not force:
        refuse_unsettled(rollouts)
    with _interruptible():
        ran = session.platform.down()
    if session.json:
        session.say_json({"ran": ran, "home": session.settings.home, "rollouts": [r.id for r in rollouts]})
        return
    session.say("the platform has ended; bleen up starts it again" if ran else "nothing ran")
    for rollout in rollouts if ran else ():
        session.say(rollout.after, "  ")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Say what Ctrl-C came to."""
    try:
        yield
    except Interrupted as stopped:
        sys.stderr.write(f"interrupted: {stopped.what}\n       next: {stopped.next}\n")
        raise typer.Exit(DETACHED) from stopped


def doctor(ctx: Context, json: Json = False) -> None:
    """Look at everything that the platform needs.

    Say what to do where something is wrong; exit code 3 then.
    """
    session: Session = ctx.obj
    findings = session.platform.doctor()
    good = all(f.level != "bad" for f in findings)
    if session.json:
        session.say_json({"ok": good, "findings": findings})
    else:
        for finding in findings:
            session.say(f"{finding.level:<8}{finding.name}: {finding.detail}", " " * 10)
            if finding.next:
                session.say(f"          next: {finding.next}", " " * 16)
    raise typer.Exit(0 if good else 3)
