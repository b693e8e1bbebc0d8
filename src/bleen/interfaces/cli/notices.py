"""Notices: whether those who are to hear of them can be reached."""

import typer

from bleen.interfaces.cli.options import Context, Environment, Json, example
from bleen.interfaces.cli.session import Session

app = typer.Typer(
    help="Notices: who hears of what happens.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("bleen notices test --env production"),
)


@app.callback()
def _group() -> None:
    """Keep the name of the one command that there is."""


@app.command(epilog=example("bleen notices test", "bleen notices test --env production"))
def test(ctx: Context, env: Environment = None, json: Json = False) -> None:
    """Tell each channel that hears of an environment something now, and say which of them took it.

    Its level is critical, so that everybody hears of it; the channels are those that the controller has read. It takes the role
    admin there, and ends with 3 where somebody cannot be reached.
    """
    from bleen.interfaces.views import TrialOrder

    session: Session = ctx.obj
    with session.client() as client:
        found = client.try_notices(session.environment(env), TrialOrder(session.person))
    if session.json:
        session.say_json(found)
    elif not found.channels:
        session.say(f"nobody hears of {found.environment}: there is no channel (BLEEN_CHANNELS), and no BLEEN_NOTIFY")
    for heard in () if session.json else found.channels:
        session.say(f"{heard.channel}: {'took it' if not heard.why else f'did not take it: {heard.why}'}", "  ")
    raise typer.Exit(3 if any(heard.why for heard in found.channels) else 0)
