"""Durations as people write them: ``90s``, ``10m``, ``1h30m``."""

import re
from datetime import timedelta
from functools import lru_cache

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
LONGEST = timedelta(days=3650)


class Duration(timedelta):
    """A length of time, never negative, written ``1h30m``."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Return the duration that ``text`` names; ValueError if it names none."""
        return _parsed(text)

    def __str__(self) -> str:
        """Return the shortest text that `parse` reads back to the same value."""
        left = round(self.total_seconds() * 1000)
        parts = []
        for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
            count, left = divmod(left, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"

    __repr__ = __str__


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Duration:
    """Kept, because every entry of the ledger has a few, and the same ones."""
    if len(text) > 64 or not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text[:64]!r} is not a duration; write for example 30s, 10m or 1h30m")
    total = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text))
    if total > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than ten years; write for example 30s, 10m or 1h30m")
    return Duration(seconds=total)


def seconds(count: float) -> Duration:
    """Return a duration of ``count`` seconds."""
    return Duration(seconds=count)
