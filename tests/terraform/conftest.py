"""The schema, the real Terraform where there is one, and one plan of every root: each made once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.hcl import TERRAFORM, roots
from tests.terraform.provider import served
from tests.terraform.runner import Terraform, copied, used
from tests.terraform.schema import TOOLS, Schema, azurerm


@pytest.fixture(scope="session")
def schema() -> Schema:
    """Return the schema of azurerm."""
    found = azurerm()
    if found is None:
        pytest.skip("the provider's schema is not here: make .venv/terraform/ready")
    return found


@pytest.fixture(scope="session")
def terraform(schema: Schema, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    """Return the real Terraform, with a provider that knows the schema."""
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("not applicable: no terraform on PATH; test_modules.py checks the same files against the same schema")
    with served(used(schema, TERRAFORM), tmp_path_factory.mktemp("provider") / "socket") as provider:
        yield Terraform(program, provider)


@pytest.fixture(scope="session")
def tree(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree in which every root is initialised."""
    copy = copied(TERRAFORM, tmp_path_factory.mktemp("tree") / "terraform")
    for root in roots(copy):
        terraform.ready(root)
    return copy


@pytest.fixture(scope="session")
def plans(terraform: Terraform, tree: Path) -> dict[str, dict[str, Any]]:
    """Return the plan of each environment."""
    return {root.name: terraform.plan(root) for root in roots(tree) if root.parent.name == "environments"}


@pytest.fixture(scope="session")
def checkov() -> str:
    """Return checkov's program."""
    program = TOOLS / "bin/checkov"
    if not program.exists():
        pytest.skip("checkov is not here: make .venv/terraform/ready")
    return str(program)
