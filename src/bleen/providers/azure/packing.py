"""Values as base64: what Azure takes in user data and in metadata. Whoever is on a machine may have written what is read."""

import base64
from typing import TypeVar

import msgspec

from bleen.domain.codec import Value, decode, encode

T = TypeVar("T")


def packed(value: Value) -> str:
    """Return a value as base64."""
    return base64.b64encode(encode(value)).decode()


def unpacked(text: str, kind: type[T]) -> T | None:
    """Return the value in base64; None where it is none of that kind."""
    try:
        value: T = decode(base64.b64decode(text, validate=True), kind)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return value
