"""The platform itself."""

import asyncio

from litestar import get

from bleen.domain.access import Role
from bleen.domain.ledger import Query
from bleen.interfaces.api.providers import Here
from bleen.interfaces.views import PlatformView

ANYWHERE = {"needs": Role.VIEWER, "within": "any"}


@get("/healthz", media_type="text/plain", security=[{}], sync_to_thread=False)
def healthz() -> str:
    """``ok`` while the process lives. Needs no token."""
    return "ok"


@get("/readyz", media_type="text/plain", security=[{}])
async def readyz(providers: Here) -> str:
    """``ready`` when the ledger and the engine answer; 503 says which one does not. Needs no token."""
    await asyncio.gather(providers.ledger.read(Query(limit=1)), providers.control.active())
    return "ready"


@get("/v1/platform", opt=ANYWHERE)
async def show_platform(providers: Here) -> PlatformView:
    """The platform and its parts."""
    return await providers.platform()


ROUTES = (healthz, readyz, show_platform)
