"""The `bleen` command: its groups, and how a run of it ends."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bleen import __version__
from bleen.domain.errors import BleenError, InvalidInput
from bleen.interfaces.cli import (
    audit,
    azure,
    deploy,
    fleet,
    freeze,
    image,
    login,
    machine,
    notices,
    past,
    remove,
    repository,
    status,
    steer,
    token,
    trust,
)
from bleen.interfaces.cli.failure import tell
from bleen.interfaces.cli.session import DETACHED, Session
from bleen.interfaces.platform import Platform

# Typer carries its own copy of Click and does not name this class.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="bleen",
    help="Blue-green and canary deployments for fleets of machines: no dropped request, rollback in milliseconds.",
    epilog="Example: bleen demo",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for group in (machine, login, repository, status, deploy, steer, remove, freeze, past, fleet):
    group.register(app)
trust.register(image.app)
app.add_typer(image.app, name="image")
app.add_typer(audit.app, name="audit")
app.add_typer(token.app, name="token")
app.add_typer(notices.app, name="notices")
app.add_typer(azure.app, name="azure")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"bleen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Blue-green and canary deployments for fleets of machines: no dropped request, rollback in milliseconds."""


def run(platform: Platform, arguments: Sequence[str] | None = None) -> int:
    """Run what was typed; return the exit code: 0 done, 1 rolled back, 2 wrong usage, 3 the platform could not."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    session = Session(platform, json="--json" in typed)
    try:
        code = typer.main.get_command(app).main(args=typed, prog_name="bleen", standalone_mode=False, obj=session)
    except BleenError as error:
        return tell(session, error)
    except _UsageError as error:
        return _usage(session, error, typed)
    except (KeyboardInterrupt, typer.Abort):
        return DETACHED
    except BrokenPipeError:  # the reader has seen enough: `bleen logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return tell(session, _bug(error))
    return code if isinstance(code, int) else 0


def _bug(error: Exception) -> BleenError:
    """Return ``error``, which is a mistake of ours, with the place where it happened. Exit code 1 has another meaning."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    why = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
    return BleenError("bleen itself failed", why=why, next="please report it, with what you typed")


def _usage(session: Session, error: Exception, typed: list[str]) -> int:
    what = error.format_message() if hasattr(error, "format_message") else str(error)
    ctx = getattr(error, "ctx", None)
    if not typed or type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(what)
        return 2
    path = ctx.command_path if ctx else "bleen"
    return tell(session, InvalidInput(what.rstrip("."), next=f"{path} --help"))
