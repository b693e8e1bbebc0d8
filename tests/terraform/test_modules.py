"""Every file of the tree, against the provider's schema, Azure's rules and this repository's names. No Terraform is needed."""

import re
from pathlib import Path

import pytest

from tests.terraform import check, naming, rules
from tests.terraform.hcl import load, modules, roots
from tests.terraform.schema import Schema

FOLDERS = [*modules(), *roots()]


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


@pytest.mark.parametrize("folder", FOLDERS, ids=_name)
def test_a_folder_says_only_what_the_provider_knows(folder: Path, schema: Schema) -> None:
    """No argument, block, type, reference, input or output that is missing, unknown or of the wrong kind."""
    assert check.problems(folder, schema) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=_name)
def test_a_folder_says_only_what_azure_takes(folder: Path) -> None:
    """Words and ranges that the schema cannot know."""
    found = load(folder).resources
    assert [broken for (_, kind, _), block in found.items() for broken in rules.broken(kind, block.body)] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=_name)
def test_a_folder_names_describes_and_tags_what_it_makes(folder: Path, schema: Schema) -> None:
    """Microsoft's abbreviations, a description of every input and output, tags on all that takes them, nothing unused."""
    assert list(naming.problems(load(folder), schema)) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=_name)
def test_a_folder_pins_the_provider_to_its_major_version(folder: Path) -> None:
    """A sixth version renames arguments, as the fifth did."""
    (settings,) = [block.body for block in load(folder).of("terraform").values() if "required_providers" in block.body]
    (required,) = settings["required_providers"]
    assert required["azurerm"] == {"source": "hashicorp/azurerm", "version": "~> 5.0"}


def test_the_schema_is_of_the_version_that_is_pinned(schema: Schema) -> None:
    """What is checked against is a fifth version, and all of it: about 1,100 resources."""
    assert re.fullmatch(r"5\.\d+\.\d+", schema.version)
    assert len(schema.resources) > 1000
    assert len(schema.data) > 350


def test_every_rule_is_about_an_argument_that_exists_and_is_used(schema: Schema) -> None:
    """A row with a misspelt path would never fail."""
    kinds = {kind for folder in FOLDERS for _, kind, _ in load(folder).resources}
    for rule in rules.RULES:
        block = schema.resources[rule.kind]
        *blocks, argument = rule.path.split(".")
        for name in blocks:
            block = block.blocks[name].block
        assert argument in block.arguments, rule
        assert rule.kind in kinds, rule


def test_no_secret_is_written_down() -> None:
    """No password, access key or connection string is an argument, and no input is one."""
    wanted = re.compile(
        r"password(?!_auth_enabled|\b.*authentication)|access_key(?!_enabled)|connection_string|client_secret", re.I
    )
    for folder in FOLDERS:
        for path in folder.glob("*.tf"):
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                code = line.split("#")[0]
                if wanted.search(code) and "disable_password_authentication" not in code:
                    pytest.fail(f"{path}:{number}: {line.strip()}")
