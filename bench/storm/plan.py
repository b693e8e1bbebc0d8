"""What each round of a storm does, from its seed alone."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from bench.storm.faults import FAULTS, Fault
from bench.storm.scripts import SCRIPTS, WEIGHTS


@dataclass
class Plan:
    """One round, as the seed has it."""

    number: int
    script: str
    faults: Sequence[tuple[Fault, float]]
    """Each with the seconds before it."""
    random: Random

    def __str__(self) -> str:
        struck = ", then ".join(f"{fault.name} after {delay:.2f} s" for fault, delay in self.faults)
        return f"{self.script}; {struck}"


def plan(seed: str, number: int) -> Plan:
    """Return the round with this number."""
    random = Random(f"{seed}/{number}")
    only = os.environ.get("BLEEN_SOAK_ONLY", "")
    faults = [f for f in FAULTS if only in f.name]
    count = random.choices((1, 2, 3), (65, 25, 10))[0]
    script = random.choices(list(SCRIPTS), WEIGHTS)[0]
    chosen = random.choices(faults, [f.weight for f in faults], k=count)
    delays = [random.uniform(0, 2.5), *(random.uniform(0, 1.0) for _ in chosen[1:])]
    return Plan(number, script, list(zip(chosen, delays, strict=True)), random)
