"""What `terraform validate` would say, without Terraform: a module against the provider's schema and its own declarations.

It is the check where no `terraform` is found, and it names what is wrong at its file and line.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.terraform.hcl import Declared, Expression, Module, inner, load, nested
from tests.terraform.schema import Argument, Block, Schema

_META = {"count", "for_each", "provider", "depends_on", "lifecycle", "dynamic", "timeouts", "__is_block__"}


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, and where."""

    place: str
    what: str


def problems(folder: Path, schema: Schema) -> list[Problem]:
    """Return what is wrong with a folder; nothing of the modules that it calls."""
    module = load(folder)
    return [*of_resources(module, schema), *_of_calls(module), *_of_references(module, schema)]


def of_resources(module: Module, schema: Schema) -> Iterator[Problem]:
    """Return what of a module's resources and data sources is not as the provider has it."""
    for (mode, kind, _), block in module.resources.items():
        known = schema.block(mode, kind)
        if known is None:
            yield Problem(block.place(), f"the provider has no {mode} {kind}")
        else:
            yield from _body(block, block.body, known, kind)


def _body(block: Declared, body: dict[str, Any], known: Block, path: str) -> Iterator[Problem]:
    made = [name for name, _ in inner(body)]
    for key, value in body.items():
        if key in _META:
            continue
        if key not in known.arguments and key not in known.blocks:
            yield Problem(block.place(key), f"{path} has no {key}")
        elif nested(value) != (key in known.blocks):
            yield Problem(block.place(key), f"{path}.{key} is {'a block' if key in known.blocks else 'an argument'}")
        elif key in known.arguments:
            yield from _argument(block, known.arguments[key], value, f"{path}.{key}")
    for name in known.arguments:
        if known.arguments[name].required and name not in body:
            yield Problem(block.place(), f"{path} needs {name}")
    for name, many in known.blocks.items():
        if many.required and name not in made:
            yield Problem(block.place(), f"{path} needs a block {name}")
        if not many.many and isinstance(body.get(name), list) and len(body[name]) > 1:
            yield Problem(block.place(name), f"{path} has at most one block {name}")
    for name, content in inner(body):
        if name in known.blocks:
            yield from _body(block, content, known.blocks[name].block, f"{path}.{name}")
        elif name not in body:
            yield Problem(block.place(name), f"{path} has no block {name}")


def _argument(block: Declared, argument: Argument, value: Any, path: str) -> Iterator[Problem]:
    if not argument.required and not argument.optional:
        yield Problem(block.place(path.rsplit(".", 1)[1]), f"{path} is read, and cannot be set")
    elif not _fits(argument.type, value):
        yield Problem(block.place(path.rsplit(".", 1)[1]), f"{path} is {argument.type}, and not {value!r}")


def _fits(type: Any, value: Any) -> bool:
    """Return whether a literal can be converted, as Terraform converts it; what is computed always fits here."""
    if isinstance(value, Expression) or value is None or type == "dynamic":
        return True
    if isinstance(type, list):
        if type[0] == "map":
            return isinstance(value, dict) and all(_fits(type[1], item) for item in value.values())
        return isinstance(value, list) and all(_fits(type[1], item) for item in value)
    if isinstance(value, list | dict):
        return False
    match type:
        case "bool":
            return isinstance(value, bool) or value in ("true", "false")
        case "number":
            return not isinstance(value, bool) and re.fullmatch(r"-?\d+(\.\d+)?", str(value)) is not None
    return True


def _of_calls(module: Module) -> Iterator[Problem]:
    for name, call in module.of("module").items():
        source = module.folder / str(call.body.get("source", ""))
        if not source.is_dir():
            yield Problem(call.place("source"), f"module {name}: there is no folder {call.body.get('source')}")
            continue
        inputs = load(source).of("variable")
        for key, value in call.body.items():
            if key in _META or key in ("source", "version", "providers"):
                continue
            if key not in inputs:
                yield Problem(call.place(key), f"module {name} has no input {key}")
            elif not _fits(_type(inputs[key]), value):
                yield Problem(call.place(key), f"module {name}: {key} is {inputs[key].body['type']}, and not {value!r}")
        for key, variable in inputs.items():
            if "default" not in variable.body and key not in call.body:
                yield Problem(call.place(), f"module {name} needs {key}")


def _type(variable: Declared) -> Any:
    """Return a variable's type as the protocol spells it; of an object, only that it is one."""
    written = str(variable.body.get("type", "any")).removeprefix("${").removesuffix("}")
    if written in ("string", "number", "bool"):
        return written
    collection = re.match(r"(list|set|map|object)\(", written)
    if collection is None:
        return "dynamic"
    return ["map" if collection[1] in ("map", "object") else "list", "dynamic"]


# What stands in brackets refers too: the look-ahead leaves it to be found on its own.
_REFERENCE = re.compile(r"(?<![\w.-])(var|local|module|data|azurerm_\w+)\.(\w+)(?=((?:\[[^\[\]]*\]|\.[\w*]+)*))")


def references(block: Declared) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Return what a block refers to: the word, the name, and the attributes after it."""
    if block.type in ("variable", "terraform"):
        text = "\n".join(expressions(block.body.get("validation", [])))
    else:
        text = "\n".join(expressions(block.body))
    for word, name, rest in _REFERENCE.findall(text):
        yield word, name, tuple(re.findall(r"\.(\w+)", re.sub(r"\[[^\[\]]*\]", "", rest)))


def expressions(value: Any) -> Iterator[str]:
    """Return every computed value inside a value."""
    match value:
        case Expression():
            yield value
        case dict():
            for item in value.values():
                yield from expressions(item)
        case list():
            for item in value:
                yield from expressions(item)


def _of_references(module: Module, schema: Schema) -> Iterator[Problem]:
    for block in module.declared:
        for word, name, rest in references(block):
            wrong = _dangling(module, schema, word, name, rest)
            if wrong:
                yield Problem(block.place(), f"{'.'.join((word, name, *rest))}: {wrong}")


def _dangling(module: Module, schema: Schema, word: str, name: str, rest: tuple[str, ...]) -> str:
    match word:
        case "var":
            return "" if name in module.of("variable") else f"there is no variable {name}"
        case "local":
            return "" if name in module.locals else f"there is no local value {name}"
        case "module":
            return _no_output(module, name, rest)
        case "data":
            return _no_attribute(module, schema, ("data", name, rest[0] if rest else ""), rest[1:])
    return _no_attribute(module, schema, ("resource", word, name), rest)


def _no_output(module: Module, name: str, rest: tuple[str, ...]) -> str:
    call = module.of("module").get(name)
    if call is None:
        return f"there is no module {name}"
    source = module.folder / str(call.body.get("source", ""))
    if not rest or not source.is_dir() or rest[0] in load(source).of("output"):
        return ""
    return f"module {name} has no output {rest[0]}"


def _no_attribute(module: Module, schema: Schema, key: tuple[str, str, str], rest: tuple[str, ...]) -> str:
    if key not in module.resources:
        return f"there is no {key[0]} {key[1]}.{key[2]}"
    known = schema.block(key[0], key[1])
    if known is None or not rest or rest[0] in known.arguments or rest[0] in known.blocks:
        return ""
    return f"{key[1]} has no attribute {rest[0]}"
