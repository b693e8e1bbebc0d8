"""Building images and comparing them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bleen.interfaces.cli.chosen import WORDS, choose
from bleen.interfaces.cli.options import Context, Json, example
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.base import Stage
    from bleen.domain.difference import Contents, Difference
    from bleen.domain.image import Image
    from bleen.interfaces.client import Client
    from bleen.workflows.messages import BuildRequest


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("build", epilog=example("bleen image build debian-python", "bleen image build hello"))(build_image)
    app.command("diff", epilog=example("bleen image diff 3f2a91c04be7 90bb12a7c1d0"))(diff_images)


def build_image(
    ctx: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A recipe of infrastructure/images/, or a service.")],
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Make the lock of the recipe anew, with the newest packages and fixes.")
    ] = False,
    json: Json = False,
) -> None:
    """Build a base image, or the image of a service with its base, and publish it where the policy lets it through.

    Nothing is deployed. What was built before from the same inputs is not built again, stage by stage. Ctrl-C ends
    watching: the build goes on, and asking again joins it.
    """
    from bleen.domain.base import Stage
    from bleen.interfaces.cli.stages import stage_line

    session: Session = ctx.obj
    request = _request(session, name, upgrade)
    stages: list[Stage] = []
    with session.client() as client:
        for told in client.build_image(request):
            if not isinstance(told, Stage):
                _say_built(session, told, stages)
                return
            stages.append(told)
            if not session.json:
                session.say(stage_line(told), " " * 20)


def _request(session: Session, name: str, upgrade: bool) -> "BuildRequest":
    from pathlib import Path

    from msgspec import structs

    from bleen.interfaces.repository import find_recipe, find_repository, find_service, policy_around
    from bleen.interfaces.repository.recipes import recipes
    from bleen.workflows.messages import BuildRequest

    root = find_repository(Path.cwd())
    gate: Any = {"environment": session.environment(None), "policy": policy_around(root), "by": session.person}
    if name in [path.stem for path in recipes(root)]:
        loaded = find_recipe(root, name)
        return BuildRequest(name=name, folder=str(loaded.path.parent), base=loaded.order(upgrade=upgrade), **gate)
    service = find_service(root, name)
    base = structs.replace(service.base, upgrade=upgrade) if service.base else None
    return BuildRequest(name=name, folder=str(service.folder), source=service.service.image, base=base, **gate)


def _say_built(session: Session, image: "Image", stages: "list[Stage]") -> None:
    if session.json:
        session.say_json({"image": image, "stages": stages})
        return
    stands = "" if image.base == "scratch" else f" on {_short(image.base)}"
    session.say(f"{image.name} {image.version} is {_short(image.digest)}{stands}")


def diff_images(
    ctx: Context,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help=WORDS)],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Another one.")],
    json: Json = False,
) -> None:
    """Show what differs between two images.

    Packages that were added, removed or changed, files, and how much a machine that has the first must be given.
    """
    from bleen.domain.difference import difference

    session: Session = ctx.obj
    with session.client() as client:
        found = difference(_contents(client, before), _contents(client, after))
    if session.json:
        session.say_json(found)
        return
    _say_difference(session, found)


def _contents(client: "Client", chosen: str) -> "Contents":
    """Return what is in an image and in the base that it stands on."""
    from bleen.domain.difference import Contents

    view = client.image(choose(client, chosen).digest)
    below = client.image(view.image.base).files if view.image.base.startswith("sha256:") else ()
    return Contents(files=(*below, *view.files), packages=view.packages)


def _say_difference(session: Session, found: "Difference") -> None:
    from bleen.interfaces.cli.image import size

    if found.empty:
        session.say("nothing differs")
        return
    for package in found.added:
        session.say(f"+ {package.name} {package.version}")
    for package in found.removed:
        session.say(f"- {package.name} {package.version}")
    for changed in found.changed:
        session.say(f"  {changed.name} {changed.before} -> {changed.after}")
    counts = (len(found.files_added), len(found.files_removed), len(found.files_changed))
    session.say("files: {:,} added, {:,} removed, {:,} changed".format(*counts))
    session.say(f"size: {size(found.size_before)} -> {size(found.size_after)}; {size(found.moved)} to move")


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
