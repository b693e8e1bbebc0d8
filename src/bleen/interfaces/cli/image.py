"""Images: what releases are made of."""

import typer

from bleen.interfaces.cli import image_build, image_care, image_packer, image_patches
from bleen.interfaces.cli.chosen import Chosen, choose
from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session

app = typer.Typer(
    help="Images: what releases are made of.", no_args_is_help=True, rich_markup_mode=None, epilog=example("bleen image list")
)


image_build.register(app)
image_care.register(app)
image_patches.register(app)
image_packer.register(app)


@app.command("list", epilog=example("bleen image list"))
def list_images(ctx: Context, json: Json = False) -> None:
    """List every image, newest first."""
    session: Session = ctx.obj
    with session.client() as client:
        found = client.images()
    if session.json:
        session.say_json(found)
        return
    rows = [
        (i.name, i.version or "-", _short(i.digest), _short(i.base), f"{i.files:,}", size(i.size), i.created[:16])
        for i in found.images
    ]
    session.table(("NAME", "VERSION", "DIGEST", "BASE", "FILES", "SIZE", "CREATED"), rows)


@app.command("show", epilog=example("bleen image show hello", "bleen image show 3f2a91c04be7"))
def show_image(
    ctx: Context,
    image: Chosen,
    json: Json = False,
) -> None:
    """Show one image: the packages that it stands on, and its files."""
    session: Session = ctx.obj
    with session.client() as client:
        view = client.image(choose(client, image).digest)
    if session.json:
        session.say_json(view)
        return
    found = view.image
    session.say(
        f"{found.name} {found.version}  {size(found.size)} in {found.files:,} files  base {_short(found.base)} {found.runtime}"
    )
    session.say(found.digest)
    for package in view.packages:
        session.out.write(f"{package.name} {package.version}  {package.suite}\n")
    for file in view.files:
        session.out.write(f"{file.size:>12,}  {'x' if file.executable else ' '} {file.path}{_link(file.link)}\n")


def _link(target: str) -> str:
    return f" -> {target}" if target else ""


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def size(count: int) -> str:
    """Return bytes as people read them."""
    number = float(count)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
