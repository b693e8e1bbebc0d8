"""Which images must stay: what runs, what could be gone back to, what others stand on, and what was built last."""

from collections.abc import Collection, Mapping, Sequence

from bleen.domain.base import SCRATCH
from bleen.domain.codec import Value
from bleen.domain.image import Digest, Image
from bleen.domain.release import Release

WINDOW = 10
"""So many of the newest releases of a service can be gone back to: three times the default of `rollback_window`."""


class Kept(Value, frozen=True):
    """An image, and why it stays."""

    image: Image
    why: str
    """Empty where nothing needs it."""


def keeping(
    images: Sequence[Image],
    releases: Mapping[str, Sequence[Release]],
    running: Mapping[Digest, str],
    gone: Collection[str] = (),
) -> tuple[Kept, ...]:
    """Return every image with the reason that keeps it, first found first.

    ``releases`` are those of each service, newest first; ``running`` says which fleet runs an image, warm ones included.
    ``gone`` are services that were removed from every environment: nobody goes back to a release of theirs. The newest image
    stays all the same: it may be what is about to be deployed.
    """
    reasons: dict[Digest, str] = {digest: f"runs as {fleet}" for digest, fleet in running.items()}
    for service, made in releases.items():
        for release in made[:WINDOW] if service not in gone else ():
            reasons.setdefault(release.image, f"{service} can go back to {release.name}")
    newest: dict[tuple[str, bool], Image] = {}
    for image in sorted(images, key=lambda one: (one.created, one.digest)):
        newest[image.name, image.base == SCRATCH] = image
    for image in newest.values():
        reasons.setdefault(image.digest, f"is the newest image of {image.name}")
    for image in images:
        if image.digest in reasons and image.base not in reasons:
            reasons[image.base] = f"is the base of {image.name} {image.version}"
    return tuple(Kept(image, reasons.get(image.digest, "")) for image in images)
