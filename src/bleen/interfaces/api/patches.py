"""Patches: which published fixes run, and the renewal of bases that brings them."""

from litestar import get, post
from litestar.params import JSONBody

from bleen.domain.access import Role
from bleen.domain.errors import NotFound
from bleen.domain.ledger import Entry, Query, RenewalBegun
from bleen.domain.renewal import Asked
from bleen.domain.views import history
from bleen.interfaces.api.audit import line_of
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.images import running_releases
from bleen.interfaces.api.providers import Here, Providers
from bleen.interfaces.views import PatchList, PatchOrder, RenewalView, ServicePatches
from bleen.interfaces.words import outcome_words
from bleen.workflows.surveying import RENEWALS, ROLLOUTS

VIEW = {"needs": Role.VIEWER, "within": "any"}
PATCH = {"needs": Role.ADMIN, "within": "any"}
"""A base belongs to no environment: what stands on it in each of them follows."""


@get("/v1/image-status", opt=VIEW)
async def show_status(providers: Here) -> PatchList:
    """How old the patches of every service that runs are, and which published fixes it has not, asked now."""
    running = {(one.service, one.number): one for one in await running_releases(providers)}
    patching = {image: await providers.bases.patching(image) for image in {one.image for one in running.values()}}
    places = {(f.slot.environment, f.slot.service, f.release) for f in await providers.fleets.observe()}
    found = [
        ServicePatches(service, f"r{number}", one.image, patching[one.image], environment)
        for environment, service, number in sorted(places)
        if (one := running.get((service, number))) is not None
    ]
    return PatchList(services=tuple(found), at=providers.clock(), renewal=await _renewal(providers))


@get("/v1/image-patches", opt=VIEW)
async def show_patching(providers: Here) -> RenewalView:
    """What patching does, when it looks next, and what it did last."""
    return await _renewal(providers)


@post("/v1/image-patches", status_code=200, opt=PATCH)
async def patch_now(providers: Here, asker: Asker, data: JSONBody[PatchOrder]) -> RenewalView:
    """Renew bases now; what stands on them follows, environment by environment. 404 where nothing stands on such a base."""
    standing = await _standing(providers)
    if not standing or data.base not in ("", *standing):
        what = f"nothing that runs stands on {data.base or 'a base'}"
        raise NotFound(what, why=f"there is {', '.join(standing)}" if standing else "", next="bleen image status")
    await providers.control.renew(Asked(asker.signs(data.by), data.base), providers.patches)
    return await _renewal(providers)


async def _standing(providers: Providers) -> list[str]:
    """Return the names of the bases that something runs on."""
    images = [await providers.images.find(release.image) for release in await running_releases(providers)]
    bases = {image.base for image in images if image.base.startswith("sha256:")}
    return sorted({(await providers.images.find(base)).name for base in bases})


async def _renewal(providers: Providers) -> RenewalView:
    state = await providers.control.renewal()
    last = next(iter(await providers.ledger.read(Query(kinds=RENEWALS, newest=True, limit=1))), None)
    if last is None:
        return RenewalView(state)
    return RenewalView(state, line_of(last), await _outcome(providers, last))


async def _outcome(providers: Providers, begun: Entry) -> str:
    """Return what became of the rollout that ``begun`` tells of."""
    if not isinstance(begun.event, RenewalBegun):
        return ""
    query = Query(service=begun.service, environment=begun.environment, kinds=ROLLOUTS, after=begun.sequence)
    rollouts = history(await providers.ledger.read(query))
    mine = next((one for one in rollouts if one.target.number == begun.event.release), None)
    return outcome_words(mine.outcome) if mine and mine.outcome else ""


ROUTES = (show_status, show_patching, patch_now)
