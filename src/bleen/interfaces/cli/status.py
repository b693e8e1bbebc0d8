"""What runs now: services, colours, weights, instances, rollouts."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bleen.interfaces.cli.options import AnyService, Context, Environment, Json, example
from bleen.interfaces.cli.session import DETACHED, Session

if TYPE_CHECKING:
    from rich.text import Text

    from bleen.interfaces.client import Client
    from bleen.interfaces.views import ServiceView

T = TypeVar("T")
_PAUSE = 0.5


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen status", "bleen status hello --watch"))(status)


def status(
    ctx: Context,
    service: AnyService = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep looking until Ctrl-C.")] = False,
    env: Environment = None,
    json: Json = False,
) -> None:
    """Show what runs now.

    Colours, weights as every gateway reports them, instances, rollouts. Exit code 3 where no platform runs.
    """
    session: Session = ctx.obj
    environment = session.environment(env)
    with session.client() as client:
        if session.json:
            _print_json(session, client, environment, service)
        elif watch:
            raise typer.Exit(_watch(session, client, environment, service))
        else:
            _print(session, client, environment, service)


def _views(client: "Client", environment: str, service: str | None) -> "tuple[ServiceView, ...]":
    return (client.service(environment, service),) if service else client.services(environment).services


def _print_json(session: Session, client: "Client", environment: str, service: str | None) -> None:
    from bleen.interfaces.views import StatusReport

    views, closed = _views(client, environment, service), client.freeze_of(environment).closed
    session.say_json(StatusReport(client.server.address, environment, views, client.platform().parts, closed))


def _print(session: Session, client: "Client", environment: str, service: str | None) -> None:
    from bleen.interfaces.cli.freeze import closed_words
    from bleen.interfaces.cli.tree import stack

    lines = _lines(_views(client, environment, service), environment)
    lines += _builds(client, environment, service)
    console = session.console()
    if service is None:
        session.say(f"server {client.server.address}")
    frozen = client.freeze_of(environment)
    if frozen.closed is not None:
        session.say(closed_words(environment, frozen), "  ")
    console.print(stack(lines, session.width))


def _builds(client: "Client", environment: str, service: str | None) -> list[str]:
    """Return a line for each build under way."""
    from bleen.interfaces.cli.stages import building_line

    builds = [build for build in client.builds().builds if build.environment == environment and service in (None, build.name)]
    return ["", *(building_line(build) for build in builds)] if builds else []


def _lines(views: "tuple[ServiceView, ...]", environment: str) -> "list[Text | str]":
    from bleen.interfaces.cli.tree import service_lines

    if not views:
        return [f"no service in {environment} yet; bleen deploy SERVICE makes one"]
    lines: list[Text | str] = []
    for view in views:
        lines += ["", *service_lines(view)]
    return lines


def _watch(session: Session, client: "Client", environment: str, service: str | None) -> int:
    try:
        if session.live:
            _watch_live(session, client, environment, service)
        else:
            _watch_plain(session, client, environment, service)
    except KeyboardInterrupt:
        return DETACHED if not session.live else 0
    return 0


def _watch_live(session: Session, client: "Client", environment: str, service: str | None) -> None:
    from rich.live import Live

    from bleen.interfaces.cli.tree import stack

    with Live(console=session.console(), refresh_per_second=8, vertical_overflow="crop") as live:
        while True:
            lines = _seen(client, environment, service)
            live.update(stack([*lines, "", "Ctrl-C ends watching; nothing else"], session.width))
            time.sleep(_PAUSE)


def _watch_plain(session: Session, client: "Client", environment: str, service: str | None) -> None:
    """Print a line for each service, whenever it changes."""
    from bleen.interfaces.cli.tree import summary_line

    told: dict[str, str] = {}
    while True:
        for build in _patiently(lambda: client.builds().builds) or ():
            line = f"building {build.name}: {build.running}"
            if build.environment == environment and service in (None, build.name) and told.get(f"build {build.name}") != line:
                told[f"build {build.name}"] = line
                session.say(f"{datetime.now(UTC):%H:%M:%S} {line}", " " * 9)
        for view in _patiently(lambda: _views(client, environment, service)) or ():
            line = summary_line(view)
            if told.get(view.service) != line:
                told[view.service] = line
                session.say(f"{view.at:%H:%M:%S} {line}", " " * 9)
        time.sleep(_PAUSE)


def _seen(client: "Client", environment: str, service: str | None) -> "list[Text | str]":
    lines = _patiently(
        lambda: [*_lines(_views(client, environment, service), environment), *_builds(client, environment, service)]
    )
    return ["the server does not answer; what runs goes on"] if lines is None else lines


def _patiently(ask: "Callable[[], T]") -> "T | None":
    """Return None while the server is silent: watching outlives its restarts."""
    from bleen.domain.errors import Transient

    try:
        return ask()
    except Transient:
        return None
