"""A check that cannot fail is none: a line of each module is broken, in each of four ways, and every time somebody notices."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.terraform import check, rules
from tests.terraform.hcl import TERRAFORM, Declared, Module, load, modules, roots
from tests.terraform.mutations import ALL
from tests.terraform.runner import Terraform, copied
from tests.terraform.schema import Schema

MODULES = [folder.name for folder in modules()]
# region only calls modules, and has no word of Azure's of its own.
SLIPS = [(kind, module) for kind in ALL for module in MODULES if (kind, module) != ("wrong", "region")]
SAID = {
    "renamed": "Unsupported argument",
    "dropped": "Missing required argument",
    "dangling": "Reference to undeclared input variable",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree to break things in."""
    return copied(TERRAFORM, tmp_path_factory.mktemp("broken") / "terraform")


@pytest.mark.parametrize(("kind", "module"), SLIPS)
def test_a_slip_in_a_module_is_noticed(kind: str, module: str, broken: Path, schema: Schema) -> None:
    """Without Terraform, by the schema and the rules; at the line of the slip or at its block."""
    folder = broken / "modules" / module
    mutation = ALL[kind](folder, schema)
    assert mutation is not None, "a module with no line to break"
    whole = mutation.file.read_text("utf-8")
    mutation.file.write_text(mutation.text)
    try:
        found = [*check.problems(folder, schema), *_rules(folder)]
    finally:
        mutation.file.write_text(whole)
    assert found, f"{mutation.file}:{mutation.line} was changed and nobody noticed"
    assert check.problems(folder, schema) == []


def _rules(folder: Path) -> list[str]:
    return [said for (_, kind, _), block in load(folder).resources.items() for said in rules.broken(kind, block.body)]


@pytest.mark.parametrize("module", MODULES)
def test_terraform_notices_a_slip_too(module: str, terraform: Terraform, schema: Schema, broken: Path) -> None:
    """The real one, with the served schema, in the very file; each module in one of the ways, each way in a third of them."""
    kind = list(SAID)[MODULES.index(module) % len(SAID)]
    folder = broken / "modules" / module
    mutation = ALL[kind](folder, schema)
    assert mutation is not None
    whole = mutation.file.read_text("utf-8")
    terraform.ready(folder)
    mutation.file.write_text(mutation.text)
    try:
        said = terraform.validate(folder)
    finally:
        mutation.file.write_text(whole)
    assert SAID[kind] in [found["summary"] for found in said]
    assert mutation.file.name in [found["range"]["filename"] for found in said]


def test_every_argument_of_every_block_is_known_by_its_name(schema: Schema) -> None:
    """Each of some 1,000 arguments and blocks, at any depth, is given another name in turn; each time it is a problem."""
    count = 0
    for folder in [*modules(), *roots()]:
        for block in load(folder).declared:
            for body in _renamings(block):
                changed = Module(folder, (msgspec.structs.replace(block, body=body),))
                assert list(check.of_resources(changed, schema)), (block.labels, body)
                count += 1
    assert count > 800


def _renamings(block: Declared) -> list[dict[str, Any]]:
    if block.type != "resource":
        return []
    return list(_bodies(block.body))


def _bodies(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the body once for each of its keys, with that key under another name; and so for the blocks inside."""
    found = []
    for key, value in body.items():
        if key in ("for_each", "count", "lifecycle", "depends_on", "dynamic", "__is_block__"):
            continue
        rest = {name: inner for name, inner in body.items() if name != key}
        found.append(rest | {f"{key}_too": value})
        if isinstance(value, list) and value and isinstance(value[0], dict) and "__is_block__" in value[0]:
            found += [rest | {key: [inner, *value[1:]]} for inner in _bodies(value[0])]
    return found


def test_a_value_that_a_plan_worked_out_is_judged_too() -> None:
    """The rules are asked of every plan's values too; a value out of range in a plan's own form is a finding."""
    values = {"automatic_instance_repair": [{"enabled": True, "grace_period": "PT5M"}], "upgrade_mode": "manual"}
    said = list(rules.broken("azurerm_orchestrated_virtual_machine_scale_set", values))
    assert [line.split(" is ")[0].rsplit(".", 1)[1] for line in said] == ["upgrade_mode", "grace_period"]
