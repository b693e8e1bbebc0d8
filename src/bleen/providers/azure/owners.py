"""Whose an address of a pool was, minute by minute: what Azure Monitor counts has an address, and no release. Pure.

Azure gives an address to another machine soon after its own has gone. So a minute of an address is a release's only where every
look from before that minute began until after it had ended saw the address as that release's, and nobody else's. What came to
an address in the minute in which its machine entered or left the pool counts for nobody.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from bleen.domain.fidelity import GatewayMode
from bleen.providers.azure.table import Table


class Owner(NamedTuple):
    """A release of a service."""

    service: str
    release: int


class Place(NamedTuple):
    """Where a request was answered: a pool, and who in it; in lower case. Where a pool is one release's, nobody in it."""

    pool: str
    server: str


Owners = Mapping[Place, frozenset[Owner]]


def owners(mode: GatewayMode, table: Table) -> Owners:
    """Return whose each place is by the table of routes: a colour has its pool; or both share one, and machines addresses."""
    found: dict[Place, set[Owner]] = {}
    for each in table.backends:
        if each.baseline or not each.endpoints:
            continue
        if mode is GatewayMode.FLIP:
            places = [Place(f"{each.service}-{each.colour}".lower(), "")]
        else:
            places = [Place(each.service.lower(), endpoint.address.lower()) for endpoint in each.endpoints]
        for place in places:
            found.setdefault(place, set()).add(Owner(each.service, each.release))
    return {place: frozenset(those) for place, those in found.items()}


class History:
    """What was seen of owners, look by look, for as long as minutes are counted."""

    def __init__(self) -> None:
        self._looks: deque[tuple[datetime, Owners]] = deque()

    def note(self, at: datetime, seen: Owners) -> None:
        """Note what was seen; a clock that went back begins anew: nothing is known of minutes that come twice."""
        if self._looks and at < self._looks[-1][0]:
            self._looks.clear()
        self._looks.append((at, seen))

    def forget(self, before: datetime) -> None:
        """Forget what tells of no minute from ``before`` on."""
        while len(self._looks) > 1 and self._looks[1][0] <= before:
            self._looks.popleft()

    def owner(self, place: Place, begin: datetime, end: datetime, gap: timedelta) -> Owner | None:
        """Return whose ``place`` was from ``begin`` to ``end``, for certain: with no two looks further apart than ``gap``."""
        spanning = list(_spanning(self._looks, begin, end))
        if len(spanning) < 2 or spanning[0][0] > begin or spanning[-1][0] < end:
            return None
        if any(later - earlier > gap for (earlier, _), (later, _) in pairwise(spanning)):
            return None
        told = {seen.get(place, frozenset()) for _, seen in spanning}
        one = told.pop()
        return next(iter(one)) if not told and len(one) == 1 else None


def _spanning(looks: Iterable[tuple[datetime, Owners]], begin: datetime, end: datetime) -> Iterable[tuple[datetime, Owners]]:
    """Yield the looks from the last one until ``begin`` to the first one from ``end`` on."""
    before: tuple[datetime, Owners] | None = None
    for look in looks:
        if look[0] <= begin:
            before = look
            continue
        if before is not None:
            yield before
            before = None
        yield look
        if look[0] >= end:
            return
    if before is not None:
        yield before
