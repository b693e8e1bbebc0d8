"""Shares of instances: how many of both colours are in one pool, so that its traffic is split as a route says."""

from math import gcd

from bleen.domain.codec import Value
from bleen.domain.traffic import WHOLE, Colour, Split


class Mix(Value, frozen=True):
    """So many instances of each colour."""

    blue: int
    green: int

    def count(self, colour: Colour) -> int:
        """Return how many of ``colour``."""
        return self.blue if colour is Colour.BLUE else self.green

    @property
    def total(self) -> int:
        """How many there are together."""
        return self.blue + self.green


def exact(split: Split, there: Mix) -> Mix | None:
    """Return the most instances of those ``there`` whose shares are exactly ``split``; None where they cannot give it.

    All traffic on one colour is always given, by as many as it has.
    """
    if WHOLE in (split.blue, split.green):
        return Mix(there.blue if split.blue else 0, there.green if split.green else 0)
    common = gcd(split.blue, split.green)
    blue, green = split.blue // common, split.green // common
    times = min(there.blue // blue, there.green // green)
    return Mix(blue * times, green * times) if times else None


def nearest(split: Split, there: Mix) -> Mix:
    """Return `exact`; where there is none, all of the colour that lacks instances, and of the other what fits best.

    Where a colour has nobody to bear its weight the other one bears it, with all that it has.
    """
    found = exact(split, there)
    if found is not None:
        return found
    if not there.blue or not there.green:
        return there
    if there.blue * split.green <= there.green * split.blue:
        return Mix(there.blue, _rounded(there.blue * split.green, split.blue))
    return Mix(_rounded(there.green * split.blue, split.green), there.green)


def _rounded(part: int, whole: int) -> int:
    return max(1, (2 * part + whole) // (2 * whole))
