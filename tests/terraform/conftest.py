"""The schema, the real Terraform where there is one, and one plan of every root: each made once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import pytest

from tests.terraform.hcl import TERRAFORM, roots
from tests.terraform.runner import Terraform, copied, served, used
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
    with served(used(schema, TERRAFORM), tmp_path_factory.mktemp("provider")) as provider:
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


@pytest.fixture(scope="session", autouse=True)
def checkov(request: pytest.FixtureRequest) -> Iterator[Popen[str] | None]:
    """Yield checkov at work on the tree, from the first test on: it takes as long as many, and needs nothing of them."""
    program = TOOLS / "bin/checkov"
    if not program.exists() or not any(item.path.name == "test_security.py" for item in request.session.items):
        yield None
        return
    only = ["--framework", "terraform", "--skip-download", "--skip-path", "environments", "--skip-path", "modules/region"]
    command = [str(program), "-d", str(TERRAFORM), *only, "--quiet", "--compact", "-o", "json"]
    with Popen(command, stdout=PIPE, stderr=DEVNULL, text=True) as process:
        yield process
        process.kill()
