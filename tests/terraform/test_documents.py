"""What is made from the code is as the code is now: `python -m tests.terraform.write` writes it anew."""

from pathlib import Path
from typing import Any

import pytest

from tests.terraform.diagram import diagram
from tests.terraform.hcl import TERRAFORM, roots
from tests.terraform.readme import readmes
from tests.terraform.write import PICTURES

READMES = readmes(TERRAFORM)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_the_page_of_a_module_is_what_its_code_says(path: Path) -> None:
    """Inputs, outputs, resources and the first comments of its files."""
    assert path.read_text("utf-8") == READMES[path]


@pytest.mark.parametrize("name", [root.name for root in roots() if root.parent.name == "environments"])
def test_the_picture_of_an_environment_is_that_of_its_plan(plans: dict[str, Any], name: str) -> None:
    """Every module, and how many of what it makes."""
    assert (PICTURES / f"{name}.svg").read_text("utf-8") == diagram(name, plans[name])
