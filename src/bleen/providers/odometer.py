"""Sums over counters that begin anew now and then: a process was restarted, a gateway dropped what it had counted."""

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

Part = TypeVar("Part", bound=Hashable)


class Odometer:
    """Adds up what counters have grown since it first saw them, so that no sum ever goes down.

    It starts from the value that a counter has when it is first seen, and lives in memory: its ``name`` tells two apart,
    whose sums are not to be subtracted. What was counted between the last reading and a new beginning is lost.
    """

    def __init__(self) -> None:
        self.name = uuid4().hex[:12]
        self._last: dict[Hashable, Mapping[Any, float]] = {}
        self._sums: dict[Hashable, dict[Any, float]] = {}

    def read(self, counter: Hashable, parts: Mapping[Part, float]) -> Mapping[Part, float]:
        """Return the sums of ``counter`` now that its parts stand at ``parts``.

        The parts begin anew together, as the buckets of a histogram do: one that fell means that all did.
        """
        before = self._last.get(counter, {})
        anew = any(parts.get(part, 0) < value for part, value in before.items())
        sums = self._sums.setdefault(counter, {})
        for part, value in parts.items():
            sums[part] = sums.get(part, 0) + (value if anew else value - before.get(part, 0))
        self._last[counter] = dict(parts)
        return dict(sums)
