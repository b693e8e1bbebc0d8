"""What a storm has cost, and what of it had to be."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.storm.faults import Kind
from bleen.providers.load import Sample


@dataclass
class Toll:
    """What the storm has cost so far."""

    survived: Counter[str] = field(default_factory=Counter)
    idle: int = 0
    """Faults that found nothing to strike."""
    requests: int = 0
    apart: Counter[str] = field(default_factory=Counter)
    """Requests that no healthy instance could have served, by cause."""
    lost: Counter[str] = field(default_factory=Counter)
    """Requests lost otherwise, by their failure: must stay empty."""
    wrong: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How many faults were survived."""
        return sum(self.survived.values())

    def count(self, samples: Mapping[str, Sequence[Sample]], windows: Sequence["Window"]) -> list[str]:
        """Count the requests of one round, by the name of their load; return what was lost without an excuse."""
        lost: dict[str, list[Sample]] = {}
        for name, each in samples.items():
            self.requests += len(each)
            for sample in (sample for sample in each if sample.failure):
                cause = excuse(name, sample, windows)
                if cause:
                    self.apart[cause] += 1
                else:
                    lost.setdefault(f"{name}: {sample.failure}", []).append(sample)
        self.lost.update({failure: len(each) for failure, each in lost.items()})
        return [f"{len(each)} requests lost {_when(each)}: {failure}" for failure, each in lost.items()]

    def show(self, seed: str, seconds: float) -> None:
        """Print it."""
        print(f"\nseed {seed}, {seconds / 60:.1f} minutes")
        print(f"faults survived   {self.faults} ({self.idle} more found nothing to strike)")
        for name, count in self.survived.most_common():
            print(f"  {count:4}  {name}")
        print(f"requests          {self.requests}")
        print(f"counted apart     {self.apart.total()}: no healthy instance could have served them")
        for name, count in self.apart.most_common():
            print(f"  {count:4}  {name}")
        print(f"lost              {self.lost.total()}")
        print(f"violations        {len(self.wrong)}")
        for each in self.wrong:
            print(f"  {each}")


@dataclass
class Window:
    """When something of the data plane was hit, and when it was well again."""

    kind: Kind
    name: str
    began: float
    ended: float = float("inf")


def _when(samples: Sequence[Sample]) -> str:
    wall = time.time() - time.perf_counter()
    first, last = (
        datetime.fromtimestamp(wall + at, UTC) for at in (min(s.started for s in samples), max(s.ended for s in samples))
    )
    by = ", ".join(sorted({s.answered_by or "nobody" for s in samples}))
    return f"from {first:%H:%M:%S.%f} to {last:%H:%M:%S.%f}, answered by {by}"


def excuse(name: str, sample: Sample, windows: Sequence[Window]) -> str:
    """Return why no healthy instance could have served the request; empty where one could."""
    for window in windows:
        # Under way when it struck, or begun before all was well again.
        meets = sample.ended >= window.began and sample.started <= window.ended
        if window.kind is Kind.DATA and meets:
            return window.name
        if window.kind is Kind.INSTANCE and meets and name == "POST":
            return f"POST under way, {window.name}"
    return ""
