"""Figures and times as people read them."""

from datetime import datetime, timedelta


def counted(count: int, noun: str) -> str:
    """Return ``1 instance``, ``2 instances``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def lasting(seconds: float | timedelta) -> str:
    """Return a length of time as short as people read it: ``0.4s``, ``12s``, ``3m05s``, ``2h10m``."""
    left = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    left = max(left, 0.0)
    if left < 9.95:
        return f"{left:.1f}s"
    if left < 59.5:
        return f"{left:.0f}s"
    whole = round(left)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago ``then`` was."""
    return lasting(now - then)


def tally(evidence: float, enough: float) -> str:
    """Return ``3.1 of 4.6``. Evidence for the contrary is none for this, so it begins at 0."""
    return f"{max(evidence, 0.0):.1f} of {enough:.1f}"


def figure(value: float | None, unit: str) -> str:
    """Return ``0.11 %``, ``1,250 ms``; a dash where nothing is known."""
    if value is None:
        return "-"
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"
    return f"{number} {unit}".rstrip()
