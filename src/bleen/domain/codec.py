"""The one way values become JSON and back: tagged, closed, exact.

Files, the ledger, the API and the workflow engine all use it, so that a wrong tag or an unknown key fails
the same way everywhere.
"""

import hashlib
from collections.abc import Hashable
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

import msgspec

from bleen.domain.duration import PATTERN, Duration

T = TypeVar("T")
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", description="Text without NUL characters.")]
"""What may stand in a command line or an environment: the operating system ends both at a NUL."""


def kebab(name: str) -> str:
    """Return ``KeepWarm`` as ``keep-warm``."""
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A domain value: immutable, compared by content, closed to unknown keys."""


class Tagged(Value, frozen=True, tag_field="type", tag=kebab):
    """One alternative of a union; its kebab-case name is its mandatory tag."""


def encode(value: object) -> bytes:
    """Return ``value`` as canonical JSON: keys sorted, no white space."""
    return msgspec.json.encode(value, enc_hook=_simplify, order="sorted")


def decode(data: bytes | str, kind: type[T] | Any) -> T:
    """Return the ``kind`` that ``data`` spells; msgspec.ValidationError if it spells none."""
    found: T = _decoder(cast(Hashable, kind)).decode(data)
    return found


@lru_cache(maxsize=256)
def _decoder(kind: Hashable) -> "msgspec.json.Decoder[Any]":
    """Return what decodes a ``kind``: to look through the union of all events anew takes longer than to decode ten of them."""
    return msgspec.json.Decoder(kind, dec_hook=_restore)


def convert(value: object, kind: type[T] | Any) -> T:
    """Return plain ``value`` (from YAML, say) as a ``kind``; msgspec.ValidationError if it is none."""
    return msgspec.convert(value, type=kind, dec_hook=_restore)


def plain(value: object) -> Any:
    """Return ``value`` as dicts, lists, strings and numbers."""
    return msgspec.to_builtins(value, enc_hook=_simplify)


def schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of ``kind``."""
    return msgspec.json.schema(kind, schema_hook=describe)


def digest_of(value: object) -> str:
    """Return the content address of ``value``: ``sha256:`` and 64 hex digits."""
    data = value if isinstance(value, bytes) else encode(value)
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _simplify(value: object) -> object:
    if isinstance(value, Duration):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def _restore(kind: type, value: object) -> object:
    if kind is Duration:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a duration; write for example 30s, 10m or 1h30m")
        return Duration.parse(value)
    raise NotImplementedError(f"{kind.__name__} has no JSON form")


def describe(kind: type) -> dict[str, Any]:
    """Return the JSON Schema of a custom type, for msgspec."""
    if kind is Duration:
        return {"type": "string", "pattern": PATTERN, "examples": ["30s", "10m", "1h30m"]}
    raise NotImplementedError(f"{kind.__name__} has no JSON Schema")


def lasting(text: str) -> Any:
    """Return a struct field whose default is the duration ``text``.

    A factory, because msgspec cannot put a default of a custom type into a JSON Schema.
    """
    return msgspec.field(default_factory=lambda: Duration.parse(text))
