"""The JSON Schemas of the files that people write, for editors and other programs."""

import inspect
from typing import Any

from msgspec import NODEFAULT
from msgspec import inspect as types

from bleen.domain import codec
from bleen.domain.base import Recipe
from bleen.domain.calendar import Calendars
from bleen.domain.channel import Channels
from bleen.domain.codec import plain
from bleen.domain.issuer import Access
from bleen.domain.policy import Policy
from bleen.domain.service import Service

KINDS: dict[str, type] = {
    "service": Service,
    "image": Recipe,
    "policy": Policy,
    "calendars": Calendars,
    "channels": Channels,
    "access": Access,
}
"""The files that people write, by the word for them."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TAG = "Which of the alternatives this is."


def schema(word: str = "service") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a kind of file: every key described, every default stated."""
    top = KINDS[word]
    made = codec.schema(top)
    for kind in structs_of(top):
        _complete(made["$defs"][kind.cls.__name__], kind)
    head = {"$schema": _DIALECT, "$id": f"urn:bleen:schema:{word}", "title": f"Bleen {word} file"}
    return head | {"description": inspect.getdoc(top)} | made


def structs_of(kind: type) -> list[types.StructType]:
    """Return ``kind`` and every struct inside it, each once, outer ones first."""
    found: dict[type, types.StructType] = {}
    _collect(types.type_info(kind), found)
    return list(found.values())


def default_of(field: types.Field) -> Any:
    """Return what counts where the key is left out, as it would be written; NODEFAULT where it cannot be."""
    if field.default_factory is not NODEFAULT:
        return plain(field.default_factory())
    return NODEFAULT if field.default is NODEFAULT else plain(field.default)


def _collect(kind: types.Type, found: dict[type, types.StructType]) -> None:
    match kind:
        case types.Metadata():
            _collect(kind.type, found)
        case types.UnionType():
            for one in kind.types:
                _collect(one, found)
        case types.VarTupleType():
            _collect(kind.item_type, found)
        case types.DictType():
            _collect(kind.value_type, found)
        case types.StructType() if kind.cls not in found:
            found[kind.cls] = kind
            for field in kind.fields:
                _collect(field.type, found)


def _complete(part: dict[str, Any], kind: types.StructType) -> None:
    """Add what msgspec leaves out: the words about the tag, and defaults that are made anew each time."""
    part["description"] = inspect.getdoc(kind.cls)
    if kind.tag_field:
        part["properties"][kind.tag_field]["description"] = _TAG
    for field in kind.fields:
        default = default_of(field)
        if default is not NODEFAULT:
            part["properties"][field.encode_name]["default"] = default
