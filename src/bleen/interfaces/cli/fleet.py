"""Instances and what they wrote."""

from typing import Annotated

import typer

from bleen.interfaces.cli.options import Context, Environment, Json, ServiceName, example
from bleen.interfaces.cli.session import DETACHED, Session


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen logs hello --follow"))(logs)
    app.command(epilog=example("bleen instances hello"))(instances)


def logs(
    ctx: Context,
    service: ServiceName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000, help="So many old lines of each.")] = 100,
    instance: Annotated[str, typer.Option("--instance", "-i", metavar="NAME", help="Only this instance.")] = "",
    json: Json = False,
) -> None:
    """Show what the instances of a service wrote.

    With --json, one object a line.
    """
    from bleen.domain.codec import encode

    session: Session = ctx.obj
    try:
        with session.client() as client:
            for line in client.logs(service, instance=instance, lines=lines, follow=follow):
                text = (
                    encode(line).decode() if session.json else f"{line.at.astimezone():%H:%M:%S} {line.instance} | {line.text}"
                )
                session.out.write(text + "\n")
                session.out.flush()
    except KeyboardInterrupt:
        raise typer.Exit(DETACHED) from None


def instances(ctx: Context, service: ServiceName, env: Environment = None, json: Json = False) -> None:
    """List the instances of a service.

    Where they listen, and how they are.
    """
    from bleen.interfaces.figures import ago
    from bleen.interfaces.words import instance_words

    session: Session = ctx.obj
    with session.client() as client:
        view = client.service(session.environment(env), service)
    if session.json:
        session.say_json({"environment": view.environment, "service": service, "fleets": view.fleets})
        return
    rows = [
        (i.name, f"{i.address}:{i.port}", instance_words(i), ago(i.since, view.at), str(i.isolation))
        for fleet in view.fleets
        for i in fleet.instances
    ]
    session.table(("INSTANCE", "ADDRESS", "STATE", "SINCE", "ISOLATION"), rows)
