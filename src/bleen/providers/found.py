"""What was found of a metric of one's own, and how a sample tells it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import structs

from bleen.domain.canary import Metric
from bleen.domain.comparison import Comparison
from bleen.domain.errors import BleenError
from bleen.domain.signals import Sample

Found = float | Mapping[int, tuple[float, float]]
"""A number; or by release bad events, and all events, since their counters began."""
Reader = Callable[[Metric, Comparison], Awaitable[Found]]
"""Raises a `BleenError` that says why a metric cannot be read."""


async def attempt(read: Reader, metric: Metric, comparison: Comparison) -> Found | BleenError:
    """Return what ``read`` finds, or why it finds nothing."""
    try:
        return await read(metric, comparison)
    except BleenError as error:
        return error


async def read_all(read: Reader, custom: Sequence[Metric], comparison: Comparison) -> Mapping[str, Found | BleenError]:
    """Return what ``read`` finds of each metric, by name."""
    found = await asyncio.gather(*(attempt(read, metric, comparison) for metric in custom))
    return dict(zip((metric.name for metric in custom), found, strict=True))


def tell(sample: Sample, found: Mapping[str, Found | BleenError]) -> Sample:
    """Return ``sample`` with what was found of metrics of one's own."""
    failures = {name: _sentence(each) for name, each in found.items() if isinstance(each, BleenError)}
    numbers = {name: each for name, each in found.items() if isinstance(each, float)}
    events = {name: each for name, each in found.items() if isinstance(each, Mapping)}
    releases = tuple(
        structs.replace(counters, custom={n: e[counters.release] for n, e in events.items() if counters.release in e})
        for counters in sample.releases
    )
    return structs.replace(sample, releases=releases, numbers=numbers, failures=failures)


def _sentence(error: BleenError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what
