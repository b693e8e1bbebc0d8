"""The files that people write: init, validate, schema."""

from pathlib import Path
from typing import Annotated

import typer

from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command(epilog=example("bleen init shop", "bleen init shop --azure"))(init)
    app.command(epilog=example("bleen validate", "bleen validate applications/hello/service.yaml"))(validate)
    app.command(epilog=example("bleen schema service > service.json", "bleen schema policy > policy.json"))(schema)


def init(
    ctx: Context,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; default: here.")] = Path(),
    azure: Annotated[bool, typer.Option("--azure", help="With Terraform and Packer for Azure, under infrastructure/.")] = False,
    json: Json = False,
) -> None:
    """Write a small GitOps repository that works.

    Nothing that is there is overwritten.
    """
    from bleen.interfaces.repository import init as write

    session: Session = ctx.obj
    written = [str(path) for path in write(folder, azure)]
    if session.json:
        session.say_json({"folder": str(folder.absolute()), "files": written})
        return
    for path in written:
        session.say(f"wrote {path}")
    enter = "" if folder == Path() else f"cd {folder}; "
    session.say(f"next: {enter}bleen up; bleen deploy hello")


def validate(
    ctx: Context,
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A file or a folder; default: here.")] = Path(),
    json: Json = False,
) -> None:
    """Say what is wrong with service files.

    File, line, what, why, and what to write instead. Exit code 2 if anything is wrong.
    """
    from bleen.interfaces.repository import Severity, render, validate_path

    session: Session = ctx.obj
    problems = validate_path(path)
    wrong = sum(p.severity is Severity.ERROR for p in problems)
    if session.json:
        session.say_json({"ok": not wrong, "problems": problems})
    else:
        for problem in problems:
            session.out.write(render(problem, Path.cwd()) + "\n")
        session.say("every file is good" if not problems else f"{wrong} to mend, {len(problems) - wrong} warnings")
    raise typer.Exit(2 if wrong else 0)


def schema(
    ctx: Context,
    kind: Annotated[
        str, typer.Argument(metavar="[KIND]", help="Which file: service, image, policy, calendars, channels, or access.")
    ] = "service",
    json: Json = False,
) -> None:
    """Print the JSON Schema of a kind of file."""
    from bleen.domain.errors import InvalidInput
    from bleen.interfaces.repository.schema import KINDS
    from bleen.interfaces.repository.schema import schema as schema_of

    session: Session = ctx.obj
    if kind not in KINDS:
        raise InvalidInput(f"there is no schema of {kind!r}", why=f"there is {', '.join(KINDS)}", next="bleen schema service")
    session.say_json(schema_of(kind))
