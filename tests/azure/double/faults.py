"""What goes wrong, and when."""

import re
from dataclasses import dataclass, field
from random import Random


class Refused(Exception):
    """An answer that says no, as Azure words it."""

    def __init__(self, status: int, code: str, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(code, message)
        self.status = status
        self.code = code
        self.message = message or code
        self.retry_after = retry_after


class Lost(Exception):
    """The connection breaks after the request was carried out: whoever asked does not know."""


THROTTLED = Refused(429, "TooManyRequests", "The request is being throttled", retry_after=0)
AWAY = Refused(503, "ServiceUnavailable", "The service is unavailable")


@dataclass
class Fault:
    """``times`` requests that match are answered with ``error``; with `Lost`, after they were carried out."""

    method: str
    path: str
    """A regular expression, searched for in the path."""
    error: Refused | Lost
    times: int = 1

    def strikes(self, method: str, path: str) -> bool:
        if self.times <= 0 or method != self.method or not re.search(self.path, path, re.IGNORECASE):
            return False
        self.times -= 1
        return True


@dataclass
class Faults:
    """The script."""

    script: list[Fault] = field(default_factory=list)
    share: float = 0.0
    """Of all requests to Resource Manager, so many fail by chance: throttled, away or lost, in equal parts."""
    chance: Random = field(default_factory=lambda: Random(1))
    lag: float = 0.0
    """Seconds by which what is read may lie behind what is true."""
    quota: int = 1_000
    """How many machines the subscription may have."""
    full_zones: set[str] = field(default_factory=set)
    """Zones without capacity."""
    slow: float = 0.0
    """Seconds that each operation takes beside its work."""

    def add(self, method: str, path: str, error: Refused | Lost, times: int = 1) -> None:
        self.script.append(Fault(method, path, error, times))

    def strike(self, method: str, path: str) -> Refused | Lost | None:
        """Return what befalls this request."""
        for fault in self.script:
            if fault.strikes(method, path):
                return fault.error
        if path.startswith("/subscriptions/") and self.chance.random() < self.share:
            kinds: list[Refused | Lost] = [THROTTLED, AWAY, Lost()]
            return self.chance.choice(kinds)
        return None
