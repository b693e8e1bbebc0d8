"""Notices: whether those who are to hear of them can be reached."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from litestar import post
from litestar.params import FromPath, JSONBody

from bleen.domain.access import Role
from bleen.domain.errors import BleenError
from bleen.domain.notice import Dispatch, trial
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.providers import Here, Providers
from bleen.interfaces.views import Heard, TrialOrder, TrialView


@post("/v1/environments/{environment:str}/notices/trial", status_code=200, opt={"needs": Role.ADMIN, "within": "environment"})
async def try_notices(providers: Here, asker: Asker, environment: FromPath[str], data: JSONBody[TrialOrder]) -> TrialView:
    """Tell every channel that hears of the environment at once, once, and return which of them took it."""
    notice = trial(environment, asker.signs(data.by))
    dispatch = Dispatch(f"msg_{uuid4().hex[:24]}", providers.clock(), notice)
    channels: Sequence[str] = await providers.notices.channels(notice)
    heard = await asyncio.gather(*(_try(providers, dispatch, channel) for channel in channels))
    return TrialView(environment=environment, at=dispatch.at, channels=tuple(heard))


async def _try(providers: Providers, dispatch: Dispatch, channel: str) -> Heard:
    try:
        await providers.notices.tell(dispatch, channel)
    except BleenError as error:
        return Heard(channel, why=error.why or error.what)
    return Heard(channel)


ROUTES = (try_notices,)
