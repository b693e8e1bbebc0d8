"""Sums over counters that begin anew now and then: a process was restarted, a gateway dropped what it had counted."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar
from uuid import uuid4

from bleen.domain.comparison import Comparison

Part = TypeVar("Part", bound=Hashable)
Meter = TypeVar("Meter")


class Odometer:
    """Adds up what counters have grown since it first saw them, so that no sum ever goes down.

    It starts from the value that a counter has when it is first seen, and lives in memory: its ``name`` tells two apart,
    whose sums are not to be subtracted. What was counted between the last reading and a new beginning is lost.
    """

    def __init__(self) -> None:
        self.name = uuid4().hex[:12]
        self._last: dict[Hashable, Mapping[Any, float]] = {}
        self._sums: dict[Hashable, dict[Any, float]] = {}

    def read(self, counter: Hashable, parts: Mapping[Part, float], *, from_zero: bool = True) -> Mapping[Part, float]:
        """Return the sums of ``counter`` now that its parts stand at ``parts``.

        The parts begin anew together, as the buckets of a histogram do: one that fell means that all did. They then stand
        at what came after zero; where they are sums themselves, of which one term has left, ``from_zero`` is False, and
        nothing is known to have come.
        """
        before = self._last.get(counter, {})
        anew = any(parts.get(part, 0) < value for part, value in before.items())
        sums = self._sums.setdefault(counter, {})
        for part, value in parts.items():
            base = before.get(part, 0) if not anew else 0 if from_zero else value
            sums[part] = sums.get(part, 0) + value - base
        self._last[counter] = dict(parts)
        return dict(sums)


class Meters(Generic[Meter]):
    """One meter with an odometer for each service: a new one where other releases are compared, or other counters count."""

    def __init__(self, make: Callable[[Odometer], Meter]) -> None:
        self._make = make
        self._held: dict[tuple[str, str], tuple[Hashable, Meter, str]] = {}

    def of(self, comparison: Comparison, counters: str = "") -> tuple[Meter, str]:
        """Return the meter, and the epoch of its sums. ``counters`` names what they are made from."""
        service = (comparison.environment, comparison.service)
        subject = (comparison.baseline, comparison.canary, comparison.fair, counters)
        if service not in self._held or self._held[service][0] != subject:
            odometer = Odometer()
            self._held[service] = (subject, self._make(odometer), f"{counters}/{odometer.name}")
        _, meter, epoch = self._held[service]
        return meter, epoch
