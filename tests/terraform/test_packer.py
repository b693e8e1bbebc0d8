"""The Packer template: validated by the real Packer, and agreeing with the Terraform that makes its gallery."""

import os
import shutil
from pathlib import Path
from subprocess import CompletedProcess, run

import hcl2
import pytest

from tests.terraform.hcl import TERRAFORM, load

PACKER = TERRAFORM.parent / "images/packer"
# The Azure part of Packer 1.6 is built in, and it refuses the block that 1.7 wants.
FOR_NEWER = "plugins.pkr.hcl"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a copy of the template with a payload to send."""
    folder = shutil.copytree(PACKER, tmp_path / "packer", ignore=shutil.ignore_patterns(FOR_NEWER))
    (folder / "image.tar").write_bytes(b"")
    return folder


def _packer(*words: str, folder: Path) -> CompletedProcess[str]:
    program = shutil.which("packer")
    if program is None:
        pytest.skip("packer is not here (Debian's package packer)")
    quiet = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", "HOME": str(folder)}
    command = [program, *words, str(folder)]
    return run(command, env={**os.environ, **quiet}, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_packer_takes_the_template(template: Path) -> None:
    """Every argument of the Azure builder, the provisioners and the post-processor."""
    said = _packer("validate", "-var-file=example.pkrvars.hcl", folder=template)
    assert said.returncode == 0, said.stdout + said.stderr


def test_packer_would_format_nothing(template: Path) -> None:
    """As `terraform fmt` for Terraform."""
    assert _packer("fmt", "-check", folder=template).returncode == 0


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("vm_size ", "vm_sieze ", 'named "vm_sieze" is not expected'),
        ("gallery_name ", "gallery_title ", 'named "gallery_title" is not expected'),
        ("var.base_version", "var.bass_version", "bass_version"),
        ('os_type                   = "Linux"', "", "os_type"),
        ("scripts/patch.sh", "scripts/match.sh", "match.sh"),
    ],
    ids=["argument", "argument-of-the-gallery", "reference", "dropped", "script"],
)
def test_packer_notices_a_slip(template: Path, good: str, bad: str, said: str) -> None:
    """Each of these fails the check above."""
    file = template / "image.pkr.hcl"
    text = file.read_text("utf-8")
    assert good in text
    file.write_text(text.replace(good, bad, 1))
    answer = _packer("validate", "-var-file=example.pkrvars.hcl", folder=template)
    assert answer.returncode != 0
    assert said in answer.stdout + answer.stderr


def test_the_part_for_newer_packers_pins_the_plugin() -> None:
    """It cannot be validated by Debian's Packer; it is read, at least."""
    (block,) = hcl2.loads((PACKER / FOR_NEWER).read_text("utf-8"))["packer"]
    (plugins,) = block["required_plugins"]
    assert plugins["azure"] == {"source": '"github.com/hashicorp/azure"', "version": '"~> 2.0"'}


def test_the_example_builds_an_image_that_terraform_defines() -> None:
    """Its image is in the gallery of dev, its gallery has the name that the module gives, and no version floats."""
    example = {
        key: str(value).strip('"') for key, value in hcl2.loads((PACKER / "example.pkrvars.hcl").read_text("utf-8")).items()
    }
    gallery = load(TERRAFORM / "environments/dev").of("module")["gallery"].body
    assert example["image"] in gallery["images"]
    assert example["gallery"] == "gal_shop_dev_weu"
    assert "latest" not in example["base_version"]


def test_scripts_stop_at_the_first_failure() -> None:
    """A script that goes on after a failed step would make an image without it; and each is a script that sh can read."""
    for script in sorted(PACKER.glob("scripts/*.sh")):
        assert "set -eu" in script.read_text("utf-8").splitlines()
        assert run(["sh", "-n", str(script)], capture_output=True, check=False).returncode == 0
