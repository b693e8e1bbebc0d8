"""How often somebody may ask: a rate, and how much of it may come at once."""

from bleen.domain.codec import Value

_ROUNDING = 1e-7
"""Seconds: of a clock at a million seconds, what some hundred additions may be off by."""


class Allowance(Value, frozen=True):
    """Requests a second, lasting; ``burst`` of them at once, from whoever has been quiet."""

    rate: float
    burst: float

    def arrive(self, due: float, now: float) -> tuple[float, float]:
        """Return what to remember of somebody after a request at ``now``, and 0, or the seconds until the next is welcome.

        ``due`` is what was remembered before: when they will have been quiet. A request that is not welcome changes nothing.
        This is the generic cell rate algorithm (ITU-T I.371, as a virtual schedule), which is a token bucket in one number:
        in no span of ``t`` seconds are more than ``burst + rate * t`` requests welcome.
        """
        due = max(due, now)
        early = due + 1 / self.rate - now - self.burst / self.rate
        return (due, early) if early > _ROUNDING else (due + 1 / self.rate, 0.0)
