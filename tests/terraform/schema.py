"""The schema of the azurerm provider, read from the package on PyPI; neither Azure nor a registry of providers is asked.

`cdktn-provider-azurerm` is generated from the provider's own schema, and its JavaScript names every argument and block with
what it is. Only the compact form is kept, beside the package: it is read in milliseconds.
"""

import os
import re
import tarfile
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

REPOSITORY = Path(__file__).parents[2]
TOOLS = REPOSITORY / ".venv/terraform"

CtyType = str | list["str | list[str]"]
"""A type as Terraform's protocol spells it in JSON: ``"string"``, ``["list", "string"]``."""


class Argument(msgspec.Struct, frozen=True):
    """What can be set, or only read where it is ``computed`` and neither required nor optional."""

    type: CtyType
    required: bool = False
    optional: bool = False
    computed: bool = False


class Nested(msgspec.Struct, frozen=True):
    """A block inside a block."""

    block: "Block"
    required: bool = False
    many: bool = False
    unordered: bool = False


class Block(msgspec.Struct, frozen=True):
    """A resource, a data source, or a block inside one of them."""

    arguments: dict[str, Argument] = {}
    blocks: dict[str, Nested] = {}


class Schema(msgspec.Struct, frozen=True):
    """Everything that one version of the provider knows."""

    version: str
    provider: Block
    resources: dict[str, Block]
    data: dict[str, Block]

    def block(self, mode: str, kind: str) -> Block | None:
        """Return what a ``resource`` or a ``data`` block of this kind may hold; None where the provider has none."""
        return (self.resources if mode == "resource" else self.data).get(kind)


@cache
def azurerm() -> Schema | None:
    """Return the schema; None where `make .venv/terraform/ready` has not been run."""
    packages = sorted(TOOLS.glob("lib/python*/site-packages/cdktn_provider_azurerm/_jsii/*.jsii.tgz"))
    if not packages:
        return None
    # Read anew when this file is another one.
    reader = sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    kept = packages[-1].with_suffix(f".{reader}.msgpack")
    if not kept.exists():
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(msgspec.msgpack.encode(read(packages[-1])))
        fresh.replace(kept)
    return msgspec.msgpack.decode(kept.read_bytes(), type=Schema)


def read(package: Path) -> Schema:
    """Return the schema that a package describes; takes some seconds."""
    resources: dict[str, Block] = {}
    data: dict[str, Block] = {}
    version, provider = "", Block()
    with tarfile.open(package) as archive:
        for member in archive:
            if not re.fullmatch(r"package/lib/[\w-]+/index\.js", member.name):
                continue
            stream = archive.extractfile(member)
            assert stream is not None
            source = stream.read().decode()
            classes = _classes(source)
            for name, (parent, _) in classes.items():
                if parent == "TerraformProvider":
                    provider = _block(classes, name)
                    # What the package cannot say of the provider's own block: this one is no argument, and ours stays empty.
                    features = Nested(Block(), required=True)
                    provider = Block({k: v for k, v in provider.arguments.items() if k != "features"}, {"features": features})
                elif parent in ("TerraformResource", "TerraformDataSource"):
                    kind = _found(r'static tfResourceType = "(\w+)"', source)
                    version = version or _found(r"providerVersion: '([\d.]+)'", source)
                    (resources if parent == "TerraformResource" else data)[kind] = _block(classes, name)
    return Schema(version=version, provider=provider, resources=resources, data=data)


_CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{\n(.*?)^\}\n", re.M | re.S)
_MEMBER = re.compile(
    r"^    // (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+), required: (?P<required>\w+)\n"
    r"    (?:_\w+ = new (?P<kind>\w+?)(?P<shape>List|OutputReference)\(this, \"\w+\"(?:, (?P<unordered>\w+))?\);|"
    r"(?:_\w+;\n    )?(?:/\*\*\n(?:    \*.*\n)+?    \*/\n    )?get \w+\(\) \{\n        return (?P<getter>[^;]+);)",
    re.M,
)
_TYPES: dict[str, CtyType] = {
    "cdktn.Fn.tolist(this.getListAttribute": ["set", "string"],
    "cdktn.Token.asNumberList(cdktn.Fn.tolist(this.getNumberListAttribute": ["set", "number"],
    "this.getBooleanAttribute": "bool",
    "this.getListAttribute": ["list", "string"],
    "this.getNumberAttribute": "number",
    "this.getNumberListAttribute": ["list", "number"],
    "this.getStringAttribute": "string",
    "this.getStringMapAttribute": ["map", "string"],
    "this.interpolationForAttribute": "dynamic",
    "this._": "dynamic",
}


def _classes(source: str) -> dict[str, tuple[str, str]]:
    return {name: (parent, body) for name, parent, body in _CLASS.findall(source)}


def _found(pattern: str, source: str) -> str:
    found = re.search(pattern, source)
    assert found is not None, f"the package is not as it was: no {pattern}"
    return found.group(1)


def _block(classes: dict[str, tuple[str, str]], name: str) -> Block:
    arguments: dict[str, Argument] = {}
    blocks: dict[str, Nested] = {}
    for member in _MEMBER.finditer(classes[name][1]):
        required, optional, computed = (member[key] == "true" for key in ("required", "optional", "computed"))
        if member["kind"] and (required or optional):
            inner = _block(classes, f"{member['kind']}OutputReference")
            blocks[member["name"]] = Nested(inner, required, member["shape"] == "List", member["unordered"] == "true")
        else:
            arguments[member["name"]] = Argument(_type(member), required, optional, computed)
    return Block(arguments, blocks)


def _type(member: re.Match[str]) -> CtyType:
    """Return the type; of what Azure alone writes into a nested list, only that it is a list."""
    if member["kind"]:
        return "dynamic"
    return next(kind for start, kind in _TYPES.items() if member["getter"].startswith(start))


if __name__ == "__main__":
    azurerm()
