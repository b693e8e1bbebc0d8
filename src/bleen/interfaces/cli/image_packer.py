"""Recipes as images of machines: rendered for Packer."""

from pathlib import Path
from typing import Annotated

import typer

from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("packer", epilog=example("bleen image packer debian-python machines/debian-python"))(render)


def render(
    ctx: Context,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe of infrastructure/images/.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the template and its scripts are written.")],
    replace: Annotated[bool, typer.Option("--replace", help="Write over files that are others.")] = False,
    json: Json = False,
) -> None:
    """Write a recipe as a Packer template for Azure.

    A machine of Debian's with the base of the recipe in it, by its lock, put into a Compute Gallery. Its scripts do what the
    builder of `bleen image build` does. Nothing is built, and nobody is asked.
    """
    from bleen.domain.errors import InvalidInput
    from bleen.interfaces.repository import find_recipe, find_repository
    from bleen.interfaces.repository.machine import render_machine, write_machine
    from bleen.providers.local.images.bases import read_lock

    session: Session = ctx.obj
    loaded = find_recipe(find_repository(Path.cwd()), recipe)
    order = loaded.order()
    lock = loaded.path.parent / order.lock_name
    if not lock.is_file():
        raise InvalidInput(
            f"{recipe} has no lock yet", why=f"there is no {lock}", next=f"bleen image build {recipe}", where=str(loaded.path)
        )
    written = write_machine(folder, render_machine(loaded.recipe, read_lock(lock, order)), replace=replace)
    if session.json:
        session.say_json({"folder": str(folder), "files": [str(path) for path in written]})
        return
    for path in written:
        session.say(f"wrote {path}")
    session.say(f"next: packer init {folder}; packer validate -var-file={folder}/example.pkrvars.hcl {folder}")
