"""From a source to an image: the base that it stands on first, then itself. Shared by deployments, dry runs and builds."""

import time
from pathlib import Path

from bleen.domain.base import HOST, BaseOrder, Stage, WithoutMirror
from bleen.domain.errors import NotFound, Unreachable
from bleen.domain.image import Image
from bleen.ports import Bases, Images, Tell
from bleen.workflows.messages import BuildRequest


def deaf(_: Stage) -> None:
    """Hear nothing."""


async def build_image(images: Images, bases: Bases, wanted: BuildRequest, tell: Tell = deaf) -> Image:
    """Return the image, built only where it is not there yet. What is wrong is raised as by the ports."""
    if wanted.source is None:
        assert wanted.base is not None, "a build is of an application, of a base, or of both"
        return await bases.build(wanted.base, tell)
    base = await _base(bases, wanted.base, tell) if wanted.base else HOST
    began = time.perf_counter()
    image = await images.build(wanted.name, wanted.source, Path(wanted.folder), base)
    detail = f"{image.name} {image.version}: {image.files:,} files, {image.size / 1e6:.1f} MB: {image.digest[:19]}"
    tell(Stage("application", detail, round(time.perf_counter() - began, 3)))
    return image


async def _base(bases: Bases, order: BaseOrder, tell: Tell) -> str:
    """Return the digest of the base; ``host`` where no mirror answers and the recipe allows it, never otherwise."""
    try:
        return (await bases.build(order, tell)).digest
    except (Unreachable, NotFound) as error:
        if order.recipe.without_mirror is not WithoutMirror.HOST:
            raise
        tell(Stage("base", f"host-based, because there is no mirror: {error.what}. {HOST_BASED}"))
        return HOST


HOST_BASED = "It runs on this machine's own interpreter and libraries, which nobody pinned, patched or hardened"
"""What an image without a base lacks, for whoever reads of it."""
