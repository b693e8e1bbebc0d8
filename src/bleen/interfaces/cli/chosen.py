"""Which image is meant: by its name, or by the first digits of its digest."""

from typing import TYPE_CHECKING, Annotated

import typer

from bleen.domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from bleen.domain.image import Image
    from bleen.interfaces.client import Client

WORDS = "The name of an image (its newest one), or the first digits of its digest."
Chosen = Annotated[str, typer.Argument(metavar="NAME|DIGEST", help=WORDS)]


def choose(client: "Client", text: str) -> "Image":
    """Return the newest image of that name, or the one whose digest begins so; NotFound, InvalidInput where several do."""
    named = [image for image in client.images().images if image.name == text]
    return named[0] if named else choose_digest(client, text)


def choose_digest(client: "Client", text: str) -> "Image":
    """Return the image whose digest begins so; NotFound, or InvalidInput where several do."""
    digits = text.removeprefix("sha256:")
    found = [image for image in client.images().images if image.digest.removeprefix("sha256:").startswith(digits)]
    if not found:
        raise NotFound(f"there is no image {text}", next="bleen image list")
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} images begin with {text}", next="write more of the digest")
    return found[0]
