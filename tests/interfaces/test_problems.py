"""Errors travel whole: the same words in the API and the command line."""

import inspect

import pytest
from msgspec import json

from bleen.domain import errors
from bleen.domain.errors import BleenError, InvalidInput, LawBroken
from bleen.interfaces.problem import ProblemDetails, error_of, exit_code, problem_of

KINDS = [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, BleenError)]
LEAVES = [k for k in KINDS if not any(issubclass(other, k) for other in KINDS if other is not k)]


def made(kind: type[BleenError]) -> BleenError:
    """Return an error of ``kind`` with every word filled."""
    if kind is LawBroken:
        return LawBroken(3, "a gateway routes to it")
    if kind is InvalidInput:
        return InvalidInput("what", why="why", next="next", where="service.yaml:7")
    return kind("what", why="why", next="next")


def test_the_tree_has_leaves() -> None:
    """The tests below test something."""
    assert len(LEAVES) >= 13


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back_as_it_went(kind: type[BleenError]) -> None:
    """Its class and every word survive the way through the API."""
    error = made(kind)
    back = error_of(json.decode(json.encode(problem_of(error)), type=ProblemDetails))
    assert type(back) is kind
    assert (back.what, back.why, back.next, str(back)) == (error.what, error.why, error.next, str(error))


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_has_a_status_and_an_exit_code(kind: type[BleenError]) -> None:
    """4xx is for what the caller can mend, 5xx for the platform; 2 and 3 likewise, and 1 for an image that is refused."""
    assert 400 <= problem_of(made(kind)).status < 600
    assert exit_code(made(kind)) in (1, 2, 3)


@pytest.mark.parametrize("kind", [k for k in LEAVES if issubclass(k, errors.Transient)])
def test_what_may_pass_is_a_server_error(kind: type[BleenError]) -> None:
    """A client may try a 5xx again; it never means that the request was wrong. 429 says the same, and how soon."""
    assert problem_of(made(kind)).status >= 500 or kind is errors.TooOften
    assert exit_code(made(kind)) == 3


def test_a_class_of_ones_own_counts_as_the_one_above_it() -> None:
    """A provider may refine an error without the interfaces knowing."""

    class Full(errors.StorageFull):
        pass

    assert problem_of(Full("what")).status == 507


def test_an_unknown_class_of_a_newer_server_is_still_told() -> None:
    """Its words are shown, as a plain error of the platform."""
    problem = ProblemDetails("urn:bleen:error:New", "what", 500, "New", "what", "why", "next")
    assert type(error_of(problem)) is BleenError
    assert exit_code(error_of(problem)) == 3
