"""Events that instances count themselves, read from their metrics pages (the Prometheus text exposition)."""

import asyncio
from collections.abc import Hashable, Mapping
from math import isfinite

from prometheus_client.parser import text_string_to_metric_families

from bleen.domain.canary import Events
from bleen.domain.comparison import Comparison
from bleen.domain.errors import InvalidInput, Unreachable
from bleen.domain.fleet import Instance, InstanceState
from bleen.ports import Fleets
from bleen.providers.odometer import Meters, Odometer
from bleen.providers.transport import httpx

PATIENCE = 2.0
"""Seconds to wait for a page."""
LARGEST = 8_000_000
"""Bytes of a page that are read at most."""
_SERVING = (InstanceState.READY, InstanceState.SICK, InstanceState.DRAINING)

Page = Mapping[str, Mapping[Hashable, float]]
"""Values by name, and by labels."""


class PageEvents:
    """Sums the counters of both releases' instances.

    An instance that was restarted counts from zero again, and one that left is not asked any more: an odometer keeps
    what they had counted, so that no sum goes down.
    """

    def __init__(self, fleets: Fleets) -> None:
        self._fleets = fleets
        self._client = httpx.AsyncClient(timeout=PATIENCE, trust_env=False, verify=False)
        self._sums = Meters(_Sums)

    async def close(self) -> None:
        """Give back its sockets."""
        await self._client.aclose()

    async def read(self, metric: Events, comparison: Comparison) -> Mapping[int, tuple[float, float]]:
        """Return bad and all events by release; Unreachable where a ready instance shows no page, InvalidInput."""
        releases = (comparison.baseline, comparison.canary)
        fleets = await self._fleets.observe(comparison.service)
        asked = [
            (fleet.release, instance)
            for fleet in fleets
            if fleet.slot.environment == comparison.environment
            and comparison.counts(fleet.release, baseline=fleet.slot.baseline)
            for instance in fleet.instances
            if instance.state in _SERVING
        ]
        pages = await asyncio.gather(*(self._page(instance, metric) for _, instance in asked))
        sums, _ = self._sums.of(comparison)
        for (release, instance), page in zip(asked, pages, strict=True):
            if page is not None:
                sums.add(metric, release, instance, page)
        return {release: sums.of(metric, release) for release in releases}

    async def _page(self, instance: Instance, metric: Events) -> Page | None:
        """Return the page; None where an instance that is not ready shows none."""
        try:
            page = parse(await self._get(instance, metric.page))
            _check(page, metric, f"{instance.name}{metric.page}")
            return page
        except (Unreachable, InvalidInput):
            if instance.state is InstanceState.READY:
                raise
            return None

    async def _get(self, instance: Instance, path: str) -> str:
        url = f"http://{instance.address}:{instance.port}{path}"
        try:
            async with asyncio.timeout(PATIENCE), self._client.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise Unreachable(f"{instance.name}{path} was answered {answer.status_code}")
                body = b""
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > LARGEST:
                        raise InvalidInput(f"{instance.name}{path} is too long", why=f"more than {LARGEST // 1_000_000} MB")
        except (httpx.HTTPError, TimeoutError) as error:
            why = str(error) or f"no whole page within {PATIENCE:g} s"
            raise Unreachable(f"{instance.name}{path} did not answer", why=why) from error
        return body.decode(errors="replace")


class _Sums:
    """The sums of the counters of one service's releases."""

    def __init__(self, odometer: Odometer) -> None:
        self._odometer = odometer
        self._sums: dict[tuple[str, int], dict[tuple[Hashable, str], float]] = {}

    def add(self, metric: Events, release: int, instance: Instance, page: Page) -> None:
        """Take what one instance shows. Its process is part of the name: another one has counted from zero."""
        who = (metric.name, release, instance.name, instance.pid, instance.restarts)
        held = self._sums.setdefault((metric.name, release), {})
        for role, name in (("bad", metric.bad), ("total", metric.total)):
            held[who, role] = sum(self._odometer.read((*who, role), page[name]).values())

    def of(self, metric: Events, release: int) -> tuple[float, float]:
        """Return bad and all events."""
        held = self._sums.get((metric.name, release), {})
        bad = sum(count for (_, role), count in held.items() if role == "bad")
        return float(bad), float(sum(held.values()) - bad)


def parse(text: str) -> Page:
    """Return the values of a page; InvalidInput where it is none."""
    found: dict[str, dict[Hashable, float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    except (ValueError, KeyError, IndexError) as error:
        raise InvalidInput("the metrics page cannot be read", why=str(error)) from error
    return found


def _check(page: Page, metric: Events, where: str) -> None:
    for name in (metric.bad, metric.total):
        if name not in page:
            raise InvalidInput(f"{where} has no counter {name}", why="one with labels shows once each was set to 0")
        if not all(isfinite(value) for value in page[name].values()):
            raise InvalidInput(f"{where} has a {name} that is no number")
