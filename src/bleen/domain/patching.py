"""How old the patches of an image are, and how long it may stay so: 48 hours from a fix to a rebuild."""

from datetime import datetime, timedelta

from bleen.domain.base import HOST
from bleen.domain.codec import Value

PROMISE = timedelta(hours=48)
"""From the day a fix is published to the day that it runs."""


class Upload(Value, frozen=True):
    """A version of a source package that is newer than the installed one, as its changelog tells of it."""

    version: str
    at: datetime
    urgency: str = ""
    """``low``, ``medium``, ``high``, ...: what its distribution called it."""
    cves: tuple[str, ...] = ()
    """What its entry names; other uploads may have fixed the same before."""


class Fix(Value, frozen=True):
    """A package of the image that the security suite has in a newer version."""

    package: str
    source: str
    installed: str
    fixed: str
    since: datetime
    """When the oldest fix that is not in was written; where its changelog does not tell, when the suite was signed."""
    uploads: tuple[Upload, ...] = ()
    """Every version that came since, newest first; none where there is no changelog."""


class Patching(Value, frozen=True):
    """What is pending for one image."""

    base: str
    """The digest of its base, or ``host``."""
    patched: datetime | None = None
    """When the newest suite of its lock was signed; None for ``host``: the machine's own updates count there."""
    checked: datetime | None = None
    """When the security suite that it was compared with was signed; None where it could not be."""
    fixes: tuple[Fix, ...] = ()
    trouble: str = ""
    """Why it could not be compared: what was not checked is not well."""

    @property
    def due(self) -> datetime | None:
        """When the promise ends; None where nothing is pending."""
        oldest = min((fix.since for fix in self.fixes), default=None)
        return oldest + PROMISE if oldest else None


def patching_words(patching: Patching, now: datetime) -> str:
    """Return what is to be done, and by when."""
    if patching.base == HOST:
        return "host-based: the machine's own updates count"
    if patching.checked is None:
        return f"not checked: {patching.trouble}"
    if patching.due is None:
        return "nothing is pending"
    count = len(patching.fixes)
    pending = f"{count} fix{'es' if count != 1 else ''} pending"
    left = patching.due - now
    if left < timedelta(0):
        return f"{pending}, overdue by {_spoken(-left)}"
    return f"{pending}, {_spoken(left)} left"


def _spoken(time: timedelta) -> str:
    hours = int(time.total_seconds() // 3600)
    return f"{hours} h" if hours < 96 else f"{hours // 24} d"


def age_words(patching: Patching, now: datetime) -> str:
    """Return how old the patches are."""
    return "-" if patching.patched is None else _spoken(max(now - patching.patched, timedelta(0)))
