"""The platform itself, and the images that it keeps."""

import asyncio

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody

from bleen.domain.inventory import BillFormat
from bleen.domain.ledger import Query
from bleen.domain.policy import judge
from bleen.domain.provenance import Provenance
from bleen.interfaces.api.providers import Here
from bleen.interfaces.views import ImageList, ImageView, PlatformView, ScanOrder, ScanView


@get("/healthz", media_type="text/plain", sync_to_thread=False)
def healthz() -> str:
    """``ok`` while the process lives. Needs no token."""
    return "ok"


@get("/readyz", media_type="text/plain")
async def readyz(providers: Here) -> str:
    """``ready`` when the ledger and the engine answer; 503 says which one does not. Needs no token."""
    await asyncio.gather(providers.ledger.read(Query(limit=1)), providers.control.active())
    return "ready"


@get("/v1/platform")
async def show_platform(providers: Here) -> PlatformView:
    """The platform and its parts."""
    return await providers.platform()


@get("/v1/images")
async def list_images(providers: Here) -> ImageList:
    """Every image, newest first."""
    return ImageList(images=tuple(await providers.images.list()))


@get("/v1/images/{digest:str}")
async def show_image(providers: Here, digest: FromPath[str]) -> ImageView:
    """One image and its files."""
    image, files = await asyncio.gather(providers.images.find(digest), providers.images.files(digest))
    return ImageView(image=image, files=tuple(files))


@get("/v1/images/{digest:str}/provenance")
async def verify_image(providers: Here, digest: FromPath[str]) -> Provenance:
    """Read every byte of an image, check who signed it, and return what is signed."""
    return await providers.images.verify(digest)


@get("/v1/images/{digest:str}/bill", media_type="application/json")
async def show_bill(providers: Here, digest: FromPath[str], form: FromQuery[BillFormat] = BillFormat.CYCLONEDX) -> str:
    """The bill of materials of an image and its base: CycloneDX 1.6 or SPDX 2.3."""
    return await providers.scanner.bill(digest, form)


@post("/v1/images/{digest:str}/scan", status_code=200)
async def scan_image(providers: Here, digest: FromPath[str], data: JSONBody[ScanOrder]) -> ScanView:
    """What is wrong with an image, what nobody could look at, and what a policy says of it."""
    image, scan = await asyncio.gather(providers.images.find(digest), providers.scanner.scan(digest))
    judgement = judge(scan.findings, data.policy, data.environment, providers.clock().date())
    return ScanView(image=image, scan=scan, judgement=judgement)


ROUTES = (healthz, readyz, show_platform, list_images, show_image, verify_image, show_bill, scan_image)
