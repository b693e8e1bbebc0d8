"""Signing in with the issuer that a server believes: login, logout."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import InvalidInput, NothingToDo
from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.interfaces.admission import LoginStarted
    from bleen.interfaces.client import Client
    from bleen.interfaces.views import NewToken

Address = Annotated[
    str, typer.Argument(metavar="[ADDRESS]", help="The server; default: $BLEEN_SERVER, or the platform of $BLEEN_HOME.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen login https://bleen.example.org"))(login)
    app.command(epilog=example("bleen logout https://bleen.example.org"))(logout)


def login(ctx: Context, address: Address = "", json: Json = False) -> None:
    """Sign in with your organisation's account.

    Prints a link and a code; confirm the code in any browser. The token that comes of it is kept in ~/.config/bleen, for
    commands with this server in BLEEN_SERVER and no BLEEN_TOKEN.
    """
    from bleen.interfaces.logins import keep_token

    session: Session = ctx.obj
    server = _address(session, address)
    with _anonymous(server) as client:
        started = client.start_login()
        _ask(session, started)
        made = _wait(client, started)
    keep_token(server, made.secret)
    if session.json:
        session.say_json({"server": server, "token": made.token})
        return
    from bleen.domain.access import grants_words

    token = made.token
    session.say(f"signed in as {token.name}: {grants_words(token.grants)}, until {token.expires.astimezone():%Y-%m-%d %H:%M}")


def logout(ctx: Context, address: Address = "", json: Json = False) -> None:
    """End what `bleen login` began: the token counts no longer, and is forgotten here."""
    from bleen.interfaces.client import Client
    from bleen.interfaces.logins import keep_token, kept_token
    from bleen.interfaces.platform import Server

    session: Session = ctx.obj
    server = _address(session, address)
    token = kept_token(server)
    if not token:
        raise NothingToDo(f"nobody is signed in to {server} here", next="bleen login")
    try:
        with Client(Server(server, token)) as client:
            client.end_token()
    except InvalidInput:  # it counted no longer anyway
        pass
    keep_token(server, "")
    if session.json:
        session.say_json({"server": server})
    else:
        session.say(f"signed out of {server}")


def _address(session: Session, asked: str) -> str:
    return (asked or session.settings.server or session.platform.server().address).rstrip("/")


def _anonymous(server: str) -> "Client":
    from bleen.interfaces.client import Client
    from bleen.interfaces.platform import Server

    return Client(Server(server, ""))


def _ask(session: Session, started: "LoginStarted") -> None:
    """Say what to do on the standard error, so that ``--json`` stays JSON."""
    lines = (f"open {started.url}", f"and confirm the code {started.code}, if it is the one shown there")
    typer.echo("\n".join(lines), err=session.json)


def _wait(client: "Client", started: "LoginStarted") -> "NewToken":
    from datetime import UTC, datetime

    from bleen.interfaces.admission import LoginDone

    while datetime.now(UTC) < started.expires:
        time.sleep(started.every)
        told = client.claim_login(started.secret)
        if isinstance(told, LoginDone):
            return told.made
    raise InvalidInput("nobody confirmed the code in time", next="bleen login")
