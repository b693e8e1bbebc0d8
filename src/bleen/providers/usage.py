"""What releases use, summed over what is known of each of their instances, whoever measured it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from bleen.domain.codec import Value
from bleen.domain.comparison import Comparison
from bleen.domain.fleet import Instance, Slot
from bleen.domain.signals import Load, Usage
from bleen.providers.odometer import Meters, Odometer


class FleetUsage(Value, frozen=True):
    """What the instances of one fleet use."""

    slot: Slot
    release: int
    instances: Mapping[str, Usage | None]
    """By process, as `process_of` names it; None where it could not be measured just now."""


def process_of(name: str, instance: Instance) -> str:
    """Return what tells the process of an instance from every other one; ``name`` is that of no other instance, ever."""
    return f"{name}/{instance.restarts}/{instance.pid}"


class Totals:
    """Sums of each comparison. Processor time never goes down: what an instance that ended had used is not given back."""

    def __init__(self, spread: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Over ``spread`` seconds what a process has newly used is told: for figures that come once in a while, and late."""
        self._meters = Meters(lambda odometer: _Meter(odometer, spread, clock))

    def loads(self, comparison: Comparison, fleets: Iterable[FleetUsage]) -> tuple[Load, ...]:
        """Return the load of each release that has an instance of which anything is known."""
        used: dict[int, dict[str, Usage | None]] = {comparison.baseline: {}, comparison.canary: {}}
        for fleet in fleets:
            counts = comparison.counts(fleet.release, baseline=fleet.slot.baseline)
            if fleet.slot.environment == comparison.environment and counts:
                used[fleet.release] |= fleet.instances
        meter, _ = self._meters.of(comparison)
        return tuple(meter.load(release, instances) for release, instances in used.items() if instances)


class _Meter:
    """Processor time of releases."""

    def __init__(self, odometer: Odometer, spread: float, clock: Callable[[], float]) -> None:
        self._odometer = odometer
        self._spread = spread
        self._clock = clock
        self._seconds: dict[int, dict[str, _Ramp]] = defaultdict(dict)

    def load(self, release: int, used: Mapping[str, Usage | None]) -> Load:
        """Return the load of ``release``, whose instances use so much."""
        now, held = self._clock(), self._seconds[release]
        known = {process: each for process, each in used.items() if each is not None}
        for process, each in known.items():
            total = self._odometer.read((release, process), {"": each.cpu}, from_zero=False)[""]
            held.setdefault(process, _Ramp(total, self._spread)).aim(total, now)
        cpu = sum(ramp.at(now) for ramp in held.values())
        return Load(release=release, cpu=round(cpu, 3), memory=sum(each.memory for each in known.values()))


class _Ramp:
    """A sum that is told in steps, as one that grows all the time. What it begins with is there at once."""

    def __init__(self, value: float, spread: float) -> None:
        self._spread = spread
        self._from = self._to = value
        self._since = 0.0

    def aim(self, total: float, now: float) -> None:
        """Be at ``total`` in a while."""
        if total != self._to:
            self._from, self._to, self._since = self.at(now), total, now

    def at(self, now: float) -> float:
        """Return the value."""
        passed = now - self._since
        if passed >= self._spread:
            return self._to
        return min(self._to, self._from + (self._to - self._from) * passed / self._spread)
