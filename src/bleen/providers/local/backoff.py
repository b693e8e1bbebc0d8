"""Back-off: what keeps ending is started again after longer and longer pauses."""

from bleen.domain.codec import Value


class Backoff(Value, frozen=True):
    """How long to wait before starting again what keeps ending, in seconds."""

    first: float = 0.5
    longest: float = 30.0
    forgiven_after: float = 60.0
    """In good health for so long, and the next failure counts as the first."""

    def delay(self, streak: int) -> float:
        """Return the wait after ``streak`` failures in a row."""
        return min(self.first * 2.0 ** min(streak - 1, 30), self.longest) if streak else 0.0
