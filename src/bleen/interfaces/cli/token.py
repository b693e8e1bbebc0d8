"""Tokens: who may do what, where, and until when."""

from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import InvalidInput
from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.duration import Duration
    from bleen.interfaces.views import TokenOrder

app = typer.Typer(
    help="Tokens: who may do what, where, and until when.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("bleen token create ada --grant dev=deployer"),
)


@app.command(
    epilog=example(
        "bleen token create ada --grant dev=deployer --grant production=viewer",
        "bleen token create pipeline --grant '*=deployer' --expires 30d",
    )
)
def create(
    ctx: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom it speaks for: what the ledger will say.")],
    grant: Annotated[
        list[str],
        typer.Option("--grant", metavar="ENV=ROLE", help="viewer, deployer, approver or admin there; * is everywhere."),
    ],
    expires: Annotated[str, typer.Option("--expires", metavar="TIME", help="How long it counts, at most a year.")] = "90d",
    json: Json = False,
) -> None:
    """Make a token, and print its secret: this once, and never again.

    The ledger keeps a hash of it.
    """
    session: Session = ctx.obj
    with session.client() as client:
        made = client.make_token(_order(name, grant, expires, session.person))
    if session.json:
        session.say_json(made)
        return
    from bleen.domain.access import grants_words

    session.out.write(f"{made.secret}\n")
    token = made.token
    session.say(f"token {token.id} of {token.name}: {grants_words(token.grants)}, until {token.expires.astimezone():%Y-%m-%d}")
    session.say("it is not shown again; it is used as BLEEN_TOKEN, with BLEEN_SERVER")


@app.command("list", epilog=example("bleen token list"))
def list_tokens(ctx: Context, json: Json = False) -> None:
    """List tokens, newest first; their secrets are nowhere."""
    from bleen.domain.access import grants_words

    session: Session = ctx.obj
    with session.client() as client:
        found = client.tokens()
    if session.json:
        session.say_json(found)
        return
    rows = [(t.id, t.name, t.state, f"{t.expires.astimezone():%Y-%m-%d}", t.by, grants_words(t.grants)) for t in found.tokens]
    session.table(("ID", "NAME", "STATE", "EXPIRES", "MADE BY", "ROLES"), rows)


@app.command(epilog=example("bleen token revoke 3f2a91c0"))
def revoke(
    ctx: Context,
    token: Annotated[str, typer.Argument(metavar="ID", help="The id, as bleen token list has it.")],
    json: Json = False,
) -> None:
    """Let a token count no longer, from this moment on."""
    session: Session = ctx.obj
    with session.client() as client:
        client.revoke_token(token, session.person)
    if session.json:
        session.say_json({"revoked": token})
    else:
        session.say(f"token {token} counts no longer")


def _order(name: str, grants: list[str], expires: str, by: str) -> "TokenOrder":
    from msgspec import ValidationError

    from bleen.domain.codec import convert
    from bleen.interfaces.views import TokenOrder

    plain = {"name": name, "grants": dict(map(_grant, grants)), "by": by, "lasts": str(_lasting(expires))}
    try:
        order: TokenOrder = convert(plain, TokenOrder)
    except ValidationError as error:
        next = "write for example: bleen token create ada --grant dev=deployer"
        raise InvalidInput("there can be no such token", why=str(error), next=next) from error
    return order


def _grant(text: str) -> tuple[str, str]:
    where, equals, role = text.partition("=")
    if not equals:
        raise InvalidInput(f"{text!r} grants nothing", why="it names no role", next=f"write for example --grant {text}=viewer")
    return where, role


def _lasting(text: str) -> "Duration":
    from bleen.domain.duration import Duration

    try:
        return Duration.parse(text)
    except ValueError as error:
        raise InvalidInput(str(error), next="write for example --expires 90d") from error
