"""Numbers with bounds: in words, and the nearest that is allowed."""

from typing import Any

from msgspec import inspect

from bleen.interfaces.repository.document import Node, Scalar

LARGEST = 1e300
"""Numbers beyond it are none to compare with; infinity is one of them, and what is no number is not below it."""


def span(kind: inspect.IntType | inspect.FloatType) -> str:
    """Return the bounds of a number in words: ``from 1 to 100``; empty where it has none."""
    low, high = kind.ge, kind.le
    if kind.gt is not None:
        return f"over {_said(kind.gt)}" + (f", up to {_said(high)}" if high is not None else "")
    if low is not None and high is not None:
        return f"from {_said(low)} to {_said(high)}"
    return f"of at least {_said(low)}" if low is not None else ""


def near(kind: inspect.FloatType, value: Any) -> Any:
    """Return the number that ``kind`` allows nearest to ``value``; one of its bounds where that is none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < LARGEST:
        return next((bound for bound in (kind.ge, kind.le) if bound), 1.0)
    if kind.ge is not None and value < kind.ge:
        return kind.ge
    if kind.gt is not None and value <= kind.gt:
        return kind.le / 4 if kind.le is not None else kind.gt + 1
    return kind.le if kind.le is not None and value > kind.le else value


def digits(node: Node, *, fraction: bool = False) -> str:
    """Return the number that a quoted one was meant to be; ``10 %`` was meant to be 10."""
    text = node.text.removesuffix("%").strip() if isinstance(node, Scalar) else ""
    plain = text.replace(".", "", 1) if fraction and text[:1] != "." else text
    return text if plain.isdecimal() and plain.isascii() else ""


def _said(bound: int | float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:.12g}"
