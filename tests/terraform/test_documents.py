"""What is made from the code is as the code is now: `python -m tests.terraform.write` writes it anew."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.diagram import diagram
from tests.terraform.hcl import TERRAFORM, modules, roots
from tests.terraform.readme import readmes
from tests.terraform.schema import REPOSITORY, Schema
from tests.terraform.write import PICTURES

# Plans of all environments are made within the first test that wants them: seconds alone, minutes on a machine that is full.
pytestmark = pytest.mark.timeout(900)

READMES = readmes(TERRAFORM)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_the_page_of_a_module_is_what_its_code_says(path: Path) -> None:
    """Inputs, outputs, resources and the first comments of its files."""
    assert path.read_text("utf-8") == READMES[path]


@pytest.mark.parametrize("name", [root.name for root in roots() if root.parent.name == "environments"])
def test_the_picture_of_an_environment_is_that_of_its_plan(plans: dict[str, Any], name: str) -> None:
    """Every module, and how many of what it makes."""
    assert (PICTURES / f"{name}.svg").read_text("utf-8") == diagram(name, plans[name])


PAGE = (REPOSITORY / "docs/azure.md").read_text("utf-8")
ROWS = [
    re.findall(r"`([^`]+)`", row) for row in re.findall(r"^\| [^|]+ \| `terraform/.*$|^\| [^|]+ \| `images/.*$", PAGE, re.M)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_line_of_the_checklist_names_a_file_and_checks_that_exist(row: list[str]) -> None:
    """Item, file, what fails when it is broken: a test file, a claim of a module, or a test by its name."""
    file, *checks = row
    assert (TERRAFORM.parent / file).is_file()
    tests = {path.name: path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")}
    for name in checks:
        if name.startswith("test_") and not name.endswith(".py"):
            assert any(f"def {name}(" in text for text in tests.values()), name
        elif name.endswith((".py", ".hcl")):
            assert name in tests or (TERRAFORM / "modules" / name).is_file(), name


def test_the_checklist_has_every_module_that_makes_something() -> None:
    """Edge and region are what others are made of; every other module is a line."""
    named = {row[0].split("/")[2] for row in ROWS if "/modules/" in row[0]}
    assert named == {folder.name for folder in modules()} - {"edge", "region"}


def test_the_page_of_the_tree_names_every_module() -> None:
    """A module that nobody is told of is found by nobody."""
    page = (TERRAFORM / "README.md").read_text("utf-8")
    assert [folder.name for folder in modules() if f"`{folder.name}`" not in page] == []


def test_the_page_names_the_version_that_is_checked_against(schema: Schema) -> None:
    """It is the one thing that "valid" is relative to."""
    assert f"azurerm {schema.version}" in PAGE
