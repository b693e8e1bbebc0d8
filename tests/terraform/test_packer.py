"""The Packer template: validated by the real Packer, and agreeing with the Terraform that makes its gallery."""

import os
import re
import shutil
import sys
from pathlib import Path
from subprocess import CompletedProcess, run

import hcl2
import pytest

from bleen.providers.azure.health import PATH
from bleen.settings import read_settings
from tests.terraform.hcl import TERRAFORM, load

PACKER = TERRAFORM.parent / "images/packer"
# The Azure part of Packer 1.6 is built in, and it refuses the block that 1.7 wants.
FOR_NEWER = "plugins.pkr.hcl"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a copy of the template with a payload and a guest to send."""
    folder = shutil.copytree(PACKER, tmp_path / "packer", ignore=shutil.ignore_patterns(FOR_NEWER))
    (folder / "image.tar").write_bytes(b"")
    (folder / "guest.tar").write_bytes(b"")
    return folder


def packer(*words: str, folder: Path) -> CompletedProcess[str]:
    program = shutil.which("packer")
    if program is None:
        pytest.skip("packer is not here (Debian's package packer)")
    quiet = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", "HOME": str(folder)}
    command = [program, *words, str(folder)]
    return run(command, env={**os.environ, **quiet}, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_packer_takes_the_template(template: Path) -> None:
    """Every argument of the Azure builder, the provisioners and the post-processor."""
    said = packer("validate", "-var-file=example.pkrvars.hcl", folder=template)
    assert said.returncode == 0, said.stdout + said.stderr


def test_packer_would_format_nothing(template: Path) -> None:
    """As `terraform fmt` for Terraform."""
    assert packer("fmt", "-check", folder=template).returncode == 0


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("vm_size ", "vm_sieze ", 'named "vm_sieze" is not expected'),
        ("gallery_name ", "gallery_title ", 'named "gallery_title" is not expected'),
        ("var.base_version", "var.bass_version", "bass_version"),
        ('os_type                   = "Linux"', "", "os_type"),
        ("scripts/patch.sh", "scripts/match.sh", "match.sh"),
        ("bleen-guest.service", "bleen-ghost.service", "bleen-ghost.service"),
    ],
    ids=["argument", "argument-of-the-gallery", "reference", "dropped", "script", "service"],
)
def test_packer_notices_a_slip(template: Path, good: str, bad: str, said: str) -> None:
    """Each of these fails the check above."""
    slip(template, good, bad, said)


def slip(template: Path, good: str, bad: str, said: str) -> None:
    """Have Packer find ``bad`` in place of ``good``, and say so."""
    file = template / "image.pkr.hcl"
    text = file.read_text("utf-8")
    assert good in text
    file.write_text(text.replace(good, bad, 1))
    answer = packer("validate", "-var-file=example.pkrvars.hcl", folder=template)
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


UNIT = PACKER / "bleen-guest.service"


def unit(path: Path = UNIT) -> dict[str, list[str]]:
    """Return the keys of a service, each with its values."""
    found: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_systemd_takes_the_guests_service(tmp_path: Path) -> None:
    """Every key of it; but for its program, which only machines have."""
    verify(UNIT, tmp_path, "KillMode=", "KillMood=")


def verify(service: Path, folder: Path, key: str, slip: str) -> tuple[str, Path]:
    """Have systemd find nothing in a service but a slip; return its program, and the service as it was found good."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here (Debian's package systemd)")
    text = re.sub(r"/opt/bleen/\w+/bin/python", sys.executable, service.read_text("utf-8"))
    good, bad = folder / service.name, folder / "slip.service"
    good.write_text(text)
    bad.write_text(text.replace(key, slip))
    said = [
        run([program, "verify", "--man=no", str(each)], capture_output=True, text=True, check=False) for each in (good, bad)
    ]
    assert said[0].returncode == 0 and good.name not in said[0].stderr, said[0].stderr
    assert slip.rstrip("=") in said[1].stderr
    return program, good


def test_the_guests_service_is_what_the_rest_counts_on() -> None:
    """The instance outlives it, it always comes back, and it is where the health extension asks and the payload lies."""
    keys = unit()
    assert (keys["KillMode"], keys["Restart"], keys["OOMPolicy"]) == (["process"], ["always"], ["continue"])
    environ = dict(each.split("=") for each in keys["Environment"][0].split())
    settings = read_settings(environ)
    assert settings.guest_images == "/opt/bleen" and settings.home == f"/var/lib/{keys['StateDirectory'][0]}"
    assert "--directory=/opt/bleen " in (PACKER / "scripts/install.sh").read_text("utf-8")
    assert load(TERRAFORM / "modules/service").locals["guest"] == {"port": settings.guest_port, "path": PATH}


def test_scripts_stop_at_the_first_failure() -> None:
    """A script that goes on after a failed step would make an image without it; and each is a script that sh can read."""
    for script in sorted(PACKER.rglob("*.sh")):
        assert "set -eu" in script.read_text("utf-8").splitlines()
        assert run(["sh", "-n", str(script)], capture_output=True, check=False).returncode == 0
