"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from bleen.interfaces.cli.session import Session


def _services(incomplete: str) -> list[str]:
    """Complete the name of a service from the repository around the working folder."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        files = sorted((folder / "applications").glob(f"{incomplete}*/service.yaml"))
        if files:
            return [file.parent.name for file in files]
    return []


def _json(ctx: typer.Context, value: bool) -> bool:
    session: Session = ctx.obj
    session.json = session.json or value
    return value


Context = typer.Context
Json = Annotated[bool, typer.Option("--json", callback=_json, help="Print one JSON object instead of text.")]
Environment = Annotated[
    str | None, typer.Option("--env", "-e", metavar="ENV", help="The environment; default: $BLEEN_ENVIRONMENT, or dev.")
]
ServiceName = Annotated[str, typer.Argument(metavar="SERVICE", help="The name of the service.", autocompletion=_services)]
AnyService = Annotated[
    str | None, typer.Argument(metavar="[SERVICE]", help="One service; default: all.", autocompletion=_services)
]
BreakGlass = Annotated[
    str,
    typer.Option(
        "--break-glass",
        metavar="REASON",
        help="In an emergency, without the approval by somebody else that the environment wants. Everybody hears of it.",
    ),
]
OverrideFreeze = Annotated[
    str,
    typer.Option(
        "--override-freeze",
        metavar="REASON",
        help="By an approver: in spite of a freeze, or outside the windows. Everybody hears of it.",
    ),
]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for the outcome.")]


def example(first: str, *more: str) -> str:
    """Return the end of a command's help; Click keeps the lines of a block that begins with ``\\b``."""
    return "\n".join(["\b", f"Example: {first}", *(f"         {line}" for line in more)])
