"""The platform on this machine: demo, up, down, doctor."""

from typing import Annotated

import typer

from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen demo"))(demo)
    app.command(epilog=example("bleen up"))(up)
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
    server = session.platform.up(foreground=foreground)
    if session.json:
        session.say_json({"server": server.address, "home": session.settings.home, "foreground": foreground})
    elif foreground:
        session.say("the platform has ended")
    else:
        session.say(f"the platform is up: {server.address} (state in {session.settings.home})")
        session.say("next: bleen deploy SERVICE, bleen status, bleen down")


def down(ctx: Context, json: Json = False) -> None:
    """End the platform and every instance.

    Releases, images and history stay in its folder.
    """
    session: Session = ctx.obj
    ran = session.platform.down()
    if session.json:
        session.say_json({"ran": ran, "home": session.settings.home})
    else:
        session.say("the platform has ended; bleen up starts it again" if ran else "nothing ran")


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
