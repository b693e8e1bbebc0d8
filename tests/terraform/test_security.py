"""checkov's rules of security, with every exception explained where it is made."""

import json
import re
from subprocess import Popen

import pytest

from tests.terraform.hcl import TERRAFORM


def test_checkov_finds_nothing_that_is_not_explained(checkov: Popen[str] | None) -> None:
    """Modules and bootstrap; region and environments only call them. A file that it cannot read would be a file unchecked."""
    if checkov is None:
        pytest.skip("checkov is not here: make .venv/terraform/ready")
    told = json.loads(checkov.communicate(timeout=150)[0])
    found = [f"{check['file_path']}: {check['check_id']} {check['check_name']}" for check in told["results"]["failed_checks"]]
    assert found == []
    assert told["summary"]["parsing_errors"] == 0
    assert told["summary"]["passed"] > 50


def test_every_exception_says_why() -> None:
    """`checkov:skip=ID:reason`, the reason a sentence."""
    skips = [
        line for path in TERRAFORM.rglob("*.tf") for line in path.read_text("utf-8").splitlines() if "checkov:skip" in line
    ]
    assert skips
    assert [line for line in skips if not re.search(r"checkov:skip=CKV2?_AZURE_\d+:.{20,}", line)] == []
