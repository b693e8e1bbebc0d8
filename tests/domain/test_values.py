"""The small values that everything is made of: durations, splits, tags, digests."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.codec import decode, digest_of, encode
from bleen.domain.command import Abort, Command, Pause
from bleen.domain.duration import Duration, seconds
from bleen.domain.release import Runtime, SecretRef, config_digest
from bleen.domain.service import BlueGreen
from bleen.domain.strategy import Commit, Judge, KeepWarm, SetWeight, StartFleet, compile_steps
from bleen.domain.traffic import WHOLE, Colour, Split

COLOURS = st.sampled_from(list(Colour))


@given(st.integers(0, 10**9))
def test_a_duration_reads_what_it_writes(milliseconds: int) -> None:
    """Whatever is written is read back to the same length."""
    written = seconds(milliseconds / 1000)
    assert round(Duration.parse(str(written)).total_seconds() * 1000) == milliseconds


@pytest.mark.parametrize("text", ["", "10", "m10", "-5s", "10 m", "1y", "5m extra", "٣s", "999999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With a word about how to write one."""
    with pytest.raises(ValueError):
        Duration.parse(text)


@given(COLOURS, st.integers(0, WHOLE))
def test_a_split_sums_to_the_whole(colour: Colour, weight: int) -> None:
    """However it is made, and it survives the wire."""
    split = Split.of(colour, weight)
    assert split.blue + split.green == WHOLE and split.weight(colour) == weight
    assert decode(encode(split), Split) == split


@given(st.integers(-WHOLE, 2 * WHOLE), st.integers(-WHOLE, 2 * WHOLE))
def test_law_1_no_other_split_can_exist(blue: int, green: int) -> None:
    """Neither made nor read."""
    if blue >= 0 and green >= 0 and blue + green == WHOLE:
        return
    with pytest.raises(ValueError, match="law 1"):
        Split(blue, green)
    with pytest.raises(msgspec.ValidationError, match="law 1"):
        decode(f'{{"blue":{blue},"green":{green}}}', Split)


def test_commands_of_the_same_shape_never_become_each_other() -> None:
    """Pause and Abort have the same fields; the tag decides, and is mandatory."""
    assert decode(encode(Pause("ada")), Command) == Pause("ada") != Abort("ada")
    for wrong in ('{"by":"ada"}', '{"type":"stop","by":"ada"}', '{"type":"pause","by":"ada","why":"?"}'):
        with pytest.raises(msgspec.ValidationError):
            decode(wrong, Command)


def test_the_same_content_has_the_same_digest() -> None:
    """The order in which it was written says nothing."""
    one, two = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}
    assert config_digest(Runtime(command=("x",), env={**one})) == config_digest(Runtime(command=("x",), env={**two}))
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1}) != digest_of({"a": 1, "b": [2, 1]})


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"command": ("x",)}, {"command": ("y",)}),
        ({"env": {"A": "1"}}, {"env": {"A": "2"}}),
        ({"env": {"A": SecretRef("one")}}, {"env": {"A": SecretRef("two")}}),
        ({"files": {"a": "1"}}, {"files": {"a": "2"}}),
        ({"port": 8080}, {"port": 8081}),
    ],
)
def test_every_part_of_a_configuration_counts(one: dict[str, object], two: dict[str, object]) -> None:
    """A change of any of it is another release."""
    first, second = (Runtime(**{"command": ("x",), **part}) for part in (one, two))
    assert config_digest(first) != config_digest(second)


@given(st.integers(1, 50), st.integers(1, 50), st.booleans(), st.booleans())
def test_steps_end_with_the_whole_traffic_promoted_and_kept_warm(size: int, preview: int, auto: bool, trusted: bool) -> None:
    """Whatever the strategy says, the fleet is whole before the switch, and the switch comes before the promotion."""
    steps = compile_steps(BlueGreen(auto_promote=auto, preview_instances=preview), size=size, trusted=trusted)
    assert steps[-2:] == (Commit(), KeepWarm(BlueGreen().warm))
    switch = steps.index(SetWeight(WHOLE))
    assert [s for s in steps[:switch] if isinstance(s, StartFleet)][-1] == StartFleet()
    assert any(isinstance(s, Judge) for s in steps) is (not auto and not trusted)
