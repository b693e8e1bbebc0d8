"""Where a service stands, as far as somebody decides by it; and writes that count only if that is still so (If-Match)."""

from typing import Annotated

from litestar import Response, get
from litestar.params import FromPath, HeaderParameter

from bleen.domain.codec import digest_of, encode
from bleen.domain.decision import AskHuman
from bleen.domain.errors import InvalidInput, Moved
from bleen.interfaces.api import reading
from bleen.interfaces.api.options import VIEW, Environment
from bleen.interfaces.api.providers import Here, Providers
from bleen.interfaces.glance import FleetSize, Standing
from bleen.interfaces.views import ServiceView

IfMatch = Annotated[
    str,
    HeaderParameter(
        name="if-match",
        description="The ETag of `/v1/services/{service}/standing`: 412, and nothing is done, where the service has moved on.",
    ),
]


@get("/v1/services/{service:str}/standing", opt=VIEW)
async def show_standing(providers: Here, service: FromPath[str], environment: Environment = "") -> Response[Standing]:
    """Where a service stands: releases, sizes, and the step of its rollout. Its ETag belongs into If-Match of a write."""
    view = await reading.service_view(providers, environment or providers.environment, service)
    standing = standing_of(view)
    return Response(standing, headers={"etag": etag_of(standing), "cache-control": "no-cache"})


def standing_of(view: ServiceView) -> Standing:
    """Return what of ``view`` somebody decides by: nothing that changes by itself each second."""
    progress = view.progress
    rollout = progress.rollout if progress else None
    return Standing(
        environment=view.environment,
        service=view.service,
        stable=view.stable.number if view.stable else None,
        rollout=rollout.id if rollout else "",
        target=rollout.target.number if rollout else None,
        step=rollout.step if rollout else 0,
        asks=progress is not None and isinstance(progress.decision, AskHuman),
        paused=rollout is not None and rollout.paused_since is not None,
        back=rollout is not None and (rollout.retreat or rollout.outcome) is not None,
        fleets=tuple(FleetSize(fleet.slot, fleet.release, fleet.size) for fleet in view.fleets),
    )


def etag_of(standing: Standing) -> str:
    """Return a strong entity tag: equal standings, equal tags, whichever controller is asked."""
    return f'"{digest_of(encode(standing)).removeprefix("sha256:")[:32]}"'


async def check_match(providers: Providers, environment: str, service: str, wanted: str) -> None:
    """Refuse a write to a service that is no longer as whoever asks has seen it: Moved.

    Of what happens between this look and the write, the engine is the judge: a command that makes no sense is refused there.
    """
    if not wanted or wanted.strip() == "*":
        return
    tags = [tag.strip() for tag in wanted.split(",")]
    if not all(tag.removeprefix("W/").startswith('"') and tag.endswith('"') and len(tag) > 1 for tag in tags):
        raise InvalidInput("If-Match is no entity tag", why=wanted[:100], next="send the ETag as it came, with its quotes")
    standing = standing_of(await reading.service_view(providers, environment, service))
    if etag_of(standing) not in tags:  # a weak tag never matches (RFC 9110, section 13.1.1)
        what, next = f"{service} has moved on since you looked", f"bleen status {service}, and decide again"
        raise Moved(what, why=_where(standing), next=next)


def _where(standing: Standing) -> str:
    if not standing.rollout:
        return f"r{standing.stable} serves, and no rollout is under way" if standing.stable else "no rollout is under way"
    asks = ", and asks a person" if standing.asks else ""
    return f"{standing.rollout} is at step {standing.step + 1}{asks}"


ROUTES = (show_standing,)
