"""Writes what is made from the Terraform code: the READMEs of the modules, and a picture of each environment's plan."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.terraform.diagram import diagram
from tests.terraform.hcl import TERRAFORM, roots
from tests.terraform.readme import readmes
from tests.terraform.runner import Terraform, copied, served, used
from tests.terraform.schema import REPOSITORY, azurerm

PICTURES = REPOSITORY / "docs/azure"


def main() -> None:
    """Write all of it; the pictures need `terraform`."""
    for path, text in readmes(TERRAFORM).items():
        path.write_text(text, "utf-8")
    program, schema = shutil.which("terraform"), azurerm()
    if program is None or schema is None:
        sys.exit("the READMEs are written; the pictures need terraform on PATH, and make .venv/terraform/ready")
    with tempfile.TemporaryDirectory() as scratch, served(used(schema, TERRAFORM), Path(scratch)) as provider:
        terraform = Terraform(program, provider)
        for root in roots(copied(TERRAFORM, Path(scratch) / "terraform"))[:-1]:
            terraform.ready(root)
            PICTURES.mkdir(parents=True, exist_ok=True)
            (PICTURES / f"{root.name}.svg").write_text(diagram(root.name, terraform.plan(root)), "utf-8")


if __name__ == "__main__":
    main()
