"""Bodies of requests, against Microsoft's own types: those of the SDK's models, which are made from the API's specification.

The SDK sends whatever dictionary it is given. Azure refuses a member that a type has not, in these words.
"""

import sys
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, Union

from tests.azure.double.faults import Refused

_PLAIN: dict[type, type | tuple[type, ...]] = {str: str, int: int, bool: bool, float: (int, float), datetime: str}


def check(body: Any, model: type) -> None:
    """Raise what Azure answers where ``body`` is no ``model``: InvalidRequestContent, with the first thing that is wrong."""
    for problem in problems(body, model, ""):
        raise Refused(400, "InvalidRequestContent", f"The request content was invalid: '{problem}'.")


def problems(body: Any, kind: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with a value that ought to be of a type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        yield from _of_one(body, arguments, path)
    elif origin is list:
        yield from _of_list(body, arguments[0], path)
    elif origin is dict:
        if not isinstance(body, dict):
            yield _wrong(body, "object", path)
        else:
            for name, value in body.items():
                yield from problems(value, arguments[1], f"{path}.{name}")
    elif isinstance(kind, type) and getattr(kind, "_is_model", False):
        yield from _of_model(body, kind, path)
    elif kind in _PLAIN and (not isinstance(body, _PLAIN[kind]) or (kind is int and isinstance(body, bool))):
        yield _wrong(body, kind.__name__, path)


def _of_one(body: Any, kinds: tuple[Any, ...], path: str) -> Iterator[str]:
    if body is None and type(None) in kinds:
        return
    words = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum)]
    if words:  # str beside it only says that Azure may add words: those that nobody knows yet are not ours to send
        known = {str(each.value).lower() for kind in words for each in kind}
        if str(body).lower() not in known:
            yield f"Error converting value {body!r} to type {words[0].__name__!r}. Path {path.lstrip('.')!r}"
        return
    found = [list(problems(body, kind, path)) for kind in kinds if kind is not type(None)]
    if found and all(found):
        yield from found[0]


def _of_list(body: Any, kind: Any, path: str) -> Iterator[str]:
    if not isinstance(body, list):
        yield _wrong(body, "array", path)
        return
    for number, each in enumerate(body):
        yield from problems(each, kind, f"{path}[{number}]")


def _of_model(body: Any, model: Any, path: str) -> Iterator[str]:
    if not isinstance(body, dict):
        yield _wrong(body, model.__name__, path)
        return
    known = _fields(model)
    for name, value in body.items():
        if name not in known:
            yield f"Could not find member {name!r} on object of type {model.__name__!r}. Path {f'{path}.{name}'.lstrip('.')!r}"
            continue
        kind, visibility = known[name]
        if visibility == ("read",):
            yield f"{name!r} of {model.__name__!r} is read-only. Path {f'{path}.{name}'.lstrip('.')!r}"
        yield from problems(value, kind, f"{path}.{name}")
    for name, (kind, visibility) in known.items():
        if name not in body and type(None) not in typing.get_args(kind) and visibility != ("read",):
            yield f"Required property {name!r} not found in JSON. Path {path.lstrip('.')!r}"


@cache
def _fields(model: Any) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Return the type and the visibility of each member of a model, by its name on the wire."""
    module = sys.modules[model.__module__]
    package = sys.modules[module.__name__.rpartition(".")[0]]
    # Its annotations call the package `_models`, by an import that only type checkers see.
    names = {**vars(package), **vars(module), "_models": package}
    hints = typing.get_type_hints(model, names)
    model({})  # a model knows its members once there is one of it
    fields = model._attr_to_rest_field
    return {each._rest_name: (hints[name], tuple(each._visibility or ())) for name, each in fields.items() if name in hints}


def _wrong(body: Any, wanted: str, path: str) -> str:
    return f"Error converting value {body!r} to type {wanted!r}. Path {path.lstrip('.')!r}"
