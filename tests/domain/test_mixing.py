"""How many instances of both colours make which share."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.mixing import Mix, exact, nearest
from bleen.domain.traffic import WHOLE, Colour, Split

COUNTS = st.integers(0, 40)
SPLITS = st.one_of(
    st.integers(0, WHOLE),
    st.integers(1, 99).map(lambda percent: percent * 100),
    st.tuples(st.integers(1, 12), st.integers(1, 12)).map(lambda each: WHOLE * each[0] // sum(each)),
).map(lambda blue: Split(blue, WHOLE - blue))


def test_one_of_ten_is_ten_percent() -> None:
    """As many as there are serve; a share that they cannot give is none."""
    assert exact(Split(9000, 1000), Mix(10, 1)) == Mix(9, 1)
    assert exact(Split(5000, 5000), Mix(10, 7)) == Mix(7, 7)
    assert exact(Split(9000, 1000), Mix(8, 10)) is None
    assert nearest(Split(9000, 1000), Mix(8, 10)) == Mix(8, 1)


def test_who_has_no_machine_is_replaced_by_all_of_the_other() -> None:
    """Requests are answered by whoever can."""
    assert nearest(Split(9000, 1000), Mix(0, 3)) == Mix(0, 3)


@given(SPLITS, COUNTS, COUNTS)
def test_an_exact_share_is_exact_and_as_large_as_can_be(split: Split, blue: int, green: int) -> None:
    """It is the largest of all mixes of those machines with that share, and there is none only where none has it."""
    share = Fraction(split.blue, WHOLE)
    fitting = [b + g for b in range(blue + 1) for g in range(green + 1) if b + g and Fraction(b, b + g) == share]
    found = exact(split, Mix(blue, green))
    if WHOLE in (split.blue, split.green):
        assert found == Mix(blue if split.blue else 0, green if split.green else 0)
    elif found is None:
        assert not fitting
    else:
        assert found.total == max(fitting) and Fraction(found.blue, found.total) == share


@given(SPLITS, COUNTS, COUNTS)
def test_the_nearest_share_has_everybody_with_weight_and_no_more_than_there_are(split: Split, blue: int, green: int) -> None:
    """No colour with weight and machines is left out; what cannot be exact uses all of the colour that lacks some."""
    there = Mix(blue, green)
    found = nearest(split, there)
    assert 0 <= found.blue <= blue and 0 <= found.green <= green
    assert all(found.count(colour) for colour in Colour if split.weight(colour) and there.count(colour))
    if exact(split, there) is None:
        assert found.blue == blue or found.green == green
