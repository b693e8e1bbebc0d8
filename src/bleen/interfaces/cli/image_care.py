"""Looking after images: what nothing needs any more, what other tools are given."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bleen.interfaces.cli.chosen import Chosen, choose, choose_digest
from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.keeping import Kept
    from bleen.interfaces.client import Client

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="The digest, or its first digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("remove", epilog=example("bleen image remove 3f2a91c04be7"))(remove_image)
    app.command("prune", epilog=example("bleen image prune --dry-run"))(prune_images)
    app.command("export", epilog=example("bleen image export 3f2a91c04be7 /tmp/hello"))(export_image)


def remove_image(ctx: Context, digest: Digest, json: Json = False) -> None:
    """Remove an image that nothing needs.

    Exit code 3, and the reason, where a fleet, a way back or another image needs it.
    """
    session: Session = ctx.obj
    with session.client() as client:
        chosen = choose_digest(client, digest).digest
        left = client.remove_image(chosen)
    if session.json:
        session.say_json({"removed": [chosen], "left": len(left.images)})
        return
    session.say(f"removed {_short(chosen)}; {len(left.images)} images are left")


def prune_images(
    ctx: Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and what keeps the others.")] = False,
    json: Json = False,
) -> None:
    """Remove every image that nothing needs.

    What a fleet runs, warm ones included, what one of the last ten releases of a service is made of, the newest of each
    name, and whatever these stand on, stays.
    """
    session: Session = ctx.obj
    with session.client() as client:
        found = client.image_uses().images
        free = [kept for kept in found if not kept.why]
        gone = [] if dry_run else _remove(client, free)
    if session.json:
        session.say_json({"free": [k.image.digest for k in free], "removed": gone, "kept": [k for k in found if k.why]})
        return
    for kept in found:
        if kept.why and dry_run:
            session.say(f"keep    {_short(kept.image.digest)}  {kept.image.name} {kept.image.version} {kept.why}")
    for kept in free:
        session.say(f"{'free  ' if dry_run else 'removed'} {_short(kept.image.digest)}  {kept.image.name} {kept.image.version}")
    if not free:
        session.say("nothing to remove: every image is needed")


def _remove(client: "Client", free: "list[Kept]") -> list[str]:
    """Remove applications before the bases that they stand on; return what went."""
    ordered = sorted(free, key=lambda kept: kept.image.base == "scratch")
    for kept in ordered:
        client.remove_image(kept.image.digest)
    return [kept.image.digest for kept in ordered]


def export_image(
    ctx: Context,
    image: Chosen,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An empty folder, or one that is not there yet.")],
    json: Json = False,
) -> None:
    """Write an image as an OCI image layout.

    Its base, its patches and the application are layers of their own. Other tools can read, push and run it.
    """
    from bleen.interfaces.cli.image import size

    session: Session = ctx.obj
    with session.client() as client:
        chosen = choose(client, image).digest
        done = client.export_image(chosen, str(folder.absolute()))
    if session.json:
        session.say_json(done)
        return
    session.say(f"{folder}:{done.reference} is {done.digest}: {', '.join(done.layers)}, {size(done.size)}")


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
