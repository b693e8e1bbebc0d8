"""Images: built, listed, shown, verified, scanned, exported, removed."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from litestar import delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream
from msgspec import structs

from bleen.domain.access import Role
from bleen.domain.base import Exported, Stage
from bleen.domain.codec import encode
from bleen.domain.errors import BleenError, Conflict, NotFound
from bleen.domain.finding import together
from bleen.domain.image import Digest
from bleen.domain.inventory import BillFormat
from bleen.domain.keeping import Kept, keeping
from bleen.domain.ledger import Entry, Query
from bleen.domain.policy import Gated, Policy, judge, policy_of
from bleen.domain.provenance import Provenance
from bleen.domain.release import Release
from bleen.domain.views import removed
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.providers import Here, Providers
from bleen.interfaces.problem import problem_of
from bleen.interfaces.views import (
    BuildLine,
    BuildList,
    ExportOrder,
    ImageBuilt,
    ImageFailed,
    ImageList,
    ImageUses,
    ImageView,
    ScanOrder,
    ScanView,
    StageEnded,
)
from bleen.workflows.messages import BuildRequest

log = logging.getLogger("bleen.api")
VIEW = {"needs": Role.VIEWER, "within": "any"}
BUILD = {"needs": Role.DEPLOYER, "within": "body"}
KEEP = {"needs": Role.ADMIN, "within": "any"}
"""Images belong to no environment: what one no longer needs may be another's way back."""
_MANY = 10_000


@get("/v1/images", opt=VIEW)
async def list_images(providers: Here) -> ImageList:
    """Every image, newest first."""
    return ImageList(images=tuple(await providers.images.list()))


@get("/v1/images/{digest:str}", opt=VIEW)
async def show_image(providers: Here, digest: FromPath[str]) -> ImageView:
    """One image, its files, and the packages that it stands on."""
    asked = (providers.images.find(digest), providers.images.files(digest), providers.bases.packages(digest))
    image, files, packages = await asyncio.gather(*asked)
    return ImageView(image=image, files=tuple(files), packages=tuple(packages))


@get("/v1/images/{digest:str}/provenance", opt=VIEW)
async def verify_image(providers: Here, digest: FromPath[str]) -> Provenance:
    """Read every byte of an image, check who signed it, and return what is signed."""
    return await providers.images.verify(digest)


@get("/v1/images/{digest:str}/bill", opt=VIEW, media_type="application/json")
async def show_bill(providers: Here, digest: FromPath[str], form: FromQuery[BillFormat] = BillFormat.CYCLONEDX) -> str:
    """The bill of materials of an image and its base: CycloneDX 1.6 or SPDX 2.3."""
    return await providers.scanner.bill(digest, form)


@post("/v1/images/{digest:str}/scan", status_code=200, opt=VIEW)
async def scan_image(providers: Here, asker: Asker, digest: FromPath[str], data: JSONBody[ScanOrder]) -> ScanView:
    """What is wrong with an image, or a candidate, what nobody could look at, and what a policy says of it."""
    if data.policy is None:  # who answers for what is told by that environment's own ledger
        asker.check(Role.VIEWER, data.environment)
    asked = (providers.scanner.scan(digest), providers.scanner.comply(digest))
    image, scan, rules = await asyncio.gather(providers.builder.find(digest), *asked)
    scan = together(scan, rules)
    policy = data.policy or await _last_policy(providers, digest, data.environment)
    judgement = judge(scan.findings, policy, data.environment, providers.clock().date())
    return ScanView(image=image, scan=scan, judgement=judgement)


async def _last_policy(providers: Providers, digest: Digest, environment: str) -> Policy:
    """Return what a release of the image was last judged by; the default where there was none."""
    judged = await providers.ledger.read(Query(environment=environment, kinds=("gated",), limit=_MANY, newest=True))
    return next((policy_of(e.event) for e in judged if isinstance(e.event, Gated) and e.event.image == digest), Policy())


@post("/v1/image-builds", status_code=200, opt=BUILD, media_type="application/x-ndjson", sync_to_thread=False)
def build(providers: Here, asker: Asker, data: JSONBody[BuildRequest]) -> Stream:
    """Build an image where it is not built yet: one JSON object for each stage, the image or the failure last."""
    asker.check(Role.DEPLOYER, data.environment)
    signed = structs.replace(data, by=asker.signs(data.by), image=None, hosts=(), deploys=False)
    return Stream(_lines(providers, signed), media_type="application/x-ndjson")


