"""The approval by somebody else, where the environment wants it, and the glass that can be broken in an emergency."""

import logging
from uuid import uuid4

from bleen.domain.access import Identity, refuse_own_approval, refuse_unjudged, unasked_removal
from bleen.domain.codec import Value
from bleen.domain.errors import BleenError
from bleen.domain.ledger import Draft, GlassBroken
from bleen.domain.notice import Notice
from bleen.domain.service import Service
from bleen.interfaces.api.providers import Providers

log = logging.getLogger(__name__)


class Act(Value, frozen=True):
    """What somebody is about to do."""

    by: str
    verb: str
    """``deploy``, ``promote`` or ``remove``."""
    environment: str
    service: str
    emergency: str = ""
    """Why it goes past the approval by somebody else, or past a freeze; empty where it does not."""


async def check_deployment(providers: Providers, act: Act, spec: Service) -> None:
    """Refuse a deployment that nobody would be asked about, where somebody has to be: Forbidden."""
    if act.environment not in providers.four_eyes:
        return
    if act.emergency:
        await _break_glass(providers, act)
    else:
        refuse_unjudged(spec.strategy, spec.instances, act.environment)


async def check_approval(providers: Providers, act: Act, who: Identity) -> None:
    """Refuse the author's own approval, where somebody else's is wanted: Forbidden."""
    progress = await providers.control.progress(act.environment, act.service)
    if act.environment not in providers.four_eyes or progress is None:
        return
    if act.emergency:
        await _break_glass(providers, act)
    else:
        refuse_own_approval(who, progress.rollout.by, act.environment)


async def check_removal(providers: Providers, act: Act) -> None:
    """Refuse a removal where somebody else has to approve what changes: nobody is asked about one. Forbidden."""
    if act.environment not in providers.four_eyes:
        return
    if not act.emergency:
        raise unasked_removal(act.environment)
    await _break_glass(providers, act)


async def _break_glass(providers: Providers, act: Act) -> None:
    """Enter it before it is done, and let everybody hear of it."""
    entry = GlassBroken(act.verb, act.emergency)
    await providers.ledger.append(Draft(f"glass/{uuid4()}", act.environment, act.service, entry, by=act.by))
    what = f"{act.by} broke the glass to {act.verb} {act.service} in {act.environment}"
    await tell(providers, Notice("glass-broken", act.environment, act.service, "", "", what, act.emergency, "bleen audit"))


async def tell(providers: Providers, notice: Notice) -> None:
    """Have people told; that it does not get through keeps nothing from going on."""
    try:
        await providers.control.tell(notice)
    except BleenError as error:
        log.error("%s: %s; the notice did not get through: %s", notice.what, notice.why, error)
