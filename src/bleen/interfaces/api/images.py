"""Images: built, listed, shown."""

import asyncio
from collections.abc import AsyncIterator

from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from bleen.domain.base import Stage
from bleen.domain.codec import encode
from bleen.domain.errors import BleenError
from bleen.interfaces.api.providers import Here, Providers
from bleen.interfaces.problem import problem_of
from bleen.interfaces.views import BuildLine, ImageBuilt, ImageFailed, ImageList, ImageView, StageEnded
from bleen.workflows.building import build_image
from bleen.workflows.messages import BuildRequest


@get("/v1/images")
async def list_images(providers: Here) -> ImageList:
    """Every image, newest first."""
    return ImageList(images=tuple(await providers.images.list()))


@get("/v1/images/{digest:str}")
async def show_image(providers: Here, digest: FromPath[str]) -> ImageView:
    """One image, its files, and the packages that it stands on."""
    asked = (providers.images.find(digest), providers.images.files(digest), providers.bases.packages(digest))
    image, files, packages = await asyncio.gather(*asked)
    return ImageView(image=image, files=tuple(files), packages=tuple(packages))


@post("/v1/image-builds", status_code=200, media_type="application/x-ndjson", sync_to_thread=False)
def build(providers: Here, data: JSONBody[BuildRequest]) -> Stream:
    """Build an image where it is not built yet: one JSON object for each stage, the image or the failure last."""
    return Stream(_lines(providers, data), media_type="application/x-ndjson")


async def _lines(providers: Providers, request: BuildRequest) -> AsyncIterator[bytes]:
    """Yield what the build tells. It ends with the connection: whoever asked no longer waits for it."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[BuildLine]()

    def tell(stage: Stage) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, StageEnded(stage))

    async def work() -> None:
        try:
            ended: BuildLine = ImageBuilt(await build_image(providers.images, providers.bases, request, tell))
        except BleenError as error:
            ended = ImageFailed(problem_of(error))
        loop.call_soon(lines.put_nowait, ended)

    building = asyncio.create_task(work())
    try:
        while True:
            line = await lines.get()
            yield encode(line) + b"\n"
            if not isinstance(line, StageEnded):
                return
    finally:
        building.cancel()


ROUTES = (list_images, show_image, build)
