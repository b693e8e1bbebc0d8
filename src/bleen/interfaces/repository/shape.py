"""Every way in which a document is not what a type asks for, each at its line.

msgspec stops at the first mistake and knows no lines. This walks the same types (`msgspec.inspect`) beside the tree; msgspec
has the last word, so the two cannot part (see ``tests/interfaces/test_repository_shape.py``).
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping as Keys
from difflib import get_close_matches
from typing import Any

from msgspec import ValidationError, inspect

from bleen.domain.codec import convert
from bleen.domain.duration import Duration
from bleen.interfaces.repository.bounds import LARGEST, digits, near, span
from bleen.interfaces.repository.document import Document, Entry, Items, Mapping, Node, Scalar, locate, plain_value, spell
from bleen.interfaces.repository.problem import Problem


def mismatches(document: Document, kind: type) -> list[Problem]:
    """Return every difference between ``document`` and ``kind``, which is a struct; none means that it converts."""
    if document.root is None:
        return []
    found = list(_Walk(document, kind.__name__.lower()).walk(document.root, inspect.type_info(kind), "", {}))
    return found or _last_word(document, document.root, kind)


def nearest(word: str, known: list[str]) -> str:
    """Return the one of ``known`` that ``word`` was probably meant to be; empty where none is near."""
    plain = word.lower().replace("-", "_")
    return next(iter(get_close_matches(plain, known, n=1, cutoff=0.6)), "")


def _last_word(document: Document, root: Node, kind: type) -> list[Problem]:
    try:
        convert(plain_value(root), kind)
    except ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        return [document.problem(locate(root, *re.findall(r"[^.\[\]`]+", path)), said)]
    return []


class _Walk:
    """One walk; ``notes`` are what annotations say of a value: its description and examples."""

    def __init__(self, document: Document, subject: str) -> None:
        self.document = document
        self.subject = subject

    def walk(self, node: Node, kind: inspect.Type, path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong with ``node``, in the order of the file."""
        match kind:
            case inspect.Metadata():
                # The outer words are about this very key, the inner ones about its type in general.
                yield from self.walk(node, kind.type, path, {**(kind.extra_json_schema or {}), **notes})
            case inspect.UnionType():
                yield from self._union(node, kind, path, notes)
            case inspect.StructType():
                yield from self._struct(node, [kind], path)
            case inspect.VarTupleType():
                yield from self._list(node, kind, path, notes)
            case inspect.DictType():
                yield from self._dict(node, kind, path, notes)
            case inspect.StrType():
                yield from self._text(node, kind, path, notes)
            case inspect.IntType():
                yield from self._whole_number(node, kind, path, notes)
            case inspect.FloatType():
                yield from self._number(node, kind, path, notes)
            case inspect.EnumType():
                yield from self._word(node, [str(one) for one in kind.cls], path, notes)
            case inspect.BoolType():
                if not (isinstance(node, Scalar) and isinstance(node.value, bool)):
                    yield self._wrong(node, path, "`true` or `false`", _truth(node))
            case inspect.CustomType(cls=cls) if cls is Duration:
                yield from self._duration(node, path)
            case _:
                raise NotImplementedError(f"{path}: a file cannot hold {kind}")

    def _struct(self, node: Node, kinds: list[inspect.StructType], path: str) -> Iterator[Problem]:
        """``kinds`` are the alternatives that a tag tells apart, or the one struct that needs none."""
        if not isinstance(node, Mapping):
            what = f"a map with a `type`: {_tags(kinds)}" if kinds[0].tag is not None else "a map of keys"
            yield self._wrong(node, path, what, _sketch(kinds[0], path))
            return
        chosen: inspect.StructType | None = kinds[0]
        if kinds[0].tag is not None:
            if short := _shorthand(node, kinds):
                yield self._untagged(node, *short, path)
                return
            yield from self._tag(node, kinds, path)
            chosen = _chosen(node, kinds)
        if chosen:
            yield from self._keys(node, chosen, path)

    def _keys(self, node: Mapping, kind: inspect.StructType, path: str) -> Iterator[Problem]:
        known = {field.encode_name: field for field in kind.fields}
        meant = set()
        for name, entry in node.entries.items():
            if field := known.get(name):
                default = field.default if isinstance(field.default, int | float | str) else None
                yield from self.walk(entry.value, field.type, _join(path, name), {"default": default})
            elif name != kind.tag_field:
                meant.add(nearest(name, list(known)))
                yield self._unknown(entry, path, list(known))
        for name, field in known.items():
            if field.required and name not in {*node.entries, *meant}:
                what, why = f"{_named(_join(path, name))} is missing", _description(field.type)
                yield self.document.problem(node, what, why=why, instead=f"{name}: {_example(field.type)}")

    def _union(self, node: Node, kind: inspect.UnionType, path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        kinds = [k for k in kind.types if not isinstance(k, inspect.NoneType)]
        if len(kinds) < len(kind.types) and isinstance(node, Scalar) and node.value is None:
            return
        structs = [k for k in map(_bare, kinds) if isinstance(k, inspect.StructType)]
        if structs and (structs[0].tag is not None or isinstance(node, Mapping) or len(structs) == len(kinds)):
            yield from self._struct(node, structs, path)
        else:
            yield from self.walk(node, next(k for k in kinds if _bare(k) not in structs), path, notes)

    def _tag(self, node: Mapping, kinds: list[inspect.StructType], path: str) -> Iterator[Problem]:
        field = kinds[0].tag_field or "type"
        tag = node.get(field)
        why = f"{_named(path)} is one of " + "; ".join(f"{k.tag} ({_words(k)})" for k in kinds)
        if tag is None:
            likely = _likely(node, kinds)
            yield self.document.problem(
                node, f"{_named(path)} does not say its `type`", why=why, instead=f"type: {(likely or kinds[0]).tag}"
            )
        elif not isinstance(tag, Scalar) or tag.value not in [k.tag for k in kinds]:
            text = tag.text if isinstance(tag, Scalar) else "a " + _kind_of(tag)
            likely_tag = nearest(text.replace("_", "-"), [str(k.tag) for k in kinds]) or (_likely(node, kinds) or kinds[0]).tag
            yield self.document.problem(tag, f"`{text}` is no type of {_named(path)}", why=why, instead=f"type: {likely_tag}")

    def _untagged(self, node: Mapping, kind: inspect.StructType, value: Node, path: str) -> Problem:
        """Return the problem of ``{weight: 10}``, which says its type and its value in one."""
        field = next((f for f in kind.fields if f.required), kind.fields[0])
        said = spell(value.value) if isinstance(value, Scalar) and value.value is not None else _example(field.type)
        instead = f"{{{kind.tag_field}: {kind.tag}, {field.encode_name}: {said}}}"
        what = f"{_named(path)} does not say its `type`"
        return self.document.problem(node, what, why=f"`{kind.tag}` is a type, and no key", instead=instead)

    def _list(self, node: Node, kind: inspect.VarTupleType, path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        if not isinstance(node, Items):
            yield self._wrong(node, path, "a list", _list_of(node, notes))
            return
        if kind.min_length and len(node.items) < kind.min_length:
            what = f"{_named(path)} is an empty list"
            yield self.document.problem(node, what, why=notes.get("description", ""), instead=_line(path, spell(_first(notes))))
        for number, item in enumerate(node.items):
            yield from self.walk(item, kind.item_type, f"{path}[{number}]", {})

    def _dict(self, node: Node, kind: inspect.DictType, path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        if not isinstance(node, Mapping):
            yield self._wrong(node, path, "a map of names and values", spell(_first(notes)))
            return
        for name, entry in node.entries.items():
            yield from self.walk(entry.key, kind.key_type, _join(path, name), {"is_key": True})
            yield from self.walk(entry.value, kind.value_type, _join(path, name), {})

    def _text(self, node: Node, kind: inspect.StrType, path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        about = "a name" if notes.get("is_key") else "text"
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            yield self._not_text(node, path, about, notes)
            return
        text, why = node.value, str(notes.get("description", "")).rstrip(".")
        is_key = bool(notes.get("is_key"))
        example = spell(_first(notes) if is_key else _mended(text, kind.pattern or "") or _first(notes))
        instead = f"{example}:" if is_key else _line(path, example)
        if kind.min_length is not None and len(text) < kind.min_length:
            yield self.document.problem(node, f"{_named(path)} is empty", why=why, instead=_line(path, spell(_first(notes))))
        elif kind.max_length is not None and len(text) > kind.max_length:
            what = f"{_named(path)} is longer than {kind.max_length} characters"
            yield self.document.problem(node, what, why=why, instead=instead)
        elif kind.pattern and (not re.search(kind.pattern, text) or "\n" in text):
            what = f"`{_short(text)}` cannot be a name here" if is_key else _misfit(path, text)
            yield self.document.problem(node, what, why=why, instead=instead)

    def _not_text(self, node: Node, path: str, about: str, notes: Keys[str, Any]) -> Problem:
        if isinstance(node, Scalar) and node.value is not None:
            what = f"{_named(path)} must be {about}, and `{node.text}` is {_kind_of(node)} to YAML"
            quoted = f'"{node.text}"'
            instead = f"{quoted}:" if notes.get("is_key") else _line(path, quoted)
            return self.document.problem(node, what, why="quotes make it text", instead=instead)
        if isinstance(node, Mapping) and node.inline and len(node.entries) == 1:
            name = next(iter(node.entries))
            why = "YAML reads bare braces as a map"
            return self.document.problem(node, f"{_named(path)} must be text, and is a map", why=why, instead=f'"{{{name}}}"')
        return self._wrong(node, path, about, spell(_first(notes)))

    def _whole_number(self, node: Node, kind: inspect.IntType, path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        low, high = kind.ge, kind.le
        expected = f"a whole number {span(kind)}".strip()
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, int) or isinstance(value, bool):
            yield self._wrong(node, path, expected, str(digits(node) or notes.get("default") or low or 1))
        elif (low is not None and value < low) or (high is not None and value > high):
            bound = low if low is not None and value < low else high
            yield self.document.problem(
                node, f"{_named(path)} is {value}", why=f"it must be {expected}", instead=_line(path, bound)
            )

    def _number(self, node: Node, kind: inspect.FloatType, path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        """A whole number is fine where a fraction may stand; what is no number to compare with is not."""
        expected, value = f"a number {span(kind)}".strip(), node.value if isinstance(node, Scalar) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            default = notes.get("default")
            yield self._wrong(node, path, expected, digits(node, fraction=True) or str(near(kind, default)))
        elif not (abs(value) < LARGEST):
            what = f"{_named(path)} is {_short(node.text) if isinstance(node, Scalar) else value}"
            instead = _line(path, near(kind, notes.get("default")))
            yield self.document.problem(node, what, why=f"it must be {expected}", instead=instead)
        elif (bound := near(kind, value)) != value:
            yield self.document.problem(
                node, f"{_named(path)} is {value:g}", why=f"it must be {expected}", instead=_line(path, bound)
            )

    def _word(self, node: Node, known: list[str], path: str, notes: Keys[str, Any]) -> Iterator[Problem]:
        text = node.text if isinstance(node, Scalar) and node.value is not None else ""
        default = str(notes.get("default") or known[0])
        if not text:
            yield self._wrong(node, path, " or ".join(f"`{one}`" for one in known), default)
        elif not isinstance(node, Scalar) or node.value not in known:
            why = str(notes.get("description", "")).rstrip(".") or f"it is one of {', '.join(known)}"
            instead = _line(path, nearest(text, known) or default)
            yield self.document.problem(node, _misfit(path, text), why=why, instead=instead)

    def _duration(self, node: Node, path: str) -> Iterator[Problem]:
        number = isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
        if isinstance(node, Scalar) and number:
            what = f"{_named(path)} lacks its unit"
            yield self.document.problem(
                node, what, why="a duration is a number with ms, s, m, h or d", instead=_line(path, f"{node.text}s")
            )
        elif not isinstance(node, Scalar) or not isinstance(node.value, str):
            yield self._wrong(node, path, "a duration", "30s")
        else:
            try:
                Duration.parse(node.value)
            except ValueError:
                why = "a duration is a number with ms, s, m, h or d, up to ten years: 500ms, 30s, 1h30m"
                what = f"{_named(path)} is `{node.text[:40]}`, which is no duration"
                yield self.document.problem(node, what, why=why, instead=_line(path, _nearest_duration(node.text)))

    def _unknown(self, entry: Entry, path: str, known: list[str]) -> Problem:
        name = entry.key.text
        meant = nearest(name, known)
        instead = f"{meant}:" if meant else ""
        owner = _named(path) if path else f"a {self.subject}"
        return self.document.problem(
            entry.key,
            f"{_named(_join(path, name))} is no key of {owner}",
            why=f"its keys are {', '.join(known)}",
            instead=instead,
        )

    def _wrong(self, node: Node, path: str, expected: str, example: str) -> Problem:
        if isinstance(node, Scalar) and node.value is None:
            instead = _line(path, example) or "nothing: without the line, the defaults count"
            return self.document.problem(node, f"{_named(path)} has no value", why=f"it must be {expected}", instead=instead)
        what = f"{_named(path)} must be {expected}, and is {_kind_of(node)}"
        return self.document.problem(node, what, instead=_line(path, example))


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _join(path: str, name: str) -> str:
    if not re.fullmatch(r"\w+", name):
        return f'{path}["{name}"]'
    return f"{path}.{name}" if path else name


def _named(path: str) -> str:
    return f"`{path}`" if path else "the file"


def _line(path: str, value: object) -> str:
    """Return ``key: value`` for the last key of ``path``; items of a list stand alone."""
    if value in ("", None):
        return ""
    key = path.rpartition(".")[2]
    return f"{value}" if not key or key.endswith("]") else f"{key}: {value}"


def _kind_of(node: Node) -> str:
    match node:
        case Mapping():
            return "a map"
        case Items():
            return "a list"
        case Scalar(value=bool()):
            return "a truth value"
        case Scalar(value=int() | float()):
            return "a number"
        case Scalar(value=None):
            return "nothing"
        case _:
            return f'the text "{node.text[:40]}"'


def _misfit(path: str, text: str) -> str:
    return f"{_named(path)} cannot be `{_short(text)}`" if text else f"{_named(path)} is empty"


def _short(text: str) -> str:
    shown = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _mended(text: str, pattern: str) -> str:
    """Return ``text`` with the most common slips mended; empty where that does not help."""
    host = re.sub(r"^[a-z]+://|[:/].*$", "", text.strip().lower())
    tries = (
        *("/" + text, text.strip(), text.lower(), text.lower().replace("_", "-"), text.upper()),
        *(host, host.removeprefix("preview.")),
    )
    return next((t for t in tries if t and re.search(pattern, t) and "\n" not in t), "")


def _truth(node: Node) -> str:
    text = node.text.lower() if isinstance(node, Scalar) else ""
    return "true" if text in ("yes", "y", "on", "1", "true") else "false"


def _list_of(node: Node, notes: Keys[str, Any]) -> str:
    """Return the value as a list of one, or an example."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value and "\n" not in node.value:
        return spell(node.value.split())
    return spell(_first(notes))


def _nearest_duration(text: str) -> str:
    """Return what ``10 minutes`` was meant to be; ``30s`` where that is anyone's guess."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|milli|s|m|h|d)[a-z]*\s*", text.lower())
    if not found:
        return "30s"
    return found[1] + {"milli": "ms"}.get(found[2], found[2])


def _first(notes: Keys[str, Any]) -> Any:
    return next(iter(notes.get("examples", ())), "")


def _tags(kinds: list[inspect.StructType]) -> str:
    return ", ".join(str(k.tag) for k in kinds)


def _words(kind: inspect.StructType) -> str:
    first = (kind.cls.__doc__ or "").strip().splitlines()[0]
    return first[:1].lower() + first[1:].rstrip(".")


def _chosen(node: Mapping, kinds: list[inspect.StructType]) -> inspect.StructType | None:
    """Return the alternative that ``node`` names, or else the one that it looks like."""
    tag = node.get(kinds[0].tag_field or "type")
    named = (k for k in kinds if isinstance(tag, Scalar) and k.tag == tag.value)
    return next(named, None) or _likely(node, kinds) or (kinds[0] if len(kinds) == 1 else None)


def _shorthand(node: Mapping, kinds: list[inspect.StructType]) -> tuple[inspect.StructType, Node] | None:
    """Return what ``{weight: 10}`` meant: the alternative that its only key names, and the value there."""
    if len(node.entries) != 1:
        return None
    ((name, entry),) = node.entries.items()
    own = {field.encode_name for kind in kinds for field in kind.fields}
    chosen = next((k for k in kinds if k.tag == name and name not in own), None)
    return (chosen, entry.value) if chosen else None


def _likely(node: Mapping, kinds: list[inspect.StructType]) -> inspect.StructType | None:
    """Return the alternative whose keys ``node`` has most of."""
    scores = [(len({f.encode_name for f in k.fields} & set(node.entries)), -i, k) for i, k in enumerate(kinds)]
    best = max(scores, key=lambda score: score[:2])
    return best[2] if best[0] else None


def _description(kind: inspect.Type) -> str:
    return str((kind.extra_json_schema or {}).get("description", "")).rstrip(".") if isinstance(kind, inspect.Metadata) else ""


def _example(kind: inspect.Type) -> str:
    """Return a value of ``kind`` on one line of YAML."""
    if isinstance(kind, inspect.Metadata):
        said = spell(_first(kind.extra_json_schema or {}))
        return said or _example(kind.type)
    if isinstance(kind, inspect.UnionType):
        return _example(next(k for k in kind.types if not isinstance(k, inspect.NoneType)))
    if isinstance(kind, inspect.FloatType | inspect.IntType):
        return f"{kind.ge or kind.le or 1:g}"
    return _sketch(kind) if isinstance(kind, inspect.StructType) else "..."


def _sketch(kind: inspect.StructType, path: str = "value") -> str:
    """Return a struct with what it cannot do without; the one that is a whole file on several lines."""
    pairs = [f"{kind.tag_field}: {kind.tag}"] if kind.tag is not None else []
    pairs += [f"{f.encode_name}: {_example(f.type)}" for f in kind.fields if f.required]
    if not path:
        return "\n".join(pairs)
    return "{" + ", ".join(pairs) + "}" if pairs else ""