async def _lines(providers: Providers, request: BuildRequest) -> AsyncIterator[bytes]:
    """Yield what the build tells. It goes on without whoever asked, and is joined by who asks again."""
    lines = asyncio.Queue[BuildLine]()

    def tell(stage: Stage) -> None:
        lines.put_nowait(StageEnded(stage))

    async def work() -> None:
        try:
            ended: BuildLine = ImageBuilt(await providers.control.build(request, tell))
        except BleenError as error:
            ended = ImageFailed(problem_of(error))
        except Exception as error:  # a defect must end the stream, too: whoever asked waits for its last line
            log.exception("the build of %s failed", request.name)
            ended = ImageFailed(problem_of(BleenError("the build failed", why=repr(error), next="bleen doctor")))
        lines.put_nowait(ended)

    building = asyncio.create_task(work())
    try:
        while True:
            line = await lines.get()
            yield encode(line) + b"\n"
            if not isinstance(line, StageEnded):
                return
    finally:
        building.cancel()


@get("/v1/image-builds", opt=VIEW)
async def list_builds(providers: Here, asker: Asker) -> BuildList:
    """Every build under way, those of deployments included, in environments that the token may see."""
    every = await providers.control.builds()
    return BuildList(builds=tuple(one for one in every if asker.may(Role.VIEWER, one.environment)))


@get("/v1/image-uses", opt=VIEW)
async def list_uses(providers: Here) -> ImageUses:
    """Every image with what keeps it: a fleet, a way back, another image; nothing keeps what may be removed."""
    return ImageUses(images=await uses(providers))


@delete("/v1/images/{digest:str}", status_code=200, opt=KEEP)
async def remove_image(providers: Here, digest: FromPath[str]) -> ImageUses:
    """Remove an image that nothing needs; 409 says what needs it. Returns those that are left."""
    kept = next((kept for kept in await uses(providers) if kept.image.digest == digest), None)
    if kept is None:
        raise NotFound(f"there is no image {digest}", next="bleen image list shows the images there are")
    if kept.why:
        raise Conflict(
            f"{kept.image.name} {kept.image.version} is needed",
            why=f"it {kept.why}",
            next="bleen image prune removes what nothing needs",
        )
    await providers.images.remove(digest)
    return ImageUses(images=await uses(providers))


@post("/v1/images/{digest:str}/export", status_code=200, opt=KEEP)
async def export_image(providers: Here, digest: FromPath[str], data: JSONBody[ExportOrder]) -> Exported:
    """Write an image and its base as an OCI image layout into a folder of the controller's machine."""
    return await providers.export(digest, Path(data.folder))


async def uses(providers: Providers) -> tuple[Kept, ...]:
    """Return every image with what keeps it."""
    releases = await _releases(providers)
    running = {release.image: f"{release.service} {release.name}" for release in await running_releases(providers)}
    return keeping(await providers.images.list(), releases, running, await _gone(providers))


async def running_releases(providers: Providers) -> list[Release]:
    """Return the release of every fleet that is there, warm and leaving ones included."""
    names = {(fleet.slot.service, fleet.release) for fleet in await providers.fleets.observe()}
    return [await providers.ledger.release(service, number) for service, number in sorted(names)]


async def _gone(providers: Providers) -> set[str]:
    """Return the services that were removed from every environment that had them."""
    gone = {entry.service for entry in await providers.ledger.read(Query(kinds=("service-removed",), limit=_MANY, newest=True))}
    for service in list(gone):
        past = defaultdict[str, list[Entry]](list)
        kinds = ("rollout-started", "service-removed")
        for entry in await providers.ledger.read(Query(service=service, kinds=kinds, limit=_MANY, newest=True)):
            past[entry.environment].append(entry)
        if not all(map(removed, past.values())):
            gone.discard(service)
    return gone


async def _releases(providers: Providers) -> dict[str, Sequence[Release]]:
    """Return the releases of every service that ever had one, newest first."""
    services, after = set[str](), 0
    while entries := await providers.ledger.read(Query(kinds=("release-made",), after=after)):
        services |= {entry.service for entry in entries}
        after = entries[-1].sequence
    return {service: await providers.ledger.releases(service) for service in services}


ROUTES = (
    list_images,
    show_image,
    verify_image,
    show_bill,
    scan_image,
    build,
    list_builds,
    list_uses,
    remove_image,
    export_image,
)
