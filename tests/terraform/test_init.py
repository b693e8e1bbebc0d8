"""`bleen init --azure`: what it writes passes the checks that the examples pass."""

from pathlib import Path

from bleen.interfaces.repository import init
from tests.terraform import check
from tests.terraform.hcl import modules, roots
from tests.terraform.schema import Schema


def test_what_init_writes_for_azure_is_valid(tmp_path: Path, schema: Schema) -> None:
    """Every module and every environment of the written repository, against the provider's schema."""
    init(tmp_path, azure=True)
    tree = tmp_path / "infrastructure/terraform"
    assert len(modules(tree)) == 16
    assert len(roots(tree)) == 4
    assert [problem for folder in [*modules(tree), *roots(tree)] for problem in check.problems(folder, schema)] == []
