"""Errors cross the agent's socket unharmed."""

import pytest

from bleen.domain.codec import decode, encode
from bleen.domain.errors import BleenError, InvalidInput, LawBroken, Unreachable
from bleen.domain.told import KINDS, Told
from bleen.providers.local.wire import from_body, status, to_body


def make(kind: type[BleenError]) -> BleenError:
    if issubclass(kind, LawBroken):
        return kind(3, "a gateway names it")
    if issubclass(kind, InvalidInput):
        return kind("what", why="why", next="next", where="file:1")
    return kind("what", why="why", next="next")


@pytest.mark.parametrize("kind", list(KINDS.values()))
def test_every_error_comes_back_as_itself(kind: type[BleenError]) -> None:
    """The map has every class of the tree, with all that each one says."""
    error = make(kind)
    back = from_body(decode(encode(to_body(error)), Told))
    assert type(back) is kind
    assert vars(back) == vars(error)
    assert 400 <= status(back) < 600


def test_a_defect_is_told_as_one() -> None:
    """What is none of Bleen's errors can be tried again, and says where to look."""
    body = to_body(KeyError("x"))
    assert body.error == "Unreachable"
    assert "KeyError" in body.why


def test_an_unknown_error_is_not_taken_for_another() -> None:
    """A newer agent may know more errors."""
    assert isinstance(from_body(Told(error="Haunted", what="boo")), Unreachable)
