"""How `hello` is told to misbehave, by environment variables: a bad release is a line in service.yaml."""

import math
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class UnknownFault(Exception):
    """A variable that means nothing: better no start than a fault that silently is none."""


@dataclass(frozen=True)
class Faults:
    error_share: float = 0.0
    """Of the answers to /, how many are a 500: 0 to 1."""
    latency_ms: float = 0.0
    """Added to every answer to /."""
    latency_spread: float = 0.0
    """Where it is more than 0, what is added is lognormal: `latency_ms` is its median, and this its sigma."""
    crash_on_start: bool = False
    slow_start: float = 0.0
    """Seconds before it listens."""
    never_healthy: bool = False
    ignore_sigterm: bool = False

    @property
    def delay(self) -> float:
        """Seconds to add to one answer."""
        return self.latency_ms / 1000 * math.exp(random.gauss(0.0, self.latency_spread))


def read_faults(environ: Mapping[str, str] = os.environ) -> Faults:
    """Return the faults that ``HELLO_ERROR_SHARE=0.2`` and its like ask for; UnknownFault."""
    kinds = Faults.__dataclass_fields__
    asked: dict[str, Any] = {}
    for name, text in environ.items():
        key = name.removeprefix("HELLO_").lower()
        if not name.startswith("HELLO_"):
            continue
        if key not in kinds:
            raise UnknownFault(f"{name} means nothing; there is {', '.join(f'HELLO_{k.upper()}' for k in kinds)}")
        asked[key] = _value(name, text, kinds[key].type)
    return Faults(**asked)


def _value(name: str, text: str, kind: Any) -> bool | float:
    if kind is bool:
        if text not in ("0", "1"):
            raise UnknownFault(f"{name}={text}: write 1 or 0")
        return text == "1"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    most = 1 if name.endswith("SHARE") else 5 if name.endswith("SPREAD") else 3_600_000
    if not 0 <= value <= most:
        raise UnknownFault(f"{name}={text}: write a number{f' from 0 to {most}' if most <= 5 else ', not negative'}")
    return value
