"""When Resource Manager is asked again: soon while things change, and ever more rarely while nothing does."""

import time
from collections.abc import Callable


class Pace:
    """Seconds between two looks: ``first`` after a change, then twice as long each time, up to ``longest``."""

    def __init__(self, first: float = 10.0, longest: float = 900.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.first = first
        self.longest = longest
        self._clock = clock
        self._interval = first
        self._last = float("-inf")

    def due(self) -> bool:
        """Return whether it is time to look."""
        return self._clock() - self._last >= self._interval

    def looked(self, *, changed: bool) -> None:
        """Note a look, and whether it found anything new."""
        self._last = self._clock()
        self._interval = self.first if changed else min(self._interval * 2, self.longest)

    def hurry(self) -> None:
        """Something is known to have changed: the next look is due as soon as the shortest interval is over."""
        self._interval = self.first

    def now(self) -> None:
        """Look at once: whoever asks has just changed it."""
        self._last = float("-inf")
